"""What can go wrong at a call: each fault is injected as the call is sent, and may last beyond it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from airflow_lib.naming import Environment, is_ours
from airflow_lib.resources.owned import as_tags
from tests.proof.janitor import pass_once
from tests.proof.scenario import LEASE_S
from tests.world import World
from tests.world.emr_clusters import Reason
from tests.world.livy_servers import STARTING_S, STATEMENT_S
from tests.world.wire import Call, Fault, Kind

CAPACITY_REFUSED, EMR_ENDS = "capacity refused", "EMR ends with errors"
LOST_ANSWER, SEEN_LATE = "effect, then response lost", "effects seen late"
ROLES_LATE = "EMR takes roles that it does not see"
KILLED_AFTER = "killed before the answer is written down"
AIRFLOW_GONE, ASLEEP = "Airflow gone for good", "asleep past its lease"
UNLISTED, SESSIONS_LOST = "Livy lists no statements for ever", "Livy loses each session"

SLOWNESS = 4.0
_LATE_S = 45.0
_SESSION_LIFE_S = STARTING_S + STATEMENT_S / 2

Inject = Callable[[World, Call], Fault | None]


@dataclass(frozen=True)
class InjectedFault:
    """`inject` arranges the world as a call is sent, and answers the fault of that call itself.

    `lasting`: no retry helps while it lasts. `denies`: AWS refuses the credentials or a right.
    """

    name: str
    inject: Inject
    lasting: bool = False
    denies: bool = False


def environment_of(world: World) -> Environment:
    """The environment of the pipeline that is proved in the world."""
    return Environment("dev", world.pipeline.name)


def _fail_calls(kind: Kind, times: float = 1) -> Inject:
    """The call, and then the next ones of its kind, `times` in all."""

    def inject(world: World, call: Call) -> Fault:
        fault = Fault(call.service, call.operation, kind, times, when=_about(call))
        world.wire.faults.append(fault)
        return fault

    return inject


def _about(call: Call) -> Callable[[Call], bool]:
    """Calls of the same right: IAM grants S3 by key, all else that Mayfly uses by operation."""
    if call.service != "s3":
        return lambda _: True
    place = call.params.get("Key", call.params.get("Prefix"))
    return lambda other: other.params.get("Key", other.params.get("Prefix")) == place


def _slow(world: World, _: Call) -> None:
    world.timeline.slowness = SLOWNESS


def _late(world: World, _: Call) -> None:
    world.wire.late.delay_s = world.emr.listed_after_s = _LATE_S


def _late_roles(world: World, _: Call) -> None:
    world.wire.lag.takes = True


def _late_snapshots(world: World, _: Call) -> None:
    world.wire.late.was_on = True
    world.wire.late.snapshots_unseen_until = world.now() + timedelta(seconds=_LATE_S)


def _no_capacity(world: World, _: Call) -> Fault | None:
    refused = [
        Fault(
            "emr",
            "RunJobFlow",
            Kind.REFUSED,
            math.inf,
            code="ValidationException",
            message="Insufficient capacity",
        ),
        *(
            Fault("redshift", operation, Kind.REFUSED, math.inf, code="InsufficientClusterCapacity")
            for operation in ("CreateCluster", "RestoreFromClusterSnapshot")
        ),
    ]
    world.wire.faults += refused
    return None


def _end_emr(world: World, _: Call) -> None:
    """The run's cluster ends with errors now, or else its next one while it starts."""
    reason = Reason("INSTANCE_FAILURE", "The master failed: injected")
    environment = environment_of(world)
    mine = [one for one in world.emr.live if is_ours(environment, one.name, as_tags(one.tags))]
    for cluster in mine:
        world.emr.end(cluster, "TERMINATED_WITH_ERRORS", reason)
    if not mine:
        world.emr.failures.append(reason)


def _answer(status: int, body: str) -> Inject:
    """This one request is answered by something else than Livy, and nothing is done."""

    def inject(_: World, call: Call) -> Fault:
        return Fault(call.service, call.operation, Kind.ANSWERED, code=str(status), message=body)

    return inject


def _list_no_statements(times: float) -> Inject:
    """Livy answers 500 to GET statements, so often."""

    def inject(world: World, call: Call) -> Fault | None:
        fault = world.wire.inject("livy.GET /sessions/{session}/statements", Kind.ERROR, times)
        return fault if fault.concerns(call) else None

    return inject


def _lose_sessions(world: World, _: Call) -> None:
    """Those that are there now, and each new one before its job can be done."""
    for session in world.livy.listed():
        world.livy.vanish(session)
    world.livy.lost_after_s = _SESSION_LIFE_S


def _pass_by(world: World, _: Call) -> None:
    pass_once(world)


def _sleep(world: World, call: Call) -> None:
    """The host is suspended as it sends the call: its lease expires, the janitor comes, and then it goes on."""
    world.advance(LEASE_S + 1)
    _pass_by(world, call)


FAULTS = (
    InjectedFault("error before effect", _fail_calls(Kind.ERROR)),
    InjectedFault(LOST_ANSWER, _fail_calls(Kind.LOST)),
    InjectedFault("throttled twice", _fail_calls(Kind.THROTTLED, 2)),
    InjectedFault("throttled for ever", _fail_calls(Kind.THROTTLED, math.inf), lasting=True),
    InjectedFault("busy twice", _fail_calls(Kind.BUSY, 2)),
    InjectedFault("access denied once", _fail_calls(Kind.DENIED), denies=True),
    InjectedFault("access denied for ever", _fail_calls(Kind.DENIED, math.inf), lasting=True, denies=True),
    InjectedFault("timed out", _fail_calls(Kind.TIMEOUT)),
    InjectedFault(SEEN_LATE, _late),
    InjectedFault(ROLES_LATE, _late_roles),
    InjectedFault("snapshots not shown for a while", _late_snapshots),
    InjectedFault("slow transitions", _slow),
    InjectedFault(CAPACITY_REFUSED, _no_capacity, lasting=True),
    InjectedFault(EMR_ENDS, _end_emr, lasting=True),
    InjectedFault("killed before", _fail_calls(Kind.KILLED_BEFORE)),
    InjectedFault(KILLED_AFTER, _fail_calls(Kind.KILLED_AFTER)),
    InjectedFault(AIRFLOW_GONE, _fail_calls(Kind.GONE), lasting=True),
)
# What a Livy does that answers oddly: at the calls to Livy alone.
ODD_LIVY = (
    InjectedFault("Livy answers 404 and null", _answer(404, "null")),
    InjectedFault("Livy answers null", _answer(200, "null")),
    InjectedFault("Livy answers a string", _answer(200, '"busy"')),
    InjectedFault(
        "Livy answers HTML", _answer(200, "<html><body>Service Temporarily Unavailable</body></html>")
    ),
    InjectedFault("Livy lists no statements for a while", _list_no_statements(10)),
    InjectedFault(UNLISTED, _list_no_statements(math.inf), lasting=True),
    InjectedFault(SESSIONS_LOST, _lose_sessions, lasting=True),
)
# The janitor comes in the middle of the run: no fault of a call, so these come in pairs only.
VISITS = (
    InjectedFault(ASLEEP, _sleep, lasting=True),
    InjectedFault("the janitor passes by", _pass_by),
)
