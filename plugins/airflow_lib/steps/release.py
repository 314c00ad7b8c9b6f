"""Steps that let go: a slot's release, whose last holder tears down, and the inventory of what is left."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError

from airflow_lib.errors import RegisterError, ResourceError, TeardownError
from airflow_lib.lifecycle import inventory
from airflow_lib.lifecycle import removal_tmp as teardown
from airflow_lib.lifecycle.document import SlotState
from airflow_lib.lifecycle.register import Register
from airflow_lib.lifecycle.rules import Release, ReleaseOutcome
from airflow_lib.naming import Slot, run_key, staging_schema
from airflow_lib.steps import Done, Failed, ImmediateStep, Json, Outcome, Run, Waiting
from airflow_lib.steps.clusters import find_warehouse, is_usable
from airflow_lib.steps.drain import drain
from airflow_lib.steps.leases import open_register, renew_leases
from airflow_lib.steps.work import had_work
from airflow_lib.warehouse import load as warehouse

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReleaseSlot:
    """Gives up this run's lease on a slot; the last holder waits until all of it is gone.

    Failed where rows of the warehouse were lost. Raises TeardownError naming what could not be removed.
    """

    slot: Slot

    def begin(self, run: Run) -> Outcome:
        register = open_register(run)
        state = register.read().slot(self.slot)
        if self.slot is Slot.WAREHOUSE and state.lease(run.run_id) is not None and state.owner is None:
            _drop_staging(run)
        try:
            release = self._part(run, register, state)
        except RegisterError as error:
            raise _naming_what_is_held(error, run, state) from error
        log.info("%s: %s %s", self.slot, release.outcome, ", ".join(release.others))
        if release.outcome is not ReleaseOutcome.TEAR_DOWN:
            until = {"until": release.until.isoformat()} if release.until else {}
            return Done({"outcome": release.outcome, "others": list(release.others), **until})
        settings = run.settings.mayfly
        emr_s, warehouse_s = settings.emr.delete_timeout_s, settings.warehouse.delete_timeout_s
        timeout_s = emr_s if self.slot is Slot.EMR else warehouse_s
        by = run.services.clock.now() + timedelta(seconds=timeout_s)
        return self.poll(run, {"by": by.isoformat(), "generation": release.generation})

    def poll(self, run: Run, state: Json) -> Outcome:
        state = renew_leases(run, state, self.slot)
        drained = drain(run.holder, self.slot, state["generation"])
        if drained.pending is not None:
            if run.services.clock.now() >= datetime.fromisoformat(state["by"]):
                raise TeardownError(
                    f"Slot {self.slot} of {run.environment.name} is not empty in time. Left: {drained.pending}. "
                    "Clear this task to go on; until then the janitor does."
                )
            return Waiting(f"{self.slot} to be gone: {drained.pending}", state, run.settings.mayfly.poll_s)
        result: Json = {"outcome": ReleaseOutcome.TEAR_DOWN}
        return (
            Done(result) if drained.lost is None else Failed({**result, "lost": drained.lost}, drained.lost)
        )

    def cancel(self, run: Run, state: Json) -> None:
        """A drain that nobody goes on with is taken over by the next comer or the janitor."""

    def _part(self, run: Run, register: Register, state: SlotState) -> Release:
        """Give the lease up; without one, take over what a dead run left there: the janitor would come later."""
        keep_alive_s = self._keep_alive_s(run, state)
        release = register.release(
            self.slot, run.run_id, keep_alive_s or 0, end_keep_alive=keep_alive_s is None
        )
        if release.outcome is not ReleaseOutcome.NOT_HELD:
            return release
        reaped = register.reap(self.slot, run.run_id)
        return reaped if reaped.outcome is ReleaseOutcome.TEAR_DOWN else release

    def _keep_alive_s(self, run: Run, state: SlotState) -> float | None:
        """For how long from now the slot is to outlive this run; None ends what earlier runs left.

        A run that had no work prolongs nothing, so a feed that stops does not keep clusters for ever.
        """
        keep_alive_s = run.settings.mayfly.keep_alive_s
        if not keep_alive_s or not run.expects_more or not is_usable(run, state):
            return None
        return keep_alive_s if had_work(run) else 0


@dataclass(frozen=True)
class Inventory(ImmediateStep):
    """What bears our name and tag: `left`, which must be empty, and `kept`. Kept with the run, in S3 too."""

    def begin(self, run: Run) -> Outcome:
        listing = teardown.list_owned(run.aws, run.environment)
        problems = listing.problems
        try:
            sorted_ = self._sort(run, listing)
        except RegisterError as error:
            problems.append(str(error))
            sorted_ = inventory.Inventory(left=tuple(str(item) for item in listing.owned), kept=())
        result: Json = {"left": list(sorted_.left), "kept": list(sorted_.kept)}
        log.info("inventory: %s left, %s kept", len(sorted_.left), len(sorted_.kept))
        try:
            self._store(run, result)
        except (ClientError, BotoCoreError) as error:
            problems.append(f"the inventory cannot be stored in {run.logs.uri()}: {error}")
        told = _tell_left(run, sorted_.left)
        if problems:  # another try may find out
            raise ResourceError(
                "\n".join((*told, "What is left cannot be told for sure:", *_lines(problems)))
            )
        return Failed(result, "\n".join(told)) if told else Done(result)

    def _sort(self, run: Run, listing: teardown.Listing) -> inventory.Inventory:
        document, now = open_register(run).read_with_time()
        keep = run.settings.mayfly.warehouse.keep_snapshots
        return inventory.sort_owned(
            run.environment, listing, document, now, run=run.run_id, keep_snapshots=keep
        )

    def _store(self, run: Run, result: Json) -> None:
        key = run.logs.key("runs", run_key(run.run_id), "inventory.json")
        body = json.dumps({"run_id": run.run_id, **result}, indent=1).encode()
        run.aws.s3.put_object(Bucket=run.logs.bucket, Key=key, Body=body)


def _naming_what_is_held(error: RegisterError, run: Run, state: SlotState) -> RegisterError:
    """Where other runs hold the slot, too, no inventory tells of it as left, and each might be the last."""
    if state.lease(run.run_id) is None:
        return error
    held = _lines(f"{item.kind} {item.name}" for item in state.resources)
    head = f"Until run {run.run_id} gives up its lease on slot {state.slot}, or that is over, this stays:"
    return RegisterError("\n".join((str(error), head, *held)))


def _tell_left(run: Run, left: Iterable[str]) -> list[str]:
    lines = _lines(left)
    head = f"Left behind in {run.environment.name}:"
    return [head, *lines, "The janitor removes what is ours."] if lines else []


def _lines(items: Iterable[str]) -> list[str]:
    return [f"- {item}" for item in items]


def _drop_staging(run: Run) -> None:
    """Staging that cannot be dropped now is dropped by the next run; it must not keep the warehouse alive."""
    try:
        with closing(find_warehouse(run).connect()) as connection:
            warehouse.drop_staging(connection, staging_schema(run.run_id))
    except Exception as error:  # noqa: BLE001  see above
        log.warning("the run's staging schema is left to the next run: %s", error)
