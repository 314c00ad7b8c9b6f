"""The columns of staging_immigration, in its order, from a row as published.

Two steps, each small enough for the JVM to compile (see `writing.write_by_day`): `with_labels` cleans the
text and joins the labels, `in_words` makes the warehouse's columns of them, with labels in place of codes.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as fn
from pyspark.sql.types import NumericType

from sparkjobs.immigration.countries import INFERRED
from sparkjobs.immigration.i94 import (
    ARRIVED,
    DEPARTED,
    TOURIST_ID,
    integer,
    is_unreadable,
    number,
    sas_date,
    whole_number,
    whole_number_text,
)
from sparkjobs.immigration.labels import COUNTRIES, MODES, NIL, PORTS, STATES, VISAS, Labels, split_port
from sparkjobs.reading import small_table
from sparkjobs.writing import fit_text

# What a column of the source is called in the warehouse, and its size there in bytes.
TEXTS = {
    "visatype": ("visatype", 16),
    "gender": ("gender", 8),
    "occupation": ("occup", 32),
    "visapost": ("visapost", 16),
    "arrivalflag": ("entdepa", 8),
    "departureflag": ("entdepd", 8),
    "updateflag": ("entdepu", 8),
    "matchflag": ("matflag", 8),
    "airline": ("airline", 16),
    "flight_no": ("fltno", 16),
    "issuancenum": ("insnum", 32),
}


def with_labels(spark: SparkSession, rows: DataFrame, labels: Labels) -> DataFrame:
    """`rows`, which have `i94.with_values`, with clean text and the labels of their codes.

    The labels are joined by broadcast: the tables have hundreds of rows.
    """
    countries = {code: (label, "inferred") for code, label in INFERRED.items()}
    countries |= {code: (label, "published") for code, label in labels[COUNTRIES].items() if code.isdigit()}
    coded = [(int(code), *label) for code, label in countries.items()]
    places = {code: split_port(label, labels[STATES]) for code, label in labels[PORTS].items()}
    ports = [(code, place[0]) for code, place in places.items() if place]
    for column, label in (("i94cit", "citizenship"), ("i94res", "resident")):
        schema = f"{label}_code bigint, {label}_label string, {label}_basis string"
        table = small_table(spark, coded, schema)
        rows = rows.join(fn.broadcast(table), whole_number(column) == fn.col(f"{label}_code"), "left")
    table = small_table(spark, ports, "port_code string, port_city string")
    rows = rows.join(fn.broadcast(table), _trimmed("i94port") == fn.col("port_code"), "left")
    departure, age, born, visa = sas_date(DEPARTED), integer("i94bir"), integer("biryear"), number("i94visa")
    return rows.select(
        TOURIST_ID,
        sas_date(ARRIVED).alias("arrivedate"),
        departure.alias("departdate"),
        is_unreadable("depdate", departure).alias("bad_departure_date"),
        fn.substring_index(_trimmed("i94addr"), " ", 1).alias("addressto"),
        _trimmed("i94port").alias("portcode"),
        "port_city",
        whole_number_text("i94cit").alias("citizenship_code"),
        "citizenship_label",
        "citizenship_basis",
        whole_number_text("i94res").alias("resident_code"),
        "resident_label",
        "resident_basis",
        number("i94mode").alias("i94mode"),
        visa.alias("i94visa"),
        is_unreadable("i94visa", visa).alias("bad_visa"),
        age.alias("age"),
        is_unreadable("i94bir", age).alias("bad_age"),
        born.alias("birthyear"),
        is_unreadable("biryear", born).alias("bad_birthyear"),
        _month_first(rows, "dtaddto").alias("dtaddto"),
        whole_number_text("admnum").alias("admissionnum"),
        *[_text_of(rows, source).alias(name) for name, (source, _) in TEXTS.items()],
    )


# Notes of unreadable values: the column, which is null where they are.
UNREADABLE = {
    "bad_departure_date": "departdate",
    "bad_age": "age",
    "bad_birthyear": "birthyear",
    "bad_visa": "i94visa",
}


def noteworthy(labels: Labels) -> dict[str, Column]:
    """How many codes have no label and how many values are unreadable, over rows with labels: {note: aggregate}.

    Under the name of a column in UNREADABLE: how many of its values were read.
    """
    visas = [float(code) for code in labels[VISAS]]
    conditions = {
        "unknown_citizenship": fn.col("citizenship_code").isNotNull() & fn.col("citizenship_label").isNull(),
        "unknown_resident": fn.col("resident_code").isNotNull() & fn.col("resident_label").isNull(),
        "inferred_citizenship": fn.col("citizenship_basis") == "inferred",
        "inferred_resident": fn.col("resident_basis") == "inferred",
        "unknown_port": (fn.col("portcode") != "") & fn.col("port_city").isNull(),
        "unknown_visa": ~fn.col("i94visa").isin(visas),
        **{note: fn.col(note) for note in UNREADABLE},
    }
    read = {column: fn.count(column) for column in UNREADABLE.values()}
    return {note: fn.count_if(condition) for note, condition in conditions.items()} | read


def in_words(labelled: DataFrame, labels: Labels) -> DataFrame:
    """Rows with labels as staging_immigration's columns."""
    texts = {name: _text(fn.col(name), size) for name, (_, size) in TEXTS.items()}
    columns = {
        TOURIST_ID: fn.col(TOURIST_ID),
        "arrivedate": fn.col("arrivedate"),
        "departdate": fn.col("departdate"),
        "addressto": _text(fn.col("addressto"), 32),
        "portcode": _text(fn.col("portcode"), 8),
        "portofentrycity": _text(fn.coalesce("port_city", fn.lower(_unknown("portcode"))), 64),
        "citizenship": _text(fn.coalesce("citizenship_label", _unknown("citizenship_code")), 64),
        "citizenshipbasis": _basis("citizenship"),
        "resident": _text(fn.coalesce("resident_label", _unknown("resident_code")), 64),
        "residentbasis": _basis("resident"),
        "mode": _coded("i94mode", labels[MODES], 32),
        "visa": _coded("i94visa", labels[VISAS], 32),
        "visatype": texts["visatype"],
        "age": fn.col("age"),
        "birthyear": fn.col("birthyear"),
        "gender": texts["gender"],
        "occupation": texts["occupation"],
        "visapost": texts["visapost"],
        "arrivalflag": texts["arrivalflag"],
        "departureflag": texts["departureflag"],
        "updateflag": texts["updateflag"],
        "matchflag": texts["matchflag"],
        "admitteddate": _admitted_date(),
        "airline": texts["airline"],
        "flight_no": texts["flight_no"],
        "issuancenum": texts["issuancenum"],
        "admissionnum": _text(fn.col("admissionnum"), 32),
    }
    return labelled.select(*[column.alias(name) for name, column in columns.items()])


