"""Leases as steps see them: asked before each use, renewed while a step works or waits."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from airflow_lib.errors import LeaseLost, SettingsError
from airflow_lib.lifecycle import rules
from airflow_lib.lifecycle.document import Document, SlotState
from airflow_lib.naming import Slot
from airflow_lib.steps import Json, Run

log = logging.getLogger(__name__)

# How often a lease is renewed while it lasts.
_RENEWALS_PER_LEASE = 6


def register_location(run: Run) -> Json:
    """Where this run's leases are: what must not change before they are given up."""
    return {"region": run.settings.region, "register": run.register.uri}


def check_register_location(run: Run, location: Json | None) -> None:
    """Raise SettingsError where the Variables name another register than the one where the leases were taken.

    There the run would find nothing to release and nothing left, and its clusters would stay.
    """
    if location is None:
        return
    now = register_location(run)
    moved = [
        f"{key} was {location[key]}, now it is {now[key]}" for key in now if location.get(key) != now[key]
    ]
    if moved:
        raise SettingsError(
            f"The Airflow Variables changed since run {run.run_id} took its leases ({'; '.join(moved)}), so what it "
            "created cannot be found. Put them back, clear this task, and change them when no run is under way."
        )


def list_holders(run: Run, slot: Slot) -> set[str]:
    """The runs with a lease on the slot, expired ones included."""
    return {lease.run for lease in run.register.read().slot(slot).leases}


def renew_for_the_queued(run: Run, document: Document, now: datetime) -> Document:
    """The register's document, once the leases are renewed that ran out while their runs waited in Airflow's queue.

    No task of such a run is begun or deferred, so nobody renews them; but it goes on when its turn comes, and must find
    the clusters. `document` is the register's at `now`. A run that Airflow does not know to be running gets nothing.
    """
    expired = {lease.run for slot in Slot for lease in document.slot(slot).leases if lease.until <= now} - {
        run.run_id
    }
    queued = sorted(name for name in expired if run.is_under_way(name))
    if not queued:
        return document
    log.info("the leases of %s are renewed: they wait in Airflow's queue", ", ".join(queued))
    return run.register.renew_for(queued)


def hold(run: Run, slot: Slot) -> SlotState:
    """The slot as it is, where this run may use it now; a lease that ran out, and that nobody took, is renewed first.

    Raises LeaseLost.
    """
    try:
        return run.register.apply(slot, rules.check)
    except LeaseLost:
        run.register.renew(slot)
        return run.register.apply(slot, rules.check)


def renew_leases(run: Run, state: Json, *, needs: Slot | None) -> None:
    """Renew all leases of this run, if the last renewal is old enough; the other slot's too, for steps beside this one.

    `state` keeps the time of that renewal and the generation of the slot `needs`, which must stay the same.
    Raises LeaseLost where that lease was lost since the first call, or the generation changed. `needs` is None where
    the run may have no lease yet.
    """
    renewed_at = state.get("renewed_at")
    now = run.services.clock.now()
    if renewed_at is not None and now - datetime.fromisoformat(renewed_at) < _interval(run):
        return
    document = run.register.renew(needs, state.get("generation") if needs else None)
    if needs is not None:
        state["generation"] = document.slot(needs).generation
    state["renewed_at"] = now.isoformat()


@contextmanager
def keeping_lease(run: Run, needs: Slot) -> Iterator[None]:
    """Renews this run's leases while the body works (a long COPY, a long load), from a thread.

    Also once at the start, if a renewal is due: short tasks end before the thread's first renewal.
    """
    done = threading.Event()
    interval = _interval(run)
    document, now = run.register.read_with_time()
    generation, lease = document.slot(needs).generation, document.slot(needs).lease(run.run_id)

    def renew() -> None:
        try:
            run.register.renew(needs, generation)
        except Exception as error:  # noqa: BLE001  whatever it is, the next renewal may go well
            log.warning("a lease could not be renewed: %s", error)

    def keep() -> None:
        while not done.wait(interval.total_seconds()):
            renew()

    if lease is not None and lease.until - now <= timedelta(seconds=run.settings.mayfly.lease_s) - interval:
        renew()
    keeper = threading.Thread(target=keep, name="lease-keeper", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()


def _interval(run: Run) -> timedelta:
    return timedelta(seconds=run.settings.mayfly.lease_s / _RENEWALS_PER_LEASE)
