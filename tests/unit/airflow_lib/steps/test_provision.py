"""From nothing to two clusters: what is made, in which order, and who makes it."""

from __future__ import annotations

import math
from datetime import datetime

import pytest

from airflow_lib.errors import (
    LeaseLost,
    TerminalState,
    UnknownState,
    WaitTimeout,
)
from airflow_lib.lifecycle.document import Phase
from airflow_lib.lifecycle.inventory import list_owned
from airflow_lib.naming import TAG_ENVIRONMENT, TAG_GENERATION, Slot, generation_of, slot_of
from airflow_lib.steps import Done, Run, Waiting
from airflow_lib.steps.provision import (
    EnsureEmr,
    EnsureWarehouse,
)
from airflow_lib.steps.release import ReleaseSlot
from tests.unit.airflow_lib.steps.provisioning import HASTY, MAKERS, MakeRun, lease, made, owned_ids, provide
from tests.world import World
from tests.world.emr_clusters import Reason
from tests.world.pipeline import PIPELINE
from tests.world.walk import drive, walk
from tests.world.wire import Call, Killed, Kind


def test_a_clean_run_makes_each_thing_once(world: World, run: Run) -> None:
    world.wire.lag.lag_s = 0  # not about IAM
    provide(world, run)
    prefix = "mayfly-dev-immigration-"
    assert sorted(made(world)) == sorted(
        prefix + name
        for name in (
            "emr-service-g1",
            "emr-ec2-g1",
            "emr-ec2-g1",  # the role and its profile
            "emr-master-g1",
            "emr-core-g1",
            "emr-access-g1",
            "emr-g1",
            "warehouse-copy-g1",
            "warehouse-sg-g1",
            "warehouse-g1",  # the subnet group
            "warehouse-g1",  # the cluster
        )
    )
    document = world.register(PIPELINE)
    assert [document.slot(slot).phase for slot in Slot] == [Phase.READY, Phase.READY]


def test_a_generation_is_open_in_the_register_before_anything_of_it_is_created(
    world: World, run: Run
) -> None:
    world.wire.lag.lag_s = 0  # not about IAM
    too_early: list[str] = []

    def watch(call: Call) -> None:
        if str(call) in MAKERS:
            name = str(call.params[MAKERS[str(call)]])
            slot, generation = slot_of(run.environment, name), generation_of(run.environment, name)
            state = world.register(PIPELINE).slot(slot or Slot.EMR)
            is_open = (state.phase, state.owner, state.generation) == (Phase.CREATING, run.run_id, generation)
            too_early.extend([] if is_open else [name])

    world.wire.watchers.append(watch)
    provide(world, run)
    assert len(made(world)) == 11
    assert too_early == []


def test_everything_bears_the_tags_of_its_environment_and_generation(world: World, run: Run) -> None:
    provide(world, run)
    owned = list_owned(world.others, run.environment).owned
    assert {item.name for item in owned} == set(made(world))
    for item in owned:
        assert item.tags[TAG_ENVIRONMENT] == "dev-immigration"
        assert item.tags[TAG_GENERATION] == "1"
        assert item.expires_at is not None


def test_a_second_run_makes_nothing_and_uses_both(world: World, make_run: MakeRun) -> None:
    provide(world, make_run("run1"))
    before = made(world)
    walked = walk(world, make_run("run2"), only="provision")
    assert walked.errors == {}
    assert made(world) == before
    assert walked.results["provision.lease"]["emr"] == {"outcome": "use", "generation": 1}
    document = world.register(PIPELINE)
    for slot in Slot:
        assert {one.run for one in document.slot(slot).leases} == {"run1", "run2"}


def test_where_every_output_is_complete_no_emr_is_leased_or_made(world: World, make_run: MakeRun) -> None:
    walk(world, make_run("run1"))
    world.forget_held()
    world.wire.calls.clear()
    walked = walk(world, make_run("run2"))
    assert walked.errors == {}
    assert walked.results["provision.emr"] == {"needed": False}
    assert walked.results["transform.arrivals"]["reused"] is True
    assert world.wire.sent("emr.RunJobFlow") == []
    assert len(world.emr.all) == 1


def test_a_run_that_waits_uses_what_the_creator_made(world: World, make_run: MakeRun) -> None:
    first, second = make_run("run1"), make_run("run2")
    lease(world, first)
    lease(world, second)
    waiting = EnsureEmr().begin(second)
    assert isinstance(waiting, Waiting)
    assert "run1" in waiting.what
    drive(EnsureEmr(), first, world)
    assert isinstance(EnsureEmr().poll(second, waiting.state), Done)
    assert len(world.emr.all) == 1


