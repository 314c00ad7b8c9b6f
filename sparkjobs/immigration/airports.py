"""Airports: one row per port of entry, with the airport that its arrivals use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as fn

from sparkjobs.immigration.labels import PORTS, STATES, Labels, read_labels, split_port
from sparkjobs.immigration.ports import ACCENTED, CURATED, PLAIN, TERRITORIES, areas, places
from sparkjobs.reading import read_csv, small_table
from sparkjobs.values import integer
from sparkjobs.writing import REASON, Counts, first_reason, fit, write_output

COLUMNS = (
    "ident",
    "type",
    "name",
    "elevation_ft",
    "iso_country",
    "iso_region",
    "municipality",
    "gps_code",
    "iata_code",
    "local_code",
)
SIZE_ORDER = ("large_airport", "medium_airport", "small_airport")
INTERNATIONAL = ("international", "intercontinental", "intl", "intcntl")


def run(
    spark: SparkSession,
    inputs: Sequence[Sequence[str]],
    targets: Mapping[str, str],
    rejected: str,
    window: None,
) -> Counts:
    """Write staging_airport's Parquet, one row per port of the label file, and return the counts.

    `inputs` are the list of airports and the label file. A port's city and state are
    those of its label (`labels.split_port`); a code whose label says that it is no port has no row.
    A port's airport is chosen by `_choose`; without one, matchbasis and the airport's columns are null.
    `read` counts the list's rows, `written` the ports. Rejected: `no_ident`; `closed`; `duplicate_ident`, all but one
    of the open airports that share an ident. The one that is kept is the larger (large, medium, small, any other),
    then the one with an IATA code, then the first by its columns' text in the order of COLUMNS, so that the order of
    the file does not matter. An elevation that is no number is null, and counted in `notes` as `bad_elevation`.
    """
    source, (label_file,) = inputs
    notes: dict[str, int] = {}
    labels = read_labels(spark, label_file, notes)
    rows = read_csv(spark, source, COLUMNS, notes=notes)
    content = first_reason(
        ("no_ident", fn.col("ident").isNull()),
        ("closed", fn.lower("type").isin("closed", "closed_airport")),
    )
    candidates = rows.withColumn(REASON, content)
    best_first = Window.partitionBy("ident", REASON).orderBy(
        _size_rank(), fn.col("iata_code").isNull(), *COLUMNS
    )
    rank = fn.row_number().over(best_first)
    tagged = candidates.withColumn(
        REASON,
        fn.when(fn.col(REASON).isNull() & (rank > 1), fn.lit("duplicate_ident")).otherwise(fn.col(REASON)),
    )
    elevation = fn.col("elevation_ft")
    return write_output(
        source,
        tagged,
        lambda kept: _ports(spark, kept, labels),
        targets,
        rejected,
        notes=notes,
        parsed={"bad_elevation": (elevation, integer(elevation))},
    )


def _size_rank() -> Column:
    chosen = fn.lit(len(SIZE_ORDER))
    for rank, kind in reversed(list(enumerate(SIZE_ORDER))):
        chosen = fn.when(fn.col("type") == kind, fn.lit(rank)).otherwise(chosen)
    return chosen


def _ports(spark: SparkSession, airports: DataFrame, labels: Labels) -> DataFrame:
    """The ports in the warehouse's columns, each with its airport."""
    split = {code: (split_port(label, labels[STATES]), label) for code, label in labels[PORTS].items()}
    known = [(code, *place, label) for code, (place, label) in split.items() if place]
    ports = small_table(
        spark, [row[:3] for row in known], "portcode string, port_city string, port_state string"
    )
    best = _choose(spark, airports, [wanted for port in known for wanted in _wanted(*port)])
    return ports.join(best, "portcode", "left").select(
        fit(fn.col("portcode"), 8).alias("portcode"),
        fit(fn.col("port_city"), 64).alias("portofentrycity"),
        fit(fn.col("port_state"), 32).alias("statecode"),
        "matchbasis",
        fit(fn.col("ident"), 16).alias("ident"),
        fit(fn.col("type"), 32).alias("type"),
        fit(fn.col("name"), 256).alias("name"),
        integer(fn.col("elevation_ft")).alias("elevationft"),
        fit(fn.upper("iso_country"), 8).alias("iso_country"),
        fit(fn.col("municipality"), 128).alias("municipality"),
        fit(fn.col("gps_code"), 16).alias("gps_code"),
        fit(fn.col("iata_code"), 16).alias("iata_code"),
        fit(fn.col("local_code"), 16).alias("local_code"),
    )


