"""The janitor's pass over one environment: what is removed and why, poll by poll, and the report.

What may go is decided by the register alone: slots that no live lease and no keep-alive holds, things of ours
that belong to no live generation, and snapshots that nobody needs. Going over all environments is `janitor`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from airflow_lib.aws.errors import explain, is_transient
from airflow_lib.errors import LeaseLost, NotReady, RowsLost
from airflow_lib.lifecycle import rules
from airflow_lib.lifecycle.document import MAX_AHEAD, SlotState
from airflow_lib.lifecycle.holder import Holder
from airflow_lib.lifecycle.inventory import Finding, Standing, classify, list_owned, names_of_kind
from airflow_lib.lifecycle.rules import Caller, ReleaseOutcome
from airflow_lib.lifecycle.teardown import tear_down_resources, tear_down_slot
from airflow_lib.naming import TAG_EXPIRES_AT, Names, Slot
from airflow_lib.resources import emr_cluster, snapshots
from airflow_lib.resources.owned import Owned


@dataclass
class CleanupTask:
    """Things to remove together. `action` asks for all that can be asked for; it raises NotReady until all is gone."""

    why: str
    things: tuple[str, ...]
    action: Callable[[], None]
    outcome: str = "would be removed"
    over: bool = False

    def run(self) -> str | None:
        """One poll; the error, where the task failed for good."""
        try:
            self.action()
        except LeaseLost:
            self._end("left to the holder that took over")
        except NotReady as error:
            self.outcome = f"pending: {error}"
        except RowsLost as error:
            self._end("removed")
            return error.message
        except Exception as error:  # noqa: BLE001  whatever it is, the other tasks and environments go on
            if is_transient(error):
                self.outcome = f"pending: {error}"
                return None
            self._end("could not be removed")
            return explain(error)
        else:
            self._end("removed")
        return None

    @property
    def lines(self) -> list[str]:
        """One line per thing: what, why, and what became of it."""
        return [f"{thing}: {self.why}; {self.outcome}" for thing in self.things]

    def _end(self, outcome: str) -> None:
        self.outcome, self.over = outcome, True


@dataclass
class EnvironmentSweeper:
    """One environment for one pass; `holder` has a name of its own. A dry run writes, deletes and asks for nothing."""

    holder: Holder
    dry_run: bool = False
    tasks: list[CleanupTask] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def findings(self) -> list[str]:
        return [*(line for task in self.tasks for line in task.lines), *self.alarms]

    def survey(self) -> None:
        """Find what may go, and take over the slots that nobody holds. What cannot be found out goes to `errors`."""
        self._attempt(self._survey)

    def _survey(self) -> None:
        settings = self.holder.settings.for_pipeline(self.holder.environment.pipeline)
        self.holder = replace(self.holder, settings=settings)
        listing = list_owned(self.holder.aws, self.holder.environment)
        self.errors += listing.problems
        document, now = self.holder.register.read_with_time()
        keep = settings.mayfly.warehouse.keep_snapshots
        findings = classify(listing.owned, self.holder.environment, document, now, keep_snapshots=keep)
        for slot in Slot:
            self._attempt(partial(self._take_over, document.slot(slot), findings, now))
        self._attempt(partial(self._plan_orphans, findings, now))
        for finding in findings:
            self._attempt(partial(self._plan, finding, document.slot(finding.slot), now))

    def _attempt(self, action: Callable[[], None]) -> None:
        """Do one part of the survey; whatever it raises is an error of this environment, and the rest goes on."""
        try:
            action()
        except Exception as error:  # noqa: BLE001
            self.errors.append(explain(error))

    def poll(self) -> bool:
        """Run each task that is not over; whether any is to be run again."""
        if self.dry_run:
            return False
        for task in self.tasks:
            error = None if task.over else task.run()
            if error is not None:
                self.errors.append(error)
        return not all(task.over for task in self.tasks)

    def _take_over(self, before: SlotState, findings: Iterable[Finding], now: datetime) -> None:
        slot, holder = before.slot, self.holder
        self.alarms += _list_impossible_times(before, now)
        if self.dry_run:
            _, release = rules.take_over(before, Caller(holder.id, now, holder.lease_s))
        else:
            release = holder.register.apply(slot, rules.take_over)
        if release.outcome is not ReleaseOutcome.TEAR_DOWN:
            return
        generation = release.generation
        things = [
            self._format(finding.item, now)
            for finding in findings
            if (finding.slot, finding.generation) == (slot, generation)
            and finding.item.kind != snapshots.SNAPSHOT
        ]
        self.tasks.append(
            CleanupTask(
                _why_unheld(before, now),
                (f"slot {slot}, generation {generation}", *things),
                partial(self._tear_down_slot, slot, generation),
            )
        )

    def _tear_down_slot(self, slot: Slot, generation: int) -> None:
        self.holder.register.renew(slot, generation)
        tear_down_slot(self.holder, slot, generation)

    def _plan_orphans(self, findings: Iterable[Finding], now: datetime) -> None:
        """A generation at a time, so that its things go in the right order. It has no rows that are in no snapshot.

        They go by their names: what bears a name that no thing of its kind has would stay, and be found each time.
        """
        orphans: dict[tuple[Slot, int], list[str]] = {}
        for finding in findings:
            if finding.standing is not Standing.ORPHAN:
                continue
            thing = self._format(finding.item, now)
            names = Names(self.holder.environment, finding.slot, finding.generation)
            if finding.item.name not in names_of_kind(finding.item.kind, names):
                self.alarms.append(
                    f"{thing}: it has our tag, but Mayfly gives no {finding.item.kind} such a name; not touched: "
                    "remove it by hand, or take the tag away"
                )
                continue
            orphans.setdefault((finding.slot, finding.generation), []).append(thing)
        for (slot, generation), things in orphans.items():
            names = Names(self.holder.environment, slot, generation)
            action = partial(tear_down_resources, self.holder.aws, names, keep_data=False)
            why = f"generation {generation} of slot {slot} is over"
            self.tasks.append(CleanupTask(why, tuple(things), action))

    def _plan(self, finding: Finding, state: SlotState, now: datetime) -> None:
        """Plan one thing's removal, or raise an alarm."""
        item, thing = finding.item, self._format(finding.item, now)
        if finding.standing is Standing.UNKNOWN:
            self.alarms.append(
                f"{thing}: the register knows generations up to {state.generation} only; "
                "not touched: restore the register's last version, or remove it by hand"
            )
        elif finding.standing is Standing.DUPLICATE:
            why = "a lost answer to RunJobFlow left it; the register has another one"
            self.tasks.append(CleanupTask(why, (thing,), partial(self._terminate_cluster, item.id)))
        elif finding.standing is Standing.OLD_SNAPSHOT and item.state in snapshots.DISPOSABLE:
            keep = self.holder.settings.mayfly.warehouse.keep_snapshots
            why = f"the register does not name it, and it is none of the newest {keep}"
            self.tasks.append(CleanupTask(why, (thing,), partial(self._delete_snapshot, item.name)))
        elif finding.standing is not Standing.HELD:
            return
        elif item.expires_at is None and TAG_EXPIRES_AT in item.tags:
            self.alarms.append(
                f"{thing}: its tag {TAG_EXPIRES_AT} is {item.tags[TAG_EXPIRES_AT]!r}, a time such as "
                "2026-01-31T12:00:00Z was expected, so nobody will be told when it is past it: correct the tag"
            )
        elif item.expires_at is not None and item.expires_at <= now:
            by = ", ".join(finding.holders) or f"its keep-alive, until {state.keep_alive_until:%H:%M} UTC"
            self.alarms.append(
                f"{thing}: past its mayfly:expires-at, still held by {by}; not touched: if a run hangs, mark it failed"
            )

    def _terminate_cluster(self, cluster_id: str) -> None:
        emr = self.holder.aws.emr
        emr_cluster.delete_cluster(emr, self.holder.environment, cluster_id)
        view = emr_cluster.probe_cluster(emr, cluster_id)
        if view is not None and not view.gone:
            raise NotReady(f"{emr_cluster.CLUSTER} {view.name} is {view.state}")

    def _delete_snapshot(self, name: str) -> None:
        snapshots.delete_snapshot(self.holder.aws.redshift, self.holder.environment, name)

    def _format(self, item: Owned, now: datetime) -> str:
        """The thing and its age: its birth is `max_age_s` before its expiry."""
        if item.expires_at is None:
            return f"{item}, of unknown age"
        age = now - item.expires_at + timedelta(seconds=self.holder.settings.mayfly.max_age_s)
        minutes = max(0, int(age.total_seconds() // 60))
        return f"{item}, {minutes // 60} h {minutes % 60:02} min old"


def _why_unheld(state: SlotState, now: datetime) -> str:
    """Why a slot that nobody holds may go."""
    ended = [f"the lease of {lease.run} {_format_end(lease.until, now)}" for lease in state.leases]
    if state.keep_alive_until is not None:
        kept = (
            "it was kept alive until"
            if state.keep_alive_until <= now
            else "its keep-alive counts as over, until"
        )
        ended.append(f"{kept} {state.keep_alive_until:%Y-%m-%d %H:%M} UTC")
    return f"no live lease on it ({'; '.join(ended) or 'nobody holds it'})"


def _format_end(until: datetime, now: datetime) -> str:
    expired = "expired at" if until <= now else "counts as expired, until"
    return f"{expired} {until:%Y-%m-%d %H:%M} UTC"


def _list_impossible_times(state: SlotState, now: datetime) -> list[str]:
    """What Mayfly cannot have written: leases and keep-alives that end beyond what the settings allow."""
    ends = [(f"a lease of {lease.run}", lease.until) for lease in state.leases]
    if state.keep_alive_until is not None:
        ends.append(("a keep-alive", state.keep_alive_until))
    return [
        f"slot {state.slot}: the register has {what} until {until:%Y-%m-%d %H:%M} UTC, at most "
        f"{MAX_AHEAD.total_seconds() / 3600:.0f} hours ahead were expected: it counts as expired; "
        "find out who wrote it"
        for what, until in ends
        if until - now > MAX_AHEAD
    ]
