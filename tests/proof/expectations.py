"""The colour that a run under a fault must have, and what it may cost.

Green where a retry helps, red where a person has to know.
"""

from __future__ import annotations

from collections.abc import Sequence

from airflow_lib.janitor import PASS_S
from airflow_lib.polling import TRANSIENT_BUDGET_S
from airflow_lib.settings import WarehouseSettings
from tests.proof.faults import (
    AIRFLOW_GONE,
    ASLEEP,
    CAPACITY_REFUSED,
    EMR_ENDS,
    SESSIONS_LOST,
    SLOWNESS,
    UNLISTED,
    InjectedFault,
)
from tests.proof.scenario import LEASE_S
from tests.world.walk import RETRY_S
from tests.world.wire import Call

GREEN, RED, EITHER = "green", "red", "either"

# What a run does not need: logs are for people, a session that cannot be ended goes with its cluster, and what the
# preflight cannot know is no reason to refuse a run.
_DISPENSABLE = frozenset(
    {
        "livy.GET /sessions/{session}/log",
        "livy.DELETE /sessions/{session}",
        "s3.HeadBucket",
        "ec2.DescribeVpcAttribute",
        "ec2.DescribeInstanceTypeOfferings",
        "redshift.DescribeOrderableClusterOptions",
    }
)
# A run's last connection drops its staging; what it leaves there the next run drops.
_TIDYING = frozenset({"redshift.GetClusterCredentials", "warehouse.Connect", "warehouse.Commit"})
_CREATING = frozenset({"emr.RunJobFlow", "redshift.CreateCluster", "redshift.RestoreFromClusterSnapshot"})
_SPARK = "livy.GET /sessions/{session}/statements"
_IDENTITY = "sts.GetCallerIdentity"
_DELETE_S = WarehouseSettings.model_fields["delete_timeout_s"].default
_TRIES = 4  # of a release
_TRIES_BEFORE = 3  # of the task that meets the trouble first, before the releases do


def colour_of(fault: InjectedFault, at: int, calls: Sequence[Call]) -> str:
    """The colour of the run whose call `at` meets the fault; `calls` are the fault-free run's."""
    call, rest = str(calls[at]), [str(one) for one in calls[at:]]
    if fault.name == CAPACITY_REFUSED:
        return RED if _CREATING & set(rest) else GREEN
    if fault.name in (EMR_ENDS, UNLISTED, SESSIONS_LOST):
        return RED if _SPARK in rest else GREEN
    if fault.name == ASLEEP:
        return EITHER  # it may have had to lose its lease, or nothing at all
    if call == _IDENTITY and fault.denies:
        return RED  # whose credentials are refused has to renew them: an error at once, and no retry
    if call.startswith("livy.") and call not in _DISPENSABLE and fault.denies:
        return RED  # Livy asks for credentials, which Mayfly does not have
    if not fault.lasting:
        return GREEN
    if call in _DISPENSABLE or (call in _TIDYING and rest.count(call) == 1):
        return GREEN
    key = str(calls[at].params.get("Key"))
    if (
        "/loads/" in key
    ):  # a load must be able to empty it; what else is not told, or not known, is loaded again
        later = [one for one in calls[at + 1 :] if one.params.get("Key") == key and str(one) == call]
        return RED if call == "s3.PutObject" and later else GREEN
    if "/waits/" in key:
        return EITHER  # who has to wait writes it down; what is ready when that is tried again needs no such record
    return RED


def billed_s(fault: InjectedFault | None, clean_s: float) -> float:
    """For how long a cluster may be paid for at most, if it is `clean_s` in a fault-free run; None: under any faults.

    What passes costs what slow transitions cost. The dead cost a lease more, and a pass of the janitor. Where AWS
    refuses to delete, every try of a release waits for its deadline; every try, of the task before them too, begins in
    a worker, which bears what may be passing trouble. And a host that is asleep past its lease, which it is in pairs
    alone, sleeps as long as a lease lasts.
    """
    if fault is not None and fault.name == AIRFLOW_GONE:
        return clean_s + LEASE_S + PASS_S
    if fault is not None and not fault.lasting:
        return clean_s * SLOWNESS
    borne_s = (_TRIES_BEFORE + _TRIES) * (TRANSIENT_BUDGET_S + RETRY_S)
    asleep_s = LEASE_S if fault is None else 0
    return clean_s + borne_s + _TRIES * _DELETE_S + LEASE_S + asleep_s + PASS_S
