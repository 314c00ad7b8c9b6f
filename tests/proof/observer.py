"""Observes the baseline, call by call, for what its end does not show."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_lib.lifecycle.document import Phase
from airflow_lib.naming import (
    TAG_EMR_MANAGED,
    TAG_ENVIRONMENT,
    TAG_EXPIRES_AT,
    TAG_GENERATION,
    Slot,
    generation_of,
    slot_of,
)
from tests.proof.account import SNAPSHOT, Account, Thing, look, read_tags
from tests.proof.faults import environment_of
from tests.world import World
from tests.world.wire import Call

_CREATE = ("Create", "RunJobFlow", "Restore")
_NAMED_BY = (
    "RoleName",
    "InstanceProfileName",
    "GroupName",
    "ClusterIdentifier",
    "ClusterSubnetGroupName",
    "Name",
)
_TAGGED_LATER = frozenset({"Redshift cluster", SNAPSHOT})
_AT_BIRTH = frozenset({TAG_ENVIRONMENT, TAG_GENERATION, TAG_EXPIRES_AT})


class Observer:
    """`findings` is all that was wrong.

    What is created without its tags, or while the register does not say that its generation is being created; a
    cluster that is ended with sessions on it; a slot that is taken from its owner while the owner's lease is alive.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._before: Account = look()
        self._document = world.register(world.pipeline)
        self._found: dict[str, None] = {}
        world.wire.watchers.append(self._watch)

    @property
    def findings(self) -> list[str]:
        self._found.update(dict.fromkeys(self._untagged(in_use=True)))
        return list(self._found)

    def _watch(self, call: Call) -> None:
        wrong = [*self._untagged(in_use=call.service == "warehouse"), *self._taken()]
        if call.operation == "TerminateJobFlows":
            sessions = self._world.livy.listed()
            wrong += [f"the cluster is ended while session {one.name} is on it" for one in sessions]
        name = next((call.params[key] for key in _NAMED_BY if key in call.params), None)
        if name and call.operation.startswith(_CREATE) and not self._is_open(name):
            wrong.append(f"{call} creates {name}, whose generation nobody is creating by the register")
        self._found.update(dict.fromkeys(wrong))

    def _taken(self) -> Iterator[str]:
        before, self._document = self._document, self._world.register(self._world.pipeline)
        for slot in Slot:
            old, new = before.slot(slot), self._document.slot(slot)
            is_alive = old.owner in old.live(self._world.now())
            if is_alive and new.owner not in (None, old.owner) and new.generation == old.generation:
                yield f"{new.owner} took slot {slot} from {old.owner}, whose lease is alive"

    def _is_open(self, name: str) -> bool:
        """Whether the register says that the generation in the name is being created."""
        slot = slot_of(environment_of(self._world), name)
        state = self._world.register(self._world.pipeline).slot(slot) if slot else None
        return (
            state is not None
            and state.phase is Phase.CREATING
            and state.generation == generation_of(environment_of(self._world), name)
        )

    def _untagged(self, *, in_use: bool) -> Iterator[str]:
        """What is ours and lacks a tag; a restored cluster and a final snapshot get theirs before they are used."""
        for thing, tags in read_tags().items():
            if thing in self._before or (thing.kind in _TAGGED_LATER and not in_use):
                continue
            missing = _wanted(thing) - tags.keys()
            if missing:
                yield f"{thing} was born without {', '.join(sorted(missing))}"
            elif tags[TAG_GENERATION] != str(generation_of(environment_of(self._world), thing.name)):
                yield f"{thing} bears the tag of generation {tags[TAG_GENERATION]}"


def _wanted(thing: Thing) -> frozenset[str]:
    """AmazonEMRServicePolicy_v2 lets EMR use only what bears EMR's own tag."""
    for_emr = thing.kind in ("EMR cluster", "security group") and "-emr-" in thing.name
    return _AT_BIRTH | {TAG_EMR_MANAGED[0]} if for_emr else _AT_BIRTH