def test_a_waiting_run_takes_over_from_a_dead_creator_and_adopts_what_is_recorded(
    world: World, make_run: MakeRun
) -> None:
    world.wire.lag.lag_s = 0  # not about IAM
    dead, heir = make_run("run1"), make_run("run2")
    lease(world, dead)
    assert isinstance(EnsureEmr().begin(dead), Waiting)
    assert isinstance(EnsureWarehouse().begin(dead), Waiting)
    before = owned_ids(world, dead)

    lease(world, heir)
    assert drive(EnsureEmr(), heir, world).result == {
        "cluster": "mayfly-dev-immigration-emr-g1",
        "generation": 1,
        "cluster_id": heir.register.read().emr.cluster_id,
    }
    assert isinstance(drive(EnsureWarehouse(), heir, world), Done)
    assert owned_ids(world, heir) == before
    assert len(world.emr.all) == 1


def test_the_heir_of_a_creator_that_died_before_the_answer_finds_the_cluster(
    world: World, make_run: MakeRun
) -> None:
    world.wire.lag.lag_s = 0  # not about IAM
    dead, heir = make_run("run1"), make_run("run2")
    lease(world, dead)
    world.wire.inject("emr.RunJobFlow", Kind.KILLED_AFTER)
    with pytest.raises(Killed):
        EnsureEmr().begin(dead)
    lease(world, heir)
    assert isinstance(drive(EnsureEmr(), heir, world), Done)
    assert len(world.emr.all) == 1
    assert world.register(PIPELINE).emr.cluster_id == world.emr.all[0].id


def test_the_heir_of_a_creator_whose_cluster_failed_makes_the_next_generation(
    world: World, make_run: MakeRun
) -> None:
    world.wire.lag.lag_s = 0  # not about IAM
    dead, heir = make_run("run1"), make_run("run2")
    lease(world, dead)
    world.emr.failures.append(Reason("INSTANCE_FAILURE", "the master node died"))
    assert isinstance(EnsureEmr().begin(dead), Waiting)
    world.advance(dead.settings.mayfly.lease_s + 1)
    assert [one.state for one in world.emr.all] == ["TERMINATED_WITH_ERRORS"]
    lease(world, heir)
    assert drive(EnsureEmr(), heir, world).result["generation"] == 2
    assert [one.state for one in world.emr.all] == ["TERMINATED_WITH_ERRORS", "WAITING"]


def test_a_ready_cluster_that_has_ended_is_replaced_once_nobody_else_holds_it(
    world: World, make_run: MakeRun
) -> None:
    """The run that used it could not release it: its lease is alive, and nobody renews it."""
    dead, other = make_run("run1"), make_run("run2")
    provide(world, dead)
    world.emr.end(world.emr.live[0], "TERMINATED_WITH_ERRORS", Reason("INSTANCE_FAILURE", "the master died"))
    lease(world, other)
    outcome = EnsureEmr().begin(other)
    assert isinstance(outcome, Waiting)
    assert "mayfly-dev-immigration-emr-g1 has ended" in outcome.what
    assert "the master died" in outcome.what
    assert "run1" in outcome.what
    assert drive(EnsureEmr(), other, world).result["generation"] == 2
    assert [one.name for one in world.emr.live] == ["mayfly-dev-immigration-emr-g2"]


def test_of_two_runs_that_wait_for_a_cluster_that_has_ended_one_replaces_it(
    world: World, make_run: MakeRun
) -> None:
    first, second = make_run("run1"), make_run("run2")
    provide(world, first)
    lease(world, second)
    world.emr.end(world.emr.live[0], "TERMINATED_WITH_ERRORS", Reason("INSTANCE_FAILURE", "the master died"))
    for run in (first, second):
        assert isinstance(EnsureEmr().begin(run), Waiting)
    assert drive(EnsureEmr(), first, world).result["generation"] == 2
    assert drive(EnsureEmr(), second, world).result["generation"] == 2
    assert len(world.emr.live) == 1


def test_a_cluster_that_ends_with_errors_tells_awss_reason_and_what_to_do(world: World, run: Run) -> None:
    lease(world, run)
    world.emr.failures.append(Reason("BOOTSTRAP_FAILURE", "bootstrap action 1 returned 7"))
    with pytest.raises(TerminalState, match="bootstrap action 1 returned 7") as caught:
        drive(EnsureEmr(), run, world)
    assert "Read the bootstrap logs" in str(caught.value)


@pytest.mark.parametrize("step", [EnsureEmr(), EnsureWarehouse()], ids=["emr", "warehouse"])
def test_one_who_waits_for_a_cluster_in_an_unknown_state_is_told(
    world: World, run: Run, step: EnsureEmr | EnsureWarehouse
) -> None:
    lease(world, run)
    world.wire.lag.lag_s = 0
    outcome = step.begin(run)
    assert isinstance(outcome, Waiting)
    if step.slot is Slot.EMR:
        world.emr.all[0].state = "HIBERNATING"
    else:
        world.warehouses.live[0].status = "HIBERNATING"
    with pytest.raises(UnknownState, match="'HIBERNATING'"):
        step.poll(run, outcome.state)


def test_a_killed_worker_does_not_renew_the_deadline(world: World, make_run: MakeRun) -> None:
    first, second = make_run("run1"), make_run("run2")
    for one in (first, second):
        lease(world, one)
    began = world.now()

    def be_killed_at_each_poll() -> None:
        for _ in range(100):
            assert isinstance(EnsureWarehouse().begin(second), Waiting)
            world.advance(600)
            lease(world, first)

    with pytest.raises(WaitTimeout, match="run1 is creating"):
        be_killed_at_each_poll()
    assert (world.now() - began).total_seconds() <= EnsureWarehouse().timeout_s(second)


