"""Backfills of 1 to 5 April 2016 in real Airflow, the last two days without arrivals.

One sandbox, backfills in order; three environments in it begin with an empty warehouse: one is loaded day by day, one
by three runs at a time that begin with the last day, and one by a single run over the whole window, whose tables are
what all others are held against.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from browser import ui_of
from ended_runs import Ended, end
from live_backfills import BACKFILL_S, Backfilled, Backfills, Tables, days_of_april, sandbox_of_days

from sandbox.errors import SandboxError

# Ten minutes and more beside the other runs in Airflow: with `make chaos`, until they have room in `make test`.
pytestmark = [pytest.mark.sandbox, pytest.mark.chaos, pytest.mark.timeout(1800)]

DAYS = days_of_april(1, 2, 3, 4, 5)
WITH_ARRIVALS = days_of_april(1, 2, 3)
WINDOW = ("2016-04-01", "2016-04-06")
Json = dict[str, Any]


@pytest.fixture(scope="module")
def backfills(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backfills]:
    yield from sandbox_of_days(tmp_path_factory.mktemp("backfill") / "home", WITH_ARRIVALS)


@pytest.fixture(scope="module")
def whole(backfills: Backfills) -> Tables:
    """The tables after one run over the window of all days."""
    backfills.use("whole")
    return backfills.load_whole(WINDOW)


@pytest.fixture(scope="module")
def one_by_one(backfills: Backfills, whole: Tables) -> Backfilled:
    backfills.use("sandbox")
    return backfills.run(DAYS, max_active_runs=1)


@pytest.fixture(scope="module")
def again(backfills: Backfills, one_by_one: Backfilled) -> Backfilled:
    return backfills.run(DAYS, max_active_runs=3, backwards=True, reprocess="completed")


@pytest.fixture(scope="module")
def planned(backfills: Backfills, again: Backfilled) -> Json:
    """What a backfill of these days would do, by what is to be done again; one run of them is marked failed."""
    marked = again.runs[DAYS[1]]["dag_run_id"]
    live = backfills.live
    live.request("PATCH", f"/dags/immigration/dagRuns/{marked}", {"state": "failed"})
    plan = {
        kind: [day[:10] for day in live.airflow.plan_backfill(backfills.wanted(DAYS, reprocess=kind))]
        for kind in ("none", "failed", "completed")
    }
    since = live.account.calls_so_far()
    failed = backfills.finish(backfills.create(DAYS, reprocess="failed"), DAYS, since)
    return {"plan": plan, "failed": failed}


@pytest.fixture(scope="module")
def forced(backfills: Backfills, planned: Json) -> Backfilled:
    return backfills.run(DAYS[:2], max_active_runs=2, reprocess="completed", conf={"force": True})


@pytest.fixture(scope="module")
def clicked(
    backfills: Backfills, forced: Backfilled, tmp_path_factory: pytest.TempPathFactory
) -> tuple[set[str], Ended]:
    """The load of the run over the whole window, cleared by itself in the UI; and the tasks that its dialog names."""
    backfills.use("whole")
    live, since = backfills.live, backfills.live.account.calls_so_far()
    with ui_of(live, tmp_path_factory.mktemp("browser")) as ui:
        named = ui.clear_task("whole", "load.load_window", include_downstream=False)
    live.wait_for_run("whole", BACKFILL_S)
    return named, end(live, "whole", since)


@pytest.fixture(scope="module")
def three_backwards(backfills: Backfills, clicked: tuple[set[str], Ended]) -> Backfilled:
    """Into an empty warehouse."""
    backfills.use("backwards")
    return backfills.run(DAYS, max_active_runs=3, backwards=True, reprocess="completed")


def test_a_backfill_is_green_on_days_with_and_without_arrivals(one_by_one: Backfilled) -> None:
    assert one_by_one.states == dict.fromkeys(DAYS, "success")


def test_runs_that_do_not_overlap_share_one_emr_cluster_and_one_warehouse(one_by_one: Backfilled) -> None:
    ends = [one_by_one.runs[day]["end_date"] for day in DAYS]
    begins = [one_by_one.runs[day]["start_date"] for day in DAYS]
    assert all(end <= begin for end, begin in zip(ends, begins[1:], strict=False))
    assert one_by_one.made == (1, 1)


def test_both_clusters_are_gone_with_the_last_run_and_nothing_is_left(one_by_one: Backfilled) -> None:
    assert (one_by_one.alive, one_by_one.left) == ({"EMR": 0, "Redshift": 0}, [])


def test_day_by_day_gives_the_tables_of_one_run_over_the_window(
    whole: Tables, one_by_one: Backfilled
) -> None:
    assert {row[0]: row[1] for row in whole}["factArrivetheUsa"] > 100
    assert one_by_one.tables == whole


def test_a_repeated_backfill_changes_nothing_and_makes_no_cluster(whole: Tables, again: Backfilled) -> None:
    assert again.states == dict.fromkeys(DAYS, "success")
    assert (again.made, again.left, again.tables) == ((0, 0), [], whole)


def test_airflow_does_again_what_reprocess_says(planned: Json) -> None:
    days = [day.isoformat() for day in DAYS]
    assert planned["plan"] == {"none": [], "failed": [days[1]], "completed": days}


def test_a_run_that_failed_is_reprocessed_alone_and_has_nothing_to_do(whole: Tables, planned: Json) -> None:
    failed = planned["failed"]
    assert failed.states == dict.fromkeys(DAYS, "success")
    assert (failed.made, failed.left, failed.tables) == ((0, 0), [], whole)


def test_force_computes_all_the_same_with_one_cluster_of_each_kind(whole: Tables, forced: Backfilled) -> None:
    assert forced.states == dict.fromkeys(DAYS[:2], "success")
    assert (forced.made, forced.left) == ((1, 1), [])
    assert forced.tables == whole


def test_a_task_that_is_cleared_in_the_ui_takes_its_setups_and_teardowns_with_it(
    whole: Tables, backfills: Backfills, clicked: tuple[set[str], Ended]
) -> None:
    """Airflow's issue 68184: until it was mended, such a load found no warehouse, or what it used was left."""
    named, ended = clicked
    assert {"plan", "provision.lease", "provision.warehouse", "load.load_window"} <= named
    assert {"release.release_warehouse", "release.inventory", "verdict"} <= named
    assert "load.staging_immigration" not in named
    assert (ended.state, ended.left) == ("success", [])
    assert ended.called("redshift.RestoreFromClusterSnapshot") == 1


