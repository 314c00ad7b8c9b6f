"""What bears our name and tag, sorted: `left` should not be there, `kept` is still held or named."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from airflow_lib.lifecycle.document import Document, Phase
from airflow_lib.lifecycle.removal_tmp import Listing
from airflow_lib.lifecycle.rules import kept_snapshots, protected_snapshots
from airflow_lib.naming import Environment, Slot, slot_of
from airflow_lib.resources.common import Owned
from airflow_lib.resources.snapshots import SNAPSHOT, SnapshotState


@dataclass(frozen=True)
class Inventory:
    """One line a thing."""

    left: tuple[str, ...]
    kept: tuple[str, ...]


def sort_owned(
    environment: Environment,
    listing: Listing,
    document: Document,
    now: datetime,
    *,
    run: str,
    keep_snapshots: int,
) -> Inventory:
    """Sort what was listed before the register was read.

    Kept is what a keep-alive or a live lease of another run holds: `run` itself has let go of everything, so what
    it still holds is what it could not remove. Of the snapshots those are kept that the register names, and the
    newest `keep_snapshots`. Of a kind that could not be listed, what the register has written down counts as there.
    """
    owned = [*listing.owned, *_recorded(document, listing.unlisted)]
    snapshots = [item for item in owned if item.kind == SNAPSHOT]
    named = named_snapshots(snapshots, document, keep_snapshots)
    left: list[str] = []
    kept: list[str] = []
    for item in owned:
        is_kept = (
            item.name in named if item.kind == SNAPSHOT else _is_held(environment, item, document, now, run)
        )
        (kept if is_kept else left).append(str(item))
    return Inventory(tuple(left), tuple(kept))


def named_snapshots(snapshots: Iterable[Owned], document: Document, keep: int) -> frozenset[str]:
    """The snapshots, listed oldest first, that stay: the register's, and the newest `keep` that can be restored."""
    restorable = [item.name for item in snapshots if item.state == SnapshotState.AVAILABLE]
    return kept_snapshots(protected_snapshots(document.warehouse), restorable, keep)


def _recorded(document: Document, kinds: Container[str]) -> Iterator[Owned]:
    """What the register has on record of `kinds`."""
    for slot in Slot:
        for item in document.slot(slot).resources:
            if item.kind in kinds:
                yield Owned(item.kind, item.id or item.name, item.name, state="by the register")


def _is_held(environment: Environment, item: Owned, document: Document, now: datetime, run: str) -> bool:
    slot = slot_of(environment, item.name)
    state = document.slot(slot or Slot.EMR)
    if slot is None or state.phase is Phase.EMPTY or item.generation(environment) != state.generation:
        return False
    return any(holder != run for holder in state.live(now)) or state.kept_alive(now)
