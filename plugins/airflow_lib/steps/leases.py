"""Leases as steps see them: asked before each use, prolonged while a step works or waits."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from airflow_lib.errors import LeaseLost, MayflyError
from airflow_lib.naming import Slot
from airflow_lib.register import Register, SlotState
from airflow_lib.steps import Holder, Json, Run

log = logging.getLogger(__name__)

# A lease outlives this many missed renewals.
_RENEWALS_PER_LEASE = 6


def open_register(of: Run | Holder) -> Register:
    """The environment's register, as the run or holder leases by it."""
    holder = of.holder if isinstance(of, Run) else of
    return Register(holder.aws.s3, holder.state_location, holder.environment, lease_s=holder.lease_s)


def require_lease(run: Run, slot: Slot) -> SlotState:
    """The slot, which this run may use right now. Raises LeaseLost."""
    register = open_register(run)
    return register.check(slot, run.run_id, register.read().slot(slot).generation)


def holders(run: Run, slot: Slot) -> set[str]:
    """The runs with a lease on the slot, expired ones included."""
    return {lease.run for lease in open_register(run).read().slot(slot).leases}


def renew_leases(run: Run, state: Json) -> Json:
    """`state` with what this run holds and when that was last renewed; renews it when it is due.

    What the first call finds is held to: a slot taken away since, or another generation of it, is LeaseLost.
    """
    now = run.services.clock.now()
    renewed_at = state.get("renewed_at")
    every = timedelta(seconds=run.settings.mayfly.lease_s / _RENEWALS_PER_LEASE)
    if renewed_at is not None and now - datetime.fromisoformat(renewed_at) < every:
        return state
    held = state.get("held") or _held(run)
    _renew(run, held)
    return {**state, "held": held, "renewed_at": now.isoformat()}


@contextmanager
def keeping_lease(run: Run) -> Iterator[None]:
    """Renews this run's leases from a thread while the body works (a long COPY, a long load)."""
    done = threading.Event()
    every_s = run.settings.mayfly.lease_s / _RENEWALS_PER_LEASE

    held = _held(run)

    def keep() -> None:
        while not done.wait(every_s):
            try:
                _renew(run, held)
            except MayflyError as error:
                log.warning("a lease could not be renewed: %s", error)

    keeper = threading.Thread(target=keep, name="lease-keeper", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()


def _held(run: Run) -> dict[str, int]:
    """The generation of each slot that this run has a lease on. Raises LeaseLost where it has none."""
    document = open_register(run).read()
    held = {
        slot.value: document.slot(slot).generation
        for slot in Slot
        if document.slot(slot).lease(run.run_id) is not None
    }
    if not held:
        raise LeaseLost(f"Run {run.run_id} holds nothing of {run.environment.name} any more. Clear the task.")
    return held


def _renew(run: Run, held: dict[str, int]) -> None:
    register = open_register(run)
    for slot, generation in held.items():
        register.renew(Slot(slot), run.run_id, generation)
