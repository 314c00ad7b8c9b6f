"""The register in S3: writes that lose, answers that get lost, documents that cannot be read.

Every outcome of the rules' tables is in test_rules.py; every interleaving in test_register_model.py.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from botocore.exceptions import IncompleteReadError, ResponseStreamingError

from airflow_lib.aws.s3_location import S3Location
from airflow_lib.errors import CredentialsRefused, LeaseLost, RegisterError, RegisterUnreachable
from airflow_lib.lifecycle import rules
from airflow_lib.lifecycle.document import LivyRecord, Phase
from airflow_lib.lifecycle.register import Register
from airflow_lib.lifecycle.rules import AcquireOutcome, Release, ReleaseOutcome
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


def open_register(s3: MemoryS3, run: str = "run1", pauses: list[float] | None = None) -> Register:
    return Register(
        s3,
        LOCATION,
        ENVIRONMENT,
        holder=run,
        lease_s=LEASE_S,
        sleep=(pauses if pauses is not None else []).append,
        jitter=lambda: 1.0,
    )


def acquire(s3: MemoryS3, run: str, slot: Slot = Slot.EMR) -> AcquireOutcome:
    return open_register(s3, run).apply(slot, rules.acquire).outcome


def release(s3: MemoryS3, run: str, slot: Slot = Slot.EMR) -> Release:
    return open_register(s3, run).apply(slot, rules.release)


def make_ready(register: Register, slot: Slot) -> int:
    grant = register.apply(slot, rules.acquire)
    assert grant.outcome is AcquireOutcome.CREATE
    if slot is Slot.EMR:
        register.apply(slot, rules.record_request, generation=grant.generation, last=None)
        cluster_id = f"j-{grant.generation}"
        register.apply(slot, rules.record_cluster, generation=grant.generation, cluster_id=cluster_id)
        register.apply(slot, rules.record_livy, generation=grant.generation, livy=LivyRecord("http"))
    register.apply(slot, rules.mark_ready, generation=grant.generation)
    return grant.generation


def test_a_whole_life_leaves_the_slot_empty_and_the_snapshot_recorded(
    register: Register, s3: MemoryS3
) -> None:
    generation = make_ready(register, Slot.WAREHOUSE)
    register.apply(Slot.WAREHOUSE, rules.check, generation=generation)
    assert register.apply(Slot.WAREHOUSE, rules.release).outcome is ReleaseOutcome.TEAR_DOWN
    register.apply(Slot.WAREHOUSE, rules.plan_snapshot, generation=generation, name="s1")
    register.apply(Slot.WAREHOUSE, rules.record_snapshot, generation=generation, name="s1")
    register.apply(Slot.WAREHOUSE, rules.mark_empty, generation=generation)
    assert register.read().warehouse.phase is Phase.EMPTY
    grant = open_register(s3, "run2").apply(Slot.WAREHOUSE, rules.acquire)
    assert (grant.outcome, grant.generation, grant.state.snapshot) == (AcquireOutcome.CREATE, 2, "s1")


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
    make_ready(register, Slot.EMR)
    before = register.read().emr
    make_ready(register, Slot.WAREHOUSE)
    register.apply(Slot.WAREHOUSE, rules.release)
    assert register.read().emr == before


def test_the_document_survives_its_json(register: Register, s3: MemoryS3) -> None:
    make_ready(register, Slot.WAREHOUSE)
    document = register.read()
    assert document.warehouse.lease("run1").until == START + timedelta(seconds=LEASE_S)
    content = json.loads(s3.objects[KEY])
    assert content["version"] == 3
    assert content["warehouse"]["phase"] == "ready"


def test_time_is_s3s_and_not_the_hosts(register: Register, s3: MemoryS3) -> None:
    s3.now = datetime(2031, 1, 1, tzinfo=UTC)
    register.apply(Slot.EMR, rules.acquire)
    document, now = register.read_with_time()
    assert now == s3.now
    assert document.emr.lease("run1").until == s3.now + timedelta(seconds=LEASE_S)


def test_an_answer_without_a_date_is_an_error(s3: MemoryS3) -> None:
    register = Register(s3, LOCATION, ENVIRONMENT, holder="run1", lease_s=LEASE_S)
    s3._meta = lambda status: {"ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}}}
    with pytest.raises(RegisterError, match="no usable Date header"):
        register.apply(Slot.EMR, rules.acquire)


def test_a_call_that_changes_nothing_writes_nothing(register: Register, s3: MemoryS3) -> None:
    generation = make_ready(register, Slot.EMR)
    writes = s3.count("PutObject")
    register.apply(Slot.EMR, rules.check, generation=generation)
    register.apply(Slot.EMR, rules.mark_ready, generation=generation)
    assert release(s3, "nobody").outcome is ReleaseOutcome.NOT_HELD
    assert s3.count("PutObject") == writes


def between_read_and_write(s3: MemoryS3, act: Callable[[], object]) -> None:
    """Have somebody else `act` once, after the next read and before the write that follows it."""

    def once(_: str) -> None:
        del s3.before["PutObject"]
        act()

    s3.before["PutObject"] = once


def test_of_two_first_acquirers_one_creates_and_the_other_waits(register: Register, s3: MemoryS3) -> None:
    between_read_and_write(s3, lambda: acquire(s3, "run2"))
    assert register.apply(Slot.EMR, rules.acquire).outcome is AcquireOutcome.WAIT
    assert register.read().emr.owner == "run2"


def test_of_two_runs_that_finish_at_once_exactly_one_tears_down(register: Register, s3: MemoryS3) -> None:
    make_ready(register, Slot.EMR)
    acquire(s3, "run2")
    other = []
    between_read_and_write(s3, lambda: other.append(release(s3, "run2")))
    mine = register.apply(Slot.EMR, rules.release)
    assert (other[0].outcome, other[0].others) == (ReleaseOutcome.SHARED, ("run1",))
    assert mine.outcome is ReleaseOutcome.TEAR_DOWN


def test_runs_of_many_threads_create_one_cluster_and_one_tears_down(s3: MemoryS3) -> None:
    lock = threading.Lock()
    put = s3.put_object

    def put_one_by_one(**kwargs: object) -> object:
        with lock:
            return put(**kwargs)

    s3.put_object = put_one_by_one
    make_ready(open_register(s3, "run0"), Slot.EMR)
    outcomes: list[ReleaseOutcome] = []

    def live(run: str) -> None:
        if run != "run0":
            assert acquire(s3, run) is AcquireOutcome.USE
        everybody.wait()
        outcomes.append(release(s3, run).outcome)

    everybody = threading.Barrier(4)
    threads = [threading.Thread(target=live, args=(f"run{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == sorted([ReleaseOutcome.TEAR_DOWN, *[ReleaseOutcome.SHARED] * 3])


def test_a_write_whose_answer_got_lost_is_recognised(register: Register, s3: MemoryS3) -> None:
    make_ready(register, Slot.EMR)
    writes = s3.count("PutObject")
    s3.lose_after = 1
    assert register.apply(Slot.EMR, rules.release, keep_alive_s=60).outcome is ReleaseOutcome.KEPT
    assert s3.count("PutObject") == writes + 1
    assert register.read().emr.phase is Phase.READY


def test_a_lost_answer_is_recognised_although_others_wrote_since(register: Register, s3: MemoryS3) -> None:
    make_ready(register, Slot.EMR)
    acquire(s3, "run2")
    s3.lose_after = 1
    reads = []

    def others_write_before_the_second_read(_: str) -> None:
        reads.append(1)
        if len(reads) == 2:
            del s3.before["GetObject"]
            acquire(s3, "run3")
            acquire(s3, "run4")

    s3.before["GetObject"] = others_write_before_the_second_read
    answer = register.apply(Slot.EMR, rules.release)
    assert (answer.outcome, answer.others) == (ReleaseOutcome.SHARED, ("run2",))
    assert [lease.run for lease in register.read().emr.leases] == ["run2", "run3", "run4"]


def test_a_write_that_never_arrived_is_made_again(register: Register, s3: MemoryS3) -> None:
    def lose(_: str) -> None:
        del s3.before["PutObject"]
        raise s3.timeout()

    s3.before["PutObject"] = lose
    assert register.apply(Slot.EMR, rules.acquire).outcome is AcquireOutcome.CREATE
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
def test_what_is_transient_is_tried_again_with_growing_pauses(
    s3: MemoryS3, operation: str, code: str, status: int
) -> None:
    pauses: list[float] = []
    register = open_register(s3, pauses=pauses)
    errors = [s3.error(operation, code, status)] * 3

    def fail(_: str) -> None:
        if errors:
            raise errors.pop()

    s3.before[operation] = fail
    assert register.apply(Slot.EMR, rules.acquire).outcome is AcquireOutcome.CREATE
    assert pauses == [0.05, 0.1, 0.2]


def test_a_persistent_conflict_ends_after_bounded_attempts(s3: MemoryS3) -> None:
    pauses: list[float] = []
    register = open_register(s3, pauses=pauses)

    def fail(_: str) -> None:
        raise s3.error("PutObject", "ConditionalRequestConflict", 409)

    s3.before["PutObject"] = fail
    with pytest.raises(RegisterError, match=r"register.json could not .* 12 attempts; .*409|Conflict"):
        register.apply(Slot.EMR, rules.acquire)
    assert len(pauses) == 12
    assert sum(pauses) < 20


@pytest.mark.parametrize(("code", "status"), [("SlowDown", 503), ("RequestTimeout", 400)])
def test_an_s3_that_stays_busy_is_unreachable_and_may_be_tried_again(
    s3: MemoryS3, code: str, status: int
) -> None:
    register = open_register(s3, pauses=[])

    def fail(_: str) -> None:
        raise s3.error("GetObject", code, status)

    s3.before["GetObject"] = fail
    with pytest.raises(RegisterUnreachable, match=code):
        register.read()
    assert s3.count("GetObject") == 12


def test_an_answer_that_is_cut_off_is_read_again(s3: MemoryS3) -> None:
    left = [IncompleteReadError(actual_bytes=1, expected_bytes=2), ResponseStreamingError(error="reset")]

    def cut(_: str) -> None:
        if left:
            raise left.pop(0)

    s3.before["GetObject"] = cut
    assert open_register(s3, pauses=[]).read().slot(Slot.EMR).phase is Phase.EMPTY
    assert left == []


def test_a_conflict_that_stays_is_not_taken_for_a_busy_s3(s3: MemoryS3) -> None:
    register = open_register(s3, pauses=[])

    def fail(_: str) -> None:
        raise s3.error("PutObject", "PreconditionFailed", 412)

    s3.before["PutObject"] = fail
    with pytest.raises(RegisterError) as caught:
        register.apply(Slot.EMR, rules.acquire)
    assert not isinstance(caught.value, RegisterUnreachable)


def test_expired_credentials_are_told_as_such_and_at_once(register: Register, s3: MemoryS3) -> None:
    def refuse(_: str) -> None:
        raise s3.error("GetObject", "ExpiredToken", 400)

    s3.before["GetObject"] = refuse
    with pytest.raises(CredentialsRefused, match=r"register.json: AWS answered ExpiredToken"):
        register.read()
    assert s3.count("GetObject") == 1


@pytest.mark.parametrize(("code", "status"), [("AccessDenied", 403), ("NoSuchBucket", 404)])
def test_a_refusal_is_raised_at_once(register: Register, s3: MemoryS3, code: str, status: int) -> None:
    def refuse(_: str) -> None:
        raise s3.error("GetObject", code, status)

    s3.before["GetObject"] = refuse
    with pytest.raises(RegisterError, match=rf"Could not access s3://.*register.json: AWS answered {code}"):
        register.apply(Slot.EMR, rules.acquire)
    assert s3.count("GetObject") == 1


def test_a_register_deleted_between_read_and_write_is_not_written_anew(
    register: Register, s3: MemoryS3
) -> None:
    make_ready(register, Slot.EMR)
    between_read_and_write(s3, lambda: s3.objects.pop(KEY))
    with pytest.raises(RegisterError, match="was deleted just now. Restore its last version"):
        register.apply(Slot.EMR, rules.release)
    assert not s3.objects


def damaged(change: Callable[[dict[str, object]], object]) -> bytes:
    s3 = MemoryS3()
    make_ready(open_register(s3), Slot.EMR)
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
def test_a_corrupt_document_is_an_error_and_left_as_it_is(
    register: Register, s3: MemoryS3, body: bytes
) -> None:
    s3.put(*KEY, body)
    for call in (register.read, lambda: register.apply(Slot.EMR, rules.acquire)):
        with pytest.raises(RegisterError, match=r"register.json is corrupt .*Nothing was changed\. Restore"):
            call()
    assert s3.objects[KEY] == body
    assert s3.count("PutObject") == 0


def test_a_newer_document_is_an_error_and_left_as_it_is(register: Register, s3: MemoryS3) -> None:
    body = b'{"version": 4, "slots": {"emr": "in a form of the future"}}'
    s3.put(*KEY, body)
    with pytest.raises(RegisterError, match=r"version 4; this Mayfly knows 3\. .* deploy that version"):
        register.apply(Slot.EMR, rules.release)
    assert s3.objects[KEY] == body


def test_another_deployments_register_is_refused(register: Register, s3: MemoryS3) -> None:
    make_ready(register, Slot.EMR)
    other = Register(s3, LOCATION, Environment("test", "immigration"), holder="run1", lease_s=LEASE_S)
    with pytest.raises(RegisterError, match=r"of prod-immigration, not of test-immigration.*mayfly.s3.state"):
        other.apply(Slot.EMR, rules.acquire)


def test_a_run_that_resumes_after_its_lease_was_taken_can_do_nothing(
    register: Register, s3: MemoryS3
) -> None:
    generation = make_ready(register, Slot.WAREHOUSE)
    s3.pass_time(LEASE_S)
    janitor = open_register(s3, "janitor")
    assert janitor.apply(Slot.WAREHOUSE, rules.take_over).outcome is ReleaseOutcome.TEAR_DOWN
    before = s3.objects[KEY]
    warehouse = partial(register.apply, Slot.WAREHOUSE)
    for call in (
        lambda: warehouse(rules.check, generation=generation),
        lambda: warehouse(rules.check_creating, generation=generation),
        lambda: warehouse(rules.check_tearing_down, generation=generation),
        lambda: register.renew(Slot.WAREHOUSE, generation),
        lambda: warehouse(rules.record_request, generation=generation, last=None),
        lambda: warehouse(rules.record_cluster, generation=generation, cluster_id="j-1"),
        lambda: warehouse(rules.mark_ready, generation=generation),
        lambda: warehouse(rules.plan_snapshot, generation=generation, name="s1"),
        lambda: warehouse(rules.record_snapshot, generation=generation, name="s1"),
        lambda: warehouse(rules.record_absence, generation=generation, absent=True),
        lambda: warehouse(rules.record_loss, generation=generation),
        lambda: warehouse(rules.mark_empty, generation=generation),
    ):
        with pytest.raises(
            LeaseLost, match=r"run1 .*now it is warehouse generation 1, tearing down by janitor"
        ):
            call()
    assert warehouse(rules.release).outcome is ReleaseOutcome.NOT_HELD
    assert s3.objects[KEY] == before


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b"[" * 100_000, "is corrupt (nested deeper than 64 levels)"),
        (b" " * (5 * 1024 * 1024), "is 5242880 bytes long"),
        (b'{"environment": "prod-immigration", "version": NaN}', "is corrupt (NaN is not JSON)"),
        (b'{"version": 2, "version": 2}', "is corrupt (the key 'version' is there twice)"),
        (
            b'{"environment": "prod-immigration", "version": ' + b"9" * 5000 + b"}",
            "an integer of more than 64 bits",
        ),
        (b"\xff\xfe", "is corrupt (not UTF-8"),
    ],
    ids=["deep", "huge", "NaN", "twice", "digits", "bytes"],
)
def test_a_register_that_is_no_document_is_an_error_and_is_left_as_it_is(
    s3: MemoryS3, register: Register, body: bytes, cause: str
) -> None:
    s3.put(*KEY, body)
    for call in (register.read, partial(register.apply, Slot.EMR, rules.acquire), register.renew):
        with pytest.raises(RegisterError) as caught:
            call()
        assert "s3://state/mayfly/immigration/register.json" in str(caught.value)
        assert cause in str(caught.value)
    assert s3.objects[KEY] == body


@pytest.mark.parametrize(
    "date",
    [
        *(
            "",
            "never",
            "\x00",
            "21 Nov 2026",
            "Sat, 21 Nov 2026 25:00:00 GMT",
            "Sat, 21 Nov 99999 12:00:00 GMT",
        ),
        *(
            "Fri, 31 Dec 9999 23:59:59 -2359",
            "Sat, 21 Nov 2026 12:00:00 +99999999",
        ),
    ],
)
def test_a_date_of_s3_that_is_none_is_an_error_that_names_the_register(s3: MemoryS3, date: str) -> None:
    register = Register(s3, LOCATION, ENVIRONMENT, holder="run1", lease_s=LEASE_S)
    s3._meta = lambda status: {"ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {"date": date}}}
    with pytest.raises(RegisterError, match=r"register.json: S3's answer has no usable Date header"):
        register.read()
