"""Roles that AWS sees late: what is waited for, asked again, replaced, and refused."""

from __future__ import annotations

import math

import pytest

from airflow_lib.errors import (
    ResourceError,
    TerminalState,
)
from airflow_lib.lifecycle.inventory import list_owned
from airflow_lib.steps import Done, Run, Waiting
from airflow_lib.steps.provision import (
    EnsureEmr,
)
from tests.unit.airflow_lib.steps.provisioning import lease, provide
from tests.world import World
from tests.world.emr_clusters import Reason
from tests.world.walk import drive
from tests.world.wire import Kind


def test_a_cluster_that_met_roles_too_young_is_asked_for_again_in_the_next_generation(
    world: World, run: Run
) -> None:
    lease(world, run)
    world.emr.failures.append(Reason("VALIDATION_ERROR", "Service role mayfly does not exist"))
    outcome = drive(EnsureEmr(), run, world)
    assert outcome.result["generation"] == 2
    assert [(one.name, one.state) for one in world.emr.all] == [
        ("mayfly-dev-immigration-emr-g1", "TERMINATED_WITH_ERRORS"),
        ("mayfly-dev-immigration-emr-g2", "WAITING"),
    ]
    names = {item.name for item in list_owned(world.others, run.environment).owned}
    assert not {name for name in names if "-emr-" in name and name.endswith("-g1")}


LAG = pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ValidationException", "Invalid InstanceProfile: mayfly-dev-immigration-emr-ec2-g1."),
        ("AccessDeniedException", "Failed to authorize instance profile mayfly-dev-immigration-emr-ec2-g1"),
    ],
)


@LAG
def test_while_the_roles_are_young_run_job_flow_is_asked_again(
    world: World, run: Run, code: str, message: str
) -> None:
    lease(world, run)
    world.wire.inject("emr.RunJobFlow", Kind.REFUSED, times=2, code=code, message=message)
    assert isinstance(drive(EnsureEmr(), run, world), Done)
    assert [one.state for one in world.emr.all] == ["WAITING"]
    assert len(world.wire.sent("emr.RunJobFlow")) == 3


@LAG
def test_after_five_minutes_the_same_words_are_a_refusal_that_says_what_to_look_at(
    world: World, run: Run, code: str, message: str
) -> None:
    lease(world, run)
    world.wire.inject("emr.RunJobFlow", Kind.REFUSED, times=math.inf, code=code, message=message)
    began = world.now()
    with pytest.raises(ResourceError, match="this time it was not that: look whether the roles"):
        drive(EnsureEmr(), run, world)
    assert 300 <= (world.now() - began).total_seconds() <= 300 + run.settings.mayfly.poll_s


def test_by_default_neither_emr_nor_redshift_sees_a_role_at_once(world: World, run: Run) -> None:
    provide(world, run)
    assert len(world.wire.sent("emr.RunJobFlow")) > 1
    assert len(world.wire.sent("redshift.CreateCluster")) > 1
    assert len(world.emr.all) == len(world.warehouses.live) == 1


def test_a_cluster_that_emr_ended_for_young_roles_is_replaced_once_the_next_roles_are_seen(
    world: World, run: Run
) -> None:
    """EMR takes the request, and ends the cluster: `Service role … has insufficient EC2 permissions`."""
    lease(world, run)
    world.wire.lag.takes = True
    assert drive(EnsureEmr(), run, world).result["generation"] == 2
    assert [one.state for one in world.emr.all] == ["TERMINATED_WITH_ERRORS", "WAITING"]


def test_a_cluster_that_ends_so_although_its_roles_are_old_is_a_refusal(world: World, run: Run) -> None:
    lease(world, run)
    world.wire.inject("emr.RunJobFlow", Kind.TIMEOUT, times=3)  # six minutes
    words = "Service role arn:aws:iam::1:role/x has insufficient EC2 permissions"
    world.emr.failures.append(Reason("VALIDATION_ERROR", words))
    with pytest.raises(TerminalState, match="insufficient EC2 permissions.*look whether the roles"):
        drive(EnsureEmr(), run, world)
    assert len(world.emr.all) == 1


def test_a_cluster_that_an_organisations_policy_ends_is_not_replaced(world: World, run: Run) -> None:
    lease(world, run)
    words = (
        "Service role x has insufficient EC2 permissions: … with an explicit deny in a service control policy"
    )
    world.emr.failures.append(Reason("VALIDATION_ERROR", words))
    with pytest.raises(TerminalState, match="granting it to the principal does not help"):
        drive(EnsureEmr(), run, world)
    assert len(world.emr.all) == 1


def test_roles_that_stay_invisible_fail_the_run_after_two_new_generations(world: World, run: Run) -> None:
    lease(world, run)
    world.emr.failures += [Reason("VALIDATION_ERROR", "Service role mayfly does not exist")] * 5
    with pytest.raises(TerminalState, match="Service role mayfly does not exist"):
        drive(EnsureEmr(), run, world)
    assert len(world.emr.all) == 3


def test_retries_of_the_task_make_no_more_generations_than_one_try(world: World, run: Run) -> None:
    """Whose worker is killed again and again inherits each time what failed: without end, if each try counts anew."""
    lease(world, run)
    world.emr.failures += [Reason("VALIDATION_ERROR", "Service role mayfly does not exist")] * 20

    def be_killed_at_each_replacement() -> None:
        for _ in range(20):
            outcome = EnsureEmr().begin(run)
            while isinstance(outcome, Waiting) and "a new cluster" not in outcome.what:
                world.advance(outcome.poll_s)
                outcome = EnsureEmr().poll(run, outcome.state)

    with pytest.raises(TerminalState, match="Service role mayfly does not exist"):
        be_killed_at_each_replacement()
    assert len(world.emr.all) == 3
