"""Generates the source files of the immigration pipeline from a seed, in the published formats and with their quirks.

This module makes the arrivals, column by column and in chunks of rows, so that memory use does not grow with the
number of rows. `immigration_files` makes the small files, `immigration_codes` holds the codes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl

from sandbox.data import immigration_codes as codes
from sandbox.data.draws import Draws, without
from sandbox.data.immigration_files import write_airports, write_cities, write_labels, write_temperatures

CHUNK_ROWS = 500_000
ROW_GROUP_ROWS = 250_000
SAS_EPOCH = date(1960, 1, 1)
FIRST_DAY = (date(2016, 4, 1) - SAS_EPOCH).days
DAYS = 30


def generate(target: Path, *, rows: int = 20_000, seed: int = 1, form: str = "parquet") -> None:
    """Write every source file of the pipeline into `target`; the same arguments give the same data.

    `form` is the format of the arrivals: "parquet" (`sas_data/`) or "csv" (`immigrationData.csv`, with the unnamed
    index column of the published sample). All are in April 2016. Raises ValueError for another format.
    """
    if form not in ("parquet", "csv"):
        raise ValueError(f"Unknown format {form!r} of the arrivals: use 'parquet' or 'csv'.")
    target.mkdir(parents=True, exist_ok=True)
    write_labels(target / "I94_SAS_Labels_Descriptions.SAS")
    write_cities(target / "us-cities-demographics.csv", seed)
    write_temperatures(target / "GlobalLandTemperaturesByState.csv", seed)
    write_airports(target / "airport-codes_csv.csv", seed)
    if form == "csv":
        _write_csv(target / "immigrationData.csv", rows, seed)
    else:
        _write_parquet(target / "sas_data", rows, seed)


def _write_parquet(folder: Path, rows: int, seed: int) -> None:
    folder.mkdir(exist_ok=True)
    for number, part in enumerate(_chunks(rows, seed)):
        path = folder / f"part-{number:05d}.snappy.parquet"
        part.write_parquet(path, compression="snappy", row_group_size=ROW_GROUP_ROWS)


def _write_csv(path: Path, rows: int, seed: int) -> None:
    """Write doubles as in the published sample (`4084316.0`), after an unnamed index column."""
    first = 0
    with path.open("wb") as sink:
        for part in _chunks(rows, seed):
            part.with_row_index("", offset=first).write_csv(
                sink, include_header=first == 0, float_precision=1
            )
            first += part.height


def _chunks(rows: int, seed: int) -> Iterator[pl.DataFrame]:
    for first in range(0, max(rows, 1), CHUNK_ROWS):
        yield arrivals(Draws(seed, first, min(CHUNK_ROWS, rows - first)))


def arrivals(draws: Draws) -> pl.DataFrame:
    """One chunk of I94 rows with the published types: numbers are doubles, text is strings."""
    arrived = draws.integers(FIRST_DAY, FIRST_DAY + DAYS)
    visa_types, visas = _visas(draws)
    ages = _ages(draws)
    not_departed = draws.with_probability(0.04)
    columns = {
        "cicid": _row_numbers(draws) * 2.0,
        "i94yr": _constant(draws, 2016.0),
        "i94mon": _constant(draws, 4.0),
        "i94cit": _countries(draws, known_only=False),
        "i94res": _countries(draws, known_only=True),
        "i94port": draws.texts([(port[0], port[2]) for port in codes.PORTS]),
        "arrdate": without(arrived.cast(pl.Float64), draws.with_probability(0.00005)),
        "i94mode": without(
            _numbers(draws, (1, 2, 3, 9), (97.0, 1.0, 1.5, 0.2)), draws.with_probability(0.00005)
        ),
        "i94addr": draws.texts(
            [*((state[0], state[3]) for state in codes.STATES), *codes.JUNK_ADDRESSES], blank=0.034
        ),
        "depdate": without(_departures(draws, arrived), not_departed),
        "i94bir": without(ages, draws.with_probability(0.0002)),
        "i94visa": visas,
        "count": _constant(draws, 1.0),
        "dtadfile": _format_dates(arrived + draws.integers(0, 2), "%Y%m%d"),
        "visapost": draws.texts([(post, 1.0) for post in codes.VISA_POSTS], blank=0.6),
        "occup": draws.texts([(job, 1.0) for job in codes.OCCUPATIONS], blank=0.996),
        "entdepa": draws.texts([("G", 84.0), ("O", 13.0), ("T", 2.0), ("H", 0.5), ("K", 0.3), ("U", 0.1)]),
        "entdepd": draws.texts(
            [("O", 90.0), ("K", 4.0), ("R", 3.0), ("N", 2.0), ("I", 1.0)], absent=not_departed
        ),
        "entdepu": draws.texts([("U", 3.0), ("Y", 1.0)], blank=0.998),
        "matflag": draws.texts([("M", 1.0)], absent=not_departed),
        "biryear": 2016.0 - ages,
        "dtaddto": _admitted_until(draws, arrived, visas),
        "gender": draws.texts([("M", 51.0), ("F", 48.0), ("X", 0.1), ("U", 0.1)], blank=0.13),
        "insnum": draws.texts([("3801", 1.0), ("3943", 1.0)], blank=0.997),
        "airline": draws.texts([(airline, 1.0) for airline in codes.AIRLINES], blank=0.0002),
        "admnum": draws.integers(5_500_000_000, 95_000_000_000).cast(pl.Float64),
        "fltno": _flights(draws),
        "visatype": visa_types,
    }
    return _with_duplicates(draws, pl.DataFrame(columns))


def _row_numbers(draws: Draws) -> pl.Series:
    return pl.int_range(draws.first + 1, draws.first + draws.count + 1, eager=True)


def _constant(draws: Draws, value: float) -> pl.Series:
    return pl.repeat(value, draws.count, dtype=pl.Float64, eager=True)


def _numbers(draws: Draws, among: tuple[int, ...], weights: tuple[float, ...]) -> pl.Series:
    return pl.Series(among, dtype=pl.Float64).gather(draws.indices(weights))


def _countries(draws: Draws, *, known_only: bool) -> pl.Series:
    """Country codes; a tenth of those in i94cit are not in the label file, those in i94res all are."""
    among = [country for country in codes.COUNTRIES if country[1] is not None or not known_only]
    return _numbers(draws, tuple(c[0] for c in among), tuple(c[2] for c in among))


def _ages(draws: Draws) -> pl.Series:
    """Ages from 0 to 100, and a few negative ones."""
    ages = draws.normal(41, 17).round().clip(0, 100)
    return ages.zip_with(~draws.with_probability(0.0003), _constant(draws, -3.0))


def _visas(draws: Draws) -> tuple[pl.Series, pl.Series]:
    """(visatype, i94visa), which are consistent."""
    drawn = draws.indices([weight for _, _, weight in codes.VISA_TYPES])
    names = pl.Series([name for name, _, _ in codes.VISA_TYPES]).gather(drawn)
    return names, pl.Series([float(group) for _, group, _ in codes.VISA_TYPES]).gather(drawn)


def _departures(draws: Draws, arrived: pl.Series) -> pl.Series:
    """Departure dates as SAS days; a few are before the arrival."""
    stay = draws.erlang(13).round() + 1
    stay = stay.zip_with(~draws.with_probability(0.0005), -draws.integers(1, 40).cast(pl.Float64))
    return arrived.cast(pl.Float64) + stay


def _admitted_until(draws: Draws, arrived: pl.Series, visas: pl.Series) -> pl.Series:
    """MMDDYYYY, or D/S (duration of status) for students; a few values are neither."""
    until = _format_dates(arrived + 90 + draws.with_probability(0.4).cast(pl.Int64) * 92, "%m%d%Y")
    junk = draws.texts([("183", 1.0), ("02302016", 1.0), ("06 02002", 1.0), ("/   183D", 1.0)])
    student = pl.when(visas == 3).then(pl.lit("D/S")).otherwise(until)
    return pl.select(pl.when(draws.with_probability(0.0005)).then(junk).otherwise(student)).to_series()


def _flights(draws: Draws) -> pl.Series:
    """Five-digit numbers with leading zeros; a few are words."""
    numbers = pl.Series([f"{number:05d}" for number in range(1000)]).gather(draws.integers(0, 1000))
    return pl.select(
        pl.when(draws.with_probability(0.003)).then(pl.lit("LAND")).otherwise(numbers)
    ).to_series()


def _with_duplicates(draws: Draws, rows: pl.DataFrame) -> pl.DataFrame:
    """Replace one row in a thousand by a copy of the row before; half of the copies have a later filing date."""
    row = pl.int_range(rows.height, eager=True)
    copied = draws.with_probability(0.001) & (row > 0)
    filed_again = copied & draws.with_probability(0.5)
    rows = rows[row - copied.cast(pl.Int64)]
    return rows.with_columns(
        pl.when(filed_again).then(pl.lit("20160515")).otherwise("dtadfile").alias("dtadfile")
    )


def _format_dates(sas_days: pl.Series, form: str) -> pl.Series:
    """SAS days as text in the format `form`; each distinct day is formatted only once."""
    first, last = sas_days.min() or 0, sas_days.max() or 0
    epoch_days = (SAS_EPOCH - date(1970, 1, 1)).days
    days = pl.int_range(first, last + 1, eager=True) + epoch_days
    return days.cast(pl.Int32).cast(pl.Date).dt.strftime(form).gather(sas_days - first)
