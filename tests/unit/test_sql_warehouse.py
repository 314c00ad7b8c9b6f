"""The world's warehouse: transactions that take hold or do not, what is on the wire, and the product's own loads."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from itertools import count
from typing import Any

import psycopg2
import pytest
from sqlglot import exp

from airflow_lib.aws.s3_location import S3Location
from airflow_lib.errors import ConnectionLost, WarehouseError, WarehouseUnreachable
from airflow_lib.naming import staging_schema
from airflow_lib.pipeline import OnEmpty, Pipeline, ReplaceWindow, Table, Window
from airflow_lib.spark.copy_manifest import CopyManifest, ensure_copy_manifest, render_copy_manifest
from airflow_lib.spark.counts import Counts
from airflow_lib.spark.manifest import write_manifest
from airflow_lib.spark.outputs import Output
from airflow_lib.warehouse import answers
from airflow_lib.warehouse import load as warehouse
from airflow_lib.warehouse.connection import ATTEMPTS, Endpoint, connect, read, transact
from airflow_lib.warehouse.publish import Loaded, WindowLoad, load_window
from airflow_lib.warehouse.quality import CheckContext, judge, render_check
from tests.sql.parsing import parse
from tests.world import World
from tests.world.account import BUCKET
from tests.world.pipeline import APRIL, PIPELINE, TEMPLATES, rows_of, tables_of
from tests.world.spark import put, write_rows
from tests.world.sql_warehouse import Connection
from tests.world.sqlite_redshift import read_schemas, read_tables
from tests.world.walk import walk
from tests.world.wire import Killed, Kind

NAME, SNAPSHOT = "first", "first-final"
HALVES = (Window(date(2016, 4, 1), date(2016, 4, 15)), Window(date(2016, 4, 15), date(2016, 5, 1)))
DAYS = [Window(day, day + timedelta(days=1)) for day in (APRIL.start + timedelta(days=n) for n in range(30))]
_numbers = count()
_TRUST = json.dumps(
    {
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "redshift.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ]
    }
)


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        role = world.others.iam.create_role(RoleName="copy", AssumeRolePolicyDocument=_TRUST)["Role"]["Arn"]
        world.others.redshift.create_cluster(
            ClusterIdentifier=NAME,
            NodeType="ra3.large",
            ClusterType="single-node",
            MasterUsername="a",
            MasterUserPassword="Aa123456",
            IamRoles=[role],
        )
        world.advance(600)
        yield world


@pytest.fixture
def role(world: World) -> str:
    return world.others.iam.get_role(RoleName="copy")["Role"]["Arn"]


@pytest.fixture
def connection(world: World) -> Connection:
    """A connection to a warehouse with the pipeline's tables."""
    opened = enter(world)
    warehouse.create_tables(opened, PIPELINE)
    return opened


def enter(world: World, name: str = NAME) -> Any:
    return world.sql.connect(host=f"{name}.world.test")


def run(connection: Connection, *statements: str) -> list[tuple[Any, ...]]:
    """The rows of the last statement; nothing is committed."""
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def insert(connection: Connection, code: str = "JFK") -> None:
    run(connection, f"INSERT INTO airports (code, city) VALUES ('{code}', 'New York')")


def codes(world: World, name: str = NAME) -> list[str]:
    """The airports that are committed."""
    return [code for code, _ in read_tables(world.warehouses.contents[name], ["airports"])["airports"]]


def compute(
    world: World, job: str, window: Window, rows: Sequence[dict[str, Any]] | None = None
) -> CopyManifest:
    """The manifest for COPY of the job's output; of `rows` where they are given."""
    output = Output(S3Location(BUCKET, "processed/immigration"), job, f"{next(_numbers):032}")
    days = (window.start.isoformat(), window.end.isoformat())
    targets = {job: output.target_uri("one", job)}
    told = write_rows([], targets, output.rejected_uri("one"), days, rows)
    manifest = write_manifest(world.aws.s3, PIPELINE.job(job), output, "one", Counts.parse(told, [job]))
    copy = render_copy_manifest(output, manifest, job, window)
    ensure_copy_manifest(world.aws.s3, output, copy)
    return copy


