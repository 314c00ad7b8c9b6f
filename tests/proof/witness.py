"""Looks on at the clean walk, call by call, for what its end does not show."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_lib.naming import TAG_EMR_MANAGED, TAG_ENVIRONMENT, TAG_EXPIRES_AT, TAG_GENERATION
from tests.proof.account import SNAPSHOT, Account, Thing, look, read_tags
from tests.world import World
from tests.world.wire import Call

_AT_BIRTH = frozenset({TAG_ENVIRONMENT, TAG_GENERATION, TAG_EXPIRES_AT})


class Witness:
    """`told` is all that was wrong: what was born without its tags, a cluster ended with sessions on it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._before: Account = look()
        self._found: dict[str, None] = {}
        world.wire.watchers.append(self._watch)

    @property
    def told(self) -> list[str]:
        self._found.update(dict.fromkeys(self._untagged(snapshots=True)))
        return list(self._found)

    def _watch(self, call: Call) -> None:
        self._found.update(dict.fromkeys(self._untagged()))
        if call.operation == "TerminateJobFlows":
            for session in self._world.livy.listed():
                self._found[f"the cluster is ended while session {session.name} is on it"] = None

    def _untagged(self, *, snapshots: bool = False) -> Iterator[str]:
        """What is ours and lacks a tag. A final snapshot can only be tagged once it is there."""
        for thing, tags in read_tags().items():
            if thing in self._before or (thing.kind == SNAPSHOT and not snapshots):
                continue
            missing = _wanted(thing) - tags.keys()
            if missing:
                yield f"{thing} was born without {', '.join(sorted(missing))}"


def _wanted(thing: Thing) -> frozenset[str]:
    """AmazonEMRServicePolicy_v2 lets EMR use only what bears EMR's own tag."""
    for_emr = thing.kind in ("EMR cluster", "security group") and "-emr-" in thing.name
    return _AT_BIRTH | {TAG_EMR_MANAGED[0]} if for_emr else _AT_BIRTH
