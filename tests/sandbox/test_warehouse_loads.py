"""Loads on a running warehouse: exactly once, in any order, all or nothing."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

import psycopg2
import pytest

from airflow_lib.errors import ConnectionLost, StatementRefused, WarehouseError
from airflow_lib.pipeline import Holds, OnEmpty, Pipeline, ReplaceWindow, Severity, Table, Window
from airflow_lib.warehouse import load as warehouse
from airflow_lib.warehouse.connection import Endpoint, connect
from airflow_lib.warehouse.ledger import finish_load
from airflow_lib.warehouse.publish import Loaded, WindowLoad, load_window, read_verdicts
from tests.sandbox.immigration_rows import (
    APRIL,
    IMMIGRATION,
    REFERENCE,
    UNCHECKED,
    Connection,
    Row,
    arrival,
    empty,
    load,
    load_staged,
    port,
    rows_of,
    stage,
    tables,
    temperature,
    ten_days_of_arrivals,
)
from tests.sandbox.redshift_fakes import Warehouse, running_warehouse
from tests.sandbox.warehouse_content import content_query

pytestmark = pytest.mark.sandbox

ARRIVALS = ten_days_of_arrivals()
DAYS = [Window(APRIL.start + timedelta(days=n), APRIL.start + timedelta(days=n + 1)) for n in range(10)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    yield from running_warehouse(tmp_path_factory.mktemp("warehouse") / "data")


@pytest.fixture
def conn(cluster: Warehouse) -> Iterator[Connection]:
    with closing(cluster.connect()) as opened:
        empty(opened)
        yield opened


@pytest.fixture(scope="module")
def at_once(cluster: Warehouse) -> dict[str, list[tuple[str, ...]]]:
    """The tables after one run over all of April."""
    with closing(cluster.connect()) as opened:
        empty(opened)
        load(opened, "whole", APRIL, ARRIVALS)
        return tables(opened)


def one(conn: Connection, table: str, key: str, value: Any) -> dict[str, Any]:
    (row,) = [row for row in rows_of(conn, table) if row[key] == value]
    return row


def ledger_of(conn: Connection, run_id: str) -> list[tuple[Any, ...]]:
    """The ledger's entries of the run's committed loads: window, and as JSON manifests and row counts."""
    with conn.cursor() as cursor:
        cursor.execute(
            "SELECT window_start, window_end, manifests, table_rows FROM mayfly_loads WHERE run_id = %s",
            (run_id,),
        )
        found = cursor.fetchall()
    conn.commit()
    return found


# -- exactly once ------------------------------------------------------------------------------


def test_a_load_returns_the_row_counts_of_the_tables(conn: Connection) -> None:
    load(conn, "whole", APRIL, ARRIVALS)
    rows = load(conn, "a day", DAYS[0], ARRIVALS).tables

    assert {name: counts["total"] for name, counts in rows.items()} == {
        table.name: len(rows_of(conn, table.name)) for table in IMMIGRATION.warehouse_tables
    }
    assert rows["factArrivetheUsa"] == {"before": 20, "rows": 20, "total": len(ARRIVALS)}
    assert rows["dimTourist"] == {"total": len(ARRIVALS)}
    assert rows["dimArriveDate"] == {"total": len(DAYS)}
    assert rows["dimAirport"] == {"total": 5}


def test_a_repeated_load_changes_nothing(conn: Connection, at_once: Any) -> None:
    load(conn, "whole", APRIL, ARRIVALS)
    load(conn, "whole", APRIL, ARRIVALS)
    load(conn, "another run", APRIL, ARRIVALS)

    assert tables(conn) == at_once


@pytest.mark.parametrize("seed", [1, 2])
def test_days_loaded_one_by_one_in_any_order_give_the_same_tables(
    conn: Connection, at_once: Any, seed: int
) -> None:
    days = [*DAYS, DAYS[3]]
    random.Random(seed).shuffle(days)
    for number, day in enumerate(days):
        load(conn, f"day {number}", day, ARRIVALS)

    assert tables(conn) == at_once


def test_overlapping_windows_give_the_same_tables(conn: Connection, at_once: Any) -> None:
    load(conn, "end", Window(date(2016, 4, 4), APRIL.end), ARRIVALS)
    load(conn, "start", Window(APRIL.start, date(2016, 4, 8)), ARRIVALS)

    assert tables(conn) == at_once


def test_days_loaded_concurrently_give_the_same_tables(
    cluster: Warehouse, conn: Connection, at_once: Any
) -> None:
    errors: list[BaseException] = []

    def run(days: list[Window]) -> None:
        try:
            with closing(cluster.connect()) as own:
                for day in days:
                    load(own, f"day {day.start}", day, ARRIVALS)
        except BaseException as error:  # noqa: BLE001 - checked below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(DAYS[n::3],)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert tables(conn) == at_once


def test_an_older_batch_does_not_bring_back_what_a_newer_one_of_an_overlapping_window_corrected(
    conn: Connection,
) -> None:
    """A job that is windowed: the first run's load alone is done again after a correction of some of its days."""
    week, weekend = Window(date(2016, 4, 1), date(2016, 4, 8)), Window(date(2016, 4, 6), date(2016, 4, 10))
    jobs = tuple(
        replace(job, windowed=True, partitioned_by=None) if job.name == "arrivals" else job
        for job in UNCHECKED.jobs
    )
    windowed = replace(UNCHECKED, jobs=jobs)
    schemas = {
        "week": stage(conn, "week", week, [arrival(1, date(2016, 4, 7), age=40)]),
        "weekend": stage(conn, "weekend", weekend, [arrival(1, date(2016, 4, 7), age=41)]),
    }

    def load_of(run_id: str, window: Window, batch: str, at: datetime) -> Loaded:
        this = WindowLoad(
            windowed,
            run_id,
            window,
            schemas[run_id],
            manifests={"arrivals": run_id},
            written={"arrivals": 1},
            pinned_at={"arrivals": at},
            batch=batch,
        )
        return load_window(conn, this)

    monday, tuesday = datetime(2016, 5, 2, tzinfo=UTC), datetime(2016, 5, 3, tzinfo=UTC)
    assert load_of("week", week, "wrong", monday).refused == ""
    assert load_of("weekend", weekend, "right", tuesday).refused == ""

    refused = load_of("week", week, "wrong", monday).refused

    assert "run weekend has loaded another one, chosen at 2016-05-03T00:00:00Z" in refused
    assert [row["age"] for row in rows_of(conn, "dimTourist")] == [41]
    assert load_of("week", week, "right", monday).refused == ""
    assert load_of("week", week, "wrong", tuesday).refused == ""


