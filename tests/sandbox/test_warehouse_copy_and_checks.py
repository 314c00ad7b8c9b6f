"""COPY, checks and answers on a running warehouse."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from airflow_lib.aws.s3_location import S3Location
from airflow_lib.bounded_json import as_json
from airflow_lib.errors import StatementRefused, WarehouseError
from airflow_lib.naming import staging_schema
from airflow_lib.pipeline import (
    AcceptedValues,
    Answer,
    Between,
    Check,
    Complete,
    Fresh,
    Holds,
    NotNull,
    Pipeline,
    References,
    RowCount,
    Severity,
    Unique,
)
from airflow_lib.warehouse import load as warehouse
from airflow_lib.warehouse.answers import FORMATS, Asked, file_key, rebuild, unload
from airflow_lib.warehouse.connection import transact
from airflow_lib.warehouse.quality import CheckContext, Verdict, judge, render_check
from tests.sandbox.immigration_rows import (
    APRIL,
    IMMIGRATION,
    Connection,
    arrival,
    empty,
    load,
    ten_days_of_arrivals,
)
from tests.sandbox.redshift_fakes import BUCKET, ROLE, UNATTACHED_ROLE, Warehouse, running_warehouse

pytestmark = pytest.mark.sandbox

SCHEMA = staging_schema("copying")
PUBLISHED = S3Location(BUCKET, "published/immigration")
TEMPERATURES = pa.table(
    {
        "month": pa.array([date(2013, 4, 1), date(2013, 5, 1)], pa.date32()),
        "state": pa.array(["Texas", None], pa.string()),
        "averagetemperature": pa.array([20.5, 21.5], pa.float64()),
        "averagetemperatureuncertainty": pa.array([0.25, None], pa.float64()),
    }
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    yield from running_warehouse(tmp_path_factory.mktemp("warehouse") / "data")


@pytest.fixture
def conn(cluster: Warehouse) -> Iterator[Connection]:
    with closing(cluster.connect()) as opened:
        empty(opened)
        yield opened


# -- COPY --------------------------------------------------------------------------------------


def manifest(cluster: Warehouse, *parts: pa.Table) -> str:
    entries = [cluster.put_parquet(f"landtemp/part-{n}.parquet", part) for n, part in enumerate(parts)]
    return cluster.put_manifest("landtemp/manifest.json", entries)


def copy(conn: Connection, url: str, role: str = ROLE) -> int:
    return warehouse.copy_staging(
        conn, IMMIGRATION, "staging_landtemp", schema=SCHEMA, manifest_url=url, role_arn=role
    )


def test_copy_loads_every_file_of_the_manifest(cluster: Warehouse, conn: Connection) -> None:
    assert copy(conn, manifest(cluster, TEMPERATURES, TEMPERATURES.slice(0, 1))) == 3
    assert cluster.ask(f"SELECT DISTINCT * FROM {SCHEMA}.staging_landtemp ORDER BY 1") == [
        (date(2013, 4, 1), "Texas", 20.5, 0.25),
        (date(2013, 5, 1), None, 21.5, None),
    ]


def test_a_repeated_copy_starts_with_an_empty_table(cluster: Warehouse, conn: Connection) -> None:
    url = manifest(cluster, TEMPERATURES)

    assert [copy(conn, url), copy(conn, url)] == [2, 2]


def test_a_runs_tables_can_be_copied_concurrently(cluster: Warehouse, conn: Connection) -> None:
    def copy_empty(table: str) -> int:
        with closing(cluster.connect()) as own:
            return warehouse.copy_staging(
                own, IMMIGRATION, table, schema=SCHEMA, manifest_url=None, role_arn=ROLE
            )

    names = [table.name for table in IMMIGRATION.staging]
    with ThreadPoolExecutor(len(names)) as pool:
        assert list(pool.map(copy_empty, names)) == [0] * len(names)
    assert warehouse.list_staging(conn, SCHEMA) == dict.fromkeys(names, "")


def test_a_staging_table_bears_the_hash_of_the_manifest_that_its_rows_are_of(
    cluster: Warehouse, conn: Connection
) -> None:
    for hashed in ("0123abcd", "4567cdef"):
        warehouse.copy_staging(
            conn,
            IMMIGRATION,
            "staging_landtemp",
            schema=SCHEMA,
            manifest_url=manifest(cluster, TEMPERATURES),
            role_arn=ROLE,
            manifest=hashed,
        )
        assert warehouse.list_staging(conn, SCHEMA)["staging_landtemp"] == hashed


def test_a_failed_copy_keeps_the_rows_of_the_previous_one(cluster: Warehouse, conn: Connection) -> None:
    copy(conn, manifest(cluster, TEMPERATURES))
    with pytest.raises(WarehouseError):
        copy(conn, manifest(cluster, TEMPERATURES.drop_columns(["state"])))

    assert cluster.ask(f"SELECT COUNT(*) FROM {SCHEMA}.staging_landtemp") == [(2,)]


def test_a_value_that_is_too_long_is_reported_with_its_column_and_file(
    cluster: Warehouse, conn: Connection
) -> None:
    long = TEMPERATURES.set_column(1, "state", pa.array(["ok", "ä" * 40], pa.string()))

    with pytest.raises(WarehouseError) as raised:
        copy(conn, manifest(cluster, long))
    text = str(raised.value)
    assert "staging_landtemp" in text
    assert "state" in text
    assert "landtemp/part-0.parquet" in text


def test_the_error_includes_the_row_of_stl_load_errors(cluster: Warehouse, conn: Connection) -> None:
    long = TEMPERATURES.set_column(1, "state", pa.array(["ok", "ä" * 40], pa.string()))

    with pytest.raises(WarehouseError, match=r"line 2, column state .*1204 String length exceeds DDL length"):
        copy(conn, manifest(cluster, long))


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (TEMPERATURES.drop_columns(["state"]), "column"),
        (TEMPERATURES.set_column(0, "month", pa.array(["a", "b"], pa.string())), "incompatible"),
    ],
    ids=["missing column", "other type"],
)
def test_columns_that_do_not_match_are_reported_with_a_hint(
    cluster: Warehouse, conn: Connection, table: pa.Table, text: str
) -> None:
    with pytest.raises(WarehouseError, match="COPY matches them by position") as raised:
        copy(conn, manifest(cluster, table))
    assert text in str(raised.value)


def test_a_role_that_is_not_attached_to_the_cluster_is_refused(cluster: Warehouse, conn: Connection) -> None:
    with pytest.raises(WarehouseError, match=r"(?i)role"):
        copy(conn, manifest(cluster, TEMPERATURES), UNATTACHED_ROLE)


def test_a_missing_file_is_an_error(cluster: Warehouse, conn: Connection) -> None:
    entry = cluster.put_parquet("landtemp/part-0.parquet", TEMPERATURES)
    url = cluster.put_manifest("landtemp/manifest.json", [{**entry, "url": entry["url"] + ".gone"}])

    with pytest.raises(WarehouseError, match=r"COPY of .* failed"):
        copy(conn, url)


# -- checks ------------------------------------------------------------------------------------


def check(conn: Connection, which: Check, written: int = 1) -> Verdict:
    """The check's verdict, asked in a transaction of its own."""
    question = render_check(
        which, CheckContext(IMMIGRATION, APRIL, staging_schema("run"), {"arrivals": written})
    )
    (verdict,) = transact(conn, lambda cursor: judge(cursor, [question]), what="Checking")
    return verdict