def test_three_runs_at_a_time_from_the_last_day_on_give_the_same_tables(
    whole: Tables, three_backwards: Backfilled
) -> None:
    assert three_backwards.states == dict.fromkeys(DAYS, "success")
    assert three_backwards.order[-1] == DAYS[0]
    assert three_backwards.tables == whole


def test_three_runs_at_a_time_share_one_cluster_of_each_kind(three_backwards: Backfilled) -> None:
    assert (three_backwards.made, three_backwards.left) == ((1, 1), [])


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("one-backwards", {"max_active_runs": 1, "backwards": True}),
        ("three-forwards", {"max_active_runs": 3}),
    ],
)
def test_every_order_and_width_gives_the_same_tables_with_one_cluster_of_each_kind(
    backfills: Backfills, whole: Tables, three_backwards: Backfilled, name: str, options: Json
) -> None:
    backfills.use(name)
    done = backfills.run(DAYS, reprocess="completed", **options)
    assert done.states == dict.fromkeys(DAYS, "success")
    assert (done.made, done.left) == ((1, 1), [])
    assert done.tables == whole


@pytest.mark.chaos
def test_a_cancelled_backfill_and_one_that_overlaps_it_share_the_clusters_and_lose_no_day(
    backfills: Backfills, whole: Tables, three_backwards: Backfilled
) -> None:
    """The second takes up the days that the first has not begun; the day under way stays the first's."""
    backfills.use("overlapping")
    live, days = backfills.live, DAYS[:3]
    since = live.account.calls_so_far()
    first = backfills.create(DAYS, max_active_runs=1, reprocess="completed")
    backfills.wait_for_begin(days[0], "provision.lease", "success")
    with pytest.raises(SandboxError, match="already a running backfill"):
        backfills.create(days, reprocess="failed")
    live.airflow.cancel_backfill(first)
    assert [backfills.by_day()[day]["state"] for day in DAYS] == ["running", *["failed"] * 4]
    second = backfills.create(DAYS, max_active_runs=1, reprocess="failed")
    done = backfills.finish(second, DAYS, since)
    assert done.states == dict.fromkeys(DAYS, "success")
    assert (done.made, done.left) == ((1, 1), [])
    assert done.tables == whole


@pytest.mark.chaos
def test_a_backfill_that_is_paused_and_loses_a_run_and_repeats_one_ends_green_and_leaves_nothing(
    backfills: Backfills, whole: Tables, three_backwards: Backfilled
) -> None:
    """Paused, its queued runs wait, its clusters are kept; a queued run is deleted; one that is over is cleared."""
    backfills.use("disturbed")
    live = backfills.live
    since = live.account.calls_so_far()
    this = backfills.create(DAYS, max_active_runs=1, reprocess="completed")
    backfills.wait_for_begin(DAYS[0], "provision.lease", "success")
    live.airflow.pause_backfill(this)
    live.request("DELETE", f"/dags/immigration/dagRuns/{backfills.by_day()[DAYS[4]]['dag_run_id']}")
    backfills.wait_for(DAYS[:1])
    paused = [backfills.by_day()[day]["state"] for day in DAYS[1:4]]
    kept = live.live_clusters("Redshift")
    live.airflow.pause_backfill(this, False)
    backfills.wait_for_begin(DAYS[1], "provision.lease", "success")
    first = backfills.by_day()[DAYS[0]]["dag_run_id"]
    live.request("POST", f"/dags/immigration/dagRuns/{first}/clear", {"dry_run": False, "only_failed": False})
    done = backfills.finish(this, DAYS[:4], since)
    assert paused == ["queued"] * 3
    assert len(kept) == 1
    assert done.states == dict.fromkeys(DAYS[:4], "success")
    assert DAYS[4] not in backfills.by_day()
    assert (done.made, done.left) == ((1, 1), [])
    assert done.tables == whole