def stage(
    world: World, connection: Connection, run_id: str, window: Window, role: str, **rows: Any
) -> dict[str, str]:
    """Both tables of the run's staging, copied anew; their manifests by job."""
    manifests = {job.name: compute(world, job.name, window, rows.get(job.name)) for job in PIPELINE.jobs}
    for table in PIPELINE.staging:
        warehouse.copy_staging(
            connection,
            PIPELINE,
            table.name,
            schema=staging_schema(run_id),
            manifest_url=manifests[table.output].uri if manifests[table.output].files else None,
            role_arn=role,
        )
    return {job: manifest.uri for job, manifest in manifests.items()}


def load(
    world: World,
    connection: Connection,
    run_id: str,
    window: Window,
    role: str,
    pipeline: Pipeline = PIPELINE,
    **rows: Any,
) -> Loaded:
    """Staging and the load; of a job's `rows` where they are given."""
    manifests = stage(world, connection, run_id, window, role, **rows)
    written = {job: len(rows.get(job, rows_of(job, window))) for job in manifests}
    schema = staging_schema(run_id)
    return load_window(
        connection, WindowLoad(pipeline, run_id, window, schema, manifests, written, {}, run_id)
    )


def loaded(world: World) -> dict[str, Any]:
    return read_tables(world.warehouses.contents[NAME], [table.name for table in PIPELINE.warehouse_tables])


def test_a_commit_is_seen_by_the_next_connection_and_not_before(world: World, connection: Connection) -> None:
    insert(connection)
    assert run(enter(world), "SELECT code FROM airports") == []
    connection.commit()
    assert run(enter(world), "SELECT code FROM airports") == [("JFK",)]


@pytest.mark.parametrize("end", ["rollback", "close"])
def test_what_was_not_committed_is_undone(world: World, connection: Connection, end: str) -> None:
    insert(connection)
    getattr(connection, end)()
    assert codes(world) == []


@pytest.mark.parametrize("kind", [Kind.ERROR, Kind.TIMEOUT])
def test_a_connection_lost_before_its_commit_committed_nothing(
    world: World, connection: Connection, kind: Kind
) -> None:
    insert(connection)
    world.wire.inject("warehouse.Commit", kind)
    with pytest.raises(psycopg2.OperationalError):
        connection.commit()
    assert connection.closed
    assert codes(world) == []


def test_a_commit_whose_answer_is_lost_did_commit(world: World, connection: Connection) -> None:
    insert(connection)
    world.wire.inject("warehouse.Commit", Kind.LOST)
    with pytest.raises(psycopg2.OperationalError):
        connection.commit()
    assert connection.closed
    assert codes(world) == ["JFK"]


@pytest.mark.parametrize(("kind", "there"), [(Kind.KILLED_BEFORE, []), (Kind.KILLED_AFTER, ["JFK"])])
def test_a_killed_process_committed_what_reached_the_warehouse(
    world: World, connection: Connection, kind: Kind, there: list[str]
) -> None:
    insert(connection)
    world.wire.inject("warehouse.Commit", kind)
    with pytest.raises(Killed):
        connection.commit()
    assert codes(world) == there


@pytest.mark.parametrize(
    ("kind", "code"), [(Kind.THROTTLED, "40001"), (Kind.DENIED, "42501"), (Kind.REFUSED, "53100")]
)
def test_a_commit_that_is_refused_is_undone_and_the_connection_lives(
    world: World, connection: Connection, kind: Kind, code: str
) -> None:
    insert(connection)
    world.wire.inject("warehouse.Commit", kind, code="53100")
    with pytest.raises(psycopg2.Error) as caught:
        connection.commit()
    assert caught.value.pgcode == code
    assert codes(world) == []
    insert(connection)
    connection.commit()
    assert codes(world) == ["JFK"]