def _wanted(code: str, city: str, state: str, label: str) -> Iterator[tuple[str, str, str]]:
    """(portcode, area, place) of each place to look for; the blank place is any airport of a territory."""
    for area in areas(state):
        for place in places(city, label):
            yield code, area, place
    if areas(state) and areas(state)[0].removeprefix("US-") in TERRITORIES:
        yield code, areas(state)[0], ""


def _choose(spark: SparkSession, airports: DataFrame, wanted: list[tuple[str, str, str]]) -> DataFrame:
    """The best airport of each port that has one, with portcode and matchbasis.

    matchbasis says how it was found:

    - `curated`: it is the port's in `ports.CURATED`;
    - `municipality`, `name`: in the port's state or country, its municipality or else its name has all the words of
      one of the port's places;
    - `territory`: it is the best airport of the territory.

    Of several found by places: large before medium before small; then the one whose name has "International" or
    "Intercontinental"; then the one whose municipality is the place and no more; then the one whose name has the
    place; then the one whose name begins with the place and "International" (Orlando International, not Orlando
    Sanford International); then by ident. Airports of other types (heliport, seaplane base) and those without an IATA
    code, which no airline serves, are not ports of entry.
    """
    country = fn.upper("iso_country")
    area = (
        fn.when(country == "US", fn.upper("iso_region"))
        .when(country.isin(*TERRITORIES), fn.concat(fn.lit("US-"), country))
        .otherwise(country)
    )
    open_to_flights = fn.col("type").isin(*SIZE_ORDER) & fn.col("iata_code").isNotNull()
    eligible = airports.where(open_to_flights).withColumns(
        {"area": area, "plain_name": _plain("name"), "plain_municipality": _plain("municipality")}
    )
    by_place = small_table(spark, wanted, "portcode string, area string, place string")
    by_code = small_table(spark, CURATED.items(), "portcode string, iata_code string")
    basis = (
        fn.when(fn.col("place") == "", fn.lit("territory"))
        .when(_has_place("plain_municipality"), fn.lit("municipality"))
        .when(_has_place("plain_name"), fn.lit("name"))
    )
    found = eligible.join(fn.broadcast(by_place), "area").withColumn("matchbasis", basis)
    curated = eligible.join(fn.broadcast(by_code), "iata_code").withColumns(
        {"place": fn.lit(""), "matchbasis": fn.lit("curated")}
    )
    every = curated.unionByName(found.where(fn.col("matchbasis").isNotNull()))
    best_first = Window.partitionBy("portcode").orderBy(*_preference(), "ident")
    return every.withColumn("rank", fn.row_number().over(best_first)).where(fn.col("rank") == 1)


def _preference() -> list[Column]:
    """The order of preference, as `_choose` says it: what is to come first is 0 or false."""
    name, place = fn.col("plain_name"), fn.col("place")
    kind = (
        fn.when(fn.col("matchbasis") == "curated", 0)
        .when(fn.col("matchbasis") == "territory", 2)
        .otherwise(1)
    )
    international = fn.arrays_overlap(fn.split(name, " "), fn.array(*map(fn.lit, INTERNATIONAL)))
    return [
        kind,
        _size_rank(),
        ~international,
        fn.col("plain_municipality") != place,
        ~_has_place("plain_name"),
        ~fn.startswith(name, fn.concat(place, fn.lit(" international"))),
    ]


def _has_place(column: str) -> Column:
    """Whether the column has all words of the place."""
    return fn.size(fn.array_except(fn.split("place", " "), fn.split(column, " "))) == 0


def _plain(column: str) -> Column:
    """The column's words as `ports.plain` writes them; blank where it is null."""
    folded = fn.translate(fn.lower(fn.coalesce(fn.col(column), fn.lit(""))), ACCENTED, PLAIN)
    return fn.trim(fn.regexp_replace(folded, "[^a-z0-9]+", " "))
