"""A DAG with `catchup` and a past start date, unpaused in real Airflow: its days share the clusters as a backfill's do.

The deployment says both by `subdags.deployment.SCHEDULES`. The days are the last three, since Airflow would make the
runs of all days since: the generated arrivals are moved there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from live_backfills import BACKFILL_S, Backfilled, Backfills, Tables, put_days, sandbox_of_days
from live_people import People
from live_runs import DAG
from sandbox_process import wait_until

from sandbox.airflow.configuration import SCHEDULED
from subdags.deployment import SCHEDULES

# Ten minutes and more beside the other runs in Airflow: with `make chaos`, until they have room in `make test`.
pytestmark = [pytest.mark.sandbox, pytest.mark.chaos, pytest.mark.timeout(1800)]

_TODAY = datetime.now(UTC).date()
# A run begins a minute after its day.
DAYS = [_TODAY - timedelta(days=number) for number in (3, 2, 1)]
WITH_ARRIVALS = DAYS[:2]
DEPLOYED = {DAG: {"start": DAYS[0].isoformat(), "catchup": True, "max_active_runs": 2}}
Json = dict[str, Any]


@pytest.fixture(scope="module")
def backfills(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backfills]:
    home = tmp_path_factory.mktemp("catchup") / "home"
    environment = {SCHEDULED: "1", SCHEDULES: json.dumps(DEPLOYED)}
    for backfills in sandbox_of_days(home, WITH_ARRIVALS, **environment):
        put_days(backfills.live, WITH_ARRIVALS, moved_to=DAYS[0])
        yield backfills


@pytest.fixture(scope="module")
def before(backfills: Backfills) -> list[Json]:
    """The runs of the DAG while it is paused."""
    return backfills.live.airflow.runs(DAG)


@pytest.fixture(scope="module")
def caught_up(backfills: Backfills, before: list[Json]) -> Backfilled:
    since = backfills.live.account.calls_so_far()
    People(backfills.live).pause(False)
    wait_until(lambda: set(DAYS) <= set(_scheduled(backfills)), "the runs of all days", deadline_s=BACKFILL_S)
    backfills.wait_for(DAYS)
    return backfills.describe(DAYS, since)


@pytest.fixture(scope="module")
def whole(backfills: Backfills, caught_up: Backfilled) -> Tables:
    """The tables after one run over the window of all days, into an empty warehouse."""
    backfills.use("whole")
    window = (DAYS[0].isoformat(), (DAYS[-1] + timedelta(days=1)).isoformat())
    return backfills.load_whole(window)


def _scheduled(backfills: Backfills) -> dict[date, Json]:
    return {day: run for day, run in backfills.by_day().items() if run["run_type"] == "scheduled"}


def test_nothing_runs_before_the_dag_is_unpaused(before: list[Json]) -> None:
    assert before == []


def test_unpaused_it_loads_every_day_since_its_start_with_and_without_arrivals(caught_up: Backfilled) -> None:
    assert caught_up.states == dict.fromkeys(DAYS, "success")
    assert {run["run_type"] for run in caught_up.runs.values()} == {"scheduled"}


def test_its_days_share_one_cluster_of_each_kind_and_leave_nothing(caught_up: Backfilled) -> None:
    assert (caught_up.made, caught_up.left) == ((1, 1), [])


def test_it_gives_the_tables_of_one_run_over_the_window(whole: Tables, caught_up: Backfilled) -> None:
    assert {row[0]: row[1] for row in whole}["factArrivetheUsa"] > 50
    assert caught_up.tables == whole
