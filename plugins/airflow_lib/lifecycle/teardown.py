"""Tears down a slot's generation, poll by poll: its resources, the warehouse's final snapshot, the register's slot.

Each call asks once for everything that can be asked for now, and is repeated until it returns: by a run's release,
by the janitor, or by a run that wants the slot. The order is the registry's. Failing at one thing never keeps the
others from being tried.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from airflow_lib.aws.clients import Aws
from airflow_lib.aws.errors import AWS_ERRORS, explain, is_transient
from airflow_lib.errors import (
    CredentialsRefused,
    MayflyError,
    NotReady,
    ResourceError,
    RowsLost,
    TeardownError,
)
from airflow_lib.lifecycle import rules
from airflow_lib.lifecycle.document import SlotState
from airflow_lib.lifecycle.holder import Holder
from airflow_lib.naming import Names, Slot
from airflow_lib.resources import snapshots
from airflow_lib.resources.registry import REGISTRY

log = logging.getLogger(__name__)


def tear_down_resources(aws: Aws, names: Names, *, keep_data: bool) -> None:
    """Ask for the removal of all of a generation's resources; returning means that none is left.

    `keep_data` is whether a warehouse leaves a final snapshot.
    Raises NotReady while something is still being deleted, else TeardownError naming what could not be removed; what
    is none of ours is raised as it is, where nothing else failed.
    """
    pending: list[str] = []
    failed: list[str] = []
    unforeseen: list[Exception] = []
    for kind in REGISTRY:
        if kind.delete is None:
            continue
        try:
            kind.delete(aws, names, keep_data=keep_data)
        except CredentialsRefused:
            raise  # nothing else could be asked for, either
        except Exception as error:  # noqa: BLE001  whatever it is, the other kinds are tried, and it is raised below
            _collect(error, pending, failed, unforeseen)
        if kind.uses_the_rest and (pending or failed):
            break
    if pending:
        raise NotReady("; ".join((*pending, *failed)))
    if failed:
        raise _error_of(names, failed, unforeseen)


def _collect(error: Exception, pending: list[str], failed: list[str], unforeseen: list[Exception]) -> None:
    if isinstance(error, NotReady):
        pending.append(error.message)
    elif isinstance(error, MayflyError):
        failed.append(error.message.removeprefix("- "))
    elif is_transient(error):
        pending.append(f"AWS is busy: {error}")
    else:
        unforeseen.append(error)
        failed.append(explain(error))


def _error_of(names: Names, failed: Sequence[str], unforeseen: Sequence[Exception]) -> Exception:
    """The error to raise where nothing is pending."""
    if len(unforeseen) == len(failed):
        return unforeseen[0]
    lines = "\n".join(f"- {line}" for line in failed)
    return TeardownError(
        f"Slot {names.slot} of {names.environment.name}, generation {names.generation}, could not be removed "
        f"completely; left are:\n{lines}\n"
        "Remove the cause and clear this task; until then the janitor keeps trying."
    )


def tear_down_slot(holder: Holder, slot: Slot, generation: int) -> None:
    """Tear down the slot's generation, which the holder owns; returning means that the slot is marked empty.

    Raises NotReady while something is still being deleted; LeaseLost where the holder does not tear it down (any more);
    TeardownError naming what cannot be removed; RowsLost, once the slot is empty, where a warehouse's rows are lost.
    """
    register = holder.register
    state = register.apply(slot, rules.check_tearing_down, generation=generation)
    names = Names(holder.environment, slot, generation)
    if state.unsaved:
        state = _plan_or_record_snapshot(holder, names, state)
    try:
        tear_down_resources(holder.aws, names, keep_data=state.unsaved)
    except ResourceError:
        if state.absent_since is not None:  # the warehouse may be there after all, and so may its snapshot
            _record_absence(holder, names, absent=False)
        raise
    lost = _finish_snapshot(holder, names) if state.unsaved else None
    if slot is Slot.WAREHOUSE:
        _prune_snapshots(holder)  # while the slot is ours, nobody else records a snapshot
    register.apply(slot, rules.mark_empty, generation=generation)
    if lost is not None:
        raise RowsLost(lost)


def _plan_or_record_snapshot(holder: Holder, names: Names, state: SlotState) -> SlotState:
    """The slot with its final snapshot planned and, as soon as it can be restored, recorded.

    It is recorded without waiting for the cluster to be gone: if a late creator created the cluster again, its rows
    are saved already, and Redshift refuses a second snapshot of that name.
    """
    if state.pending_snapshot is None:
        state = holder.register.apply(
            Slot.WAREHOUSE, rules.plan_snapshot, generation=names.generation, name=names.final_snapshot
        )
    view = snapshots.probe_snapshot(holder.aws.redshift, names.final_snapshot)
    if view is not None and view.failed and view.cluster == names.cluster:
        _delete_failed_snapshot(holder, names)  # its name is taken: without this no other could be asked for
    if view is None or not view.ready:
        return state
    return _record_snapshot(holder, names)


def _delete_failed_snapshot(holder: Holder, names: Names) -> None:
    log.warning("snapshot %s failed: it is deleted and asked for again", names.final_snapshot)
    snapshots.ensure_snapshot_tags(holder.aws.redshift, names, holder.tags(names.generation))
    snapshots.delete_snapshot(holder.aws.redshift, names.environment, names.final_snapshot)


def _record_snapshot(holder: Holder, names: Names) -> SlotState:
    snapshots.ensure_snapshot_tags(holder.aws.redshift, names, holder.tags(names.generation))
    state = holder.register.apply(
        Slot.WAREHOUSE, rules.record_snapshot, generation=names.generation, name=names.final_snapshot
    )
    log.info("the warehouse's newest snapshot is %s", names.final_snapshot)
    return state


def _finish_snapshot(holder: Holder, names: Names) -> str | None:
    """The cluster is gone: record its snapshot as soon as it can be restored; or return what is lost.

    Raises NotReady while the snapshot is being taken, or has not been absent for long enough to believe it: one
    answer of AWS's may be late. Raises UnknownState.
    """
    name = names.final_snapshot
    view = snapshots.probe_snapshot(holder.aws.redshift, name)
    absent_s = _record_absence(holder, names, absent=view is None)
    if view is None and absent_s < holder.settings.mayfly.warehouse.absent_after_s:
        raise NotReady(f"snapshot {name}, which AWS has not shown for {absent_s:.0f} s")
    if view is None or view.failed:
        holder.register.apply(Slot.WAREHOUSE, rules.record_loss, generation=names.generation)
        state = view.state if view else "absent"
        return (
            f"Redshift cluster {names.cluster} is gone, and its final snapshot {name} is {state}: what was loaded "
            "since the snapshot before it is lost. The next run restores that one; run the lost windows again."
        )
    view.check_known()
    if not view.ready:
        raise NotReady(f"snapshot {name} is {view.state}")
    _record_snapshot(holder, names)
    return None


def _record_absence(holder: Holder, names: Names, *, absent: bool) -> float:
    return holder.register.apply(
        Slot.WAREHOUSE, rules.record_absence, generation=names.generation, absent=absent
    )


def _prune_snapshots(holder: Holder) -> None:
    """Delete old snapshots. One that cannot go must not keep the slot from being empty: the inventory lists it."""
    protected = holder.register.read().warehouse.protected_snapshots
    keep = holder.settings.mayfly.warehouse.keep_snapshots
    try:
        deleted = snapshots.prune_snapshots(
            holder.aws.redshift, holder.environment, keep=keep, protected=protected
        )
    except (MayflyError, *AWS_ERRORS) as error:
        log.warning("old snapshots are left: %s", error)
        return
    if deleted:
        log.info("old snapshots deleted: %s", ", ".join(deleted))
