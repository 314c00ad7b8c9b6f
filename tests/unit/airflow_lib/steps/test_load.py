"""The steps in the warehouse: repeatable, and a failing check keeps what it found."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends

from airflow_lib.errors import (
    LeaseLost,
    OutputError,
    OutputRefused,
    StatementRefused,
    WarehouseError,
    WarehouseUnreachable,
)
from airflow_lib.lifecycle import rules
from airflow_lib.naming import Slot, staging_schema
from airflow_lib.pipeline import (
    Check,
    Fact,
    Holds,
    NotNull,
    OnEmpty,
    ReplaceWindow,
    Severity,
    Window,
)
from airflow_lib.polling import TRANSIENT_BUDGET_S
from airflow_lib.steps import Done, Failed, Json, Run, Step, Waiting, load
from airflow_lib.steps.clusters import find_warehouse
from airflow_lib.steps.load import Answer, CopyStaging, CreateTables, LoadWindow, VerifyTable
from airflow_lib.steps.provision import TakeLease
from airflow_lib.steps.transform import RunJob
from airflow_lib.warehouse.cursor import Result
from airflow_lib.warehouse.load import drop_staging
from tests.world import World
from tests.world.account import BUCKET
from tests.world.pipeline import APRIL, PIPELINE, rows_of, tables_of
from tests.world.spark import put, write_rows
from tests.world.sqlite_redshift import read_schemas
from tests.world.walk import drive, walk
from tests.world.wire import Kind

MakeRun = Callable[..., Run]
FAILS = Holds("no_arrivals", "arrivals", "1 = 0")


@pytest.fixture
def loaded(world: World, run: Run) -> Run:
    """A run whose rows are in its warehouse."""
    assert walk(world, run, only="provision").errors == {}
    for step in (*(RunJob(job.name) for job in PIPELINE.jobs), CreateTables(), LoadWindow()):
        assert isinstance(drive(step, run, world), Done)
    return run


def schemas(world: World) -> Iterable[str]:
    (content,) = world.warehouses.contents.values()
    return read_schemas(content)


def test_a_load_counts_its_rows_and_may_be_repeated(world: World, loaded: Run) -> None:
    result = drive(LoadWindow(), loaded, world).result
    assert result["tables"] == {"airports": {"total": 3}, "arrivals": {"before": 30, "rows": 30, "total": 30}}
    assert [check["passed"] for check in result["checks"]] == [True, True, True]
    assert world.tables(PIPELINE) == tables_of(APRIL)


def test_a_load_stages_again_what_was_dropped(world: World, loaded: Run) -> None:
    with closing(find_warehouse(loaded).connect()) as connection:
        drop_staging(connection, staging_schema(loaded.run_id))
    assert staging_schema(loaded.run_id) not in schemas(world)
    assert isinstance(drive(LoadWindow(), loaded, world), Done)
    assert staging_schema(loaded.run_id) in schemas(world)


def test_what_is_loaded_is_what_the_ledger_names_although_the_copy_was_not_cleared_with_its_job(
    world: World, loaded: Run
) -> None:
    world.advance(60)
    put(f"s3://{BUCKET}/source/immigration/arrivals.csv", b"corrected")
    world.jobs.by_name["arrivals"] = corrected
    assert isinstance(drive(RunJob("arrivals"), loaded, world), Done)
    copies = len(world.wire.sent("warehouse.Copy"))

    assert isinstance(drive(LoadWindow(), loaded, world), Done)

    assert {airport for *_, airport in world.tables(PIPELINE)["arrivals"]} == {"JFK"}
    assert len(world.wire.sent("warehouse.Copy")) == copies + 1, (
        "the other job's staging holds what is pinned"
    )


def test_staging_of_a_run_that_is_over_is_dropped_by_the_next_run(world: World, loaded: Run) -> None:
    other = world.run("run2", pipeline=PIPELINE)
    drive(TakeLease(), other, world)
    assert drive(CreateTables(), other, world).result["dropped"] == []
    loaded.register.apply(Slot.WAREHOUSE, rules.release)
    assert drive(CreateTables(), other, world).result["dropped"] == [staging_schema("run1")]


def test_a_job_without_output_in_this_run_cannot_be_copied(world: World, run: Run) -> None:
    assert walk(world, run, only="provision").errors == {}
    with pytest.raises(OutputError, match=r"Clear transform\.arrivals"):
        drive(CopyStaging("staging_arrivals"), run, world)


def swapped(**given: Any) -> Json:
    """Two columns of one type that changed places."""
    return write_rows(rows=[{"city": "NYC", "code": "JFK"}], **given)


@pytest.mark.parametrize(
    "step", [CopyStaging("staging_airports"), LoadWindow()], ids=["its own task", "a load"]
)
def test_columns_of_one_type_that_changed_places_are_refused_before_anything_is_copied(
    world: World, run: Run, step: Step
) -> None:
    """COPY takes columns by position: it would load them swapped, and every check would pass."""
    world.jobs.by_name["airports"] = swapped
    assert walk(world, run, only="provision").errors == {}
    for other in (*(RunJob(job.name) for job in PIPELINE.jobs), CreateTables()):
        assert isinstance(drive(other, run, world), Done)
    with pytest.raises(OutputRefused) as caught:
        drive(step, run, world)
    assert "column 1: the job writes 'city' (BYTE_ARRAY STRING), the table has 'code' (VARCHAR(8))" in str(
        caught.value
    )
    assert "sql_templates/immigration/create/staging_airports.sql" in str(caught.value)
    assert world.wire.sent("warehouse.Copy") == []
    assert world.tables(PIPELINE) == {"airports": [], "arrivals": []}


def test_a_run_whose_job_writes_other_columns_is_red_without_a_retry_and_the_next_run_loads(
    world: World, run: Run
) -> None:
    world.jobs.by_name["airports"] = swapped
    red = walk(world, run)
    (error,) = red.errors["load.staging_airports"]
    assert isinstance(error, OutputRefused)
    assert world.wire.sent("warehouse.Copy") != []  # of the other table
    del world.jobs.by_name["airports"]
    put(f"s3://{BUCKET}/source/immigration/airports.csv", b"so that it is computed again")
    assert walk(world, world.run("run2", pipeline=PIPELINE)).errors == {}
    assert world.tables(PIPELINE) == tables_of(APRIL)


# Redshift's words (tests/unit/airflow_lib/aws/test_causes.py has the sources).
UNSEEN = pytest.mark.parametrize(
    "words",
    [
        "User arn:aws:redshift:us-east-1:1:dbuser:w/mayfly_admin is not authorized to assume IAM Role arn:…",
        "exception name : UnauthorizedException, error type : 135, message: Not authorized to get credentials of role",
        "S3ServiceException:Access Denied,Status 403,Error AccessDenied",
    ],
)


@pytest.fixture
def ready(world: World, run: Run) -> Run:
    """A run that may copy; its warehouse was restored long ago."""
    assert walk(world, run, only="provision").errors == {}
    for step in (*(RunJob(job.name) for job in PIPELINE.jobs), CreateTables()):
        assert isinstance(drive(step, run, world), Done)
    world.advance(600)
    return run


def make_the_copy_role_now(world: World) -> None:
    (role,) = (one for one in iam_backends[DEFAULT_ACCOUNT_ID]["aws"].roles.values() if "copy" in one.name)
    role.create_date = world.now().replace(tzinfo=None)


@UNSEEN
def test_a_copy_whose_role_is_young_waits_without_a_worker_and_is_tried_again(
    world: World, ready: Run, words: str
) -> None:
    make_the_copy_role_now(world)
    world.wire.inject("warehouse.Copy", Kind.REFUSED, times=2, code="XX000", message=words)
    outcome = CopyStaging("staging_arrivals").begin(ready)
    assert isinstance(outcome, Waiting)
    assert "COPY's role is too young" in outcome.what
    assert drive(CopyStaging("staging_arrivals"), ready, world) == Done({"rows": 30})


@UNSEEN
def test_a_copy_whose_role_is_old_is_refused_at_once_and_the_columns_are_not_blamed(
    world: World, ready: Run, words: str
) -> None:
    world.wire.inject("warehouse.Copy", Kind.REFUSED, code="XX000", message=words)
    with pytest.raises(WarehouseError, match="this time it was not that: look whether the roles") as caught:
        CopyStaging("staging_arrivals").begin(ready)
    assert "Compare the Spark job's columns" not in str(caught.value)


def test_a_copy_is_refused_once_its_role_has_been_young_for_long_enough(world: World, ready: Run) -> None:
    make_the_copy_role_now(world)
    words = "User x is not authorized to assume IAM Role y"
    world.wire.inject("warehouse.Copy", Kind.REFUSED, times=math.inf, code="XX000", message=words)
    began = world.now()
    with pytest.raises(WarehouseError, match="this time it was not that"):
        drive(CopyStaging("staging_arrivals"), ready, world)
    assert 300 <= (world.now() - began).total_seconds() <= 300 + ready.settings.mayfly.poll_s


def test_what_is_wrong_with_the_rows_is_no_lag_however_young_the_role_is(world: World, ready: Run) -> None:
    make_the_copy_role_now(world)
    words = "Spectrum Scan Error: Table columns: 3, Data columns: 403"
    world.wire.inject("warehouse.Copy", Kind.REFUSED, code="XX000", message=words)
    with pytest.raises(WarehouseError, match="Compare the Spark job's columns"):
        CopyStaging("staging_arrivals").begin(ready)


def test_where_the_world_is_quick_a_copy_meets_a_role_that_redshift_does_not_see(
    world: World, make_run: MakeRun
) -> None:
    """By default a role is unseen for two minutes: a warehouse that is there after nine seconds has to wait for it."""
    world.timeline.slowness = 0.05
    world.wire.lag.lag_s = 0
    run = make_run(poll_s=10)
    assert walk(world, run, only="provision").errors == {}
    for step in (*(RunJob(job.name) for job in PIPELINE.jobs), CreateTables()):
        assert isinstance(drive(step, run, world), Done)
    world.wire.lag.lag_s = 120
    assert isinstance(CopyStaging("staging_arrivals").begin(run), Waiting)
    assert isinstance(drive(CopyStaging("staging_arrivals"), run, world), Done)


def with_checks(run: Run, *checks: Check) -> Run:
    return replace(run, pipeline=replace(PIPELINE, checks=checks))


def test_rows_that_fail_a_check_are_never_loaded_and_count_samples_and_sql_are_told(
    world: World, ready: Run
) -> None:
    checks = (NotNull("arrivals", ("id",)), FAILS, replace(FAILS, name="none_at_all", table="airports"))

    outcome = drive(LoadWindow(), with_checks(ready, *checks), world)

    assert isinstance(outcome, Failed)
    passed, failed, also = outcome.result["checks"]
    assert (passed["passed"], failed["failing_rows"], also["failing_rows"]) == (True, 30, 3)
    assert len(failed["samples"]) == 5
    assert "SELECT" in failed["sql"]
    assert outcome.result["tables"] == {}
    assert {"no_arrivals", "none_at_all"} <= set(outcome.message.split())
    assert world.tables(PIPELINE) == tables_of()


def test_bad_rows_that_a_load_did_not_bring_do_not_block_it_and_its_run_is_red(
    world: World, loaded: Run
) -> None:
    """A row by hand in another window: each window can be loaded, and none of the runs is green."""
    with closing(find_warehouse(loaded).connect()) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO arrivals (id, day, airport) VALUES (1, '2016-06-01', 'NOT')")
        connection.commit()

    outcome = drive(LoadWindow(), loaded, world)

    assert isinstance(outcome, Done)
    assert outcome.result["tables"]["arrivals"]["total"] == 31
    verified = drive(VerifyTable("arrivals"), loaded, world)
    assert isinstance(verified, Failed)
    for words in (
        "it brought no further rows of these",
        "Check references_arrivals_airport_airports found 1 failing rows",
        "they were there before this load",
        'FROM "arrivals" AS referring',
    ):
        assert words in verified.message
    assert [one.get("failing_rows_before", 0) for one in verified.result["checks"]] == [0, 1, 0]


def test_a_table_is_verified_by_what_its_load_has_asked_and_by_its_warnings(
    world: World, loaded: Run
) -> None:
    warns = replace(FAILS, severity=Severity.WARN)
    run = with_checks(loaded, NotNull("arrivals", ("id",)), NotNull("airports", ("code",)), warns)
    assert isinstance(drive(LoadWindow(), run, world), Done)

    result = drive(VerifyTable("arrivals"), run, world).result

    assert result["table"] == "arrivals"
    asked, warned = result["checks"]
    assert asked == {"name": "not_null_arrivals", "severity": "error", "passed": True, "failing_rows": 0}
    assert (warned["severity"], warned["failing_rows"], len(warned["samples"])) == ("warn", 30, 5)
    json.dumps(result)


def test_a_verdict_of_the_load_is_told_and_not_asked_again(world: World, loaded: Run) -> None:
    """Another load may have come since: what it changed is for its own checks."""
    with closing(find_warehouse(loaded).connect()) as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM airports")
        connection.commit()
    assert isinstance(drive(VerifyTable("arrivals"), loaded, world), Done)


def test_a_staging_table_has_checks_too(world: World, loaded: Run) -> None:
    warns = Holds("soon", "staging_arrivals", "day < '2016-04-03'", severity=Severity.WARN)
    run = with_checks(loaded, NotNull("staging_arrivals", ("day",)), warns)
    result = drive(LoadWindow(), run, world).result
    assert [check["passed"] for check in result["checks"]] == [True]
    with closing(find_warehouse(loaded).connect()) as connection:
        drop_staging(connection, staging_schema(loaded.run_id))
    _, warned = drive(VerifyTable("staging_arrivals"), run, world).result["checks"]
    assert warned["failing_rows"] == 28


def test_a_check_that_the_load_did_not_know_of_is_asked_with_the_tables_verdicts(
    world: World, loaded: Run
) -> None:
    outcome = drive(VerifyTable("arrivals"), with_checks(loaded, *PIPELINE.checks, FAILS), world)

    assert isinstance(outcome, Failed)
    assert [one["passed"] for one in outcome.result["checks"]] == [True, True, True, False]
    assert "Check no_arrivals found 30 failing rows" in outcome.message


def test_a_check_that_was_changed_since_the_load_is_asked_anew(world: World, loaded: Run) -> None:
    passing = replace(FAILS, predicate="1 = 1")
    assert isinstance(drive(LoadWindow(), with_checks(loaded, passing), world), Done)

    outcome = drive(VerifyTable("arrivals"), with_checks(loaded, FAILS), world)

    assert isinstance(outcome, Failed)
    assert "Check no_arrivals found 30 failing rows" in outcome.message


def test_completeness_as_a_warning_does_not_warn_of_a_fact_that_was_kept(world: World, loaded: Run) -> None:
    """The load knows that the source has no row of the window any more, and that the 30 rows are meant to stay."""
    keeps = Fact("arrivals", key="id", window_column="day", load=ReplaceWindow(OnEmpty.KEEP))
    complete = replace(PIPELINE.checks[-1], severity=Severity.WARN)
    pipeline = replace(PIPELINE, tables=(*PIPELINE.tables[:-1], keeps), checks=(complete,))
    world.jobs.by_name["arrivals"] = no_rows
    put(f"s3://{BUCKET}/source/immigration/arrivals.csv", b"the next month's")
    other = world.run("run2", pipeline=pipeline)
    drive(TakeLease(), other, world)
    for step in (*(RunJob(job.name) for job in PIPELINE.jobs), LoadWindow()):
        outcome = drive(step, other, world)
        assert isinstance(outcome, Done)
    assert outcome.result["kept"] == ["arrivals"]

    (verdict,) = drive(VerifyTable("arrivals"), other, world).result["checks"]

    assert (verdict["name"], verdict["passed"]) == ("complete_arrivals", True)
    assert isinstance(drive(LoadWindow(), loaded, world), Done), "its rows were not replaced"
    assert world.tables(PIPELINE) == tables_of(APRIL)


def test_completeness_as_a_warning_is_asked_although_staging_was_dropped(world: World, loaded: Run) -> None:
    with closing(find_warehouse(loaded).connect()) as connection:
        drop_staging(connection, staging_schema(loaded.run_id))
    complete = replace(PIPELINE.checks[-1], severity=Severity.WARN)
    (verdict,) = drive(VerifyTable("arrivals"), with_checks(loaded, complete), world).result["checks"]
    assert (verdict["name"], verdict["passed"]) == ("complete_arrivals", True)


@pytest.mark.parametrize("step", [LoadWindow(), VerifyTable("arrivals")])
def test_a_check_that_cannot_be_asked_is_an_error_that_no_retry_helps(
    world: World, loaded: Run, step: Step
) -> None:
    run = with_checks(loaded, Holds("wrong", "arrivals", "no_such_column = 1"))
    with pytest.raises(StatementRefused, match=r"no_such_column.* In .*/checks/holds\.sql: .*check wrong\."):
        drive(step, run, world)


def test_a_window_whose_source_no_longer_holds_it_is_not_emptied(world: World, loaded: Run) -> None:
    world.jobs.by_name["arrivals"] = no_rows
    world.put_sources(PIPELINE)
    put(f"s3://{BUCKET}/source/immigration/arrivals.csv", b"the next month's")
    walked = walk(world, world.run("run2", pipeline=PIPELINE))
    assert "30 rows of table arrivals" in walked.error("load.load_window")
    assert len(walked.errors["load.load_window"]) == 1
    assert world.tables(PIPELINE) == tables_of(APRIL)


def test_a_cleared_old_run_does_not_bring_back_what_a_newer_one_replaced(world: World, loaded: Run) -> None:
    world.advance(60)
    put(f"s3://{BUCKET}/source/immigration/arrivals.csv", b"corrected")
    world.jobs.by_name["arrivals"] = corrected
    newer = world.run("run2", pipeline=PIPELINE)
    assert walk(world, newer).errors == {}
    before = world.tables(PIPELINE)
    assert before != tables_of(APRIL)
    outcome = drive(LoadWindow(), loaded, world)

    assert isinstance(outcome, Failed)
    assert "run run2 has loaded another one" in outcome.message
    assert world.tables(PIPELINE) == before
    for step in (RunJob("arrivals"), CopyStaging("staging_arrivals"), LoadWindow()):
        assert isinstance(drive(step, loaded, world), Done)
    assert world.tables(PIPELINE) == before


def test_of_one_version_of_the_source_an_old_run_may_be_loaded_again(world: World, loaded: Run) -> None:
    world.advance(60)
    assert walk(world, world.run("run2", pipeline=PIPELINE)).errors == {}
    assert isinstance(drive(LoadWindow(), loaded, world), Done)
    assert world.tables(PIPELINE) == tables_of(APRIL)


def test_of_one_version_of_the_source_a_part_of_a_window_may_be_loaded_after_the_whole(world: World) -> None:
    """The outputs of different windows differ, and tell nothing of the source's version."""
    world.put_sources(PIPELINE)
    week = world.run("week", pipeline=PIPELINE, window=Window(APRIL.start, APRIL.start + timedelta(days=7)))
    assert walk(world, week, only="provision").errors == {}
    for step in (*(RunJob(job.name) for job in PIPELINE.jobs), CreateTables()):
        assert isinstance(drive(step, week, world), Done)
    world.advance(60)
    assert walk(world, world.run("whole", pipeline=PIPELINE)).errors == {}
    assert isinstance(drive(LoadWindow(), week, world), Done)
    assert world.tables(PIPELINE) == tables_of(APRIL)


