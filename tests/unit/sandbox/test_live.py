"""How a run's progress is shown."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from sandbox.airflow.client import TaskRun
from sandbox.live import LiveView, PlainView, make_view
from sandbox.progress import Session, Snapshot


class Clock:
    """A clock that the test advances."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def task(task_id: str, state: str | None) -> TaskRun:
    return TaskRun(task_id, state, None, None, try_number=1)


def snapshot(*tasks: TaskRun, sessions: tuple[Session, ...] = (), state: str = "running") -> Snapshot:
    return Snapshot(state, tasks, sessions)


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def plain(output: io.StringIO, clock: Clock) -> PlainView:
    return PlainView(Console(file=output, width=80), clock)


def test_a_pipe_gets_plain_lines_and_a_terminal_the_live_display() -> None:
    assert isinstance(make_view(Console(file=io.StringIO())), PlainView)
    assert isinstance(make_view(Console(file=io.StringIO(), force_terminal=True)), LiveView)


def test_each_state_change_of_a_task_is_one_line_with_the_time(
    plain: PlainView, output: io.StringIO, clock: Clock
) -> None:
    plain.show(snapshot(task("provision.emr", "running")))
    clock.now += 2.5
    plain.show(snapshot(task("provision.emr", "running")))
    plain.show(snapshot(task("provision.emr", "success")))
    assert output.getvalue().splitlines() == [
        "   0.0 s  provision.emr: running",
        "   2.5 s  provision.emr: success",
    ]


def test_a_task_that_is_only_scheduled_or_queued_prints_no_line(
    plain: PlainView, output: io.StringIO
) -> None:
    plain.show(snapshot(task("a", None), task("b", "scheduled"), task("c", "queued")))
    assert output.getvalue() == ""


def test_a_session_prints_a_line_for_each_state_and_each_stage(plain: PlainView, output: io.StringIO) -> None:
    for state, told in [
        ("starting", ""),
        ("busy", ""),
        ("busy", "stage 1 of 2 so far, 10 rows read, 0 written"),
        ("busy", "stage 1 of 2 so far, 90 rows read, 0 written"),
        ("busy", "stage 2 of 2 so far, 90 rows read, 0 written"),
        ("idle", ""),
    ]:
        plain.show(snapshot(sessions=(Session("airports", state, told),)))
    assert [line.split("  ", 2)[-1].strip() for line in output.getvalue().splitlines()] == [
        "Spark airports: starting",
        "Spark airports: busy",
        "Spark airports: busy, stage 1 of 2 so far, 10 rows read, 0 written",
        "Spark airports: busy, stage 2 of 2 so far, 90 rows read, 0 written",
        "Spark airports: idle",
    ]


def test_brackets_in_a_line_are_printed_and_not_taken_as_markup(
    plain: PlainView, output: io.StringIO
) -> None:
    plain.log("mapped[3] [bold]")
    assert "mapped[3] [bold]" in output.getvalue()


def shown(view: LiveView, output: io.StringIO, state: Snapshot) -> str:
    output.truncate(0)
    with view:
        view.show(state)
    return output.getvalue()


def test_the_display_counts_each_groups_tasks_and_names_running_and_failed_ones(output: io.StringIO) -> None:
    view = LiveView(Console(file=output, width=80, force_terminal=True, color_system=None), Clock())
    text = shown(
        view,
        output,
        snapshot(
            task("plan", "success"),
            task("verify.a", "success"),
            task("verify.b", "running"),
            task("verify.c", "failed"),
            task("verify.d", None),
        ),
    )
    assert "plan    1/1" in text
    assert "verify  1/4  b, c failed" in text


def test_the_display_keeps_what_a_closed_session_told_last(output: io.StringIO) -> None:
    view = LiveView(Console(file=output, width=100, force_terminal=True, color_system=None), Clock())
    view.show(snapshot(sessions=(Session("airports", "busy", "stage 2 of 2 so far"),)))
    view.show(snapshot(sessions=(Session("airports", "idle"),)))
    text = shown(view, output, snapshot())
    assert "Spark airports  closed  stage 2 of 2 so far" in text


@pytest.mark.parametrize(("state", "over"), [("queued", False), ("running", False), ("failed", True)])
def test_a_run_is_over_once_airflow_reports_a_final_state(state: str, over: bool) -> None:
    assert snapshot(state=state).is_over is over
