"""The numbers of the timeline's picture."""

from __future__ import annotations

import pytest

from airflow_lib.report.clusters import list_lifetimes
from airflow_lib.report.critical_path import find_critical_path
from airflow_lib.report.facts import ReportFacts
from airflow_lib.report.timeline import LEFT, RIGHT, WIDTH, Picture, draw_timeline
from tests.report_sample import facts, green, idle, red, task


def draw(run: ReportFacts, limit: int = 400) -> Picture:
    picture = draw_timeline(run.timed, find_critical_path(run), list_lifetimes(run), limit=limit)
    assert picture is not None
    return picture


def test_a_bar_lies_where_its_task_ran() -> None:
    run = facts(task("a", 0, 50), task("load.b", 50, 100, "a"), task("c", 10, 20))
    a, c, b = draw(run).lines
    assert [(line.group, line.name) for line in (a, b, c)] == [("", "a"), ("load.", "b"), ("", "c")]
    middle = (LEFT + RIGHT) / 2
    assert (a.spans[0].x, a.spans[0].width) == (LEFT, middle - LEFT)
    assert b.spans[0].x == middle
    assert (a.spans[0].kind, c.spans[0].kind) == ("critical", "task")
    assert (a.critical, c.critical, b.after) == (True, False, "50 s")


def test_what_a_task_waited_is_drawn_in_its_bar_and_its_tries_are_told() -> None:
    (line,) = draw(facts(task("a", 0, 100, waited_s=50, tries=2))).lines
    bar, wait = line.spans
    assert wait.width == pytest.approx(bar.width / 2, abs=0.1)
    assert wait.kind == "wait"
    assert line.after == "1 min 40 s, try 2"
    assert "50 s of it waiting" in line.title


def test_a_failed_task_is_drawn_as_one() -> None:
    lines = {line.name: line for line in draw(red()).lines}
    assert lines["load_window"].failed
    assert lines["load_window"].spans[0].kind == "failed"


def test_the_clusters_lie_above_the_tasks() -> None:
    emr, warehouse, plan = draw(green()).lines[:3]
    assert [line.name for line in (emr, warehouse, plan)] == ["EMR cluster", "Redshift cluster", "plan"]
    assert [span.kind for span in emr.spans] == ["changing", "alive", "changing"]
    assert emr.spans[0].x + emr.spans[0].width == pytest.approx(emr.spans[1].x, abs=0.2)


@pytest.mark.parametrize("run", [green(), red(), idle()], ids=["green", "red", "idle"])
def test_all_lies_within_the_picture(run: ReportFacts) -> None:
    picture = draw(run)
    for line in picture.lines:
        assert line.y + picture.bar < picture.height
        for span in line.spans:
            assert span.x >= LEFT
            assert span.x + span.width <= WIDTH
    assert all(LEFT <= tick.x <= RIGHT for tick in picture.ticks)


def test_the_tasks_of_the_critical_path_are_linked() -> None:
    run = green()
    assert len(draw(run).links) == len(find_critical_path(run).hops) - 1


@pytest.mark.parametrize(
    ("seconds", "labels"),
    [
        (0, ["0:00", "0:01"]),
        (10, ["0:00", "0:02", "0:04", "0:06", "0:08", "0:10"]),
        (150, ["0:00", "0:30", "1:00", "1:30", "2:00", "2:30"]),
        (3 * 3600, ["0:00", "0:30:00"]),
        (40 * 86400, ["0:00", "120:00:00"]),
    ],
)
def test_the_axis_has_a_few_round_marks(seconds: int, labels: list[str]) -> None:
    ticks = [tick.label for tick in draw(facts(task("a", 0, seconds))).ticks]
    assert len(ticks) <= 9
    assert ticks[: len(labels)] == labels or ticks[0] == "0:00"
    if seconds <= 150:
        assert ticks == labels


def test_a_run_of_many_tasks_shows_the_first() -> None:
    picture = draw(facts(*(task(f"t{number}", number, number + 1) for number in range(50))), limit=20)
    assert (len(picture.lines), picture.more) == (20, 30)


def test_without_times_there_is_no_picture() -> None:
    assert draw_timeline([], find_critical_path(facts()), [], limit=9) is None
