"""COPY into staging: repeatable, and waits for a young role alone."""

from __future__ import annotations

import math
from typing import Any

import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends

from airflow_lib.errors import (
    OutputError,
    OutputRefused,
    WarehouseError,
)
from airflow_lib.steps import Done, Json, Run, Step, Waiting
from airflow_lib.steps.load import CreateTables, LoadWindow
from airflow_lib.steps.staging import CopyStaging
from airflow_lib.steps.transform import RunJob
from tests.unit.airflow_lib.steps.loaded_runs import MakeRun
from tests.world import World
from tests.world.account import BUCKET
from tests.world.pipeline import APRIL, PIPELINE, tables_of
from tests.world.spark import put, write_rows
from tests.world.walk import drive, walk
from tests.world.wire import Kind


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
