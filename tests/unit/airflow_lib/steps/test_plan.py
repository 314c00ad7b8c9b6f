"""The plan: what a run will create, without a call that changes anything."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_lib.errors import SourceError
from airflow_lib.naming import TAG_EMR_MANAGED
from airflow_lib.steps import Run
from airflow_lib.steps.plan import describe_plan
from airflow_lib.steps.provision import TakeLease
from tests.world import World
from tests.world.pipeline import PIPELINE
from tests.world.walk import drive, walk

CHANGES = ("Create", "Delete", "Put", "Run", "Restore", "Terminate", "Authorize", "Attach", "Add")


def lines(run: Run) -> str:
    return "\n".join(describe_plan(run)["lines"])


def test_a_first_run_creates_both_clusters_and_says_their_names_and_sizes(world: World, run: Run) -> None:
    world.wire.calls.clear()
    plan = lines(run)
    assert "emr: creates mayfly-dev-immigration-emr-g1" in plan
    assert "warehouse: creates mayfly-dev-immigration-warehouse-g1" in plan
    assert "1 m5.xlarge + 1 m5.xlarge" in plan
    assert "lacks the tag" not in plan
    assert not [call for call in world.wire.calls if call.operation.startswith(CHANGES)]


def test_a_subnet_without_emrs_tag_is_named_before_the_preflight_refuses_it(world: World, run: Run) -> None:
    key, value = TAG_EMR_MANAGED
    for subnet in world.others.ec2.describe_subnets()["Subnets"]:
        world.others.ec2.delete_tags(Resources=[subnet["SubnetId"]], Tags=[{"Key": key, "Value": value}])
    assert "lacks the tag for-use-with-amazon-emr-managed-policies=true" in lines(run)


def test_a_slot_in_use_is_described_by_its_phase(world: World, run: Run) -> None:
    drive(TakeLease(), run, world)
    assert "emr: generation 1 is creating" in lines(run)


def test_the_next_run_restores_and_does_not_compute_again(world: World, run: Run) -> None:
    walk(world, run)
    world.forget_held()
    plan = describe_plan(run)
    assert "from snapshot mayfly-dev-immigration-warehouse-final-g1" in "\n".join(plan["lines"])
    assert plan["complete"] == [job.name for job in PIPELINE.jobs]


def test_a_missing_source_is_an_error_for_the_task_to_report(world: World, run: Run) -> None:
    world.others.s3.delete_object(Bucket="mayfly-world", Key="source/immigration/airports.csv")
    with pytest.raises(SourceError, match=r"airports\.csv"):
        describe_plan(replace(run, run_id="another"))