def test_a_transaction_that_was_overtaken_is_undone(world: World, connection: Connection) -> None:
    other = enter(world)
    insert(connection)
    insert(other, "LAX")
    other.commit()
    with pytest.raises(psycopg2.errors.SerializationFailure):
        connection.commit()
    assert codes(world) == ["LAX"]


def test_the_product_repeats_what_the_warehouse_undid_by_the_worlds_clock(
    world: World, connection: Connection, role: str
) -> None:
    began = world.now()
    world.wire.inject("warehouse.Commit", Kind.THROTTLED, times=ATTEMPTS - 1)
    load(world, connection, "run1", APRIL, role)
    assert world.now() > began
    assert loaded(world) == tables_of(APRIL)


def test_after_an_error_nothing_is_done_until_the_rollback(connection: Connection) -> None:
    insert(connection)
    with pytest.raises(psycopg2.errors.UndefinedTable):
        run(connection, "SELECT * FROM nowhere")
    with pytest.raises(psycopg2.errors.InFailedSqlTransaction):
        run(connection, "SELECT 1")
    connection.rollback()
    assert run(connection, "SELECT COUNT(*) FROM airports") == [(0,)]


def test_the_wire_has_connecting_copies_and_commits_of_changes_alone(
    world: World, connection: Connection, role: str
) -> None:
    def sent() -> list[str]:
        return [str(call) for call in world.wire.calls if call.service == "warehouse"]

    assert sent() == ["warehouse.Connect", "warehouse.Commit"]
    warehouse.create_tables(connection, PIPELINE)  # they are there
    warehouse.list_staging(connection, staging_schema("run1"))
    assert len(sent()) == 2
    stage(world, connection, "run1", APRIL, role)
    copied = ["warehouse.Copy", "warehouse.Commit"]
    assert sent()[2:] == ["warehouse.Commit", *copied, *copied]  # first its schema


def test_a_reader_that_may_not_connect_is_told_at_once(world: World) -> None:
    fault = world.wire.inject("warehouse.Connect", Kind.DENIED, times=2)
    with pytest.raises(WarehouseError, match="password authentication failed"):
        read(
            lambda: connect(world.aws.redshift, Endpoint(f"{NAME}.world.test", 5439, "dev", NAME, "a")),
            lambda opened: run(opened, "SELECT 1"),
        )
    assert fault.times == 1


def test_a_warehouse_that_is_available_refuses_connections_for_a_minute(world: World) -> None:
    redshift = world.others.redshift
    redshift.create_cluster(
        ClusterIdentifier="second",
        NodeType="ra3.large",
        ClusterType="single-node",
        MasterUsername="a",
        MasterUserPassword="Aa123456",
    )
    while world.warehouses.find_open("second") is None:
        world.advance(10)
    endpoint = Endpoint("second.world.test", 5439, "dev", "second", "a")
    with pytest.raises(WarehouseUnreachable, match="Connection refused"):
        connect(world.aws.redshift, endpoint)
    world.advance(60)
    connect(world.aws.redshift, endpoint).close()


@pytest.mark.parametrize(
    "kind", [Kind.ERROR, Kind.TIMEOUT, Kind.LOST, Kind.BUSY, Kind.THROTTLED, Kind.REFUSED]
)
def test_a_reader_that_cannot_connect_tries_again(world: World, kind: Kind) -> None:
    endpoint = Endpoint(f"{NAME}.world.test", 5439, "dev", NAME, "a")
    fault = world.wire.inject("warehouse.Connect", kind, times=2, code="57P03")
    with pytest.raises(ConnectionLost):
        connect(world.aws.redshift, endpoint)
    rows = read(lambda: connect(world.aws.redshift, endpoint), lambda opened: run(opened, "SELECT 1"))
    assert rows == [(1,)]
    assert fault.times == 0