class CommitWhenOtherWaits:
    """A connection that, before it commits, starts `other` and waits until that waits for a lock."""

    def __init__(self, conn: Connection, cluster: Warehouse, other: threading.Thread) -> None:
        self._conn, self._cluster, self._other = conn, cluster, other

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conn, name)

    def commit(self) -> None:
        self._other.start()
        while self._cluster.ask("SELECT COUNT(*) FROM pg_locks WHERE NOT granted") == [(0,)]:
            assert self._other.is_alive(), "the other load did not wait"
        self._conn.commit()


def test_a_load_waits_for_the_one_before_and_sees_its_rows(cluster: Warehouse, conn: Connection) -> None:
    first = stage(conn, "first", DAYS[0], ARRIVALS)
    second = stage(conn, "second", DAYS[1], ARRIVALS)
    conflicts: list[float] = []

    def load_second() -> None:
        with closing(cluster.connect()) as own:
            load_staged(own, "second", DAYS[1], second, sleep=conflicts.append)

    other = threading.Thread(target=load_second)
    load_staged(CommitWhenOtherWaits(conn, cluster, other), "first", DAYS[0], first)  # type: ignore[arg-type]
    other.join()

    assert conflicts == []
    assert len(rows_of(conn, "dimArriveDate")) == 2
    assert len(rows_of(conn, "factArrivetheUsa")) == len(rows_of(conn, "dimTourist")) == 40


