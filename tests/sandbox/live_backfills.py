"""Creates backfills in a running sandbox, waits for their ends, and tells what they made; and a source of few days.

Each backfill may be given a deployment of its own: an environment whose register and warehouse are empty.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from live_runs import DAG, OVER, LiveRuns, Window
from nets import unused_net
from sandbox_process import SandboxProcess, wait_until
from warehouse_content import read_content

from sandbox.airflow.client import Backfill
from sandbox.backfill import KEEP_ALIVE_S, ClusterUse, use_of_clusters
from sandbox.data.immigration import SAS_EPOCH, generate

SHORT_DAGS = Path(__file__).parent / "short_dags"
FIRST = date(2016, 4, 1)
BACKFILL_S = 1500.0  # on an overloaded machine

Json = dict[str, Any]
Tables = list[list[Any]]


@dataclass(frozen=True)
class Backfilled:
    """A backfill that is over: its runs by day, what it made, what the account and the tables hold then."""

    runs: dict[date, Json]
    order: tuple[date, ...]
    use: dict[str, ClusterUse]
    alive: dict[str, int]
    left: list[str]
    tables: Tables

    @property
    def states(self) -> dict[date, str]:
        return {day: run["state"] for day, run in self.runs.items()}

    @property
    def made(self) -> tuple[int, int]:
        """How many EMR clusters, and how many warehouses."""
        return self.use["emr"].made, self.use["redshift"].made


class Backfills:
    """The backfills of one running sandbox."""

    def __init__(self, runs: LiveRuns) -> None:
        self.live = runs
        self._deployment = "sandbox"

    def use(self, deployment: str = "sandbox", **overrides: Any) -> None:
        """Let the runs from now on belong to this deployment, whose clusters are kept from one run to the next."""
        self._deployment = deployment
        locations = {} if deployment == "sandbox" else _locations_of(deployment)
        settings = {"keep_alive_s": KEEP_ALIVE_S, "s3": locations, **overrides}
        self.live.set_settings(deployment=deployment, **settings)

    def create(self, days: Sequence[date], **options: Any) -> int:
        """Begin a backfill from the first of these days to the last; returns its id."""
        return self.live.airflow.create_backfill(self.wanted(days, **options))

    @staticmethod
    def wanted(days: Sequence[date], **options: Any) -> Backfill:
        return Backfill(DAG, days[0], days[-1], **options)

    def run(self, days: Sequence[date], **options: Any) -> Backfilled:
        """A whole backfill, from its begin to its end."""
        since = self.live.account.calls_so_far()
        return self.finish(self.create(days, **options), days, since)

    def finish(self, backfill_id: int, days: Sequence[date], since: int) -> Backfilled:
        """Wait until the runs of these days are over, and describe what was made since `calls_so_far` said `since`."""
        self.wait_for(days)
        self.complete(backfill_id)
        return self.describe(days, since)

    def describe(self, days: Sequence[date], since: int) -> Backfilled:
        found = {day: run for day, run in self.by_day().items() if day in days}
        calls = self.live.account.list_calls(since)
        return Backfilled(
            runs=found,
            order=tuple(sorted(found, key=lambda day: str(found[day]["start_date"]))),
            use=use_of_clusters(calls),
            alive={kind: len(self.live.live_clusters(kind)) for kind in ("EMR", "Redshift")},
            left=self.live.left(),
            tables=self.tables(),
        )

    def wait_for(self, days: Sequence[date]) -> None:
        """Wait until the runs of these days are over."""
        wait_until(
            lambda: all(self._state(day) in OVER for day in days),
            f"the runs of {days}",
            deadline_s=BACKFILL_S,
        )

    def wait_for_begin(self, day: date, task_id: str, *states: str) -> str:
        """Wait until a task of the day's run is in one of these states; returns the run's id."""
        wait_until(
            lambda: self._state(day) not in (None, "queued"), f"the run of {day}", deadline_s=BACKFILL_S
        )
        run_id = str(self.by_day()[day]["dag_run_id"])
        self.live.wait_for_task(run_id, task_id, *states, deadline_s=BACKFILL_S)
        return run_id

    def complete(self, backfill_id: int) -> None:
        """Airflow looks every 30 s which backfills are over, and takes no other one until then: do not wait for it."""
        if self.live.airflow.backfill(backfill_id)["completed_at"] is None:
            self.live.airflow.cancel_backfill(backfill_id)

    def load_whole(self, window: Window) -> Tables:
        """The tables after one run, `whole`, over this window, which is to be green and to leave nothing."""
        run_id = self.live.trigger(window, run_id="whole")
        state = self.live.wait_for_run(run_id, BACKFILL_S)
        assert (state, self.live.left()) == ("success", []), self.live.describe(run_id)
        return self.tables()

    def by_day(self) -> dict[date, Json]:
        """The DAG's runs that have a logical date, by its day."""
        return {
            date.fromisoformat(run["logical_date"][:10]): run
            for run in self.live.airflow.runs(DAG)
            if run["logical_date"]
        }

    def tables(self) -> Tables:
        """What the deployment's newest snapshot holds."""
        return read_content(self.live.sandbox, self._deployment)

    def _state(self, day: date) -> str | None:
        found = self.by_day().get(day)
        return str(found["state"]) if found else None


def days_of_april(*numbers: int) -> list[date]:
    return [FIRST + timedelta(days=number - 1) for number in numbers]


def put_days(
    runs: LiveRuns, days: Sequence[date], *, seed: int = 1, rows: int = 2_000, moved_to: date = FIRST
) -> None:
    """Replace the source by one whose arrivals are all on these days.

    The generated arrivals are of April 2016; they are moved so that those of the first day are on `moved_to`.
    """
    shift = (moved_to - FIRST).days
    with tempfile.TemporaryDirectory(prefix="mayfly-source-") as name:
        folder = Path(name)
        generate(folder, rows=rows, seed=seed)
        for path in (folder / "sas_data").glob("*.parquet"):
            _keep(path, {float((day - SAS_EPOCH).days) for day in days}, shift)
        runs.account.replace_source(DAG, folder)


def _keep(path: Path, sas_days: set[float], shift: int) -> None:
    moved = pl.read_parquet(path).with_columns(pl.col("arrdate", "depdate") + float(shift))
    moved.filter(pl.col("arrdate").is_in(list(sas_days))).write_parquet(path)


def sandbox_of_days(home: Path, days: Sequence[date], **environment: str) -> Iterator[Backfills]:
    """The body of a module's fixture: a running sandbox whose source has arrivals on these days alone."""
    sandbox = SandboxProcess(home, net=unused_net(), dags=SHORT_DAGS)
    sandbox.environment.update(environment)
    with sandbox.up():
        live = LiveRuns(sandbox)
        put_days(live, days)
        wait_until(lambda: live.airflow.find_dag(DAG) is not None, f"the DAG {DAG}")
        backfills = Backfills(live)
        backfills.use()
        yield backfills


def _locations_of(deployment: str) -> dict[str, str]:
    return {
        "processed": f"s3://mayfly-sandbox/processed-{deployment}",
        "published": f"s3://mayfly-sandbox/published-{deployment}",
        "state": f"s3://mayfly-sandbox-state/state/{deployment}",
    }