def test_there_is_no_way_into_a_warehouse_that_is_not_available(world: World, connection: Connection) -> None:
    insert(connection)
    world.others.redshift.delete_cluster(ClusterIdentifier=NAME, SkipFinalClusterSnapshot=True)
    with pytest.raises(psycopg2.OperationalError):
        connection.commit()
    with pytest.raises(psycopg2.OperationalError):
        enter(world)
    with pytest.raises(psycopg2.OperationalError):
        enter(world, "nowhere")


def test_copy_joins_the_transaction(world: World, connection: Connection, role: str) -> None:
    stage(world, connection, "run1", HALVES[0], role)
    staged = f'SELECT COUNT(*) FROM "{staging_schema("run1")}"."staging_arrivals"'
    copied = compute(world, "arrivals", HALVES[1]).uri
    copy = f"""COPY "{staging_schema("run1")}"."staging_arrivals"
    FROM '{copied}' IAM_ROLE '{role}' FORMAT AS PARQUET MANIFEST"""
    assert run(connection, copy, staged) == [(30,)]
    connection.rollback()
    assert run(connection, staged) == [(14,)]


@pytest.mark.parametrize(
    "kind", [Kind.ERROR, Kind.TIMEOUT, Kind.LOST, Kind.DENIED, Kind.KILLED_BEFORE, Kind.KILLED_AFTER]
)
def test_a_copy_that_fails_leaves_the_table_as_it_was(
    world: World, connection: Connection, role: str, kind: Kind
) -> None:
    stage(world, connection, "run1", HALVES[0], role)
    before = world.warehouses.contents[NAME]
    world.wire.inject("warehouse.Copy", kind)
    with pytest.raises((WarehouseError, Killed)):
        stage(world, connection, "run1", HALVES[1], role)
    assert world.warehouses.contents[NAME] == before
    with closing(enter(world)) as again:
        assert stage(world, again, "run1", HALVES[1], role)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"code": "JFK"}], "Table columns: 2, Data columns: 1"),
        (
            [{"code": "JFK", "city": 7}],
            "incompatible Parquet schema for column .*city'. Column type: VARCHAR",
        ),
        ([{"code": "JFK", "city": "é" * 33}], "column city .*does not fit"),
    ],
)
def test_rows_that_the_table_does_not_take_are_told(
    world: World, connection: Connection, role: str, rows: list[dict[str, Any]], told: str
) -> None:
    with pytest.raises(WarehouseError, match=told):
        stage(world, connection, "run1", APRIL, role, airports=rows)
    assert "staging_airports" not in warehouse.list_staging(connection, staging_schema("run1"))


@pytest.mark.parametrize(
    ("manifest", "who", "told"),
    [
        (f"s3://{BUCKET}/none.json", "copy", "NoSuchKey"),
        (f"s3://{BUCKET}/empty.json", "copy", "no entries"),
        (f"s3://{BUCKET}/changed.json", "copy", "1 bytes"),
        (f"s3://{BUCKET}/changed.json", "somebody", "not authorized to assume"),
    ],
)
def test_a_copy_needs_its_manifest_its_files_and_its_role(
    world: World, connection: Connection, role: str, manifest: str, who: str, told: str
) -> None:
    put(f"s3://{BUCKET}/part", b"x")
    put(f"s3://{BUCKET}/empty.json", b'{"entries": []}')
    entry = {"url": f"s3://{BUCKET}/part", "mandatory": True, "meta": {"content_length": 2}}
    put(f"s3://{BUCKET}/changed.json", json.dumps({"entries": [entry]}).encode())
    world.others.iam.create_role(RoleName="somebody", AssumeRolePolicyDocument="{}")
    with pytest.raises(WarehouseError, match=told):
        warehouse.copy_staging(
            connection,
            PIPELINE,
            "staging_airports",
            schema=staging_schema("run1"),
            manifest_url=manifest,
            role_arn=role.replace("copy", who),
        )