def test_a_cleared_run_does_not_bring_an_older_dimension_back_over_the_load_of_another_window(
    world: World,
) -> None:
    world.put_sources(PIPELINE)
    weeks = [Window(APRIL.start + timedelta(days=n), APRIL.start + timedelta(days=n + 7)) for n in (0, 7)]
    first, second = (world.run(f"week{n}", pipeline=PIPELINE, window=week) for n, week in enumerate(weeks))
    assert walk(world, first).errors == {}
    world.advance(60)
    put(f"s3://{BUCKET}/source/immigration/airports.csv", b"corrected")
    world.jobs.by_name["airports"] = renamed
    assert walk(world, second).errors == {}
    before = world.tables(PIPELINE)
    assert {city for _, city in before["airports"]} == {"New name"}
    drive(TakeLease(), first, world)
    assert walk(world, first, only="provision").errors == {}

    outcome = drive(LoadWindow(), first, world)

    assert isinstance(outcome, Failed)
    assert "Clear transform.airports" in outcome.message
    assert world.tables(PIPELINE) == before


def renamed(inputs: list[str], target: str, rejected: str, window: tuple[str, str]) -> Json:
    rows = [{**row, "city": "New name"} for row in rows_of("airports", APRIL)]
    return write_rows(inputs, target, rejected, window, rows)


