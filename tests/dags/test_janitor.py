"""The janitor's DAG: one task, every quarter of an hour, of which no two passes overlap."""

from __future__ import annotations

import pytest
from airflow.sdk import DAG

from airflow_lib.janitor import LEASE_S, PASS_S
from subdags.janitor import build_janitor_dag


@pytest.fixture(scope="module")
def janitor() -> DAG:
    return build_janitor_dag()


def test_it_runs_every_quarter_of_an_hour_and_one_at_a_time(janitor: DAG) -> None:
    assert janitor.schedule == "*/15 * * * *"
    assert not janitor.catchup
    assert janitor.max_active_runs == 1
    assert [task.task_id for task in janitor.tasks] == ["pass"]


def test_it_starts_paused(janitor: DAG) -> None:
    assert janitor.is_paused_upon_creation


def test_a_pass_ends_before_its_task_times_out(janitor: DAG) -> None:
    timeout = janitor.get_task("pass").execution_timeout
    assert timeout is not None
    assert timeout.total_seconds() > PASS_S


def test_a_failed_pass_is_not_retried(janitor: DAG) -> None:
    assert janitor.get_task("pass").retries == 0


def test_an_unfinished_pass_can_be_taken_over_by_the_next() -> None:
    assert PASS_S + LEASE_S < 15 * 60