def test_a_staging_schema_is_dropped_with_its_tables(world: World, connection: Connection, role: str) -> None:
    for run_id in ("run1", "run2"):
        stage(world, connection, run_id, HALVES[0], role)
    mine, other = staging_schema("run1"), staging_schema("run2")
    assert read_schemas(world.warehouses.contents[NAME]) == {mine, other}
    assert warehouse.drop_orphan_staging(connection, {other}) == [mine]
    assert warehouse.list_staging(connection, mine) == {}
    assert set(warehouse.list_staging(connection, other)) == {"staging_airports", "staging_arrivals"}


def test_a_staging_tables_comment_comes_with_its_copy_and_goes_with_the_table(
    world: World, connection: Connection, role: str
) -> None:
    schema, url = staging_schema("run1"), compute(world, "airports", APRIL).uri

    def listed() -> dict[str, str]:
        return warehouse.list_staging(enter(world), schema)

    copied = partial(
        warehouse.copy_staging, connection, PIPELINE, "staging_airports", schema=schema, role_arn=role
    )
    copied(manifest_url=url, manifest="first")
    assert listed() == {"staging_airports": "first"}
    copied(manifest_url=None, manifest="second")
    assert listed() == {"staging_airports": "second"}
    with pytest.raises(WarehouseError):
        copied(manifest_url=f"s3://{BUCKET}/none.json", manifest="third")
    assert listed() == {"staging_airports": "second"}, "rows and comment are of one transaction"
    copied(manifest_url=None)
    assert listed() == {"staging_airports": ""}
    with pytest.raises(psycopg2.Error, match="does not exist"):
        run(connection, f'COMMENT ON TABLE "{schema}"."none" IS \'x\'')


def test_a_table_needs_its_schema(connection: Connection) -> None:
    with pytest.raises(psycopg2.errors.InvalidSchemaName):
        run(connection, 'CREATE TABLE "nowhere"."thing" (id BIGINT)')


def test_a_snapshot_carries_the_rows_as_they_were_to_another_warehouse(
    world: World, connection: Connection, role: str
) -> None:
    load(world, connection, "run1", APRIL, role)
    redshift = world.others.redshift
    redshift.delete_cluster(ClusterIdentifier=NAME, FinalClusterSnapshotIdentifier=SNAPSHOT)
    world.advance(600)
    assert world.warehouses.saved == {SNAPSHOT: {"run1"}}
    assert world.warehouses.loads == {}
    redshift.restore_from_cluster_snapshot(ClusterIdentifier="second", SnapshotIdentifier=SNAPSHOT)
    world.advance(600)
    with closing(enter(world, "second")) as opened:
        assert run(opened, "SELECT COUNT(*) FROM arrivals") == [(30,)]
        run(opened, "DELETE FROM arrivals")
        opened.commit()
    assert world.warehouses.saved == {SNAPSHOT: {"run1"}}
    assert len(read_tables(world.warehouses.kept[SNAPSHOT], ["arrivals"])["arrivals"]) == 30


@pytest.mark.parametrize(
    "windows",
    [
        [APRIL],
        [APRIL, APRIL],
        [*HALVES, *reversed(HALVES)],
        DAYS[::-1],
        [*DAYS[20:], APRIL, *DAYS[:3]],
        [*DAYS[1::2], *DAYS[::2]],
    ],
)
def test_a_load_repeated_or_in_parts_gives_the_same_tables(
    world: World, connection: Connection, role: str, windows: list[Window]
) -> None:
    for number, window in enumerate(windows):
        load(world, connection, f"run{number}", window, role)
    assert loaded(world) == tables_of(APRIL)
    assert world.warehouses.loads == {NAME: {f"run{number}" for number in range(len(windows))}}


def test_a_load_is_one_transaction(world: World, connection: Connection, role: str) -> None:
    manifests = stage(world, connection, "run1", APRIL, role)
    before = len(world.wire.sent("warehouse.Commit"))
    written = {"arrivals": 30, "airports": 4}
    load_window(
        connection,
        WindowLoad(PIPELINE, "run1", APRIL, staging_schema("run1"), manifests, written, {}, "batch"),
    )
    assert len(world.wire.sent("warehouse.Commit")) == before + 1


