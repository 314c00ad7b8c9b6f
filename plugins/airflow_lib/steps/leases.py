"""Leases as steps see them: asked before each use, prolonged while a step works or waits."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from airflow_lib.errors import SettingsError
from airflow_lib.lifecycle.register import Register
from airflow_lib.naming import Slot
from airflow_lib.steps import Holder, Json, Run

log = logging.getLogger(__name__)

# A lease outlives this many missed renewals.
_RENEWALS_PER_LEASE = 6


def open_register(of: Run | Holder) -> Register:
    """The environment's register, as the run or holder leases by it."""
    holder = of.holder if isinstance(of, Run) else of
    return Register(holder.aws.s3, holder.state_location, holder.environment, lease_s=holder.lease_s)


def tell_place(run: Run) -> Json:
    """Where this run's leases are: what must not change before they are given up."""
    return {"region": run.settings.region, "register": open_register(run).uri}


def check_place(run: Run, place: Json | None) -> None:
    """Raise SettingsError where the Variables name another place than the one where the leases were taken.

    There the run would find nothing to release and nothing left, and its clusters would stay.
    """
    if place is None:
        return
    now = tell_place(run)
    moved = [f"{key} was {place[key]}, now it is {now[key]}" for key in now if place.get(key) != now[key]]
    if moved:
        raise SettingsError(
            f"The Airflow Variables changed since run {run.run_id} took its leases ({'; '.join(moved)}), so what it "
            "made cannot be found. Put them back, clear this task, and change them when no run is under way."
        )


def holders(run: Run, slot: Slot) -> set[str]:
    """The runs with a lease on the slot, expired ones included."""
    return {lease.run for lease in open_register(run).read().slot(slot).leases}


def renew_leases(run: Run, state: Json, needs: Slot) -> Json:
    """`state` with the generation of `needs` that this run holds, and when its leases were last renewed.

    Renews, when it is due, whatever this run holds: a step keeps the other slot for the steps beside it.
    Raises LeaseLost where `needs` was taken away since the first call, or is of another generation now.
    """
    if not _is_due(run, state):
        return state
    document = open_register(run).renew(run.run_id, needs, state.get("generation"))
    generation = document.slot(needs).generation
    return {**state, "generation": generation, "renewed_at": run.services.clock.now().isoformat()}


def renew_held(run: Run, state: Json) -> Json:
    """As `renew_leases`, for a run that has yet to get what it waits for: what it holds is kept meanwhile."""
    if not _is_due(run, state):
        return state
    open_register(run).renew(run.run_id)
    return {**state, "renewed_at": run.services.clock.now().isoformat()}


@contextmanager
def keeping_lease(run: Run, needs: Slot) -> Iterator[None]:
    """Renews this run's leases while the body works (a long COPY, a long load), from a thread.

    And before, where that is due: many short tasks, one after the other, never live to see the thread's first time.
    """
    done = threading.Event()
    every = _every(run)
    document, now = open_register(run).read_with_time()
    generation, lease = document.slot(needs).generation, document.slot(needs).lease(run.run_id)

    def renew() -> None:
        try:
            open_register(run).renew(run.run_id, needs, generation)
        except Exception as error:  # noqa: BLE001  whatever it is, the next renewal may go well
            log.warning("a lease could not be renewed: %s", error)

    def keep() -> None:
        while not done.wait(every.total_seconds()):
            renew()

    if lease is not None and lease.until - now <= timedelta(seconds=run.settings.mayfly.lease_s) - every:
        renew()
    keeper = threading.Thread(target=keep, name="lease-keeper", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()


def _every(run: Run) -> timedelta:
    return timedelta(seconds=run.settings.mayfly.lease_s / _RENEWALS_PER_LEASE)


def _is_due(run: Run, state: Json) -> bool:
    renewed_at = state.get("renewed_at")
    return renewed_at is None or run.services.clock.now() - datetime.fromisoformat(renewed_at) >= _every(run)