@pytest.mark.parametrize(
    ("step", "operation", "code"),
    [
        (EnsureEmr(), "iam.PutRolePolicy", "NoSuchEntity"),
        (EnsureWarehouse(), "ec2.AuthorizeSecurityGroupIngress", "InvalidGroup.NotFound"),
    ],
)
def test_what_aws_does_not_see_yet_is_waited_for(
    world: World, run: Run, step: EnsureEmr | EnsureWarehouse, operation: str, code: str
) -> None:
    lease(world, run)
    world.wire.inject(operation, Kind.REFUSED, code=code)
    outcome = step.begin(run)
    assert isinstance(outcome, Waiting)
    assert code in outcome.what
    assert isinstance(drive(step, run, world), Done)


@pytest.mark.parametrize(
    ("step", "operation", "code", "told"),
    [
        (EnsureEmr(), "iam.PutRolePolicy", "NoSuchEntity", "put policy"),
        (EnsureWarehouse(), "ec2.AuthorizeSecurityGroupIngress", "InvalidGroup.NotFound", "add rules"),
    ],
)
def test_what_never_comes_ends_at_a_deadline_that_names_it(
    world: World, make_run: MakeRun, step: EnsureEmr | EnsureWarehouse, operation: str, code: str, told: str
) -> None:
    run = make_run(**HASTY)
    lease(world, run)
    world.wire.inject(operation, Kind.REFUSED, times=math.inf, code=code)
    with pytest.raises(WaitTimeout, match=told):
        drive(step, run, world)


@pytest.mark.parametrize("step", [EnsureEmr(), EnsureWarehouse()], ids=["emr", "warehouse"])
def test_a_creator_keeps_its_lease_for_as_long_as_its_cluster_takes(
    world: World, make_run: MakeRun, step: EnsureEmr | EnsureWarehouse
) -> None:
    run = make_run(lease_s=600)
    world.timeline.slowness = 15
    lease(world, run)
    began, outcome = world.now(), step.begin(run)
    while isinstance(outcome, Waiting):
        world.advance(outcome.poll_s)
        held = world.register(PIPELINE).slot(step.slot).lease(run.run_id)
        assert held is not None
        assert held.until > world.now()
        outcome = step.poll(run, outcome.state)
    assert (world.now() - began).total_seconds() > 2 * 600


def test_a_creator_that_lost_its_lease_creates_no_other_generation(world: World, run: Run) -> None:
    lease(world, run)
    outcome = EnsureEmr().begin(run)
    assert isinstance(outcome, Waiting)
    drive(ReleaseSlot(Slot.EMR), run, world)
    with pytest.raises(LeaseLost, match="was creating generation 1 of the emr slot"):
        EnsureEmr().poll(run, outcome.state)
    assert world.emr.live == []


def test_a_run_that_waits_for_a_creator_names_it_at_its_deadline(world: World, make_run: MakeRun) -> None:
    first, second = make_run("run1"), make_run("run2")
    lease(world, first)
    lease(world, second)
    outcome = EnsureWarehouse().begin(second)
    assert isinstance(outcome, Waiting)
    while world.now() < datetime.fromisoformat(
        outcome.state["deadline"]
    ):  # the creator lives, and makes nothing
        world.advance(600)
        lease(world, first)
    with pytest.raises(WaitTimeout, match="run1 is creating"):
        EnsureWarehouse().poll(second, outcome.state)


def test_a_run_that_lost_its_lease_creates_nothing(world: World, make_run: MakeRun) -> None:
    late, heir = make_run("run1"), make_run("run2")
    lease(world, late)
    world.advance(1801)
    lease(world, heir)
    before = made(world)
    outcome = EnsureEmr().begin(late)  # it waits for the heir, with a lease of its own
    assert isinstance(outcome, Waiting)
    assert "run2 is creating it" in outcome.what
    assert made(world) == before


@pytest.mark.parametrize("step", [EnsureEmr(), EnsureWarehouse()], ids=["emr", "warehouse"])
@pytest.mark.parametrize("operation", ["iam.CreateRole", "ec2.AuthorizeSecurityGroupIngress"])
def test_a_creator_that_was_suspended_beyond_its_lease_creates_no_cluster(
    world: World, make_run: MakeRun, step: EnsureEmr | EnsureWarehouse, operation: str
) -> None:
    """Its host sleeps in the middle of the step; meanwhile another run tears its generation down."""
    late, other = make_run("run1"), make_run("run2")
    lease(world, late)

    def suspend(call: Call) -> None:
        if str(call) == operation:
            world.wire.watchers.remove(suspend)
            world.advance(1801)
            drive(ReleaseSlot(step.slot), other, world)

    world.wire.watchers.append(suspend)
    with pytest.raises(LeaseLost):
        drive(step, late, world)
    assert world.emr.all == []
    assert world.warehouses.live == []