def corrected(inputs: list[str], target: str, rejected: str, window: tuple[str, str]) -> Json:
    rows = [{**row, "airport": "JFK"} for row in rows_of("arrivals", APRIL)]
    return write_rows(inputs, target, rejected, window, rows)


def no_rows(inputs: list[str], target: str, rejected: str, window: tuple[str, str]) -> Json:
    put(target + "_SUCCESS", b"")
    return {"read": 30, "written": 0, "rejected": {}}


def test_an_answer_has_columns_and_rows(world: World, loaded: Run) -> None:
    result = drive(Answer("arrivals_by_airport"), loaded, world).result
    assert result["columns"] == ["code", "city", "arrivals"]
    assert sum(row[2] for row in result["rows"]) == 30


def test_without_a_lease_the_warehouse_is_not_touched(world: World, run: Run) -> None:
    for step in (
        CreateTables(),
        LoadWindow(),
        CopyStaging("staging_arrivals"),
        Answer("arrivals_by_airport"),
    ):
        with pytest.raises(LeaseLost):
            step.begin(run)
    assert world.wire.sent("warehouse.Connect") == []


def test_rows_of_an_answer_that_were_left_out_are_counted(
    world: World, loaded: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load.warehouse, "ask", lambda *_: Result(("n",), ((1,), (2,)), left_out=7))
    outcome = drive(Answer("arrivals_by_airport"), loaded, world)
    assert outcome.result == {"columns": ["n"], "rows": [[1], [2]], "rows_left_out": 7}