def test_rows_no_longer_in_the_window_are_deleted_with_their_dimension_rows(conn: Connection) -> None:
    stays = arrival(1, date(2016, 4, 2), "WIL", addressto="GU")
    goes = arrival(2, date(2016, 4, 1), "MTR", addressto="..")
    load(conn, "first", APRIL, [stays, goes])
    load(conn, "second", Window(date(2016, 4, 1), date(2016, 4, 2)), [], pipeline=on_empty(OnEmpty.REPLACE))

    assert [row["tourist_id"] for row in rows_of(conn, "factArrivetheUsa")] == [1]
    assert [row["tourist_id"] for row in rows_of(conn, "dimTourist")] == [1]
    assert [row["portcode"] for row in rows_of(conn, "dimAirport")] == ["WIL"]
    assert [row["arrivedate_id"] for row in rows_of(conn, "dimArriveDate")] == ["2016-04-02"]
    assert {row["addressto"] for row in rows_of(conn, "dimStateDestination")} == {"CA", "GU", "NY", "TX"}


def test_a_record_with_a_corrected_date_exists_once(conn: Connection) -> None:
    load(conn, "wrong", DAYS[0], [arrival(1, DAYS[0].start, age=40)])
    load(conn, "right", DAYS[5], [arrival(1, DAYS[5].start, age=41)])

    assert [row["arrivedate_id"] for row in rows_of(conn, "factArrivetheUsa")] == ["2016-04-06"]
    assert [row["age"] for row in rows_of(conn, "dimTourist")] == [41]


