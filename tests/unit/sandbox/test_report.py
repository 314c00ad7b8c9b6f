"""A run's report, as JSON and as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sandbox.airflow.client import TaskRun
from sandbox.report import RunFacts, build_report, is_green, summary, table, timeline

BEGIN = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def task(task_id: str, begin_s: float | None, end_s: float | None, state: str | None = "success") -> TaskRun:
    def at(seconds: float | None) -> datetime | None:
        return None if seconds is None else BEGIN + timedelta(seconds=seconds)

    return TaskRun(task_id, state, at(begin_s), at(end_s), try_number=1)


UNIQUE = {"name": "unique_x", "severity": "error", "passed": True, "failing_rows": 0}
RESULTS = {
    "plan": {"will": "create"},
    "transform.arrivals": {"read": 10, "written": 7, "rejected": {"not_by_air": 3}, "notes": {"unknown": 1}},
    "transform.cities": {"read": 4, "written": 2},
    "load.create_tables": None,
    "load.load_window": {
        "tables": {"factArrivetheUsa": {"before": 9, "rows": 7, "total": 90}, "dimAirport": {"total": 5}},
        "checks": [UNIQUE],
    },
    "verify.x": {
        "table": "x",
        "checks": [
            UNIQUE,
            {
                "name": "holds",
                "severity": "warn",
                "passed": False,
                "failing_rows": 2,
                "samples": [{"id": 1}],
                "sql": "SELECT 1",
            },
        ],
    },
    "answers.by_state": {"columns": ["state", "n"], "rows": [["CA", 3], [None, 1]]},
    "release.inventory": {"left": [], "kept": ["a snapshot"]},
}


def facts(**changes: object) -> RunFacts:
    known = {
        "state": "success",
        "wall_s": 61.23456,
        "tasks": [task("plan", 0, 1), task("load.load_window", 1, 5)],
        "results": RESULTS,
        "calls": {"redshift.CreateCluster": 1},
    }
    return RunFacts(**{**known, **changes})


def test_a_report_holds_the_tasks_results_without_the_names_of_their_groups() -> None:
    report = build_report(facts(kept=["a snapshot"]))
    assert report == {
        "state": "success",
        "wall_s": 61.235,
        "nothing_to_do": "",
        "tasks": [
            {
                "task_id": "plan",
                "state": "success",
                "start": "2026-11-21T12:00:00+00:00",
                "end": "2026-11-21T12:00:01+00:00",
            },
            {
                "task_id": "load.load_window",
                "state": "success",
                "start": "2026-11-21T12:00:01+00:00",
                "end": "2026-11-21T12:00:05+00:00",
            },
        ],
        "jobs": {
            "arrivals": {"read": 10, "written": 7, "rejected": {"not_by_air": 3}, "notes": {"unknown": 1}},
            "cities": {"read": 4, "written": 2, "rejected": {}},
        },
        "tables": {"factArrivetheUsa": {"before": 9, "rows": 7, "total": 90}, "dimAirport": {"total": 5}},
        "checks": [
            {"name": "unique_x", "severity": "error", "passed": True, "failing_rows": 0},
            {
                "name": "holds",
                "severity": "warn",
                "passed": False,
                "failing_rows": 2,
                "samples": [{"id": 1}],
            },
        ],
        "answers": {"by_state": {"columns": ["state", "n"], "rows": [["CA", 3], [None, 1]]}},
        "inventory": [],
        "kept": ["a snapshot"],
        "calls": {"redshift.CreateCluster": 1},
    }


def test_a_report_says_where_the_rejected_rows_lie() -> None:
    rejects = "s3://bucket/processed/x/arrivals/a/b-rejected/"
    counts = {"read": 10, "written": 7, "rejected": {"not_by_air": 3}}
    results = {"transform.arrivals": {**counts, "rejects": rejects}, "transform.cities": counts}
    report = build_report(facts(results=results))
    assert report["jobs"] == {"arrivals": {**counts, "rejects": rejects}, "cities": counts}
    assert f"rejected by arrivals: {rejects}" in summary(report, [])


def test_a_failed_runs_report_has_every_key_even_if_no_task_returned_anything() -> None:
    report = build_report(facts(state="failed", results={}, tasks=[task("plan", None, None, None)], calls={}))
    assert report["tasks"] == [{"task_id": "plan", "state": None, "start": None, "end": None}]
    assert (report["jobs"], report["tables"], report["checks"], report["answers"]) == ({}, {}, [], {})


@pytest.mark.parametrize("odd", [None, "text", [1], {}, {"read": 1}, {"passed": True}, {"columns": []}])
@pytest.mark.parametrize("task_id", ["transform.a", "load.a", "verify.a", "answers.a"])
def test_a_result_with_unexpected_content_is_omitted(task_id: str, odd: object) -> None:
    report = build_report(facts(results={task_id: odd}))
    assert (report["jobs"], report["tables"], report["checks"], report["answers"]) == ({}, {}, [], {})


@pytest.mark.parametrize(
    ("state", "leftovers", "green"),
    [
        ("success", [], True),
        ("failed", [], False),
        ("success", [{"kind": "EMR cluster", "name": "x", "state": "WAITING"}], False),
    ],
)
def test_a_run_is_green_if_it_succeeded_and_left_nothing_behind(
    state: str, leftovers: list[object], green: bool
) -> None:
    assert is_green(build_report(facts(state=state, leftovers=leftovers))) is green


def test_the_timeline_shows_when_each_task_ran() -> None:
    tasks = [task("load", 5, 10), task("plan", 0, 5), task("late", None, None, None)]
    assert timeline(tasks, width=10) == [
        "plan    0.0 s    5.0 s  █████",
        "load    5.0 s    5.0 s       █████",
    ]


def test_the_timeline_marks_a_failed_task_and_shows_even_the_shortest() -> None:
    lines = timeline([task("long", 0, 100), task("short", 100, 100, "failed")], width=10)
    assert lines[1].endswith("         ▒")


def test_without_tasks_there_is_no_timeline() -> None:
    assert timeline([task("plan", None, None, None)]) == []


def test_a_table_aligns_numbers_to_the_right_and_leaves_nulls_empty() -> None:
    assert table(["state", "n"], [["CA", 12], [None, 3]]) == [
        "state   n",
        "-----  --",
        "CA     12",
        "        3",
    ]


def test_a_long_table_is_cut_and_shows_how_many_rows_are_missing() -> None:
    lines = table(["n"], [[n] for n in range(5)], limit=2)
    assert lines[-1] == "... 3 more"
    assert len(lines) == 5


def test_the_summary_shows_failing_checks_warnings_and_leftovers() -> None:
    results = {
        **RESULTS,
        "verify.bad": {
            "table": "bad",
            "checks": [{"name": "bad", "severity": "error", "passed": False, "failing_rows": 9}],
        },
    }
    leftovers = [{"kind": "IAM role", "name": "mayfly-x", "state": "exists", "kept": False}]
    text = "\n".join(summary(build_report(facts(results=results, leftovers=leftovers)), facts().tasks))
    assert "FAILS               9  bad" in text
    assert "WARNS               2  holds" in text
    assert "passed              0  unique_x" in text
    assert "IAM role mayfly-x exists" in text
    assert f"factArrivetheUsa  {9:>13}  {7:>18}  {90:>11}" in text
    assert f"dimAirport        {'':>13}  {'':>18}  {5:>11}" in text


def test_the_checks_of_a_load_that_was_refused_are_shown_although_nothing_was_verified() -> None:
    bad = {"name": "bad", "severity": "error", "passed": False, "failing_rows": 9, "samples": [{"id": 1}]}
    report = build_report(
        facts(state="failed", results={"load.load_window": {"tables": {}, "checks": [bad]}})
    )
    assert (report["tables"], report["checks"]) == ({}, [bad])


def test_the_summary_of_a_run_that_did_nothing_has_only_the_leftovers() -> None:
    text = "\n".join(summary(build_report(facts(state="failed", results={}, tasks=[])), []))
    assert "Left behind" in text
    assert "nothing" in text
    assert "Checks" not in text


def test_a_run_that_had_nothing_to_do_says_why() -> None:
    results = {"provision.preflight": {"nothing_to_do": "the warehouse holds it already"}}
    report = build_report(facts(results=results, tasks=[]))
    assert report["nothing_to_do"] == "the warehouse holds it already"
    lines = summary(report, [])
    assert lines[lines.index("Nothing to do") + 2] == "the warehouse holds it already"
    assert build_report(facts())["nothing_to_do"] == ""


def test_an_answer_shows_its_first_rows_how_many_more_there_are_and_where_it_is_published() -> None:
    where = {"parquet": "s3://lake/a_000.parquet", "csv": "s3://lake/a_000.csv"}
    answer = {"columns": ["n"], "rows": [[1], [2]], "row_count": 5, "published": where}
    report = build_report(facts(results={"answers.a": {**answer, "checks": []}}))
    assert report["answers"] == {"a": answer}
    lines = summary(report, [])
    start = lines.index("Answer: a")
    assert lines[start + 2 : start + 9] == ["n", "-", "1", "2", "... 3 more", *where.values()]
