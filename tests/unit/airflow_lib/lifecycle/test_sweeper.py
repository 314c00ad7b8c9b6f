"""What the janitor removes, what it never touches, and what it tells."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_lib import janitor
from airflow_lib.errors import RegisterError, SettingsError
from airflow_lib.janitor import CLEAN, ERROR, FOUND, judge, make_pass
from airflow_lib.lifecycle import rules, sweeper
from airflow_lib.lifecycle.document import Phase
from airflow_lib.lifecycle.inventory import list_owned
from airflow_lib.lifecycle.sweeper import EnvironmentSweeper
from airflow_lib.naming import TAG_ENVIRONMENT, TAG_EXPIRES_AT, Slot
from airflow_lib.steps import Run
from airflow_lib.steps.provision import EnsureEmr, TakeLease
from airflow_lib.steps.release import ReleaseSlot
from airflow_lib.steps.transform import RunJob
from tests.world import World
from tests.world.account import BUCKET
from tests.world.foreign import ForeignResources
from tests.world.pipeline import PIPELINE
from tests.world.walk import drive, walk
from tests.world.wire import Killed, Kind

SNAPSHOT = "mayfly-dev-immigration-warehouse-final-g{}"
LEASE_S = 1800
READS = ("Describe", "Get", "List", "Head")
POLICY = json.loads((Path(__file__).parents[4] / "docs/iam-principal-policy.json").read_text())

MakeRun = Callable[..., Run]


def clean_up(world: World, run: Run, **options: Any) -> EnvironmentSweeper:
    """What a pass came to in the one environment there is."""
    (sweeper,) = make_pass(run.settings, run.aws, run.services.clock, sleep=world.advance, **options)
    return sweeper


def provided(world: World, run: Run) -> Run:
    assert walk(world, run, only="provision").errors == {}
    return run


def left(world: World, run: Run) -> set[str]:
    return {item.name for item in list_owned(world.others, run.environment).owned}


def phases(world: World) -> list[Phase]:
    document = world.register(PIPELINE)
    return [document.slot(slot).phase for slot in Slot]


def written(world: World) -> list[str]:
    """The calls that were to change something."""
    return [str(call) for call in world.wire.calls if not call.operation.startswith(READS)]


@pytest.fixture
def dead(world: World, run: Run) -> Run:
    """A run that provisioned both clusters and was never heard of again."""
    provided(world, run)
    world.advance(LEASE_S + 1)
    world.wire.calls.clear()
    return run


def test_what_a_dead_run_held_is_drained_and_its_rows_are_saved(world: World, dead: Run) -> None:
    found = clean_up(world, dead)
    assert left(world, dead) == {SNAPSHOT.format(1)}
    assert phases(world) == [Phase.EMPTY, Phase.EMPTY]
    assert world.register(PIPELINE).warehouse.snapshot == SNAPSHOT.format(1)
    assert found.errors == []
    assert judge([found]) == FOUND


def test_each_thing_is_told_with_kind_name_age_reason_and_what_became_of_it(world: World, dead: Run) -> None:
    names = left(world, dead)
    lines = clean_up(world, dead).findings
    for name in names:
        assert any(name in line for line in lines)
    (cluster,) = [line for line in lines if "Redshift cluster" in line]
    assert "mayfly-dev-immigration-warehouse-g1" in cluster
    assert "0 h 3" in cluster
    assert "the lease of run1 expired at" in cluster
    assert all(line.endswith("; removed") for line in lines)


def test_a_second_pass_finds_nothing(world: World, dead: Run) -> None:
    clean_up(world, dead)
    again = clean_up(world, dead)
    assert (again.findings, again.errors, judge([again])) == ([], [], CLEAN)


def test_what_a_live_lease_uses_is_not_touched(world: World, run: Run) -> None:
    provided(world, run)
    before = left(world, run)
    world.wire.calls.clear()
    found = clean_up(world, run)
    assert (found.findings, found.errors) == ([], [])
    assert left(world, run) == before
    assert written(world) == []


def test_a_slot_with_a_live_lease_is_left_as_it_is_with_an_expired_one_beside_it(
    world: World, make_run: MakeRun
) -> None:
    provided(world, make_run("run1"))
    world.advance(LEASE_S - 600)
    living = provided(world, make_run("run2"))
    before = left(world, living)
    world.advance(700)
    assert clean_up(world, living).findings == []
    assert [lease.run for lease in world.register(PIPELINE).emr.leases] == ["run1", "run2"]
    assert left(world, living) == before


def test_a_creator_that_died_before_anything_was_made_leaves_an_empty_slot(world: World, run: Run) -> None:
    drive(TakeLease(), run, world)
    world.advance(LEASE_S + 1)
    assert clean_up(world, run).errors == []
    assert phases(world) == [Phase.EMPTY, Phase.EMPTY]


def test_what_is_kept_alive_stays_until_then_and_goes_after(world: World, make_run: MakeRun) -> None:
    run = provided(world, make_run("run1", keep_alive_s=900))
    for job in PIPELINE.jobs:
        drive(RunJob(job.name), run, world)
    for slot in Slot:
        drive(ReleaseSlot(slot), replace(run, expects_more=True), world)
    before = left(world, run)
    world.advance(600)
    assert clean_up(world, run).findings == []
    assert left(world, run) == before
    world.advance(400)
    found = clean_up(world, run)
    assert any("kept alive until" in line for line in found.findings)
    assert left(world, run) == {SNAPSHOT.format(1)}


def test_a_pass_that_ends_too_soon_leaves_the_rest_to_the_next(world: World, dead: Run) -> None:
    first = clean_up(world, dead, limit_s=30)
    assert judge([first]) == FOUND
    assert any("pending" in line for line in first.findings)
    assert Phase.TEARING_DOWN in phases(world)
    world.advance(janitor.LEASE_S + 1)
    clean_up(world, dead)
    assert left(world, dead) == {SNAPSHOT.format(1)}
    assert len(world.warehouses.snapshots) == 1


def test_of_two_passes_at_once_one_drains(world: World, dead: Run) -> None:
    others: list[EnvironmentSweeper] = []

    def meanwhile(seconds: float) -> None:
        world.advance(seconds)
        if not others:
            others.append(clean_up(world, dead, limit_s=0))

    (first,) = make_pass(dead.settings, dead.aws, dead.services.clock, sleep=meanwhile)
    assert others[0].findings == []
    assert (first.errors, others[0].errors) == ([], [])
    assert left(world, dead) == {SNAPSHOT.format(1)}


def test_a_pass_that_was_overtaken_tells_so_and_touches_nothing(world: World, dead: Run) -> None:
    def meanwhile(seconds: float) -> None:
        world.advance(janitor.LEASE_S + 1)
        (second,) = make_pass(dead.settings, dead.aws, dead.services.clock, sleep=world.advance)
        assert second.errors == []

    (first,) = make_pass(dead.settings, dead.aws, dead.services.clock, sleep=meanwhile, limit_s=10_000)
    assert first.errors == []
    assert any("left to the holder that took over" in line for line in first.findings)
    assert left(world, dead) == {SNAPSHOT.format(1)}


def test_a_run_that_comes_while_the_janitor_drains_gets_the_next_generation(
    world: World, make_run: MakeRun, dead: Run
) -> None:
    clean_up(world, dead, limit_s=30)
    assert not walk(world, make_run("run2")).red
    assert left(world, dead) == {SNAPSHOT.format(1), SNAPSHOT.format(2)}


def test_what_was_left_of_a_generation_that_is_over_is_removed(world: World, run: Run) -> None:
    provided(world, run)
    strays = list_owned(world.others, run.environment).owned
    walk(world, run)
    _make_again(world, strays)
    found = clean_up(world, run)
    assert len(found.findings) == 3
    assert all("generation 1 of slot" in line for line in found.findings)
    assert left(world, run) == {SNAPSHOT.format(1)}


def _make_again(world: World, strays: list[Any]) -> None:
    """Late creators, as it were: a role, a profile that holds it, and a group."""
    tags = [{"Key": TAG_ENVIRONMENT, "Value": "dev-immigration"}]
    iam, name = world.others.iam, "mayfly-dev-immigration-emr-ec2-g1"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}", Tags=tags)
    iam.create_instance_profile(InstanceProfileName=name, Tags=tags)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    world.others.ec2.create_security_group(
        GroupName="mayfly-dev-immigration-warehouse-sg-g1",
        Description="d",
        TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
    )
    assert {name, "mayfly-dev-immigration-warehouse-sg-g1"} <= {item.name for item in strays}


def test_a_cluster_that_shows_up_after_its_generation_is_over_is_ended(world: World, run: Run) -> None:
    world.wire.lag.lag_s = 0  # not about IAM
    drive(TakeLease(), run, world)
    world.emr.listed_after_s = 3000
    world.wire.inject("emr.RunJobFlow", Kind.KILLED_AFTER)
    with pytest.raises(Killed):
        EnsureEmr().begin(run)
    world.advance(LEASE_S + 1)
    clean_up(world, run)
    assert len(world.emr.live) == 1  # nobody can see it yet
    world.advance(3000)
    assert judge([clean_up(world, run)]) == FOUND
    assert world.emr.live == []
    assert left(world, run) == set()


def test_a_duplicate_cluster_of_a_slot_in_use_is_ended_and_the_other_is_not(world: World, run: Run) -> None:
    world.wire.lag.lag_s = 0  # not about IAM
    drive(TakeLease(), run, world)
    world.emr.listed_after_s = 300
    world.wire.inject("emr.RunJobFlow", Kind.LOST)
    drive(EnsureEmr(), run, world)
    first, second = world.emr.all
    recorded = world.register(PIPELINE).emr.cluster_id
    world.advance(400)
    found = clean_up(world, run)
    assert len(found.findings) == 1
    assert "RunJobFlow" in found.findings[0]
    assert {one.id for one in world.emr.live} == {recorded} < {first.id, second.id}


def test_look_alikes_are_never_touched(world: World, make_run: MakeRun) -> None:
    strangers = ForeignResources(world)
    run = provided(world, make_run("run1"))
    world.advance(LEASE_S + 1)
    clean_up(world, run)
    assert not strangers.touched


def test_a_dry_run_tells_all_and_touches_nothing(world: World, dead: Run) -> None:
    before, document = left(world, dead), world.register(PIPELINE)
    found = clean_up(world, dead, dry_run=True)
    assert len(found.findings) == len(list_owned(world.others, dead.environment).owned) + len(Slot)
    assert all(line.endswith("; would be removed") for line in found.findings)
    assert judge([found]) == FOUND
    assert written(world) == []
    assert left(world, dead) == before
    assert world.register(PIPELINE) == document


def test_old_snapshots_go_but_for_the_newest_and_those_that_the_register_names(
    world: World, make_run: MakeRun
) -> None:
    for number in range(1, 4):
        walk(world, make_run(f"run{number}", warehouse={"keep_snapshots": 20}))
        world.forget_held()
    run = make_run("run9", warehouse={"keep_snapshots": 2})
    found = clean_up(world, run)
    assert set(world.warehouses.snapshots) == {SNAPSHOT.format(2), SNAPSHOT.format(3)}
    assert [SNAPSHOT.format(1) in line for line in found.findings] == [True]


def test_what_is_held_past_its_time_raises_an_alarm_and_stays(world: World, make_run: MakeRun) -> None:
    run = provided(world, make_run("run1", max_age_s=600, lease_s=LEASE_S))
    world.advance(700)
    before = left(world, run)
    world.wire.calls.clear()
    found = clean_up(world, run)
    assert len(found.findings) == len(list_owned(world.others, run.environment).owned)
    assert all("past its mayfly:expires-at, still held by run1" in line for line in found.findings)
    assert left(world, run) == before
    assert written(world) == []


def test_a_generation_that_the_register_does_not_know_is_told_and_not_touched(world: World, run: Run) -> None:
    provided(world, run)
    before = left(world, run)
    world.others.s3.put_object(
        Bucket=BUCKET,
        Key="state/immigration/register.json",
        Body=b'{"environment": "dev-immigration", "version": 1}',
    )
    found = clean_up(world, run)
    assert len(found.findings) == len(list_owned(world.others, run.environment).owned)
    assert all("knows generations up to 0 only; not touched" in line for line in found.findings)
    assert left(world, run) == before


def test_a_corrupt_register_is_told_and_the_other_environments_are_served(world: World, dead: Run) -> None:
    world.others.s3.put_object(Bucket=BUCKET, Key="state/flats/register.json", Body=b"{")
    flats, immigration = make_pass(dead.settings, dead.aws, dead.services.clock, sleep=world.advance)
    assert "corrupt" in flats.errors[0]
    assert left(world, dead) == {SNAPSHOT.format(1)}
    assert immigration.errors == []
    assert judge([flats, immigration]) == ERROR


def test_settings_of_a_pipeline_that_cannot_be_used_keep_no_other_environment_from_being_served(
    world: World, dead: Run
) -> None:
    world.others.s3.put_object(Bucket=BUCKET, Key="state/birds/register.json", Body=b"{}")
    settings = dead.settings.model_copy(
        update={"override_mistakes": {"birds": ["emr.core_cuont: no such key"]}}
    )
    wrong, right = make_pass(settings, dead.aws, dead.services.clock, sleep=world.advance)
    assert "emr.core_cuont: no such key" in " ".join(wrong.errors)
    assert right.errors == []
    assert left(world, dead) == {SNAPSHOT.format(1)}


def test_one_environment_alone_is_looked_after_where_it_is_named(world: World, dead: Run) -> None:
    world.others.s3.put_object(Bucket=BUCKET, Key="state/flats/register.json", Body=b"{")
    world.others.s3.put_object(Bucket=BUCKET, Key="state/notes/readme.txt", Body=b"no register")
    for name in ("immigration", "dev-immigration"):
        assert clean_up(world, dead, only=name).holder.environment.name == "dev-immigration"
    with pytest.raises(SettingsError, match="dev-flats, dev-immigration"):
        clean_up(world, dead, only="taxis")


def test_a_refused_delete_is_an_error_and_all_else_is_removed(world: World, dead: Run) -> None:
    world.wire.inject("iam.DeleteRole", Kind.DENIED, times=math.inf)
    found = clean_up(world, dead)
    assert judge([found]) == ERROR
    assert any("mayfly-dev-immigration-warehouse-copy-g1" in error for error in found.errors)
    assert world.emr.live == []
    assert world.warehouses.live == []
    world.wire.faults.clear()
    world.advance(janitor.LEASE_S + 1)
    assert clean_up(world, dead).errors == []
    assert left(world, dead) == {SNAPSHOT.format(1)}


def test_throttling_is_waited_out(world: World, dead: Run) -> None:
    world.wire.inject("redshift.DeleteCluster", Kind.THROTTLED, times=12)
    assert clean_up(world, dead, limit_s=3600).errors == []
    assert left(world, dead) == {SNAPSHOT.format(1)}


def test_slots_are_drained_even_where_things_cannot_be_listed(world: World, dead: Run) -> None:
    world.wire.inject("iam.ListRoles", Kind.DENIED, times=math.inf)
    found = clean_up(world, dead)
    assert "ListRoles" in found.errors[0] or "list IAM roles" in found.errors[0]
    assert left(world, dead) == {SNAPSHOT.format(1)}


def test_rows_that_are_lost_are_an_error(world: World, dead: Run) -> None:
    world.warehouses.failing_snapshots = 1
    found = clean_up(world, dead)
    assert any("is lost" in error for error in found.errors)


def test_people_are_told_what_was_found_and_nothing_where_all_is_clean(world: World, dead: Run) -> None:
    topic = world.others.sns.create_topic(Name="people")["TopicArn"]
    run = replace(dead, settings=_with_topic(dead, topic))
    clean_up(world, run)
    (sent,) = world.wire.sent("sns.Publish")
    assert "dev-immigration" in sent.params["Subject"]
    assert "mayfly-dev-immigration-warehouse-g1" in sent.params["Message"]
    clean_up(world, run)
    assert len(world.wire.sent("sns.Publish")) == 1


def test_a_notification_that_cannot_be_sent_is_an_error_of_the_pass(world: World, dead: Run) -> None:
    run = replace(dead, settings=_with_topic(dead, "arn:aws:sns:us-east-1:123456789012:nobody"))
    found = clean_up(world, run)
    assert "notification" in found.errors[0]
    assert left(world, dead) == {SNAPSHOT.format(1)}


def _with_topic(run: Run, topic: str) -> Any:
    mayfly = run.settings.mayfly
    notify = mayfly.notify.model_copy(update={"sns_topic_arn": topic})
    return run.settings.model_copy(update={"mayfly": mayfly.model_copy(update={"notify": notify})})


def test_the_principals_policy_grants_every_call_of_the_janitor(world: World, dead: Run) -> None:
    topic = world.others.sns.create_topic(Name="people")["TopicArn"]
    clean_up(world, replace(dead, settings=_with_topic(dead, topic)))
    names = {"s3.ListObjectsV2": "s3:ListBucket", "s3.HeadObject": "s3:GetObject"}
    services = {"emr": "elasticmapreduce"}
    asked = {
        names.get(str(call), f"{services.get(call.service, call.service)}:{call.operation}")
        for call in world.wire.calls
    }
    granted: set[str] = set()
    for statement in POLICY["Statement"]:
        actions = statement["Action"]
        granted |= {actions} if isinstance(actions, str) else set(actions)
    assert "redshift:DeleteCluster" in asked
    assert asked - granted == set()


ODD_TIMES = [
    "never",
    "2026-01-01",
    "2026-01-01T12:00:00",
    "99999-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "",
    "0001-01-01T00:00:00Z",
]
ROLE = "mayfly-dev-immigration-warehouse-copy-g1"


def tag_role(world: World, value: str) -> None:
    world.others.iam.tag_role(RoleName=ROLE, Tags=[{"Key": TAG_EXPIRES_AT, "Value": value}])


@pytest.mark.parametrize("value", ODD_TIMES)
def test_a_tag_that_is_no_time_does_not_keep_a_dead_runs_things(world: World, dead: Run, value: str) -> None:
    tag_role(world, value)
    found = clean_up(world, dead)
    assert (found.errors, left(world, dead)) == ([], {SNAPSHOT.format(1)})
    assert any(ROLE in line and line.endswith("; removed") for line in found.findings)


@pytest.mark.parametrize("value", ["never", "2026-01-01", "2026-01-01T12:00:00", "99999-01-01T00:00:00Z", ""])
def test_a_tag_that_is_no_time_raises_an_alarm_on_what_is_held(world: World, run: Run, value: str) -> None:
    provided(world, run)
    tag_role(world, value)
    world.wire.calls.clear()
    found = clean_up(world, run)
    (line,) = found.findings
    assert f"{ROLE}" in line
    assert f"its tag mayfly:expires-at is {value!r}, a time such as 2026-01-31T12:00:00Z was expected" in line
    assert (found.errors, judge([found]), written(world)) == ([], FOUND, [])


def put_register(world: World, content: Any, pipeline: str = "immigration") -> None:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    world.others.s3.put_object(Bucket=BUCKET, Key=f"state/{pipeline}/register.json", Body=body)


def read_register(world: World) -> Any:
    answer = world.others.s3.get_object(Bucket=BUCKET, Key="state/immigration/register.json")
    return json.loads(answer["Body"].read())


@pytest.mark.parametrize("until", ["9999-12-31T23:59:59Z", "2100-01-01T00:00:00Z"])
def test_a_lease_that_nobody_can_have_taken_raises_an_alarm_and_keeps_nothing(
    world: World, run: Run, until: str
) -> None:
    provided(world, run)
    content = read_register(world)
    for slot in Slot:
        content[slot]["leases"] = [{"run": "run1", "until": until}]
        content[slot]["keep_alive_until"] = until
    put_register(world, content)
    told = clean_up(world, run, dry_run=True)
    found = clean_up(world, run)
    for one in (told, found):
        alarms = [line for line in one.findings if "at most 48 hours ahead were expected" in line]
        assert len(alarms) == 4
        assert f"the register has a lease of run1 until {until[:10]}" in alarms[0]
    assert (found.errors, left(world, run)) == ([], {SNAPSHOT.format(1)})
    assert world.register(PIPELINE).warehouse.snapshot == SNAPSHOT.format(1)
    assert clean_up(world, run).findings == []


def test_what_was_never_named_so_is_left_alone_and_not_found_again_and_again(world: World, run: Run) -> None:
    """`g01` was "removed" on each pass, and stayed; so was a role named as no role of ours is."""
    walk(world, run)
    tags = [{"Key": TAG_ENVIRONMENT, "Value": "dev-immigration"}]
    iam = world.others.iam
    for name in ("emr-ec2-g01", "emr-ec2-g-5", "emr-ec2-g", "emr-mine-g1"):
        role = f"mayfly-dev-immigration-{name}"
        iam.create_role(RoleName=role, AssumeRolePolicyDocument="{}", Tags=tags)
    found = clean_up(world, run)
    (alarm,) = found.findings
    assert "mayfly-dev-immigration-emr-mine-g1" in alarm
    assert "Mayfly gives no IAM role such a name; not touched: remove it by hand" in alarm
    assert found.errors == []
    assert len([role for role in iam.list_roles()["Roles"] if "immigration" in role["RoleName"]]) == 4


def test_whatever_befalls_one_environment_the_others_are_served(
    world: World, dead: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bodies = {
        "deep": b"[" * 100_000,
        "huge": b" " * (5 * 1024 * 1024),
        "odd": b"\xff",
        "array": b"[]",
        "zero": b"",
    }
    for pipeline, body in bodies.items():
        put_register(world, body, pipeline)
    for folder in ("Not A Pipeline", "..", "a" * 60, "ärger", "x-emr"):
        put_register(world, b"{}", folder)
    list_all = sweeper.list_owned

    def stumble(aws: Any, environment: Any) -> Any:
        if environment.pipeline == "bug":
            raise ZeroDivisionError("of a library")
        return list_all(aws, environment)

    put_register(world, {"environment": "dev-bug"}, "bug")
    monkeypatch.setattr(sweeper, "list_owned", stumble)
    found = make_pass(dead.settings, dead.aws, dead.services.clock, sleep=world.advance)
    by_pipeline = {one.holder.environment.pipeline: one for one in found}
    assert set(by_pipeline) == {*bodies, "bug", "immigration"}
    assert by_pipeline["bug"].errors == ["unexpected ZeroDivisionError: of a library"]
    assert "ZeroDivisionError" in caplog.text
    for pipeline in bodies:
        (error,) = by_pipeline[pipeline].errors
        assert f"/state/{pipeline}/register.json" in error
    assert by_pipeline["immigration"].errors == []
    assert left(world, dead) == {SNAPSHOT.format(1)}
    assert judge(found) == ERROR


def test_a_register_that_cannot_be_asked_for_is_an_error_of_its_environment_alone(
    world: World, dead: Run
) -> None:
    put_register(world, b"{}", "flats")
    world.wire.inject("s3.HeadObject", Kind.DENIED)  # of flats, the first by name
    flats, immigration = make_pass(dead.settings, dead.aws, dead.services.clock, sleep=world.advance)
    assert "state/flats/register.json" in flats.errors[0]
    assert (immigration.errors, left(world, dead)) == ([], {SNAPSHOT.format(1)})


def test_a_clean_up_that_stumbles_keeps_no_other_from_being_done(
    world: World, dead: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    tear_down = sweeper.tear_down_slot

    def stumble(holder: Any, slot: Slot, generation: int) -> None:
        if slot is Slot.EMR:
            raise KeyError("Clusters")
        tear_down(holder, slot, generation)

    monkeypatch.setattr(sweeper, "tear_down_slot", stumble)
    found = clean_up(world, dead)
    assert found.errors == ["unexpected KeyError: 'Clusters'"]
    assert any("could not be removed" in line for line in found.findings)
    assert phases(world) == [Phase.TEARING_DOWN, Phase.EMPTY]
    assert judge([found]) == ERROR


def test_a_slot_that_cannot_be_taken_over_keeps_the_other_from_nothing(
    world: World, dead: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_over = rules.take_over

    def stumble(state: Any, caller: Any) -> Any:
        if state.slot is Slot.EMR:
            raise RegisterError("not now")
        return take_over(state, caller)

    monkeypatch.setattr(rules, "take_over", stumble)
    found = clean_up(world, dead)
    assert found.errors == ["not now"]
    assert phases(world) == [Phase.READY, Phase.EMPTY]


def test_a_notification_that_stumbles_is_an_error_of_its_environment_alone(world: World, dead: Run) -> None:
    def stumble(*_: Any) -> None:
        raise ZeroDivisionError

    put_register(world, b"[]", "birds")
    clock = dead.services.clock
    birds, immigration = make_pass(dead.settings, dead.aws, clock, sleep=world.advance, tell=stumble)
    for one in (birds, immigration):
        assert "the notification could not be sent: unexpected ZeroDivisionError" in one.errors[-1]
