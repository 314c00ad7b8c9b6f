"""The operators at a run's end: where the leases were taken, and whether further runs are to come."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_lib.errors import SettingsError
from operators import release as module
from operators.release import ClosingOperator, ReleaseOperator, expects_more, has_succeeded, next_is_due
from tests.unit.operators.context import PIPELINE, STEP

# Each run: its state, and the state of its release task.
Runs = dict[str, tuple[str, str | None]]


class Instance:
    """A task instance of run `own`, and what Airflow answers about the DAG's `runs`; or the error it raises."""

    dag_id, task_id, run_id = "immigration", "transform.release_emr", "own"
    max_tries = 3

    def __init__(self, runs: Runs, error: Exception | None = None) -> None:
        self._runs = runs
        self._error = error

    def get_task_states(self, dag_id: str, task_ids: list[str]) -> Any:
        assert (dag_id, task_ids) == ("immigration", ["transform.release_emr"])
        others = {run: {self.task_id: release} for run, (_, release) in self._runs.items()}
        return self._answer({**others, "own": {self.task_id: "running"}})

    def get_dr_count(self, dag_id: str, run_ids: list[str], states: list[str]) -> Any:
        assert (dag_id, states) == ("immigration", ["queued", "running"])
        return self._answer(sum(self._runs[run][0] in states for run in run_ids))

    def _answer(self, value: Any) -> Any:
        if self._error is not None:
            raise self._error
        return value


@pytest.mark.parametrize(
    ("runs", "more"),
    [
        ({}, False),
        ({"b": ("queued", None)}, True),
        ({"b": ("running", "deferred")}, True),
        ({"b": ("running", "success")}, False),  # it has finished its release
        ({"b": ("failed", None)}, False),  # its backfill was cancelled before it started
        ({"b": ("running", "success"), "c": ("failed", None)}, False),
        ({"b": ("running", "success"), "c": ("failed", None), "d": ("queued", None)}, True),
    ],
)
def test_more_is_expected_only_of_runs_known_to_come(runs: Runs, more: bool) -> None:
    assert expects_more(Instance(runs)) is more


@pytest.mark.parametrize(
    ("states", "succeeded"),
    [
        ({"load": "success", "verify": "success", "verdict": None}, True),
        ({"load": "success", "verify": "failed"}, False),
        ({"load": "success", "verify": "skipped"}, False),
        ({"load": "success"}, False),
        (RuntimeError("Airflow does not answer"), False),
    ],
)
def test_a_run_came_through_if_all_tasks_before_its_release_succeeded(states: Any, succeeded: bool) -> None:
    def answer(**asked: Any) -> Any:
        if isinstance(states, Exception):
            raise states
        return {"own": states} if asked == {"dag_id": "immigration", "run_ids": ["own"]} else {}

    ti = SimpleNamespace(dag_id="immigration", run_id="own", get_task_states=answer)
    assert has_succeeded(ti, {"load", "verify"}) is succeeded


def test_where_airflow_cannot_be_asked_no_further_run_is_expected() -> None:
    assert expects_more(Instance({"b": ("queued", None)}, error=ConnectionError("gone"))) is False


