"""The register in S3: swaps that lose, answers that get lost, documents that cannot be read.

Every outcome of the rules' tables is in test_register_rules.py; every interleaving in test_register_model.py.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from airflow_lib.aws.s3_location import S3Location
from airflow_lib.errors import LeaseLost, RegisterError
from airflow_lib.lifecycle.document import Phase, Resource
from airflow_lib.lifecycle.register import Register
from airflow_lib.lifecycle.rules import AcquireOutcome, ReleaseOutcome
from airflow_lib.naming import Environment, Slot
from tests.world.memory_s3 import MemoryS3
from tests.world.timeline import START

ENVIRONMENT = Environment("prod", "immigration")
LOCATION = S3Location("state", "mayfly/immigration")
KEY = ("state", "mayfly/immigration/register.json")
LEASE_S = 1800


@pytest.fixture
def s3() -> MemoryS3:
    return MemoryS3()


@pytest.fixture
def register(s3: MemoryS3) -> Register:
    return open_register(s3)


def open_register(s3: MemoryS3, pauses: list[float] | None = None) -> Register:
    return Register(
        s3,
        LOCATION,
        ENVIRONMENT,
        lease_s=LEASE_S,
        sleep=(pauses if pauses is not None else []).append,
        jitter=lambda: 1.0,
    )


def make_ready(register: Register, slot: Slot, run: str) -> int:
    grant = register.acquire(slot, run)
    assert grant.outcome is AcquireOutcome.CREATE
    register.plan_resource(slot, run, "cluster", f"c{grant.generation}")
    register.complete_resource(slot, run, "cluster", f"c{grant.generation}", f"id{grant.generation}")
    register.mark_ready(slot, run)
    return grant.generation


def test_a_whole_life_leaves_the_slot_empty_and_the_snapshot_named(register: Register) -> None:
    generation = make_ready(register, Slot.WAREHOUSE, "run1")
    state = register.check(Slot.WAREHOUSE, "run1", generation)
    assert [(item.kind, item.name, item.id) for item in state.resources] == [("cluster", "c1", "id1")]
    assert register.release(Slot.WAREHOUSE, "run1").outcome is ReleaseOutcome.TEAR_DOWN
    register.plan_snapshot("run1", "s1")
    register.name_snapshot("run1", "s1")
    register.forget_resources(Slot.WAREHOUSE, "run1", [Resource("cluster", "c1")])
    register.mark_empty(Slot.WAREHOUSE, "run1")
    assert register.read().warehouse.phase is Phase.EMPTY
    grant = register.acquire(Slot.WAREHOUSE, "run2")
    assert (grant.outcome, grant.generation, grant.restore) == (AcquireOutcome.CREATE, 2, "s1")


def test_a_register_that_was_never_written_is_empty(register: Register, s3: MemoryS3) -> None:
    document = register.read()
    assert (document.environment, document.emr.phase, document.emr.generation) == (
        "prod-immigration",
        Phase.EMPTY,
        0,
    )
    assert register.uri == "s3://state/mayfly/immigration/register.json"
    assert not s3.objects


def test_the_slots_do_not_touch_each_other(register: Register) -> None:
    make_ready(register, Slot.EMR, "run1")
    before = register.read().emr
    make_ready(register, Slot.WAREHOUSE, "run1")
    register.release(Slot.WAREHOUSE, "run1")
    assert register.read().emr == before


def test_the_document_survives_its_json(register: Register, s3: MemoryS3) -> None:
    make_ready(register, Slot.WAREHOUSE, "run1")
    document = register.read()
    assert document.warehouse.lease("run1").until == START + timedelta(seconds=LEASE_S)
    content = json.loads(s3.objects[KEY])
    assert content["version"] == 1
    assert content["warehouse"]["resources"] == [{"kind": "cluster", "name": "c1", "id": "id1"}]


def test_time_is_s3s_and_not_the_hosts(register: Register, s3: MemoryS3) -> None:
    s3.now = datetime(2031, 1, 1, tzinfo=UTC)
    register.acquire(Slot.EMR, "run1")
    document, now = register.read_with_time()
    assert now == s3.now
    assert document.emr.lease("run1").until == s3.now + timedelta(seconds=LEASE_S)


def test_an_answer_without_a_date_is_told(s3: MemoryS3) -> None:
    register = Register(s3, LOCATION, ENVIRONMENT, lease_s=LEASE_S)
    s3._meta = lambda status: {"ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}}}
    with pytest.raises(RegisterError, match="no usable Date header"):
        register.acquire(Slot.EMR, "run1")


def test_a_call_that_changes_nothing_writes_nothing(register: Register, s3: MemoryS3) -> None:
    generation = make_ready(register, Slot.EMR, "run1")
    writes = s3.count("PutObject")
    register.check(Slot.EMR, "run1", generation)
    register.mark_ready(Slot.EMR, "run1")
    assert register.release(Slot.EMR, "stranger").outcome is ReleaseOutcome.NOT_HELD
    assert s3.count("PutObject") == writes


def between_read_and_write(s3: MemoryS3, act: Callable[[], object]) -> None:
    """Have somebody else `act` once, after the next read and before the write that follows it."""

    def once(_: str) -> None:
        del s3.before["PutObject"]
        act()

    s3.before["PutObject"] = once


def test_of_two_first_comers_one_creates_and_the_other_waits(register: Register, s3: MemoryS3) -> None:
    between_read_and_write(s3, lambda: open_register(s3).acquire(Slot.EMR, "run2"))
    assert register.acquire(Slot.EMR, "run1").outcome is AcquireOutcome.WAIT
    assert register.read().emr.owner == "run2"


def test_of_two_runs_that_finish_at_once_exactly_one_drains(register: Register, s3: MemoryS3) -> None:
    make_ready(register, Slot.EMR, "run1")
    register.acquire(Slot.EMR, "run2")
    other = []
    between_read_and_write(s3, lambda: other.append(open_register(s3).release(Slot.EMR, "run2")))
    mine = register.release(Slot.EMR, "run1")
    assert (other[0].outcome, other[0].others) == (ReleaseOutcome.SHARED, ("run1",))
    assert mine.outcome is ReleaseOutcome.TEAR_DOWN


def test_runs_of_many_threads_make_one_cluster_and_one_drain(s3: MemoryS3) -> None:
    lock = threading.Lock()
    put = s3.put_object

    def put_one_by_one(**kwargs: object) -> object:
        with lock:
            return put(**kwargs)

    s3.put_object = put_one_by_one
    make_ready(open_register(s3), Slot.EMR, "run0")
    outcomes: list[ReleaseOutcome] = []

    def live(run: str) -> None:
        register = Register(s3, LOCATION, ENVIRONMENT, lease_s=LEASE_S, sleep=lambda _: None)
        if run != "run0":
            assert register.acquire(Slot.EMR, run).outcome is AcquireOutcome.USE
        everybody.wait()
        outcomes.append(register.release(Slot.EMR, run).outcome)

    everybody = threading.Barrier(4)
    threads = [threading.Thread(target=live, args=(f"run{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [ReleaseOutcome.TEAR_DOWN, *[ReleaseOutcome.SHARED] * 3]


def test_a_write_whose_answer_got_lost_is_recognised(register: Register, s3: MemoryS3) -> None:
    make_ready(register, Slot.EMR, "run1")
    writes = s3.count("PutObject")
    s3.lose_after = 1
    assert register.release(Slot.EMR, "run1", keep_alive_s=60).outcome is ReleaseOutcome.KEPT
    assert s3.count("PutObject") == writes + 1
    assert register.read().emr.phase is Phase.READY


def test_a_lost_answer_is_recognised_although_others_wrote_since(register: Register, s3: MemoryS3) -> None:
    make_ready(register, Slot.EMR, "run1")
    register.acquire(Slot.EMR, "run2")
    s3.lose_after = 1
    reads = []

    def others_write_before_the_second_read(_: str) -> None:
        reads.append(1)
        if len(reads) == 2:
            del s3.before["GetObject"]
            open_register(s3).acquire(Slot.EMR, "run3")
            open_register(s3).acquire(Slot.EMR, "run4")

    s3.before["GetObject"] = others_write_before_the_second_read
    answer = register.release(Slot.EMR, "run1")
    assert (answer.outcome, answer.others) == (ReleaseOutcome.SHARED, ("run2",))
    assert [lease.run for lease in register.read().emr.leases] == ["run2", "run3", "run4"]


def test_a_write_that_never_arrived_is_made_again(register: Register, s3: MemoryS3) -> None:
    def lose(_: str) -> None:
        del s3.before["PutObject"]
        raise s3.timeout()

    s3.before["PutObject"] = lose
    assert register.acquire(Slot.EMR, "run1").outcome is AcquireOutcome.CREATE
    assert register.read().emr.generation == 1


@pytest.mark.parametrize(
    ("operation", "code", "status"),
    [
        ("PutObject", "ConditionalRequestConflict", 409),
        ("PutObject", "PreconditionFailed", 412),
        ("PutObject", "InternalError", 500),
        ("GetObject", "SlowDown", 503),
        ("GetObject", "RequestTimeout", 400),
    ],
)
def test_what_passes_is_tried_again_with_growing_pauses(
    s3: MemoryS3, operation: str, code: str, status: int
) -> None:
    pauses: list[float] = []
    register = open_register(s3, pauses)
    errors = [s3.error(operation, code, status)] * 3

    def fail(_: str) -> None:
        if errors:
            raise errors.pop()

    s3.before[operation] = fail
    assert register.acquire(Slot.EMR, "run1").outcome is AcquireOutcome.CREATE
    assert pauses == [0.05, 0.1, 0.2]


def test_what_does_not_pass_ends_after_bounded_attempts(s3: MemoryS3) -> None:
    pauses: list[float] = []
    register = open_register(s3, pauses)

    def fail(_: str) -> None:
        raise s3.error("PutObject", "ConditionalRequestConflict", 409)

    s3.before["PutObject"] = fail
    with pytest.raises(RegisterError, match=r"register.json could not .* 12 attempts; .*409|Conflict"):
        register.acquire(Slot.EMR, "run1")
    assert len(pauses) == 12
    assert sum(pauses) < 20


@pytest.mark.parametrize(("code", "status"), [("AccessDenied", 403), ("NoSuchBucket", 404)])
def test_a_refusal_is_told_at_once(register: Register, s3: MemoryS3, code: str, status: int) -> None:
    def refuse(_: str) -> None:
        raise s3.error("GetObject", code, status)

    s3.before["GetObject"] = refuse
    with pytest.raises(RegisterError, match=rf"register.json: S3 answered {code}"):
        register.acquire(Slot.EMR, "run1")
    assert s3.count("GetObject") == 1


def test_a_register_deleted_under_way_is_not_begun_anew(register: Register, s3: MemoryS3) -> None:
    make_ready(register, Slot.EMR, "run1")
    between_read_and_write(s3, lambda: s3.objects.pop(KEY))
    with pytest.raises(RegisterError, match="was deleted just now. Restore its last version"):
        register.release(Slot.EMR, "run1")
    assert not s3.objects


def damaged(change: Callable[[dict[str, object]], object]) -> bytes:
    s3 = MemoryS3()
    make_ready(open_register(s3), Slot.EMR, "run1")
    content = json.loads(s3.objects[KEY])
    change(content)
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"version": 1',
        b"{}",
        damaged(lambda content: content["emr"].update(phase="dreaming")),
        damaged(lambda content: content["emr"].update(phase="creating")),
        damaged(lambda content: content["emr"].update(owner="run9")),
        damaged(lambda content: content["emr"].update(phase="empty")),
        damaged(lambda content: content["emr"].update(generation="many")),
        damaged(lambda content: content["emr"].update(surprise=1)),
        damaged(lambda content: content["emr"]["leases"][0].update(until="2026-11-21T12:00:00")),
        damaged(lambda content: content.update(emr=content["warehouse"])),
        damaged(lambda content: content.pop("environment")),
        damaged(lambda content: content.update(version=0)),
        damaged(lambda content: content.update(version="x")),
    ],
)
def test_a_corrupt_document_is_told_and_left_as_it_is(register: Register, s3: MemoryS3, body: bytes) -> None:
    s3.put(*KEY, body)
    for call in (register.read, lambda: register.acquire(Slot.EMR, "run1")):
        with pytest.raises(RegisterError, match=r"register.json is corrupt .*Nothing was changed\. Restore"):
            call()
    assert s3.objects[KEY] == body
    assert s3.count("PutObject") == 0


def test_a_newer_document_is_told_and_left_as_it_is(register: Register, s3: MemoryS3) -> None:
    body = b'{"version": 2, "slots": {"emr": "in a form of the future"}}'
    s3.put(*KEY, body)
    with pytest.raises(RegisterError, match=r"version 2; this Mayfly knows 1\. .* deploy that release"):
        register.release(Slot.EMR, "run1")
    assert s3.objects[KEY] == body


def test_another_deployments_register_is_refused(register: Register, s3: MemoryS3) -> None:
    make_ready(register, Slot.EMR, "run1")
    other = Register(s3, LOCATION, Environment("test", "immigration"), lease_s=LEASE_S)
    with pytest.raises(RegisterError, match=r"of prod-immigration, not of test-immigration.*mayfly.s3.state"):
        other.acquire(Slot.EMR, "run1")


def test_a_run_that_wakes_up_after_its_lease_was_taken_can_do_nothing(
    register: Register, s3: MemoryS3
) -> None:
    generation = make_ready(register, Slot.WAREHOUSE, "run1")
    s3.pass_time(LEASE_S)
    assert register.reap(Slot.WAREHOUSE, "janitor").outcome is ReleaseOutcome.TEAR_DOWN
    before = s3.objects[KEY]
    for call in (
        lambda: register.check(Slot.WAREHOUSE, "run1", generation),
        lambda: register.renew("run1", Slot.WAREHOUSE, generation),
        lambda: register.plan_resource(Slot.WAREHOUSE, "run1", "cluster", "c1"),
        lambda: register.complete_resource(Slot.WAREHOUSE, "run1", "cluster", "c1", "id1"),
        lambda: register.forget_resources(Slot.WAREHOUSE, "run1", [Resource("cluster", "c1")]),
        lambda: register.mark_ready(Slot.WAREHOUSE, "run1"),
        lambda: register.plan_snapshot("run1", "s1"),
        lambda: register.name_snapshot("run1", "s1"),
        lambda: register.admit_loss("run1"),
        lambda: register.mark_empty(Slot.WAREHOUSE, "run1"),
    ):
        with pytest.raises(LeaseLost, match=r"run1 .*now it is warehouse generation 1, draining by janitor"):
            call()
    assert register.release(Slot.WAREHOUSE, "run1").outcome is ReleaseOutcome.NOT_HELD
    assert s3.objects[KEY] == before
