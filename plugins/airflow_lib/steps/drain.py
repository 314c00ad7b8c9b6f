"""A slot's drain, one look at a time: the sweep, the warehouse's final snapshot, and the register's pages."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from airflow_lib.errors import MayflyError
from airflow_lib.lifecycle.document import SlotState
from airflow_lib.lifecycle.register import Register
from airflow_lib.lifecycle.removal_tmp import sweep
from airflow_lib.lifecycle.rules import protected_snapshots
from airflow_lib.naming import Names, Slot, tags
from airflow_lib.resources import snapshots
from airflow_lib.resources.common import NotReady
from airflow_lib.steps import Holder
from airflow_lib.steps.leases import open_register

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Drained:
    """What one look came to: `pending` while the slot is not empty; `lost` where rows are gone for good."""

    pending: str | None = None
    lost: str | None = None


def drain(holder: Holder, slot: Slot, generation: int) -> Drained:
    """One look at a slot whose generation the holder drains; once all is gone the slot is marked empty.

    Raises LeaseLost; TeardownError naming what cannot be removed, once nothing else is pending.
    """
    try:
        return _look(holder, slot, generation)
    except NotReady as error:
        return Drained(pending=error.message)


def _look(holder: Holder, slot: Slot, generation: int) -> Drained:
    register = open_register(holder)
    state = register.check_draining(slot, holder.id, generation)
    names = Names(holder.environment, slot, generation)
    if state.unsaved:
        state = _save(holder, register, names, state)
    swept = sweep(holder.aws, names, keep_data=state.unsaved)
    if swept.failed and not swept.pending:
        swept.raise_failed(f"Slot {slot} of {holder.environment.name}, generation {generation},")
    if not swept.clean:
        return Drained(pending="; ".join((*swept.pending, *swept.failed)))
    pending, lost = _settle_snapshot(holder, register, names) if state.unsaved else (None, None)
    if pending is not None:
        return Drained(pending=pending)
    if state.resources:
        register.forget_resources(slot, holder.id, state.resources)
    if slot is Slot.WAREHOUSE:
        _prune(holder, register)  # while the slot is ours, nobody else names a snapshot
    register.mark_empty(slot, holder.id)
    return Drained(lost=lost)


def _save(holder: Holder, register: Register, names: Names, state: SlotState) -> SlotState:
    """The slot with its final snapshot planned and, as soon as it can be restored, named.

    Named before the cluster is seen gone: should the cluster be there all the same (its late creator made it
    again), what it holds is saved already, and Redshift would refuse a second snapshot of that name.
    """
    if state.pending_snapshot is None:
        state = register.plan_snapshot(holder.id, names.final_snapshot)
    view = snapshots.probe_snapshot(holder.aws.redshift, names.final_snapshot)
    if view is not None and view.failed and view.cluster == names.cluster:
        _forget_failed(holder, names)  # its name is taken: without this no other could be asked for
    if view is None or not view.ready:
        return state
    return _name_snapshot(holder, register, names)


def _forget_failed(holder: Holder, names: Names) -> None:
    log.warning("snapshot %s failed: it is deleted and asked for again", names.final_snapshot)
    snapshots.ensure_snapshot_tags(holder.aws.redshift, names, _tags(holder, names))
    snapshots.delete_snapshot(holder.aws.redshift, names.environment, names.final_snapshot)


def _tags(holder: Holder, names: Names) -> dict[str, str]:
    now, max_age_s = holder.services.clock.now(), holder.settings.mayfly.max_age_s
    return tags(names.environment, names.generation, now, max_age_s)


def _name_snapshot(holder: Holder, register: Register, names: Names) -> SlotState:
    snapshots.ensure_snapshot_tags(holder.aws.redshift, names, _tags(holder, names))
    state = register.name_snapshot(holder.id, names.final_snapshot)
    log.info("the warehouse's newest snapshot is %s", names.final_snapshot)
    return state


def _settle_snapshot(holder: Holder, register: Register, names: Names) -> tuple[str | None, str | None]:
    """The cluster is gone: its snapshot is named in the register as soon as it can be restored."""
    name = names.final_snapshot
    view = snapshots.probe_snapshot(holder.aws.redshift, name)
    if view is None or view.failed:
        register.admit_loss(holder.id)
        seen = view.state if view else "absent"
        return None, (
            f"Redshift cluster {names.cluster} is gone, and its final snapshot {name} is {seen}: what was loaded "
            "since the snapshot before it is lost. The next run restores that one; run the lost windows again."
        )
    if not view.ready:
        return f"snapshot {name}, which is {view.state}", None
    _name_snapshot(holder, register, names)
    return None, None


def _prune(holder: Holder, register: Register) -> None:
    """Old snapshots go: those that the register names stay, whatever their age.

    One that cannot go must not keep the slot from being empty: the inventory tells it.
    """
    never = protected_snapshots(register.read().warehouse)
    keep = holder.settings.mayfly.warehouse.keep_snapshots
    try:
        gone = snapshots.prune_snapshots(holder.aws.redshift, holder.environment, keep=keep, never=never)
    except (MayflyError, ClientError, BotoCoreError) as error:
        log.warning("old snapshots are left: %s", error)
        return
    if gone:
        log.info("old snapshots deleted: %s", ", ".join(gone))