YEAR = Window(date(2016, 1, 1), date(2017, 1, 1))
MONTHS = [Window(date(2016, month, 1), date(2016 + month // 12, month % 12 + 1, 1)) for month in range(1, 13)]


def twelve_months_of_arrivals() -> list[Row]:
    """Thirty arrivals of each month's file, whose cicids begin anew; some came in the month after their file's."""
    return [
        arrival(
            (201600 + month.start.month) * 10**10 + cicid,
            month.start + timedelta(days=cicid if cicid < 28 or month.start.month == 12 else cicid + 5),
            ("CHI", "SAJ", "WIL")[cicid % 3],
            flight_no=f"{month.start.month:02d}{cicid:03d}",
        )
        for month in MONTHS
        for cicid in range(30)
    ]


@pytest.mark.parametrize(
    "months", [MONTHS, MONTHS[::-1], MONTHS[::5] + MONTHS], ids=["order", "back", "again"]
)
def test_twelve_months_whose_cicids_begin_anew_are_the_same_tables_as_a_year(
    conn: Connection, months: list[Window]
) -> None:
    arrivals = twelve_months_of_arrivals()
    load(conn, "year", YEAR, arrivals)
    whole = tables(conn)
    empty(conn)
    for number, month in enumerate(months):
        load(conn, f"month{number}", month, arrivals)

    assert tables(conn) == whole
    assert len(whole["factArrivetheUsa"]) == len(whole["dimTourist"]) == 360
    found = {row["tourist_id"]: row["flight_no"] for row in rows_of(conn, "dimTourist")}
    assert (found[2016_01_0000000006], found[2016_12_0000000006]) == ("01006", "12006")


def test_a_month_loaded_again_with_fewer_rows_takes_no_other_months_travellers(conn: Connection) -> None:
    arrivals = twelve_months_of_arrivals()
    load(conn, "year", YEAR, arrivals)
    load(conn, "april", MONTHS[3], [row for row in arrivals if row[0] == 2016_04_0000000001])

    assert len(rows_of(conn, "dimTourist")) == len(rows_of(conn, "factArrivetheUsa")) == 360 - 30 + 1


def test_rows_outside_the_window_are_not_loaded(conn: Connection) -> None:
    load(conn, "first", DAYS[5], [arrival(1, DAYS[5].start)])
    before = tables(conn)
    schema = stage(conn, "leaky", APRIL, [arrival(1, DAYS[5].start, age=99), arrival(2, DAYS[0].start)])
    load_staged(conn, "leaky", DAYS[0], schema)

    assert [row["age"] for row in rows_of(conn, "dimTourist") if row["tourist_id"] == 1] == [40]
    assert before["factArrivetheUsa"][0] in tables(conn)["factArrivetheUsa"]


def test_a_window_without_data_is_loaded_with_zero_rows(conn: Connection) -> None:
    loaded = load(conn, "empty", APRIL, [], pipeline=IMMIGRATION)

    totals = {name: counts["total"] for name, counts in loaded.tables.items()}
    assert totals.pop("dimStateDestination") == len(REFERENCE["staging_demography"])
    assert set(totals.values()) == {0}
    assert loaded.refused == ""


def on_empty(rule: OnEmpty) -> Pipeline:
    """The pipeline, without checks, which does this with a window that would be emptied."""
    *others, fact = IMMIGRATION.tables
    assert isinstance(fact, Table)
    tables = (*others, replace(fact, load=ReplaceWindow("arrivedate_id", on_empty=rule)))
    return replace(UNCHECKED, tables=tables)


def test_a_window_whose_source_no_longer_holds_it_keeps_its_rows(conn: Connection, at_once: Any) -> None:
    load(conn, "whole", APRIL, ARRIVALS)

    refused = load(conn, "again", DAYS[3], [], pipeline=IMMIGRATION)
    assert "20 rows of table factArrivetheUsa" in refused.refused
    assert (tables(conn), ledger_of(conn, "again")) == (at_once, [])

    kept = load(conn, "again", DAYS[3], [], pipeline=on_empty(OnEmpty.KEEP))
    assert (kept.kept, kept.tables["factArrivetheUsa"]["rows"]) == (("factArrivetheUsa",), 20)
    assert tables(conn) == at_once


# -- audited before published ------------------------------------------------------------------


def test_a_correct_load_stands_every_check_before_its_commit(conn: Connection) -> None:
    loaded = load(conn, "whole", APRIL, ARRIVALS, pipeline=IMMIGRATION)

    declared = [check.name for check in IMMIGRATION.checks if check.severity == Severity.ERROR]
    assert [verdict.name for verdict in loaded.verdicts] == declared
    recorded = read_verdicts(conn, IMMIGRATION, "whole")
    assert {name: one.failing_rows for name, one in recorded.items()} == dict.fromkeys(declared, 0)


def test_rows_that_checks_refuse_are_rolled_back_and_every_failing_check_is_told(
    cluster: Warehouse, conn: Connection, at_once: Any
) -> None:
    load(conn, "good", APRIL, ARRIVALS)
    bad = [arrival(1, DAYS[0].start, gender="?"), arrival(2, DAYS[0].start), arrival(2, DAYS[0].start)]

    refused = load(conn, "bad", DAYS[0], bad, pipeline=IMMIGRATION)

    failing = {verdict.name: verdict.failing_rows for verdict in refused.verdicts if not verdict.passed}
    assert failing == {
        "unique_factArrivetheUsa_Tourist_id": 1,
        "accepted_values_dimTourist_gender": 1,
    }
    assert all(name in refused.refused for name in failing)
    assert (tables(conn), ledger_of(conn, "bad")) == (at_once, [])
    with closing(cluster.connect()) as reader:
        assert tables(reader) == at_once


def test_samples_that_python_has_not_lose_no_verdict_inside_the_transaction(
    conn: Connection, at_once: Any
) -> None:
    load(conn, "good", APRIL, ARRIVALS)
    odd = [arrival(1, DAYS[0].start, departdate="12016-04-01", gender="?")]

    refused = load(
        conn,
        "bad",
        DAYS[0],
        odd,
        pipeline=with_check(Holds("soon", "factArrivetheUsa", "departdate < '2100-01-01'")),
    )

    verdict = refused.verdicts[0]
    assert (verdict.failing_rows, "out of range" in str(verdict.samples)) == (1, True)
    assert tables(conn) == at_once


def test_a_check_that_fails_by_itself_is_named_and_nothing_is_loaded(conn: Connection, at_once: Any) -> None:
    load(conn, "good", APRIL, ARRIVALS)

    with pytest.raises(StatementRefused, match=r"22012.*checks/holds\.sql: .*That is check ratio\."):
        load(
            conn,
            "bad",
            DAYS[0],
            ARRIVALS,
            pipeline=with_check(Holds("ratio", "dimTourist", "1 / (age - age) > 0")),
        )
    assert tables(conn) == at_once


def with_check(check: Holds) -> Pipeline:
    return replace(UNCHECKED, checks=(*UNCHECKED.checks, check))


def test_the_ledger_is_read_while_another_load_is_under_way(cluster: Warehouse, conn: Connection) -> None:
    load(conn, "first", DAYS[0], ARRIVALS, pipeline=IMMIGRATION)
    with conn.cursor() as cursor:
        cursor.execute("LOCK TABLE mayfly_load_lock")
        cursor.execute("DELETE FROM mayfly_loads")
        with closing(cluster.connect()) as reader, reader.cursor() as reading:
            reading.execute("SET statement_timeout TO 5000")
            assert read_verdicts(reader, IMMIGRATION, "first")
    conn.rollback()


# -- what other tests compare tables by ---------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE factArrivetheUsa SET admittedDate = '2016-10-02' WHERE Tourist_id = 7",
        "UPDATE factArrivetheUsa SET departdate = departdate + 1 WHERE Tourist_id = 7",
        "UPDATE dimTourist SET occupation = 'STU' WHERE Tourist_id = 7",
        "UPDATE dimTourist SET flight_no = airline, airline = flight_no WHERE Tourist_id = 7",
        "UPDATE dimAirport SET municipality = 'Elsewhere' WHERE portcode = 'WIL'",
        "UPDATE dimStateDestination SET State = 'Texas ' WHERE AddressTo = 'TX'",
        "UPDATE dimArriveDate SET temperaturebasis = 'month' WHERE arrivedate_id = '2016-04-02'",
        "DELETE FROM dimTourist WHERE Tourist_id = 7",
    ],
)
def test_the_digest_of_the_tables_sees_any_changed_value(
    cluster: Warehouse, conn: Connection, change: str
) -> None:
    load(conn, "whole", APRIL, ARRIVALS)
    before = cluster.ask(content_query())
    cluster.ask(change)
    assert cluster.ask(content_query()) != before


def test_the_digest_of_the_tables_does_not_see_the_order_of_loads(
    cluster: Warehouse, conn: Connection
) -> None:
    load(conn, "whole", APRIL, ARRIVALS)
    before = cluster.ask(content_query())
    for day in reversed(DAYS):
        load(conn, f"{day.start}", day, ARRIVALS)
    assert cluster.ask(content_query()) == before


# -- all or nothing ----------------------------------------------------------------------------


class LostCommit:
    """A connection that is lost during the commit: after the server has committed if `arrives`, otherwise before."""

    def __init__(self, conn: Connection, *, arrives: bool) -> None:
        self._conn, self._arrives = conn, arrives

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conn, name)

    def commit(self) -> None:
        if self._arrives:
            self._conn.commit()
        self._conn.close()
        raise psycopg2.OperationalError("server closed the connection unexpectedly")