def _text_of(rows: DataFrame, name: str) -> Column:
    """The column's text; of a copy that has numbers there, their digits without a trailing .0."""
    if isinstance(rows.schema[name].dataType, NumericType):
        return whole_number_text(name)
    return _trimmed(name)


def _month_first(rows: DataFrame, name: str) -> Column:
    """A column of MMDDYYYY as text; a copy that has numbers there lost the zero before a month."""
    text = _text_of(rows, name)
    if not isinstance(rows.schema[name].dataType, NumericType):
        return text
    return fn.when(fn.length(text) == len("MDDYYYY"), fn.lpad(text, 8, "0")).otherwise(text)


def _trimmed(name: str) -> Column:
    return fn.trim(fn.col(name).cast("string"))


def _text(text: Column, size: int) -> Column:
    """Text cut to `size` bytes, `Nil` where there is none."""
    return fit_text(text, size, fn.lit(NIL))


def _unknown(code: str) -> Column:
    """`Unknown (148)` for a code without a label; null where there is no code."""
    return fn.when(fn.col(code) != "", fn.concat(fn.lit("Unknown ("), code, fn.lit(")")))


def _basis(name: str) -> Column:
    """Where a country's label is from: `published`, `inferred` (see `countries`) or `unknown`; null without a code."""
    code, basis = fn.col(f"{name}_code"), fn.col(f"{name}_basis")
    return fn.coalesce(basis, fn.when(code != "", fn.lit("unknown")))


def _coded(name: str, table: dict[str, str], size: int) -> Column:
    """The label of one of a handful of numeric codes."""
    chosen = _text(_unknown_number(name), size)
    for known, label in table.items():
        chosen = fn.when(fn.col(name) == int(known), fn.lit(label)).otherwise(chosen)
    return chosen


def _unknown_number(name: str) -> Column:
    return fn.concat(fn.lit("Unknown ("), fn.col(name).cast("bigint").cast("string"), fn.lit(")"))


def _admitted_date() -> Column:
    """dtaddto's MMDDYYYY as an ISO date, and any other text (D/S: for the duration of status) as it is."""
    text = fn.col("dtaddto")
    iso = fn.concat_ws("-", fn.substring(text, 5, 4), fn.substring(text, 1, 2), fn.substring(text, 3, 2))
    is_date = (fn.octet_length(text) == 8) & iso.cast("date").isNotNull()
    return fn.when(is_date, iso).otherwise(_text(text, 16))
