"""The columns of staging_immigration, in its order, from a row as published."""

from pyspark.sql import functions as fn

from sparkjobs.immigration.i94 import number, sas_date, whole_number, whole_number_text
from sparkjobs.immigration.labels import COUNTRIES, MODES, NIL, PORTS, STATES, VISAS, split_port
from sparkjobs.reading import small_table
from sparkjobs.writing import fit, fit_text


def join_labels(spark, rows, labels):
    """`rows` with the labels of their codes, by broadcast: the tables have hundreds of rows."""
    countries = [(int(code), label) for code, label in labels[COUNTRIES].items() if code.isdigit()]
    ports = [(code, *split_port(label, labels[STATES])) for code, label in labels[PORTS].items()]
    for column, label in (("i94cit", "citizenship"), ("i94res", "resident")):
        table = small_table(spark, countries, f"{label}_code bigint, {label}_label string")
        rows = rows.join(fn.broadcast(table), whole_number(column) == fn.col(f"{label}_code"), "left")
    table = small_table(spark, ports, "port_code string, port_city string, port_state string")
    return rows.join(fn.broadcast(table), fn.trim("i94port") == fn.col("port_code"), "left")


def unknown_codes(labels):
    """How many codes have no label, to be counted over joined rows: {note: aggregate}."""
    visas = [float(code) for code in labels[VISAS]]
    unlabelled = {
        "unknown_citizenship": whole_number_text("i94cit").isNotNull() & fn.col("citizenship_label").isNull(),
        "unknown_resident": whole_number_text("i94res").isNotNull() & fn.col("resident_label").isNull(),
        "unknown_port": (fn.trim("i94port") != "") & fn.col("port_code").isNull(),
        "unknown_visa": ~number("i94visa").isin(visas),
    }
    return {note: fn.count_if(condition) for note, condition in unlabelled.items()}


def in_words(joined, labels):
    """Joined rows as staging_immigration's columns, and year and month of the arrival to partition by."""
    arrival = sas_date("arrdate")
    port = fn.col("port_code").isNotNull()
    columns = {
        "cicid": whole_number("cicid"),
        "arrivedate": arrival,
        "departdate": sas_date("depdate"),
        "addressto": _text(fn.substring_index(fn.trim("i94addr"), " ", 1), 32),
        "portcode": _text("i94port", 8),
        "portofentrycity": fn.when(port, fit(fn.col("port_city"), 64)).otherwise(_unknown_city()),
        "portstate": fn.when(port, fit(fn.col("port_state"), 32)).otherwise(NIL),
        "citizenship": _label("citizenship_label", "i94cit", 64),
        "resident": _label("resident_label", "i94res", 64),
        "mode": _coded("i94mode", labels[MODES], 32),
        "visa": _coded("i94visa", labels[VISAS], 32),
        "visatype": _text("visatype", 16),
        "age": number("i94bir").cast("int"),
        "birthyear": number("biryear").cast("int"),
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
        "admissionnum": _text(whole_number_text("admnum"), 32),
        "year": fn.year(arrival),
        "month": fn.month(arrival),
    }
    return joined.select(*[column.alias(name) for name, column in columns.items()])


def _text(column, size):
    """Text trimmed and cut to `size` bytes, `Nil` where there is none."""
    column = fn.col(column).cast("string") if isinstance(column, str) else column
    return fit_text(column, size, fn.lit(NIL))


def _label(label, code, size):
    """The label that was found, `Unknown (148)` for a code without one, `Nil` without a code."""
    return fn.when(fn.col(label).isNotNull(), fit(fn.col(label), size)).otherwise(_unknown(code, size))


def _coded(code, table, size):
    """The label of one of a handful of numeric codes."""
    chosen = _unknown(code, size)
    for known, label in table.items():
        chosen = fn.when(number(code) == int(known), fn.lit(label)).otherwise(chosen)
    return chosen


def _unknown(code, size):
    """`Unknown (148)`; a code that is no number as it stands; `Nil` where there is none."""
    text = fn.when(fn.trim(whole_number_text(code)) != "", whole_number_text(code))
    return fit_text(fn.concat(fn.lit("Unknown ("), text, fn.lit(")")), size, fn.lit(NIL))


def _unknown_city():
    """The city of a port without a label, in lower case as all cities are."""
    code = fn.trim("i94port")
    city = fn.when(code != "", fn.concat(fn.lit("unknown ("), fn.lower(code), fn.lit(")")))
    return fit_text(city, 64, fn.lit(NIL))


def _admitted_date():
    """dtaddto's MMDDYYYY as an ISO date, and any other text (D/S: for the duration of status) as it is."""
    text = fn.trim("dtaddto")
    iso = fn.concat_ws("-", fn.substring(text, 5, 4), fn.substring(text, 1, 2), fn.substring(text, 3, 2))
    is_date = (fn.octet_length(text) == 8) & iso.cast("date").isNotNull()
    return fn.when(is_date, iso).otherwise(_text("dtaddto", 16))