@pytest.mark.parametrize("arrives", [True, False])
def test_a_lost_commit_is_reported_and_can_be_repeated(
    cluster: Warehouse, conn: Connection, at_once: Any, *, arrives: bool
) -> None:
    schema = stage(conn, "whole", APRIL, ARRIVALS)
    with pytest.raises(ConnectionLost, match="Clear the task"):
        load_staged(LostCommit(cluster.connect(), arrives=arrives), "whole", APRIL, schema)  # type: ignore[arg-type]

    entries = ledger_of(conn, "whole")
    assert len(entries) == arrives
    for start, end, manifests, table_rows in entries:
        assert (start.date(), end.date()) == (APRIL.start, APRIL.end)
        assert json.loads(manifests) == {"arrivals": "whole"}
        assert json.loads(table_rows)["factArrivetheUsa"]["rows"] == len(ARRIVALS)
    load_staged(conn, "whole", APRIL, schema)
    assert tables(conn) == at_once


def test_a_failed_load_leaves_the_tables_unchanged(conn: Connection) -> None:
    load(conn, "first", APRIL, ARRIVALS)
    before = tables(conn)
    schema = stage(conn, "second", APRIL, [])
    with conn.cursor() as cursor:
        cursor.execute(f"DROP TABLE {schema}.staging_landtemp")
    conn.commit()

    with pytest.raises(WarehouseError, match=r"Loading immigration .* failed\. SQLSTATE 42P01"):
        load_staged(conn, "second", APRIL, schema)
    assert tables(conn) == before
    assert ledger_of(conn, "second") == []


