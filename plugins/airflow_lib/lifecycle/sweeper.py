"""One environment in the janitor's hands: what may go and why, its removal look by look, and what is told of it.

What may go is decided by the register alone: slots that no live lease and no keep-alive holds, things of ours
that belong to no live generation, and snapshots that nobody needs. Going over all environments is `janitor`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from botocore.exceptions import BotoCoreError, ClientError

from airflow_lib.errors import LeaseLost, MayflyError
from airflow_lib.lifecycle import rules
from airflow_lib.lifecycle.document import Document, Phase, SlotState
from airflow_lib.lifecycle.inventory import named_snapshots
from airflow_lib.lifecycle.removal_tmp import list_owned, sweep
from airflow_lib.lifecycle.rules import ReleaseOutcome
from airflow_lib.naming import Names, Slot, slot_of
from airflow_lib.patience import is_transient
from airflow_lib.resources import emr_cluster as emr
from airflow_lib.resources import snapshots
from airflow_lib.resources.common import NotReady, Owned
from airflow_lib.resources.snapshots import SNAPSHOT
from airflow_lib.steps import Holder
from airflow_lib.steps.drain import drain
from airflow_lib.steps.leases import open_register

AWS_ERRORS = (BotoCoreError, ClientError)

Look = Callable[[], str | None]


@dataclass
class CleanupTask:
    """Things to remove together; `look` asks once for all that can be asked for, and tells what is pending."""

    why: str
    things: tuple[str, ...]
    look: Look
    outcome: str = "would be removed"
    over: bool = False
    failed: bool = False

    def end(self, outcome: str, *, failed: bool = False) -> None:
        self.outcome, self.over, self.failed = outcome, True, failed

    @property
    def lines(self) -> list[str]:
        """One line a thing: what, why, and what became of it."""
        return [f"{thing}: {self.why}; {self.outcome}" for thing in self.things]


@dataclass
class EnvironmentSweeper:
    """One environment for one pass; `holder` has a name of its own. In a dry run nothing is written or asked for."""

    holder: Holder
    dry_run: bool = False
    tasks: list[CleanupTask] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def findings(self) -> list[str]:
        return [*(line for task in self.tasks for line in task.lines), *self.alarms]

    def survey(self) -> None:
        """Find what may go, and take the slots that nobody holds. What cannot be found out is an error told."""
        try:
            settings = self.holder.settings.for_pipeline(self.holder.environment.pipeline)
            self.holder = replace(self.holder, settings=settings)
            owned = self._list()
            document, now = open_register(self.holder).read_with_time()
            for slot in Slot:
                self._reap(document.slot(slot), owned, now)
            self._find_strays(owned, document, now)
            self._find_snapshots(owned, document, now)
            self._raise_alarms(owned, document, now)
        except (MayflyError, *AWS_ERRORS) as error:
            self.errors.append(str(error))

    def look(self) -> bool:
        """One look at each task; whether any is to be looked at again."""
        for task in self.tasks:
            if not task.over and not self.dry_run:
                self._attend(task)
        return not self.dry_run and not all(task.over for task in self.tasks)

    def _attend(self, task: CleanupTask) -> None:
        try:
            pending = task.look()
        except LeaseLost:
            task.end("left to another, who took over")
        except NotReady as error:
            task.outcome = f"pending: {error}"
        except (MayflyError, *AWS_ERRORS) as error:
            if is_transient(error):
                task.outcome = f"pending: {error}"
                return
            task.end("could not be removed", failed=True)
            self.errors.append(str(error))
        else:
            if pending is None:
                task.end("removed")
            else:
                task.outcome = f"pending: {pending}"

    def _list(self) -> list[Owned]:
        """What bears our name and tag. What cannot be listed is an error told; all else can be looked after."""
        listing = list_owned(self.holder.aws, self.holder.environment)
        self.errors += listing.problems
        return list(listing.owned)

    def _reap(self, before: SlotState, owned: Iterable[Owned], now: datetime) -> None:
        slot, holder = before.slot, self.holder
        if self.dry_run:
            _, release = rules.reap(before, now, run=holder.id, lease_s=holder.lease_s)
        else:
            release = open_register(holder).reap(slot, holder.id)
        if release.outcome is not ReleaseOutcome.TEAR_DOWN:
            return
        generation = release.generation
        mine = [
            item for item in owned if _place(holder, item) == (slot, generation) and item.kind != SNAPSHOT
        ]
        things = (f"slot {slot}, generation {generation}", *(self._tell(item, now) for item in mine))
        self.tasks.append(CleanupTask(_why(before), things, partial(self._drain, slot, generation)))

    def _drain(self, slot: Slot, generation: int) -> str | None:
        open_register(self.holder).renew(self.holder.id, slot, generation)
        drained = drain(self.holder, slot, generation)
        if drained.lost is not None:
            self.errors.append(drained.lost)
        return drained.pending

    def _find_strays(self, owned: Iterable[Owned], document: Document, now: datetime) -> None:
        """What belongs to no live generation, a generation at a time: so it goes in the right order."""
        stray: dict[tuple[Slot, int], list[str]] = {}
        for item in owned:
            place = _place(self.holder, item)
            if place is None or item.kind == SNAPSHOT:
                continue
            state = document.slot(place[0])
            if place[1] > state.generation:
                self.alarms.append(
                    f"{self._tell(item, now)}: the register knows generations up to {state.generation} only; "
                    "not touched: restore the register's last version, or remove it by hand"
                )
            elif place[1] == state.generation and state.phase is Phase.READY:
                self._find_surplus(item, state, now)
            elif rules.is_stray(state, place[1], kind=item.kind, id=item.id):
                stray.setdefault(place, []).append(self._tell(item, now))
        for (slot, generation), things in stray.items():
            names = Names(self.holder.environment, slot, generation)
            why = f"generation {generation} of slot {slot} is over"
            self.tasks.append(CleanupTask(why, tuple(things), partial(self._sweep, names)))

    def _find_surplus(self, item: Owned, state: SlotState, now: datetime) -> None:
        """In a generation that is in use only an EMR cluster can be one too many: all else is one by its name."""
        if item.kind == emr.CLUSTER and rules.is_stray(state, state.generation, kind=item.kind, id=item.id):
            why = "a lost answer to RunJobFlow left it; the register has another one"
            self.tasks.append(CleanupTask(why, (self._tell(item, now),), partial(self._end_cluster, item.id)))

    def _sweep(self, names: Names) -> str | None:
        swept = sweep(self.holder.aws, names, keep_data=False)
        if swept.failed and not swept.pending:
            swept.raise_failed(f"Generation {names.generation} of slot {names.slot}, which is over,")
        return "; ".join((*swept.pending, *swept.failed)) or None

    def _end_cluster(self, cluster_id: str) -> str | None:
        client = self.holder.aws.emr
        emr.delete_cluster(client, self.holder.environment, cluster_id)
        view = emr.probe_cluster(client, cluster_id)
        return None if view is None or view.gone else f"{emr.CLUSTER} {view.name} is {view.state}"

    def _find_snapshots(self, owned: Iterable[Owned], document: Document, now: datetime) -> None:
        keep = self.holder.settings.mayfly.warehouse.keep_snapshots
        saved = [item for item in owned if item.kind == SNAPSHOT]
        named = named_snapshots(saved, document, keep)
        for item in saved:
            if item.name not in named and item.state not in snapshots.PENDING:
                why = f"the register does not name it, and it is none of the newest {keep}"
                self.tasks.append(
                    CleanupTask(why, (self._tell(item, now),), partial(self._delete_snapshot, item.name))
                )

    def _delete_snapshot(self, name: str) -> None:
        snapshots.delete_snapshot(self.holder.aws.redshift, self.holder.environment, name)

    def _raise_alarms(self, owned: Iterable[Owned], document: Document, now: datetime) -> None:
        """What is held although it is past its time: people are told, nothing else."""
        for item in owned:
            place = _place(self.holder, item)
            if item.kind == SNAPSHOT or place is None or item.expires_at is None or item.expires_at > now:
                continue
            state = document.slot(place[0])
            if place[1] == state.generation and (state.live(now) or state.kept_alive(now)):
                by = ", ".join(state.live(now)) or f"its keep-alive, until {state.keep_alive_until:%H:%M} UTC"
                self.alarms.append(
                    f"{self._tell(item, now)}: past its mayfly:expires-at, still held by {by}; not touched"
                )

    def _tell(self, item: Owned, now: datetime) -> str:
        """The thing and its age: its birth is `max_age_s` before its expiry."""
        if item.expires_at is None:
            return f"{item}, of unknown age"
        born = item.expires_at - timedelta(seconds=self.holder.settings.mayfly.max_age_s)
        minutes = max(0, int((now - born).total_seconds() // 60))
        return f"{item}, {minutes // 60} h {minutes % 60:02} min old"


def _place(holder: Holder, item: Owned) -> tuple[Slot, int] | None:
    slot, generation = slot_of(holder.environment, item.name), item.generation(holder.environment)
    return None if slot is None or generation is None else (slot, generation)


def _why(state: SlotState) -> str:
    """Why a slot that nobody holds may go."""
    ended = [
        f"the lease of {lease.run} expired at {lease.until:%Y-%m-%d %H:%M} UTC" for lease in state.leases
    ]
    if state.keep_alive_until is not None:
        ended.append(f"it was kept alive until {state.keep_alive_until:%Y-%m-%d %H:%M} UTC")
    return f"no live lease on it ({'; '.join(ended) or 'nobody holds it'})"
