"""The baseline: Polars computes the arrivals job's rows in one pass over the same source.

`python -m bench.arrivals_polars SOURCE TARGET` writes the same columns, so that `compare` can compare the results.
It relies on what the generator guarantees (well-formed columns of the published types), and the job does not: if
the ratio is biased, then in favour of Polars.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import polars as pl

from bench.measuring import measured
from sparkjobs.immigration.countries import INFERRED
from sparkjobs.immigration.i94 import CICIDS, COLUMNS, SAS_EPOCH_DAYS
from sparkjobs.immigration.labels import COUNTRIES, MODES, PORTS, STATES, VISAS, parse_labels, split_port

APRIL = (20545, 20575)


def main(source: Path, target: Path) -> None:
    with measured() as job:
        labels = parse_labels((source / "I94_SAS_Labels_Descriptions.SAS").read_text())
        rows = _kept(pl.read_parquet(source / "sas_data" / "*.parquet"))
        kept = rows.lazy().select(**_columns(labels)).collect()
        for (day,), of_day in kept.partition_by("arrivedate", as_dict=True).items():
            folder = target / f"day={day}"
            folder.mkdir(parents=True)
            of_day.write_parquet(folder / "part-0.parquet", compression="snappy")
    print(json.dumps({"written": rows.height, "job": job.as_dict()}))


def _kept(rows: pl.DataFrame) -> pl.DataFrame:
    good = rows.filter(
        pl.col("arrdate").is_between(*APRIL, closed="left"),
        pl.col("i94mode") == 1,
        (pl.col("i94bir") >= 0) | pl.col("i94bir").is_null(),
    ).with_columns(tourist_id=_tourist_id())
    repeated = good["tourist_id"].is_duplicated()
    others = sorted(set(COLUMNS) - {"dtadfile", "depdate"}, key=lambda name: good.schema[name] == pl.String)
    one_each = (
        good.filter(repeated)
        .sort(
            "dtadfile",
            "depdate",
            *others,
            descending=[True, True, *([False] * len(others))],
            nulls_last=[True, True, *([False] * len(others))],
        )
        .unique("tourist_id", keep="first", maintain_order=True)
    )
    return pl.concat([good.filter(~repeated), one_each])


def _columns(labels: dict[str, dict[str, str]]) -> dict[str, pl.Expr]:
    countries = {float(code): label for code, label in {**INFERRED, **labels[COUNTRIES]}.items()}
    bases = {float(code): "inferred" for code in INFERRED} | {
        float(code): "published" for code in labels[COUNTRIES]
    }
    places = {code: split_port(label, labels[STATES]) for code, label in labels[PORTS].items()}
    ports = {code: place[0] for code, place in places.items() if place}
    port = pl.col("i94port").str.strip_chars(" ")
    unknown = pl.format("unknown ({})", port.str.to_lowercase())
    return {
        "tourist_id": pl.col("tourist_id"),
        "arrivedate": _date("arrdate"),
        "departdate": _date("depdate"),
        "addressto": _nil(pl.col("i94addr").str.strip_chars(" ").str.split(" ").list.first(), 32),
        "portcode": _text("i94port", 8),
        "portofentrycity": _nil(port.replace_strict(ports, default=unknown), 64),
        "citizenship": _coded("i94cit", countries, 64),
        "citizenshipbasis": _basis("i94cit", bases),
        "resident": _coded("i94res", countries, 64),
        "residentbasis": _basis("i94res", bases),
        "mode": _coded("i94mode", {float(code): label for code, label in labels[MODES].items()}, 32),
        "visa": _coded("i94visa", {float(code): label for code, label in labels[VISAS].items()}, 32),
        "visatype": _text("visatype", 16),
        "age": pl.col("i94bir").cast(pl.Int32),
        "birthyear": pl.col("biryear").cast(pl.Int32),
        "gender": _text("gender", 8),
        "occupation": _text("occup", 32),
        "visapost": _text("visapost", 16),
        "arrivalflag": _text("entdepa", 8),
        "departureflag": _text("entdepd", 8),
        "updateflag": _text("entdepu", 8),
        "matchflag": _text("matflag", 8),
        "admitteddate": _admitted_date(),
        "airline": _text("airline", 16),
        "flight_no": _text("fltno", 16),
        "issuancenum": _text("insnum", 32),
        "admissionnum": _nil(pl.col("admnum").cast(pl.Int64).cast(pl.String), 32),
    }


def _tourist_id() -> pl.Expr:
    file_month = (pl.col("i94yr") * 100 + pl.col("i94mon")).cast(pl.Int64)
    return file_month * CICIDS + pl.col("cicid").cast(pl.Int64)


def _date(name: str) -> pl.Expr:
    return (pl.col(name).cast(pl.Int32) - SAS_EPOCH_DAYS).cast(pl.Date)


def _text(name: str, size: int) -> pl.Expr:
    return _nil(pl.col(name).str.strip_chars(" "), size)


def _nil(text: pl.Expr, size: int) -> pl.Expr:
    """The text, cut to `size` bytes, or `Nil` if null or blank. Generated text is ASCII: one byte per character."""
    length = text.str.len_bytes()
    return (
        pl.when(length > size).then(text.str.head(size)).when(length > 0).then(text).otherwise(pl.lit("Nil"))
    )


def _coded(name: str, labels: dict[float, str], size: int) -> pl.Expr:
    unknown = pl.format("Unknown ({})", pl.col(name).cast(pl.Int64))
    return _nil(pl.col(name).replace_strict(labels, default=unknown, return_dtype=pl.String), size)


def _basis(name: str, bases: dict[float, str]) -> pl.Expr:
    return pl.col(name).replace_strict(bases, default="unknown", return_dtype=pl.String)


def _admitted_date() -> pl.Expr:
    text = pl.col("dtaddto").str.strip_chars(" ")
    digits = text.str.contains(r"^\d{8}$")  # to_date alone parses "06 02002" as a day in the year 2
    day = pl.when(digits).then(text).str.to_date("%m%d%Y", strict=False)
    return pl.when(day.is_not_null()).then(day.dt.strftime("%Y-%m-%d")).otherwise(_text("dtaddto", 16))


def compare(one: Path, other: Path) -> str:
    """How two outputs differ, or "" if they hold the same rows."""
    left, right = (_read(folder) for folder in (one, other))
    if left.shape != right.shape or left.schema != right.schema:
        return f"{left.shape} {left.schema} and {right.shape} {right.schema}"
    differing = [
        f"{name}: {count} rows"
        for name in left.columns
        if (count := left[name].ne_missing(right[name]).sum())
    ]
    return ", ".join(differing)


def _read(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / "**" / "*.parquet", hive_partitioning=False).sort("tourist_id")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