def test_tables_can_be_created_concurrently(cluster: Warehouse, conn: Connection) -> None:
    with conn.cursor() as cursor:
        for name in (
            *(table.name for table in IMMIGRATION.warehouse_tables),
            "mayfly_loads",
            "mayfly_load_lock",
        ):
            cursor.execute(f"DROP TABLE {name}")
    conn.commit()
    errors: list[BaseException] = []

    def create() -> None:
        try:
            with closing(cluster.connect()) as own:
                warehouse.create_tables(own, IMMIGRATION)
        except BaseException as error:  # noqa: BLE001 - checked below
            errors.append(error)

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert not any(tables(conn).values())


def test_a_column_that_two_runs_add_at_once_is_added_by_one_and_found_by_the_other(
    cluster: Warehouse, conn: Connection
) -> None:
    execute(conn, "ALTER TABLE mayfly_loads DROP COLUMN finished")
    found: list[Any] = []

    def create() -> None:
        try:
            with closing(cluster.connect()) as own:
                found.append(warehouse.create_tables(own, IMMIGRATION))
        except WarehouseError as error:
            found.append(error)

    other = threading.Thread(target=create)
    mine = warehouse.create_tables(CommitWhenOtherWaits(conn, cluster, other), IMMIGRATION)  # type: ignore[arg-type]
    other.join()

    assert (mine, found) == (["mayfly_loads.finished"], [[]])


class Meddled(psycopg2.extensions.cursor):
    """A cursor before whose next change of the ledger another session does something."""

    meddle: ClassVar[list[Callable[[], None]]] = []
    seen: ClassVar[list[str]] = []

    def execute(self, query: Any, *rest: Any) -> None:
        if "DELETE FROM mayfly_loads" in str(query) and self.meddle:
            self.meddle.pop()()
        try:
            super().execute(query, *rest)
        except psycopg2.Error as error:
            self.seen.append(str(error.diag.message_primary))
            raise


def test_a_load_that_meets_error_1023_is_loaded_whole_once_more(
    cluster: Warehouse, conn: Connection, at_once: Any
) -> None:
    """A release of the same run, whose load was cleared, marks its ledger's row after this load has read the ledger."""
    load(conn, "whole", APRIL, ARRIVALS)

    def finish() -> None:
        with closing(cluster.connect()) as own:
            finish_load(own, IMMIGRATION.name, "whole", "whole")

    Meddled.meddle[:], Meddled.seen[:] = [finish], []
    pauses: list[float] = []
    schema = stage(conn, "whole", APRIL, ARRIVALS)
    conn.cursor_factory = Meddled
    loaded = load_staged(conn, "whole", APRIL, schema, sleep=pauses.append)

    assert (Meddled.seen, len(pauses), loaded.refused) == (["1023"], 1, "")
    assert tables(conn) == at_once
    assert len(ledger_of(conn, "whole")) == 1


def test_creating_the_tables_keeps_existing_rows(conn: Connection) -> None:
    load(conn, "whole", APRIL, ARRIVALS)
    before = tables(conn)
    warehouse.create_tables(conn, IMMIGRATION)

    assert tables(conn) == before


def test_a_run_drops_its_own_staging_and_the_orphaned_staging_of_others(conn: Connection) -> None:
    mine, theirs, orphan = (stage(conn, run_id, APRIL, []) for run_id in ("mine", "theirs", "orphan"))
    assert set(warehouse.list_staging(conn, mine)) == {table.name for table in IMMIGRATION.staging}

    warehouse.drop_staging(conn, mine)
    warehouse.drop_staging(conn, mine)
    assert warehouse.drop_orphan_staging(conn, {theirs}) == [orphan]
    assert [warehouse.list_staging(conn, name) for name in (mine, orphan)] == [{}, {}]
    assert warehouse.list_staging(conn, theirs)


