"""Which colour a struck run must end in: green where a retry helps, red where a person has to know."""

from __future__ import annotations

from collections.abc import Sequence

from tests.proof.troubles import CAPACITY_REFUSED, EMR_ENDS, Trouble
from tests.world.wire import Call

GREEN, RED, EITHER = "green", "red", "either"

# What a run does not need: logs are for people, and a session that cannot be ended goes with its cluster.
_DISPENSABLE = frozenset({"livy.GET /sessions/{session}/log", "livy.DELETE /sessions/{session}"})
# A run's last connection drops its staging; what it leaves there the next run drops.
_TIDYING = frozenset({"redshift.GetClusterCredentials", "warehouse.Connect", "warehouse.Commit"})
_CREATING = frozenset({"emr.RunJobFlow", "redshift.CreateCluster", "redshift.RestoreFromClusterSnapshot"})
_SPARK = "livy.GET /sessions/{session}/statements"
_IDENTITY = "sts.GetCallerIdentity"


def colour_of(trouble: Trouble, at: int, calls: Sequence[Call]) -> str:
    """The colour of the run whose call `at` is struck; `calls` are the clean run's."""
    call, rest = str(calls[at]), [str(one) for one in calls[at:]]
    if trouble.name == CAPACITY_REFUSED:
        return RED if _CREATING & set(rest) else GREEN
    if trouble.name == EMR_ENDS:
        return RED if _SPARK in rest else GREEN
    if call == _IDENTITY and trouble.denies:
        return RED  # whose credentials are refused has to renew them: told at once, and not tried again
    if not trouble.lasting:
        return GREEN
    if call in _DISPENSABLE or (call in _TIDYING and rest.count(call) == 1):
        return GREEN
    return RED
