"""A failing check keeps what it found."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace

import pytest

from airflow_lib.errors import (
    StatementRefused,
)
from airflow_lib.naming import staging_schema
from airflow_lib.pipeline import (
    Fact,
    Holds,
    NotNull,
    OnEmpty,
    ReplaceWindow,
    Severity,
)
from airflow_lib.steps import Done, Failed, Run, Step
from airflow_lib.steps.clusters import find_warehouse
from airflow_lib.steps.load import LoadWindow
from airflow_lib.steps.provision import TakeLease
from airflow_lib.steps.transform import RunJob
from airflow_lib.steps.verify import VerifyTable
from airflow_lib.warehouse.load import drop_staging
from tests.unit.airflow_lib.steps.loaded_runs import FAILS, no_rows, with_checks
from tests.world import World
from tests.world.account import BUCKET
from tests.world.pipeline import APRIL, PIPELINE, tables_of
from tests.world.spark import put
from tests.world.walk import drive


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
    world.fix_batch(other)
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
