"""Example rows for the staging tables of the immigration pipeline, and functions that insert and load them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import psycopg2.extensions

from airflow_lib.naming import staging_schema
from airflow_lib.pipeline import Pipeline, References, Severity, Window
from airflow_lib.warehouse import load as warehouse
from airflow_lib.warehouse.publish import Loaded, WindowLoad, load_window
from tests.sql.declarations import declared_pipeline

IMMIGRATION = declared_pipeline("immigration")
# Without checks that a load asks; pruning goes by the References.
UNCHECKED = replace(
    IMMIGRATION,
    checks=tuple(
        replace(check, severity=Severity.WARN)
        for check in IMMIGRATION.checks
        if isinstance(check, References)
    ),
)
APRIL = Window(date(2016, 4, 1), date(2016, 5, 1))

Row = tuple[Any, ...]
Rows = Mapping[str, Sequence[Row]]
Connection = psycopg2.extensions.connection

_PORTS = {
    "CHI": ("chicago", "IL"),
    "SAJ": ("san juan", "PR"),
    "WIL": ("wilmington", "NC"),
    "WDE": ("wilmington", "DE"),
    "MTR": ("montreal", "CANADA"),
}
_ARRIVAL: dict[str, Any] = {
    "tourist_id": 1,
    "arrivedate": date(2016, 4, 1),
    "departdate": date(2016, 4, 11),
    "addressto": "NY",
    "portcode": "CHI",
    "portofentrycity": "chicago",
    "citizenship": "JAPAN",
    "citizenshipbasis": "published",
    "resident": "JAPAN",
    "residentbasis": "published",
    "mode": "Air",
    "visa": "Pleasure",
    "visatype": "B2",
    "age": 40,
    "birthyear": 1976,
    "gender": "F",
    "occupation": "Nil",
    "visapost": "TKY",
    "arrivalflag": "G",
    "departureflag": "O",
    "updateflag": "Nil",
    "matchflag": "M",
    "admitteddate": "2016-09-30",
    "airline": "JL",
    "flight_no": "00010",
    "issuancenum": "Nil",
    "admissionnum": "92468461330",
}


def arrival(
    tourist_id: int, arrivedate: date = date(2016, 4, 1), portcode: str = "CHI", **changes: Any
) -> Row:
    """A row of staging_immigration; its city is that of the port, `unknown (code)` where _PORTS has none."""
    city, _ = _PORTS.get(portcode, (f"unknown ({portcode.lower()})", ""))
    port = {"portcode": portcode, "portofentrycity": city}
    row = {**_ARRIVAL, "tourist_id": tourist_id, "arrivedate": arrivedate, **port, **changes}
    return tuple(row.values())


def port(
    portcode: str, ident: str | None = None, iata: str | None = None, basis: str = "municipality"
) -> Row:
    """A row of staging_airport: a port of _PORTS, with the airport of that ident or none."""
    city, state = _PORTS[portcode]
    if ident is None:
        return (portcode, city, state, *[None] * 10)
    described = (ident, "large_airport", f"{ident} Airport", 100, "US", city.title())
    return (portcode, city, state, basis, *described, ident, iata, iata)


def state(code: str, name: str) -> Row:
    """A row of staging_demography."""
    return (code, name, 36.5, 490, 510, 1000, 20, 300, 2.5)


def temperature(month: date, name: str, mean: float) -> Row:
    """A row of staging_landtemp."""
    return (month, name, mean, 0.25)


REFERENCE: Rows = {
    "staging_airport": [
        port("CHI", "KORD", "ORD", "curated"),
        port("WDE", "KILG", "ILG"),
        port("WIL", "KILM", "ILM"),
        port("SAJ", "TJSJ", "SJU"),
        port("MTR"),
    ],
    "staging_demography": [state("NY", "New York"), state("CA", "California"), state("TX", "Texas")],
    "staging_landtemp": [
        temperature(date(year, month, 1), name, month + offset)
        for year in range(2000, 2014)
        for month in range(1, 13)
        for name, offset in (("Texas", 10.0), ("Alaska", -10.0))
    ],
}


def ten_days_of_arrivals(count: int = 200) -> list[Row]:
    """Arrivals on the first ten days of April 2016, some of them with the quirks of the real data."""
    ports = sorted(_PORTS)
    return [
        arrival(
            number,
            APRIL.start + timedelta(days=number * 7 % 10),
            ports[number % len(ports)],
            addressto=("NY", "CA", "WY", "Nil", "..")[number * 3 % 5],
            departdate=None if number % 9 == 0 else APRIL.start + timedelta(days=number % 40),
            updateflag="U" if number % 50 == 0 else "Nil",
            visa=("Business", "Pleasure", "Student")[number % 3],
        )
        for number in range(1, count + 1)
    ]


def stage(
    conn: Connection, run_id: str, window: Window, arrivals: Iterable[Row], reference: Rows = REFERENCE
) -> str:
    """Fill the run's staging tables, with the arrivals of the window only; returns their schema."""
    schema = staging_schema(run_id)
    inside = [row for row in arrivals if window.start <= row[1] < window.end]
    for table, rows in {**reference, "staging_immigration": inside}.items():
        warehouse.copy_staging(conn, IMMIGRATION, table, schema=schema, manifest_url=None, role_arn="")
        _insert(conn, f"{schema}.{table}", rows)
    return schema


