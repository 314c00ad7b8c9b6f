"""What was answered to reads, given again while nothing changed: half of a run's reads ask what was asked before."""

from __future__ import annotations

import pickle
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from tests.world.timeline import Timeline

_READS = ("Describe", "List", "Get")
# Nothing on the wire changes these, and nobody checks passwords here.
_CONSTANT = frozenset(
    {
        "DescribeInstanceTypeOfferings",
        "DescribeOrderableClusterOptions",
        "DescribeRouteTables",
        "DescribeSubnets",
        "DescribeVpcAttribute",
        "GetCallerIdentity",
        "GetClusterCredentials",
    }
)
# What goes on by itself as time passes.
_ALIVE = ("emr", "redshift")


class ReadCache:
    """`on` may be set where the account changes by calls on the wire and by the timeline alone."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._answers: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
        self._constant: dict[str, bytes] = {}
        self._happened = 0
        self.on = False

    def ask(self, service: str, operation: str, params: Mapping[str, Any], send: Callable[[], Any]) -> Any:
        """The answer, or the refusal, to the same call since the last change; or else what `send` comes to."""
        if not operation.startswith(_READS):
            self.forget(service)
            return send()
        if self._happened != self._timeline.happened:
            self._happened = self._timeline.happened
            self.forget(*_ALIVE)
        kept = self._constant if operation in _CONSTANT else self._answers[service]
        key = f"{operation} {sorted(params.items())}"
        if key not in kept:
            kept[key] = pickle.dumps(_outcome(send))
        outcome = pickle.loads(kept[key])
        if isinstance(outcome, ClientError):
            raise outcome
        return outcome

    def forget(self, *services: str) -> None:
        """Something may have changed there."""
        for service in services:
            self._answers.pop(service, None)


def _outcome(send: Callable[[], Any]) -> Any:
    try:
        return send()
    except ClientError as error:
        return error
