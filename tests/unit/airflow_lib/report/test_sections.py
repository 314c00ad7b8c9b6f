"""What the tasks' results say of a run."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_lib.report import sections
from tests.report_sample import FAILING, PASSED, WARNING, facts, green, red, task


def test_jobs_tell_rows_reasons_and_whether_they_were_computed_anew() -> None:
    stations, readings = sections.list_jobs(green())
    assert (stations.name, stations.reused, stations.rows_rejected) == ("stations", True, 0)
    assert (readings.read, readings.written, readings.rows_rejected) == (184302, 181977, 2325)
    assert readings.rejects.endswith("-rejected/")
    assert readings.notes == {"corrected_clock": 212}


def test_tables_tell_what_they_hold_and_why_they_were_left_as_they_were() -> None:
    result = {
        "tables": {"a": {"before": 1, "rows": 1, "total": 9}, "b": {"total": 5}, "c": {"total": 4}},
        "kept": ["a"],
        "held": ["b"],
    }
    loaded = sections.list_loaded(facts(task("load.load_window", 0, 1, result=result)))
    told = [(one.table, one.before, one.rows, one.total, one.remark) for one in loaded]
    assert told == [
        ("a", 1, 1, 9, "kept: no row came in"),
        ("b", None, None, 5, "had this batch already"),
        ("c", None, None, 4, ""),
    ]


def test_checks_that_fail_come_first_then_those_that_warn_and_each_comes_once() -> None:
    run = facts(
        task("load.load_window", 0, 1, result={"checks": [PASSED[0], {**FAILING, "failing_rows": 1}]}),
        task("verify.a", 1, 2, result={"checks": [PASSED[0], WARNING, FAILING]}),
        task("answers.b", 2, 3, result={"checks": [PASSED[1]]}),
    )
    checks = sections.list_checks(run)
    assert [check.name for check in checks] == [
        one["name"] for one in (FAILING, WARNING, PASSED[0], PASSED[1])
    ]
    assert (checks[0].failing_rows, checks[0].fails, checks[1].fails) == (3, True, False)
    assert checks[0].columns == ["reading_id", "station", "celsius", "at"]


def test_answers_tell_their_rows_how_many_there_are_and_where_they_lie() -> None:
    (answer,) = sections.list_answers(green())
    assert (answer.name, len(answer.rows), answer.row_count) == ("by_station", 5, 1043)
    assert set(answer.published) == {"parquet", "csv"}


def test_the_inventory_and_the_plan_are_told() -> None:
    assert sections.list_inventory(red(), "left") == [
        "security group mayfly-prod-weather-emr-master-g41 sg-0a1b2c"
    ]
    assert len(sections.list_plan(red())) == 3
    assert sections.list_plan(facts(task("plan", 0, 1, result={"problem": "no Variable"}))) == ["no Variable"]
    assert sections.list_plan(facts()) == sections.list_inventory(facts(), "kept") == []


ODD: list[Any] = [
    None,
    "text",
    [1],
    {},
    {"read": 1, "written": "2"},
    {"read": True, "written": False},
    {"tables": [1], "kept": 5, "checks": {"a": 1}},
    {"tables": {"t": None}},
    {"checks": [None, 5, {"name": 1, "passed": True}, {"name": "n", "passed": "yes"}]},
    {"checks": [{"name": "n", "passed": False, "failing_rows": "x", "samples": [1, None], "sql": 5}]},
    {"columns": "ab", "rows": [["a", "b"]]},
    {"columns": [1], "rows": [5, ["a", "b"], ["c"]], "row_count": None, "published": [1]},
    {"left": {"a": 1}, "lines": 5},
]


@pytest.mark.parametrize("odd", ODD, ids=str)
@pytest.mark.parametrize(
    "task_id", ["plan", "transform.a", "load.load_window", "verify.a", "answers.a", "release.inventory"]
)
def test_what_is_malformed_is_left_out(task_id: str, odd: Any) -> None:
    run = facts(task(task_id, 0, 1, result=odd))
    assert sections.list_jobs(run) == []
    assert all(one.total is None for one in sections.list_loaded(run))
    assert all(check.failing_rows == 0 for check in sections.list_checks(run))
    assert all(len(row) == len(one.columns) for one in sections.list_answers(run) for row in one.rows)
    assert sections.list_inventory(run, "left") == sections.list_plan(run) == []