def load(
    conn: Connection,
    run_id: str,
    window: Window,
    arrivals: Iterable[Row],
    reference: Rows = REFERENCE,
    pipeline: Pipeline = UNCHECKED,
) -> Loaded:
    """Stage and load the window."""
    schema = stage(conn, run_id, window, arrivals, reference)
    return load_staged(conn, run_id, window, schema, pipeline)


def load_staged(
    conn: Connection,
    run_id: str,
    window: Window,
    schema: str,
    pipeline: Pipeline = UNCHECKED,
    **options: Any,
) -> Loaded:
    """Load the staged rows; `options` are passed to load_window."""
    with conn.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM {schema}.staging_immigration")
        ((written,),) = cursor.fetchall()
    conn.rollback()
    this = WindowLoad(
        pipeline, run_id, window, schema, {"arrivals": run_id}, {"arrivals": written}, {}, run_id
    )
    return load_window(conn, this, **options)


def tables(conn: Connection) -> dict[str, list[tuple[str, ...]]]:
    """The rows of every table, sorted, without identity columns."""
    return {
        table.name: sorted(map(_text, rows_of(conn, table.name))) for table in IMMIGRATION.warehouse_tables
    }


def rows_of(conn: Connection, table: str) -> list[dict[str, Any]]:
    """A table's rows, without its identity column."""
    with conn.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")
        names = [column.name for column in cursor.description or ()]
        found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    conn.commit()
    for row in found:
        row.pop("arrive_id", None)
        row.pop("airport_id", None)
    return found


def empty(conn: Connection) -> None:
    """Create the tables if they are missing, delete all rows, and drop every staging schema."""
    warehouse.create_tables(conn, IMMIGRATION)
    with conn.cursor() as cursor:
        for table in IMMIGRATION.warehouse_tables:
            cursor.execute(f"DELETE FROM {table.name}")
        cursor.execute("DELETE FROM mayfly_loads")
    conn.commit()
    warehouse.drop_orphan_staging(conn, keep=())


def _text(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(value) for value in row.values())


def _insert(conn: Connection, table: str, rows: Sequence[Row]) -> None:
    if rows:
        marks = "(" + ", ".join(["%s"] * len(rows[0])) + ")"
        with conn.cursor() as cursor:
            values = ", ".join(cursor.mogrify(marks, row).decode() for row in rows)
            cursor.execute(f"INSERT INTO {table} VALUES {values}")
    conn.commit()