def test_a_fork_in_the_middle_of_a_transaction_is_a_world_of_its_own(
    world: World, connection: Connection
) -> None:
    insert(connection)
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            insert(connection, "LAX")
            connection.commit()
            os._exit(0 if codes(world) == ["JFK", "LAX"] else 1)
        os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert codes(world) == []
    connection.commit()
    assert codes(world) == ["JFK"]


def test_only_what_a_fact_references_stays_in_a_dimension(
    world: World, connection: Connection, role: str
) -> None:
    load(world, connection, "run1", DAYS[0], role)
    assert len(loaded(world)["airports"]) == 1
    assert loaded(world) == tables_of(DAYS[0])


def verdicts(connection: Connection, written: int) -> dict[str, bool]:
    facts = CheckContext(PIPELINE, APRIL, staging_schema("run1"), {"arrivals": written})
    questions = [render_check(check, facts) for check in PIPELINE.checks]
    judged = transact(connection, lambda cursor: judge(cursor, questions), what="Checking")
    return {verdict.name: verdict.passed for verdict in judged}


def test_checks_fail_where_rows_are_missing(world: World, connection: Connection, role: str) -> None:
    load(world, connection, "run1", APRIL, role)
    assert set(verdicts(connection, 30).values()) == {True}
    assert verdicts(connection, 31)["complete_arrivals"] is False
    run(connection, "DELETE FROM airports WHERE code = 'JFK'")
    run(connection, "DELETE FROM arrivals WHERE day = '2016-04-02'")
    connection.commit()
    assert verdicts(connection, 30) == {
        "not_null_arrivals": True,
        "references_arrivals_airport_airports": False,
        "complete_arrivals": False,
    }


def test_rows_that_a_check_refuses_are_seen_by_nobody(
    world: World, connection: Connection, role: str
) -> None:
    load(world, connection, "run1", APRIL, role)
    bad = [{**row, "airport": "NOT"} for row in rows_of("arrivals", APRIL)]

    refused = load(world, connection, "run2", APRIL, role, arrivals=bad)

    assert "Check references_arrivals_airport_airports found 30 failing rows" in refused.refused
    assert "'airport': 'NOT'" in refused.refused
    assert loaded(world) == tables_of(APRIL)
    assert world.warehouses.loads == {NAME: {"run1"}}


def test_a_window_that_had_rows_and_would_have_none_stays(
    world: World, connection: Connection, role: str
) -> None:
    load(world, connection, "run1", APRIL, role)

    refused = load(world, connection, "run2", DAYS[3], role, arrivals=[])

    assert "1 rows of table arrivals" in refused.refused
    assert loaded(world) == tables_of(APRIL)


def test_a_window_without_rows_is_loaded_without_any(world: World, connection: Connection, role: str) -> None:
    load(world, connection, "run1", HALVES[0], role)
    assert load(world, connection, "run2", DAYS[20], role, arrivals=[]).refused == ""
    assert loaded(world) == tables_of(HALVES[0])


def keeping(on_empty: OnEmpty) -> Pipeline:
    arrivals = Table("arrivals", ReplaceWindow("day", on_empty))
    return replace(PIPELINE, tables=(*PIPELINE.tables[:-1], arrivals))


@pytest.mark.parametrize(("on_empty", "days"), [(OnEmpty.KEEP, DAYS), (OnEmpty.REPLACE, DAYS[1:])])
def test_a_window_that_is_emptied_is_kept_or_replaced_as_declared(
    world: World, connection: Connection, role: str, on_empty: OnEmpty, days: list[Window]
) -> None:
    load(world, connection, "run1", APRIL, role)
    pipeline = keeping(on_empty)

    emptied = load(world, connection, "run2", DAYS[0], role, pipeline, arrivals=[])

    assert emptied.refused == ""
    assert emptied.kept == (("arrivals",) if on_empty == OnEmpty.KEEP else ())
    assert loaded(world) == tables_of(*days)
    assert world.warehouses.loads == {NAME: {"run1", "run2"}}