def test_the_connection_uses_temporary_credentials(cluster: Warehouse) -> None:
    class Redshift:
        password = "temporary"

        def get_cluster_credentials(self, **_: Any) -> dict[str, str]:
            return {"DbUser": "IAM:owner", "DbPassword": self.password}

    endpoint = Endpoint(cluster.host, 5439, "dev", "wh-1", "owner")
    with closing(connect(Redshift(), endpoint)) as opened:  # type: ignore[arg-type]
        assert opened.info.ssl_in_use
    Redshift.password = "a-wrong-password"
    with pytest.raises(WarehouseError, match="authentication failed.*Waiting does not help") as raised:
        connect(Redshift(), endpoint)  # type: ignore[arg-type]
    assert "a-wrong-password" not in str(raised.value)


# -- dimensions --------------------------------------------------------------------------------


def test_a_destination_has_its_demography_or_only_its_name_or_neither(conn: Connection) -> None:
    load(conn, "r", APRIL, [arrival(n, addressto=code) for n, code in enumerate(("NY", "GU", "Nil", ".."))])
    new_york = one(conn, "dimStateDestination", "addressto", "NY")

    assert new_york == {
        "addressto": "NY",
        "statecode": "NY",
        "state": "New York",
        "medianage": 36.5,
        "malepopulation": 490,
        "femalepopulation": 510,
        "totalpopulation": 1000,
        "numberofveterans": 20,
        "foreignborn": 300,
        "averagehouseholdsize": 2.5,
    }
    guam = one(conn, "dimStateDestination", "addressto", "GU")
    assert (guam["statecode"], guam["state"], guam["totalpopulation"]) == ("GU", "Guam", None)
    for code in ("Nil", ".."):
        row = one(conn, "dimStateDestination", "addressto", code)
        assert set(row.values()) == {code, None}
    assert one(conn, "dimStateDestination", "addressto", "TX")["state"] == "Texas"


def test_a_port_has_the_airport_of_its_code_and_says_how_it_was_found(conn: Connection) -> None:
    load(conn, "r", APRIL, [arrival(1, portcode="CHI"), arrival(2, portcode="MTR")])

    chicago, montreal = one(conn, "dimAirport", "portcode", "CHI"), one(conn, "dimAirport", "portcode", "MTR")
    assert (chicago["airport_code"], chicago["matchbasis"]) == ("KORD", "curated")
    assert (chicago["portofentrycity"], chicago["statecode"]) == ("chicago", "IL")
    assert (montreal["portofentrycity"], montreal["statecode"]) == ("montreal", "CANADA")
    ports_own = ("portcode", "portofentrycity", "statecode")
    assert {value for name, value in montreal.items() if name not in ports_own} == {None}


def test_a_code_that_is_no_port_of_the_label_file_has_the_city_of_its_arrivals(conn: Connection) -> None:
    load(conn, "r1", DAYS[0], [arrival(1, DAYS[0].start, "QQQ")])
    load(conn, "r2", DAYS[1], [arrival(2, DAYS[1].start, "CHI")])

    row = one(conn, "dimAirport", "portcode", "QQQ")
    assert (row["portofentrycity"], row["statecode"], row["matchbasis"]) == ("unknown (qqq)", "Nil", None)


def test_a_port_of_an_earlier_window_gets_the_newest_airports(conn: Connection) -> None:
    load(conn, "r1", DAYS[0], [arrival(1, DAYS[0].start, "CHI")])
    newest = {**REFERENCE, "staging_airport": [port("CHI", "KNEW", "NEW")]}
    load(conn, "r2", DAYS[1], [arrival(2, DAYS[1].start, "WIL")], newest)

    assert one(conn, "dimAirport", "portcode", "CHI")["airport_code"] == "KNEW"


@pytest.mark.parametrize(
    ("day", "weekday", "week"),
    [
        (date(2016, 4, 1), 5, 13),
        (date(2016, 4, 3), 7, 13),
        (date(2016, 4, 4), 1, 14),
        (date(2016, 1, 3), 7, 53),
    ],
)
def test_weekdays_and_weeks_follow_iso_8601(conn: Connection, day: date, weekday: int, week: int) -> None:
    load(conn, "r", Window(day, day + timedelta(days=1)), [arrival(1, day)])
    row = one(conn, "dimArriveDate", "arrivedate_id", day.isoformat())

    assert (row["year"], row["month"], row["day"]) == (day.year, day.month, day.day)
    assert (row["weekday"], row["week"]) == (weekday, week) == (day.isoweekday(), day.isocalendar().week)