@pytest.mark.parametrize(
    "step", [CreateTables(), CopyStaging("staging_arrivals"), LoadWindow(), Answer("arrivals_by_airport")]
)
@pytest.mark.parametrize("operation", ["warehouse.Connect", "redshift.GetClusterCredentials"])
def test_a_warehouse_that_cannot_be_reached_for_minutes_is_waited_for(
    world: World, loaded: Run, step: Step, operation: str
) -> None:
    world.wire.inject(operation, Kind.THROTTLED, times=6)
    before = world.now()
    assert isinstance(drive(step, loaded, world), Done)
    assert 0 < (world.now() - before).total_seconds() < TRANSIENT_BUDGET_S
    assert world.tables(PIPELINE) == tables_of(APRIL)


def test_a_warehouse_that_stays_unreachable_is_an_error_after_the_budget(world: World, loaded: Run) -> None:
    world.wire.inject("warehouse.Connect", Kind.TIMEOUT, times=math.inf)
    before = world.now()
    with pytest.raises(WarehouseUnreachable, match="security group"):
        drive(LoadWindow(), loaded, world)
    assert (world.now() - before).total_seconds() >= TRANSIENT_BUDGET_S


@pytest.mark.parametrize("code", ["SlowDown", "RequestTimeout", "InternalError"])
def test_an_s3_that_is_busy_for_minutes_is_waited_for(world: World, loaded: Run, code: str) -> None:
    world.wire.inject("s3.GetObject", Kind.REFUSED, times=30, code=code)
    assert isinstance(drive(LoadWindow(), loaded, world), Done)