@pytest.mark.parametrize(
    ("state", "answer"), [("running", 1), ("queued", 0), ("failed", 0), ("gone", ConnectionError("gone"))]
)
def test_a_run_is_under_way_if_airflow_says_that_it_is_running(
    opened: list[Any],
    context: dict[str, Any],
    lease: dict[str, Any],
    state: str,
    answer: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def count(**asked: Any) -> int:
        assert asked == {"dag_id": "immigration", "run_ids": ["other"], "states": ["running"]}
        if isinstance(answer, Exception):
            raise answer
        return int(answer)

    monkeypatch.setattr(module, "check_register_location", lambda run, location: None)
    context["ti"].dag_id, context["ti"].get_dr_count = "immigration", count
    run = make(ClosingOperator).open_run(context)
    assert run.is_under_way("other") is (state == "running")


@pytest.fixture
def lease(context: dict[str, Any]) -> dict[str, Any]:
    """The result of the run's task provision.lease."""
    result = {"location": {"region": "us-east-1"}}
    pull = {"provision.lease": result}
    context["ti"] = SimpleNamespace(xcom_pull=lambda task_ids: pull[task_ids], max_tries=3)
    return result


@pytest.mark.parametrize("more", [True, False])
def test_a_release_passes_on_whether_further_runs_are_expected(
    opened: list[Any],
    context: dict[str, Any],
    lease: dict[str, Any],
    more: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "check_register_location", lambda run, location: None)
    monkeypatch.setattr(module, "expects_more", lambda ti: more)
    assert make(ReleaseOperator).open_run(context).expects_more is more
    monkeypatch.setattr(module, "next_is_due", lambda *_: True)
    assert make(ReleaseOperator).open_run(context).expects_more


@pytest.mark.parametrize(
    ("kind", "is_backfill"), [("backfill", True), ("scheduled", False), ("manual", False)]
)
def test_a_release_is_told_whether_the_run_is_one_of_a_backfill(
    opened: list[Any],
    context: dict[str, Any],
    lease: dict[str, Any],
    kind: str,
    is_backfill: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "check_register_location", lambda run, location: None)
    context["dag_run"].run_type = kind
    assert make(ReleaseOperator).open_run(context).is_backfill is is_backfill


DAY = timedelta(days=1)
FIRST = datetime(2016, 4, 1, tzinfo=UTC)


def scheduled(kind: str = "scheduled", start: datetime | None = FIRST) -> Any:
    return SimpleNamespace(
        run_type=kind, data_interval_start=start, data_interval_end=start + DAY if start else None
    )


class Calendar:
    """A task instance, and the logical dates of the DAG's runs that Airflow has made."""

    dag_id = "immigration"

    def __init__(self, *made: datetime) -> None:
        self._made = made

    def get_dr_count(self, dag_id: str, logical_dates: list[datetime]) -> int:
        assert dag_id == self.dag_id
        return len(set(self._made) & set(logical_dates))


@pytest.mark.parametrize(
    ("run", "made", "due_by", "is_due"),
    [
        (scheduled(), (), FIRST + 2 * DAY, True),
        (scheduled(), (), FIRST + 2 * DAY - timedelta(seconds=1), False),  # its day is not over yet
        (
            scheduled(),
            (FIRST + DAY,),
            FIRST + 9 * DAY,
            False,
        ),  # it was made, and is counted where it is active
        (scheduled("manual"), (), FIRST + 9 * DAY, False),
        (scheduled("backfill"), (), FIRST + 9 * DAY, False),
        (scheduled(start=None), (), FIRST + 9 * DAY, False),
    ],
)
def test_the_next_scheduled_run_is_due_once_its_interval_is_over_and_it_was_not_made(
    run: Any, made: tuple[datetime, ...], due_by: datetime, is_due: bool
) -> None:
    caught_up = replace(PIPELINE, schedule="@daily", start=FIRST, catchup=True)
    assert next_is_due(Calendar(*made), run, caught_up, due_by) is is_due


def test_without_catchup_the_next_run_is_that_of_the_latest_interval() -> None:
    """Of a run that is cleared months later none follows that Airflow has not made."""
    daily = replace(PIPELINE, schedule="@daily", start=FIRST, catchup=False)
    now = datetime.now(UTC)
    latest = now.replace(hour=0, minute=0, second=0, microsecond=0) - DAY
    assert next_is_due(Calendar(), scheduled(), daily, now)
    assert not next_is_due(Calendar(latest), scheduled(), daily, now)


def test_a_pipeline_without_a_schedule_expects_no_scheduled_run() -> None:
    assert not next_is_due(Calendar(), scheduled(), replace(PIPELINE, schedule=None), FIRST + 9 * DAY)


def test_where_airflow_cannot_be_asked_no_scheduled_run_is_expected() -> None:
    assert not next_is_due(
        SimpleNamespace(), scheduled(), replace(PIPELINE, schedule="@daily", catchup=True), FIRST + 9 * DAY
    )


@pytest.mark.parametrize("kind", [ClosingOperator, ReleaseOperator])
def test_a_run_ends_only_where_its_leases_were_taken(
    opened: list[Any],
    context: dict[str, Any],
    lease: dict[str, Any],
    kind: type[ClosingOperator],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checked: list[Any] = []

    def refuse(run: Any, location: Any) -> None:
        checked.append(location)
        raise SettingsError("the Variables changed")

    monkeypatch.setattr(module, "check_register_location", refuse)
    with pytest.raises(SettingsError, match="the Variables changed"):
        make(kind).open_run(context)
    assert checked == [lease["location"]]


def test_leases_that_the_version_before_took_are_looked_for_where_it_took_them(
    opened: list[Any], context: dict[str, Any], lease: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[Any] = []
    monkeypatch.setattr(module, "check_register_location", lambda run, location: checked.append(location))
    lease["place"] = lease.pop("location")
    make(ClosingOperator).open_run(context)
    assert checked == [lease["place"]]


def test_a_run_that_took_no_lease_ends_anywhere(
    opened: list[Any], context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[Any] = []
    monkeypatch.setattr(module, "check_register_location", lambda run, location: checked.append(location))
    context["ti"] = SimpleNamespace(xcom_pull=lambda task_ids: None, max_tries=3)
    make(ClosingOperator).open_run(context)
    assert checked == [None]


def make(kind: type[ClosingOperator]) -> ClosingOperator:
    return kind(task_id="release", pipeline=PIPELINE, step=STEP, custom_operator_name="Release EMR")