@pytest.mark.parametrize("which", IMMIGRATION.checks, ids=lambda which: which.name)
def test_the_declared_checks_pass_on_a_correct_load(conn: Connection, which: Check) -> None:
    load(conn, "run", APRIL, [arrival(1)])

    verdict = check(conn, which)

    assert (verdict.name, verdict.severity) == (which.name, which.severity)
    assert (verdict.passed, verdict.failing_rows, verdict.samples) == (True, 0, ())


@pytest.mark.parametrize(
    ("spoil", "which", "failing"),
    [
        ("UPDATE dimTourist SET gender = NULL", NotNull("dimTourist", ("Tourist_id", "gender")), 2),
        ("INSERT INTO dimTourist SELECT * FROM dimTourist", Unique("dimTourist", ("Tourist_id",)), 2),
        ("DELETE FROM dimAirport", References("factArrivetheUsa", "portcode", "dimAirport", "portcode"), 2),
        ("DELETE FROM factArrivetheUsa", Complete("factArrivetheUsa", "staging_immigration"), 1),
        (
            "UPDATE factArrivetheUsa SET departdate = '2016-03-01' WHERE Tourist_id = 2",
            Holds("departs", "factArrivetheUsa", "CAST(arrivedate_id AS date) <= departdate"),
            1,
        ),
        ("UPDATE dimTourist SET gender = 'it''s'", AcceptedValues("dimTourist", "gender", ("F", "it's.")), 2),
        ("UPDATE dimArriveDate SET year = 1900", Between("dimArriveDate", "year", 2016, None), 1),
        (
            "UPDATE factArrivetheUsa SET departdate = '2116-03-01' WHERE Tourist_id = 2",
            Between("factArrivetheUsa", "departdate", None, date(2016, 12, 31)),
            1,
        ),
        (
            "UPDATE factArrivetheUsa SET departdate = DATEADD(day, -2, SYSDATE)",
            Fresh("factArrivetheUsa", "departdate", 24),
            1,
        ),
        (
            "UPDATE factArrivetheUsa SET departdate = NULL",
            Fresh("factArrivetheUsa", "departdate", 9999999),
            1,
        ),
        ("DELETE FROM factArrivetheUsa", RowCount("factArrivetheUsa", at_least=1), 1),
        ("SELECT 1", RowCount("factArrivetheUsa", at_most=1), 1),
        ("SELECT 1", RowCount("staging_immigration", at_most=1), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_check_finds_failing_rows_and_returns_samples(
    cluster: Warehouse, conn: Connection, spoil: str, which: Check, failing: int
) -> None:
    load(conn, "run", APRIL, [arrival(1), arrival(2)])
    cluster.ask(spoil)

    verdict = check(conn, which, written=2)

    assert (verdict.passed, verdict.failing_rows) == (False, failing)
    assert len(verdict.samples) == failing
    assert json.loads(json.dumps(verdict.samples)) == list(verdict.samples)
    assert len(cluster.ask(verdict.sql)) == failing


def test_the_completeness_check_returns_the_three_counts(conn: Connection) -> None:
    load(conn, "run", APRIL, [arrival(1), arrival(2)])

    verdict = check(conn, Complete("factArrivetheUsa", "staging_immigration"), written=3)

    assert verdict.samples == ({"written": 3, "staged": 2, "loaded": 2},)


@pytest.mark.parametrize(
    "which",
    [
        Between("dimArriveDate", "year", 2016, 2016),
        Between("factArrivetheUsa", "departdate", date(2016, 1, 1), None),
        Fresh("factArrivetheUsa", "departdate", 24),
        RowCount("factArrivetheUsa", at_least=2, at_most=2),
        RowCount("staging_immigration", at_least=1),
    ],
    ids=lambda which: type(which).__name__,
)
def test_what_lies_within_its_bounds_passes(cluster: Warehouse, conn: Connection, which: Check) -> None:
    load(conn, "run", APRIL, [arrival(1), arrival(2)])
    cluster.ask("UPDATE factArrivetheUsa SET departdate = SYSDATE")

    assert check(conn, which, written=2).passed


def test_at_most_five_samples_are_returned(conn: Connection) -> None:
    load(conn, "run", APRIL, [arrival(n, gender="?") for n in range(1, 9)])

    verdict = check(conn, AcceptedValues("dimTourist", "gender", ("F",)))

    assert verdict.failing_rows == 8
    assert [sample["tourist_id"] for sample in verdict.samples] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "which",
    [
        References("factArrivetheUsa", "departureFlag", "dimAirport", "portcode"),
        Holds("departs", "factArrivetheUsa", "CAST(arrivedate_id AS date) <= departdate"),
        AcceptedValues("factArrivetheUsa", "departureFlag", ("O",)),
    ],
    ids=lambda which: type(which).__name__,
)
def test_only_the_not_null_check_fails_for_a_null(conn: Connection, which: Check) -> None:
    load(conn, "run", APRIL, [arrival(1, departdate=None, departureflag=None)])

    assert check(conn, which).passed


@pytest.fixture
def oddities(cluster: Warehouse) -> Iterator[None]:
    """A table of values that JSON has not, or Python."""
    cluster.ask("CREATE TABLE oddities (mean FLOAT8, rate FLOAT8, at TIME, day DATE, gone INTEGER)")
    cluster.ask("INSERT INTO oddities VALUES ('NaN', '-Infinity', '23:59:59', '2016-04-01', NULL)")
    yield
    cluster.ask("DROP TABLE oddities")


def test_a_verdict_holds_samples_that_json_has_not(conn: Connection, oddities: None) -> None:
    verdict = check(conn, NotNull("oddities", ("gone",)))

    assert (verdict.passed, verdict.failing_rows) == (False, 1)
    assert verdict.samples == (
        {"mean": "NaN", "rate": "-Infinity", "at": "23:59:59", "day": "2016-04-01", "gone": None},
    )


def test_a_verdict_is_kept_where_its_samples_are_none_that_python_has(
    cluster: Warehouse, conn: Connection, oddities: None
) -> None:
    cluster.ask("INSERT INTO oddities VALUES (1, 1, '12:00:00', '12016-04-01', NULL)")

    verdict = check(conn, NotNull("oddities", ("gone",)))

    assert (verdict.passed, verdict.failing_rows) == (False, 2)
    assert "year 12016 is out of range" in verdict.samples[0]["unreadable"]


def test_an_invalid_predicate_is_an_error(conn: Connection) -> None:
    with pytest.raises(StatementRefused, match=r"SQLSTATE 42703.*checks/holds\.sql: .*That is check odd"):
        check(conn, Holds("odd", "dimTourist", "no_such_column > 1", severity=Severity.WARN))


# -- answers -----------------------------------------------------------------------------------

SEED_COLUMNS = ("tourist_id", "arrivedate_id", "departdate", "arrivalflag", "departureflag", "updateflag")


def publish(conn: Connection, pipeline: Pipeline, asked: Answer) -> Asked:
    location = PUBLISHED.below(asked.name)
    return unload(conn, pipeline, asked, location=location, role_arn=ROLE, settle=lambda _: {})


def answer(conn: Connection, name: str) -> list[dict[str, Any]]:
    asked = publish(conn, IMMIGRATION, IMMIGRATION.answer(name))
    json.dumps(asked.first.rows)
    return [dict(zip(asked.first.columns, row, strict=True)) for row in asked.first.rows]


def published(cluster: Warehouse, name: str) -> tuple[list[dict[str, Any]], list[list[str]]]:
    """The rows of an answer's Parquet, and the lines of its CSV."""
    where, asked = PUBLISHED.below(name), IMMIGRATION.answer(name)
    bodies = [
        cluster.s3.get_object(Bucket=BUCKET, Key=file_key(asked, where, kind))["Body"].read()
        for kind in FORMATS
    ]
    return (
        pyarrow.parquet.read_table(io.BytesIO(bodies[0])).to_pylist(),
        list(csv.reader(io.StringIO(bodies[1].decode()))),
    )


@pytest.mark.parametrize("name", [one.name for one in IMMIGRATION.answers])
def test_every_answer_is_published_as_parquet_and_as_csv_in_its_order(
    cluster: Warehouse, conn: Connection, name: str
) -> None:
    load(conn, "run", APRIL, ten_days_of_arrivals())

    shown = answer(conn, name)

    rows, (header, *lines) = published(cluster, name)
    assert shown
    assert [as_json(row) for row in rows[:10]] == shown
    assert header == list(shown[0])
    assert len(lines) == len(rows)


def test_a_table_answer_is_rebuilt_checked_and_published(cluster: Warehouse, conn: Connection) -> None:
    load(conn, "run", APRIL, ten_days_of_arrivals())
    declared = replace(IMMIGRATION.answer("stay_by_visa"), table=True)
    for checks, stays in (
        ((RowCount("stay_by_visa", at_least=1), NotNull("stay_by_visa", ("visa",))), True),
        ((RowCount("stay_by_visa", at_least=1_000),), False),
    ):
        told = replace(declared, checks=checks)
        pipeline = replace(IMMIGRATION, answers=(told,))
        context = CheckContext(pipeline, APRIL, SCHEMA, written={})
        rebuilt = rebuild(conn, pipeline, told, context)
        assert (rebuilt.refused == "") is stays
        assert cluster.ask("SELECT COUNT(*) > 0 FROM answers.stay_by_visa") == [(True,)]
    publish(conn, pipeline, told)
    assert len(published(cluster, "stay_by_visa")[0]) == len(
        cluster.ask("SELECT 1 FROM answers.stay_by_visa")
    )
    cluster.ask("DROP SCHEMA answers CASCADE")


@pytest.mark.parametrize("name", [one.name for one in IMMIGRATION.answers])
def test_every_answer_works_on_an_empty_warehouse(conn: Connection, name: str) -> None:
    assert answer(conn, name) == []


def test_the_published_questions_are_answered(conn: Connection) -> None:
    load(conn, "run", APRIL, ten_days_of_arrivals())

    stays = answer(conn, "stays_april_2016")
    updated = answer(conn, "updated_stays_april_2016")

    assert len(stays) == 10
    assert tuple(stays[0]) == (*SEED_COLUMNS, "matchflag")
    assert all(row["arrivedate_id"] < row["departdate"] for row in stays)
    assert updated
    assert {row["updateflag"] for row in updated} == {"U"}


def test_states_are_compared_by_arrivals_and_population(conn: Connection) -> None:
    load(conn, "run", APRIL, [arrival(1), arrival(2), arrival(3, addressto="GU")])

    first, second = answer(conn, "arrivals_by_state")

    assert (first["statecode"], first["state"], first["arrivals"]) == ("NY", "New York", 2)
    assert first["arrivals_per_thousand"] == 2.0
    assert (second["state"], second["arrivals_per_thousand"]) == ("Guam", None)


def test_destinations_that_are_no_states_are_one_row_and_no_arrival_is_lost(conn: Connection) -> None:
    given = ["NY", "Nil", "..", "ZZ", "Nil", "TX", "NY", "NY", "NY", "NY"]
    load(conn, "run", APRIL, [arrival(n, addressto=code) for n, code in enumerate(given)])

    rows = answer(conn, "arrivals_by_state")

    assert [(row["statecode"], row["state"], row["arrivals"]) for row in rows] == [
        ("NY", "New York", 5),
        (None, "None, or no state", 4),
        ("TX", "Texas", 1),
    ]


def test_ports_are_compared_by_arrivals_days_and_airlines(conn: Connection) -> None:
    rows = [arrival(1), arrival(2, date(2016, 4, 2), airline="UA"), arrival(3, portcode="MTR")]
    load(conn, "run", APRIL, rows)

    first, second = answer(conn, "busiest_airports")

    assert (first["portcode"], first["iata_code"], first["arrivals"]) == ("CHI", "ORD", 2)
    assert (first["days"], first["airlines"]) == (2, 2)
    assert (second["portcode"], second["name"]) == ("MTR", None)


def test_travellers_without_an_airline_are_not_counted_as_one(conn: Connection) -> None:
    codes = ["Nil", "*GA", "*UU", "UA", "UA"]
    load(conn, "run", APRIL, [arrival(n, airline=code) for n, code in enumerate(codes)])

    (row,) = answer(conn, "busiest_airports")

    assert (row["arrivals"], row["airlines"]) == (5, 1)


def test_unknown_countries_are_a_warning_once_they_are_more_than_one_in_a_hundred(conn: Connection) -> None:
    which = next(check for check in IMMIGRATION.checks if check.name == "known_countries")
    unknown = {"citizenship": "Unknown (999)", "citizenshipbasis": "unknown"}
    rows = [arrival(1, **unknown), *[arrival(n) for n in range(2, 101)]]
    load(conn, "run", APRIL, rows)
    assert check(conn, which).passed

    load(conn, "run", APRIL, [*rows[:-1], arrival(100, residentbasis="unknown")])

    verdict = check(conn, which)
    assert (verdict.severity, verdict.passed, verdict.failing_rows) == (Severity.WARN, False, 2)
    assert {sample["tourist_id"] for sample in verdict.samples} == {1, 100}


def test_a_traveller_without_a_country_code_is_no_unknown_country(conn: Connection) -> None:
    which = next(check for check in IMMIGRATION.checks if check.name == "known_countries")
    none = {"citizenshipbasis": None, "residentbasis": None}
    load(conn, "run", APRIL, [arrival(1, **none), arrival(2, citizenshipbasis="unknown")])

    assert check(conn, which).failing_rows == 1


def test_stays_are_compared_by_visa_and_every_arrival_is_in_one_of_three_counts(conn: Connection) -> None:
    rows = [
        arrival(1, departdate=date(2016, 4, 5)),
        arrival(2, departdate=date(2016, 4, 6)),
        arrival(5, departdate=date(2016, 4, 8)),
        arrival(3, departdate=date(2016, 3, 1)),
        arrival(4, departdate=None),
    ]
    load(conn, "run", APRIL, rows)

    assert answer(conn, "stay_by_visa") == [
        {
            "visa": "Pleasure",
            "visatype": "B2",
            "arrivals": 5,
            "stays": 3,
            "open_stays": 1,
            "wrong_departures": 1,
            "mean_days": 5.33,
            "longest_days": 7,
        }
    ]


def test_a_visa_by_which_nobody_has_departed_yet_is_listed(conn: Connection) -> None:
    load(conn, "run", APRIL, [arrival(1, visatype="F1", departdate=None)])

    (row,) = answer(conn, "stay_by_visa")

    assert (row["visatype"], row["arrivals"], row["stays"], row["open_stays"]) == ("F1", 1, 0, 1)
    assert (row["mean_days"], row["longest_days"]) == (None, None)
