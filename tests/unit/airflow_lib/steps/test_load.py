"""The steps that load: repeatable, and nothing is brought back or emptied."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from airflow_lib.errors import (
    LeaseLost,
    WarehouseUnreachable,
)
from airflow_lib.lifecycle import rules
from airflow_lib.naming import Slot, staging_schema
from airflow_lib.pipeline import (
    Between,
    Check,
    Fresh,
    NotNull,
    References,
    RowCount,
    Severity,
    Window,
)
from airflow_lib.polling import TRANSIENT_BUDGET_S
from airflow_lib.steps import Done, Failed, Run, Step
from airflow_lib.steps.answer import PublishAnswer
from airflow_lib.steps.clusters import find_warehouse
from airflow_lib.steps.load import CreateTables, LoadWindow
from airflow_lib.steps.provision import TakeLease
from airflow_lib.steps.staging import CopyStaging
from airflow_lib.steps.transform import RunJob
from airflow_lib.steps.verify import VerifyTable
from airflow_lib.warehouse.load import drop_staging
from tests.unit.airflow_lib.steps.loaded_runs import FAILS, corrected, no_rows, renamed, schemas, with_checks
from tests.world import World
from tests.world.account import BUCKET
from tests.world.pipeline import APRIL, PIPELINE, tables_of
from tests.world.spark import put
from tests.world.walk import drive, walk
from tests.world.wire import Kind


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
    world.fix_batch(loaded, max_tries=99)
    assert isinstance(drive(RunJob("arrivals"), loaded, world), Done)
    copies = len(world.wire.sent("warehouse.Copy"))

    assert isinstance(drive(LoadWindow(), loaded, world), Done)

    assert {airport for *_, airport in world.tables(PIPELINE)["arrivals"]} == {"JFK"}
    assert len(world.wire.sent("warehouse.Copy")) == copies + 1, (
        "the other job's staging holds what is pinned"
    )


def test_staging_of_a_run_that_is_over_is_dropped_by_the_next_run(world: World, loaded: Run) -> None:
    other = world.run("run2", pipeline=PIPELINE)
    world.fix_batch(other)
    drive(TakeLease(), other, world)
    assert drive(CreateTables(), other, world).result["dropped"] == []
    loaded.register.apply(Slot.WAREHOUSE, rules.release)
    assert drive(CreateTables(), other, world).result["dropped"] == [staging_schema("run1")]


def test_rows_that_fail_a_check_are_never_loaded_and_count_samples_and_sql_are_told(
    world: World, ready: Run
) -> None:
    checks = (NotNull("arrivals", ("id",)), FAILS, replace(FAILS, name="none_at_all", table="airports"))
    references = [
        replace(check, severity=Severity.WARN) for check in PIPELINE.checks if isinstance(check, References)
    ]

    outcome = drive(LoadWindow(), with_checks(ready, *checks, *references), world)

    assert isinstance(outcome, Failed)
    passed, failed, also = outcome.result["checks"]
    assert (passed["passed"], failed["failing_rows"], also["failing_rows"]) == (True, 30, 3)
    assert len(failed["samples"]) == 5
    assert "SELECT" in failed["sql"]
    assert outcome.result["tables"] == {}
    assert {"no_arrivals", "none_at_all"} <= set(outcome.message.split())
    assert world.tables(PIPELINE) == tables_of()


@pytest.mark.parametrize(
    ("check", "sample"),
    [
        (RowCount("staging_arrivals", at_least=31), {"rows_found": 30}),
        (RowCount("staging_airports", at_most=3), {"rows_found": 4}),
        (Between("staging_arrivals", "day", date(2016, 4, 2), None), {"day": "2016-04-01"}),
        (Between("staging_arrivals", "id", None, 20160429), {"id": 20160430}),
        (Fresh("staging_arrivals", "day", 24), {"newest": "2016-04-30"}),
        (RowCount("arrivals", at_most=29), {"rows_found": 30}),
        (Between("arrivals", "day", None, date(2016, 4, 29)), {"day": "2016-04-30"}),
    ],
)
def test_rows_out_of_bounds_are_not_loaded(
    world: World, ready: Run, check: Check, sample: dict[str, object]
) -> None:
    outcome = drive(LoadWindow(), with_checks(ready, check), world)
    assert isinstance(outcome, Failed)
    (failed,) = outcome.result["checks"]
    assert (failed["name"], failed["failing_rows"]) == (check.name, 1)
    assert failed["samples"][0].items() >= sample.items()
    assert world.tables(PIPELINE) == tables_of()


def test_rows_within_their_bounds_are_loaded(world: World, ready: Run) -> None:
    age_h = (world.now() - datetime(2016, 4, 30, tzinfo=UTC)).total_seconds() / 3600
    checks = (
        RowCount("staging_arrivals", at_least=30, at_most=30),
        Between("arrivals", "day", date(2016, 4, 1), date(2016, 4, 30)),
        Fresh("staging_arrivals", "day", age_h + 24),
        RowCount("arrivals", at_least=1),
    )
    outcome = drive(LoadWindow(), with_checks(ready, *PIPELINE.checks, *checks), world)
    assert isinstance(outcome, Done)
    assert [check["passed"] for check in outcome.result["checks"]] == [True] * 7
    assert world.tables(PIPELINE) == tables_of(APRIL)


def test_a_table_that_was_stale_and_still_is_may_be_loaded_and_its_run_is_red(
    world: World, ready: Run
) -> None:
    """As whatever failed before, and fails no worse: old windows are loaded, too."""
    run = with_checks(ready, Fresh("arrivals", "day", 24))
    assert isinstance(drive(LoadWindow(), run, world), Done)
    assert isinstance(drive(VerifyTable("arrivals"), run, world), Failed)


def test_two_checks_of_one_kind_and_table_are_told_each_by_its_name(world: World, ready: Run) -> None:
    checks = (
        NotNull("arrivals", ("id",)),
        RowCount("arrivals", at_least=1),
        RowCount("arrivals", at_least=1_000, severity=Severity.WARN, name="enough_arrivals"),
    )
    run = with_checks(ready, *checks)
    assert isinstance(drive(LoadWindow(), run, world), Done)
    told = drive(VerifyTable("arrivals"), run, world).result["checks"]
    assert {one["name"]: one["passed"] for one in told} == {
        "not_null_arrivals": True,
        "row_count_arrivals": True,
        "enough_arrivals": False,
    }


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
    for step in (RunJob("arrivals"), CopyStaging("staging_arrivals")):
        assert isinstance(drive(step, loaded, world), Done)
    assert isinstance(drive(LoadWindow(), loaded, world), Failed), "the batch is still the old one"
    world.fix_batch(loaded, max_tries=99)  # as a person does who clears the run from the preflight on
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
    assert "Clear the run from provision.preflight on" in outcome.message
    assert world.tables(PIPELINE) == before


def test_without_a_lease_the_warehouse_is_not_touched(world: World, run: Run) -> None:
    for step in (
        CreateTables(),
        LoadWindow(),
        CopyStaging("staging_arrivals"),
        PublishAnswer("arrivals_by_airport"),
    ):
        with pytest.raises(LeaseLost):
            step.begin(run)
    assert world.wire.sent("warehouse.Connect") == []


@pytest.mark.parametrize(
    "step",
    [CreateTables(), CopyStaging("staging_arrivals"), LoadWindow(), PublishAnswer("arrivals_by_airport")],
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
