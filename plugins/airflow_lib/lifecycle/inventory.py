"""What has our name and tag, and what the register says of each: one classification for inventory and janitor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from airflow_lib.aws.clients import Aws
from airflow_lib.aws.errors import explain
from airflow_lib.lifecycle.document import Document, Phase, SlotState
from airflow_lib.naming import Environment, Names, Slot, generation_of, slot_of
from airflow_lib.resources import emr_cluster
from airflow_lib.resources.owned import Owned
from airflow_lib.resources.registry import REGISTRY
from airflow_lib.resources.snapshots import SNAPSHOT, kept_snapshots


@dataclass(frozen=True)
class Listing:
    """What has our name and tag; `unlisted` are the kinds that AWS did not list, each with the reason."""

    owned: tuple[Owned, ...]
    unlisted: Mapping[str, str]

    @property
    def problems(self) -> list[str]:
        """One line per kind that could not be listed."""
        return [f"{kind}: cannot be listed: {reason}" for kind, reason in self.unlisted.items()]


class Standing(StrEnum):
    """What the register says of one thing."""

    HELD = "held"  # of the live generation, which a live lease or a keep-alive holds
    UNHELD = "unheld"  # of the live generation, which nobody holds
    DUPLICATE = "duplicate"  # an EMR cluster beside the recorded one, in a live generation
    ORPHAN = "orphan"  # of a generation that is over
    UNKNOWN = "unknown"  # of a generation above the register's: the register is an older version
    KEPT_SNAPSHOT = "kept snapshot"  # named by the register, or among the newest
    OLD_SNAPSHOT = "old snapshot"


@dataclass(frozen=True)
class Finding:
    """One thing, its slot and generation, its standing, and which runs hold that generation by live leases."""

    item: Owned
    slot: Slot
    generation: int
    standing: Standing
    holders: tuple[str, ...] = ()
    kept_alive: bool = False


@dataclass(frozen=True)
class Inventory:
    """One line per thing: `left` should not be there, `kept` is still held or named."""

    left: tuple[str, ...]
    kept: tuple[str, ...]


def list_owned(aws: Aws, environment: Environment) -> Listing:
    """Everything in the account that has the environment's name and tag, snapshots included.

    What cannot be listed keeps nothing else from being listed.
    """
    owned: list[Owned] = []
    unlisted: dict[str, str] = {}
    for kind in REGISTRY:
        try:
            owned += kind.list_owned(aws, environment)
        except Exception as error:  # noqa: BLE001  an answer that nobody foresaw must not hide the other kinds
            unlisted[kind.title] = explain(error)
    return Listing(tuple(owned), unlisted)


def classify(
    owned: Iterable[Owned],
    environment: Environment,
    document: Document,
    now: datetime,
    *,
    keep_snapshots: int,
) -> list[Finding]:
    """What the register, read at S3's time `now`, says of each thing listed before.

    Listed first and read after, so that what is found an orphan was one already.
    """
    owned = list(owned)
    snapshots = [item for item in owned if item.kind == SNAPSHOT]
    kept = kept_snapshots(snapshots, document.warehouse.protected_snapshots, keep_snapshots)
    findings = []
    for item in owned:
        slot, generation = slot_of(environment, item.name), generation_of(environment, item.name)
        if slot is None or generation is None:
            continue  # not ours by its name; no list of ours has it
        state = document.slot(slot)
        if item.kind == SNAPSHOT:
            standing = Standing.KEPT_SNAPSHOT if item.name in kept else Standing.OLD_SNAPSHOT
        else:
            standing = standing_of(item, state, generation, now)
        is_live = generation == state.generation and state.phase is not Phase.EMPTY
        holders = state.live(now) if is_live else ()
        findings.append(Finding(item, slot, generation, standing, holders, is_live and state.kept_alive(now)))
    return findings


def standing_of(item: Owned, state: SlotState, generation: int, now: datetime) -> Standing:
    """The standing of one thing that is no snapshot, by its slot's state and the generation in its name."""
    if generation > state.generation:
        return Standing.UNKNOWN
    if generation < state.generation or state.phase is Phase.EMPTY:
        return Standing.ORPHAN
    if state.phase is Phase.READY and item.kind == emr_cluster.CLUSTER and item.id != state.cluster_id:
        return Standing.DUPLICATE  # every other kind's names are unique
    return Standing.HELD if state.live(now) or state.kept_alive(now) else Standing.UNHELD


def take_inventory(
    environment: Environment,
    listing: Listing,
    document: Document,
    now: datetime,
    *,
    run: str,
    keep_snapshots: int,
) -> Inventory:
    """What is left and what is kept, when `run` has released all that it held.

    Kept is what a keep-alive or a live lease of another run holds: what `run` itself still holds is what it could not
    remove. Of a kind that could not be listed, every name of a live generation counts as there.
    """
    slots = [document.slot(slot) for slot in Slot]
    alive = [(state.slot, state.generation) for state in slots if state.phase is not Phase.EMPTY]
    owned = [*listing.owned, *_names_of_unlisted(environment, alive, listing.unlisted)]
    left: list[str] = []
    kept: list[str] = []
    for finding in classify(owned, environment, document, now, keep_snapshots=keep_snapshots):
        held = finding.kept_alive or any(holder != run for holder in finding.holders)
        is_kept = held if finding.item.kind != SNAPSHOT else finding.standing is Standing.KEPT_SNAPSHOT
        (kept if is_kept else left).append(str(finding.item))
    return Inventory(tuple(left), tuple(kept))


def take_unregistered_inventory(environment: Environment, listing: Listing) -> Inventory:
    """What is left where the register cannot be read: all that there is, for nothing is known to be held.

    Of a kind that could not be listed, every name counts as there of each generation of which anything else is.
    """
    seen = dict.fromkeys(
        (slot, generation)
        for item in listing.owned
        if item.kind != SNAPSHOT  # it outlives its generation
        and (slot := slot_of(environment, item.name)) is not None
        and (generation := generation_of(environment, item.name)) is not None
    )
    owned = [*listing.owned, *_names_of_unlisted(environment, seen, listing.unlisted)]
    return Inventory(left=tuple(str(item) for item in owned), kept=())


def names_of(environment: Environment, state: SlotState) -> list[str]:
    """One line per thing that the slot's generation may consist of, whether or not AWS lists it."""
    names = Names(environment, state.slot, state.generation)
    return [f"{kind.title} {name}" for kind in REGISTRY if kind.delete for name in kind.names(names)]


def names_of_kind(title: str, names: Names) -> frozenset[str]:
    """The names that things of one kind bear in a generation."""
    return frozenset(name for kind in REGISTRY if kind.title == title for name in kind.names(names))


def _names_of_unlisted(
    environment: Environment, generations: Iterable[tuple[Slot, int]], unlisted: Mapping[str, str]
) -> Iterator[Owned]:
    for slot, generation in generations:
        names = Names(environment, slot, generation)
        for kind in REGISTRY:
            if kind.title in unlisted and kind.delete:  # a snapshot is to stay
                yield from (Owned(kind.title, name, name, state="not listed") for name in kind.names(names))