def test_an_answer_has_its_columns_and_rows_and_its_files(
    world: World, connection: Connection, role: str
) -> None:
    load(world, connection, "run1", APRIL, role)
    location = S3Location(BUCKET, "published/immigration/arrivals_by_airport")
    answer = PIPELINE.answer("arrivals_by_airport")
    asked = answers.unload(
        connection,  # type: ignore[arg-type]
        PIPELINE,
        answer,
        location=location,
        role_arn=role,
        settle=lambda _: {},
    )
    assert asked.first.columns == ("code", "city", "arrivals")
    assert asked.first.rows[0] == ("JFK", "New York", 10)
    assert [call.operation for call in world.wire.calls].count("Unload") == 2
    assert len(world.objects("published/")) == 2


UNLOAD = (
    "UNLOAD ('{query}') TO 's3://{bucket}/published/x_' IAM_ROLE '{role}' "
    "FORMAT AS PARQUET PARALLEL OFF ALLOWOVERWRITE"
)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (UNLOAD.replace("{query}", "SELECT 1 AS one LIMIT 3"), "Limit clause is not supported"),
        (
            UNLOAD.replace("{role}", "arn:aws:iam::123456789012:role/nobody"),
            "is not authorized to assume IAM Role",
        ),
        (UNLOAD.replace("PARALLEL OFF", "PARALLEL ON"), "more of it than this stand-in knows"),
        (UNLOAD.replace("{query}", "SELECT 1 AS one FROM nowhere"), "no such table"),
    ],
)
def test_an_unload_that_redshift_refuses_is_refused(
    world: World, connection: Connection, role: str, statement: str, told: str
) -> None:
    filled = (
        statement.replace("{query}", "SELECT 1 AS one").replace("{bucket}", BUCKET).replace("{role}", role)
    )
    with pytest.raises(psycopg2.Error, match=told):
        run(connection, filled)
    assert world.objects("published/") == []


def test_what_was_unloaded_outlives_a_rollback(world: World, connection: Connection, role: str) -> None:
    run(connection, UNLOAD.format(query="SELECT ''x'' AS text", bucket=BUCKET, role=role))
    connection.rollback()
    assert world.objects("published/") == ["published/x_000.parquet"]


def test_runs_load_into_one_warehouse_after_the_other(world: World) -> None:
    world.put_sources(PIPELINE)
    assert world.tables(PIPELINE) == tables_of()
    for number, window in enumerate((HALVES[0], APRIL)):
        walked = walk(world, world.run(f"run{number}", pipeline=PIPELINE, window=window))
        assert walked.errors == {}
        assert world.tables(PIPELINE) == tables_of(window)
    assert walked.results["load.load_window"]["tables"] == {
        "airports": {"total": 3},
        "arrivals": {"before": 14, "rows": 30, "total": 30},
    }


@pytest.mark.parametrize("operation", ["Connect", "Copy", "Commit"])
@pytest.mark.parametrize("kind", [Kind.LOST, Kind.KILLED_BEFORE, Kind.KILLED_AFTER, Kind.THROTTLED])
def test_a_run_whose_requests_fail_once_loads_the_same(world: World, operation: str, kind: Kind) -> None:
    world.put_sources(PIPELINE)
    world.wire.inject(f"warehouse.{operation}", kind)
    assert not walk(world, world.run("run1", pipeline=PIPELINE)).red
    assert world.tables(PIPELINE) == tables_of(APRIL)


@pytest.mark.parametrize(
    "name", sorted(str(path.relative_to(TEMPLATES).with_suffix("")) for path in TEMPLATES.rglob("*.sql"))
)
def test_a_template_of_the_small_pipeline_is_redshifts_sql(world: World, name: str) -> None:
    parsed = parse(name)
    assert parsed
    assert not any(isinstance(statement, exp.Command) for statement in parsed)