def temperature_of(conn: Connection, rows: list[tuple[Any, ...]]) -> tuple[float | None, Any, str | None]:
    load(conn, "r", APRIL, [arrival(1)], {**REFERENCE, "staging_landtemp": rows})
    row = one(conn, "dimArriveDate", "arrivedate_id", "2016-04-01")
    mean = row["averagetemperature"]
    return (
        None if mean is None else float(mean),
        row["averagetemperatureuncertainty"],
        row["temperaturebasis"],
    )


def test_a_month_in_the_source_has_the_mean_of_its_states(conn: Connection) -> None:
    rows = [
        temperature(date(2016, 4, 1), "Texas", 20.0),
        temperature(date(2016, 4, 1), "Alaska", 1.0),
        temperature(date(2015, 4, 1), "Texas", 99.0),
        temperature(date(2016, 5, 1), "Texas", 99.0),
    ]
    mean, uncertainty, basis = temperature_of(conn, rows)

    assert (mean, float(uncertainty), basis) == (10.5, 0.25, "month")


def test_a_month_after_the_source_has_the_mean_of_the_last_ten_years_with_that_month(
    conn: Connection,
) -> None:
    kept = [
        (year, float(year - 2000)) for year in (2013, 2012, 2011, 2010, 2009, 2008, 2007, 2005, 2004, 2003)
    ]
    older = [(2002, 999.0), (1900, 999.0)]
    rows = [temperature(date(year, 4, 1), "Texas", mean) for year, mean in kept + older]
    rows.append(temperature(date(2013, 5, 1), "Texas", 999.0))
    mean, _, basis = temperature_of(conn, rows)

    assert (mean, basis) == (sum(mean for _, mean in kept) / 10, "ten_year_mean")


def test_each_of_the_ten_years_has_the_same_weight_however_many_states_it_has(conn: Connection) -> None:
    rows = [
        temperature(date(2013, 4, 1), "Texas", 10.0),
        temperature(date(2013, 4, 1), "Ohio", 10.0),
        temperature(date(2012, 4, 1), "Texas", 20.0),
    ]
    assert temperature_of(conn, rows)[0] == 15.0


def test_a_month_that_is_never_in_the_source_has_no_temperature(conn: Connection) -> None:
    assert temperature_of(conn, [temperature(date(2013, 5, 1), "Texas", 10.0)]) == (None, None, None)


def test_a_restored_warehouse_gets_the_columns_that_its_templates_and_the_ledgers_have_more(
    conn: Connection,
) -> None:
    load(conn, "whole", APRIL, ARRIVALS)
    before = tables(conn)
    execute(conn, "ALTER TABLE factArrivetheUsa DROP COLUMN admittedDate")
    execute(conn, "ALTER TABLE mayfly_loads DROP COLUMN pinned_at")
    execute(conn, "ALTER TABLE mayfly_loads ADD COLUMN of_an_older_release INT")

    with pytest.raises(StatementRefused, match="mayfly_loads lacks pinned_at, and has of_an_older_release"):
        warehouse.create_tables(conn, IMMIGRATION)
    assert "admitteddate" not in rows_of(conn, "factArrivetheUsa")[0], "a refusal changes nothing"
    execute(conn, "ALTER TABLE mayfly_loads RENAME COLUMN of_an_older_release TO pinned_at")
    with pytest.raises(
        StatementRefused, match=r"mayfly_loads\.pinned_at is integer, its template says VARCHAR"
    ):
        warehouse.create_tables(conn, IMMIGRATION)
    execute(conn, "DROP TABLE mayfly_loads")
    warehouse.create_tables(conn, IMMIGRATION)
    warehouse.create_tables(conn, IMMIGRATION)

    load(conn, "again", APRIL, ARRIVALS)
    assert tables(conn) == before


def execute(conn: Connection, statement: str) -> None:
    with conn.cursor() as cursor:
        cursor.execute(statement)
    conn.commit()
