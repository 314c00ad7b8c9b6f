"""Steps that release: a slot's release, whose last holder tears down, and the inventory of what is left."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from airflow_lib.aws.errors import AWS_ERRORS
from airflow_lib.errors import RegisterError, ResourceError, RowsLost, TeardownError
from airflow_lib.lifecycle import inventory, rules
from airflow_lib.lifecycle.document import SlotState
from airflow_lib.lifecycle.inventory import (
    Listing,
    list_owned,
    names_of,
    take_inventory,
    take_unregistered_inventory,
)
from airflow_lib.lifecycle.rules import Release, ReleaseOutcome
from airflow_lib.lifecycle.teardown import tear_down_slot
from airflow_lib.naming import Slot, run_key, staging_schema
from airflow_lib.steps import Done, Failed, ImmediateStep, Json, Outcome, Run
from airflow_lib.steps.batch import read_batch
from airflow_lib.steps.clusters import find_warehouse, is_usable
from airflow_lib.steps.held import store_loads
from airflow_lib.steps.leases import renew_for_the_queued
from airflow_lib.steps.polling_step import PollingStep
from airflow_lib.steps.work import had_work
from airflow_lib.warehouse import load as warehouse
from airflow_lib.warehouse.connection import Connection
from airflow_lib.warehouse.ledger import finish_load

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReleaseSlot(PollingStep):
    """Gives up this run's lease on a slot; the last holder waits until all of it is gone.

    Failed where rows of the warehouse were lost. Raises TeardownError naming what could not be removed.
    Each try may wait as long again: what a teardown has not removed yet nobody else removes but the janitor, which
    may not be running.
    """

    slot: Slot  # type: ignore[misc]  # which slot differs from step to step
    retry_renews_deadline = True

    @property
    def name(self) -> str:
        return f"{type(self).__name__}-{self.slot}"

    def timeout_s(self, run: Run) -> float:
        settings = run.settings.mayfly
        return (settings.emr if self.slot is Slot.EMR else settings.warehouse).delete_timeout_s

    def timed_out(self, run: Run, what: str, deadline: str) -> TeardownError:
        return TeardownError(
            f"Slot {self.slot} of {run.environment.name} was not empty in time (until {deadline[:19]} UTC): "
            f"{what}. Clear this task to continue; otherwise the janitor continues."
        )

    def begin(self, run: Run) -> Outcome:
        document, now = run.register.read_with_time()
        state = renew_for_the_queued(run, document, now).slot(self.slot)
        if self.slot is Slot.WAREHOUSE and state.lease(run.run_id) is not None and state.owner is None:
            _tidy_up(run, is_last=not set(state.live(now)) - {run.run_id})
        try:
            release = self._give_up_lease(run, state)
        except RegisterError as error:
            raise _naming_what_is_held(error, run, state) from error
        log.info("%s: %s %s", self.slot, release.outcome, ", ".join(release.others))
        if release.outcome is not ReleaseOutcome.TEAR_DOWN:
            until = {"until": release.until.isoformat()} if release.until else {}
            return Done({"outcome": release.outcome, "others": list(release.others), **until})
        return self.poll(run, {"generation": release.generation})

    def advance(self, run: Run, state: Json) -> Done | Failed:
        result: Json = {"outcome": ReleaseOutcome.TEAR_DOWN}
        try:
            tear_down_slot(run.holder, self.slot, state["generation"])
        except RowsLost as error:
            return Failed({**result, "lost": error.message}, error.message)
        return Done(result)

    def _give_up_lease(self, run: Run, state: SlotState) -> Release:
        """Release the slot; without a lease, take over what a dead run left there: the janitor would come later."""
        keep_alive_s = self._keep_alive_s(run, state)
        register = run.register
        release = register.apply(
            self.slot, rules.release, keep_alive_s=keep_alive_s or 0, end_keep_alive=keep_alive_s is None
        )
        if release.outcome is not ReleaseOutcome.NOT_HELD:
            return release
        taken = register.apply(self.slot, rules.take_over, end_keep_alive=not run.expects_more)
        return taken if taken.outcome is ReleaseOutcome.TEAR_DOWN else release

    def _keep_alive_s(self, run: Run, state: SlotState) -> float | None:
        """For how long from now the slot is to outlive this run; None ends what earlier runs left.

        A run that had no work prolongs nothing, so a feed that stops does not keep clusters for ever. A backfill's runs
        are counted beforehand: there a day without rows, whose tasks all succeeded, keeps them for the days to come.
        """
        keep_alive_s = run.settings.mayfly.keep_alive_s
        if not keep_alive_s or not run.expects_more or not is_usable(run, state):
            return None
        return keep_alive_s if (run.is_backfill and run.succeeded) or had_work(run) else 0


@dataclass(frozen=True)
class TakeInventory(ImmediateStep):
    """What has our name and tag: `left`, which must be empty, and `kept`. Kept with the run, in S3 too."""

    def begin(self, run: Run) -> Outcome:
        listing = list_owned(run.aws, run.environment)
        problems = listing.problems
        try:
            taken = self._take(run, listing)
        except RegisterError as error:
            problems.append(str(error))
            taken = take_unregistered_inventory(run.environment, listing)
        result: Json = {"left": list(taken.left), "kept": list(taken.kept)}
        log.info("inventory: %s left, %s kept", len(taken.left), len(taken.kept))
        try:
            self._store(run, result)
        except AWS_ERRORS as error:
            problems.append(f"the inventory cannot be stored in {run.logs.uri()}: {error}")
        lines = _format_left(run, taken.left)
        if problems:  # another try may find out
            raise ResourceError(
                "\n".join(
                    (
                        *lines,
                        "What is left is not known for sure:",
                        *_format_list(problems),
                        "Correct that, then clear this task.",
                    )
                )
            )
        return Failed(result, "\n".join(lines)) if lines else Done(result)

    def _take(self, run: Run, listing: Listing) -> inventory.Inventory:
        document, now = run.register.read_with_time()
        document = renew_for_the_queued(run, document, now)
        keep = run.settings.mayfly.warehouse.keep_snapshots
        return take_inventory(run.environment, listing, document, now, run=run.run_id, keep_snapshots=keep)

    def _store(self, run: Run, result: Json) -> None:
        key = run.logs.key("runs", run_key(run.run_id), "inventory.json")
        body = json.dumps({"run_id": run.run_id, **result}, indent=1).encode()
        run.aws.s3.put_object(Bucket=run.logs.bucket, Key=key, Body=body)


def _naming_what_is_held(error: RegisterError, run: Run, state: SlotState) -> RegisterError:
    """The error, with what the run still holds: while other runs hold the slot too, no inventory lists that as left."""
    if state.lease(run.run_id) is None:
        return error
    held = _format_list(names_of(run.environment, state))
    head = f"This stays until run {run.run_id} gives up its lease on slot {state.slot}, or the lease expires:"
    return type(error)("\n".join((str(error), head, *held)))


def _format_left(run: Run, left: Iterable[str]) -> list[str]:
    lines = _format_list(left)
    head = f"Left behind in {run.environment.name}:"
    return (
        [
            head,
            *lines,
            "The janitor removes this once no lease holds it: unpause the DAG janitor, or remove it by hand.",
        ]
        if lines
        else []
    )


def _format_list(items: Iterable[str]) -> list[str]:
    return [f"- {item}" for item in items]


def _tidy_up(run: Run, *, is_last: bool) -> None:
    """Drop the run's staging, and tell that it came through; the last holder tells outside the warehouse what is in it.

    What cannot be done now must not keep the warehouse alive: staging is dropped by the next run, and what is not told
    is loaded again. While others hold the warehouse, they load, and the last of them tells it: waiting for the lock of
    their loads would be in vain.
    """
    try:
        access = find_warehouse(run)
        with closing(access.connect()) as connection:
            warehouse.drop_staging(connection, staging_schema(run.run_id))
            if run.succeeded:
                _attempt(
                    "the ledger does not say that the run came through", partial(_finish, run, connection)
                )
            if is_last:
                store = partial(store_loads, run, connection, access.generation)
                _attempt("what the warehouse holds is not told outside it", store)
    except Exception as error:  # noqa: BLE001  see above
        log.warning("the run's staging schema is left to the next run: %s", error)


def _finish(run: Run, connection: Connection) -> None:
    finish_load(connection, run.pipeline.name, run.run_id, read_batch(run).hash)


def _attempt(what: str, work: Callable[[], None]) -> None:
    """What is not told is loaded again by the next run."""
    try:
        work()
    except Exception as error:  # noqa: BLE001  see `_tidy_up`
        log.warning("%s, so the next run loads again: %s", what, error)
