"""Airflow keeps a task's links as XComs, which its UI reads; they are made when the task's process ends."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR
from airflow.sdk.exceptions import TaskDeferralError, TaskDeferred
from airflow.sdk.execution_time import task_runner
from airflow.serialization.serialized_objects import OperatorSerialization

from airflow_lib.links import EMR, LIVY, OUTPUT, REPORT, SPARK
from airflow_lib.settings import parse_settings
from airflow_lib.steps import Done, Step, Waiting
from airflow_lib.steps.provision import EnsureEmr
from airflow_lib.steps.transform import RunJob
from operators import task_links as module
from operators.step import StepOperator
from operators.task_links import TaskLinks
from tests.unit.operators.context import PIPELINE, STEP, VARIABLES


class Instance:
    """The task instance that Airflow gives to a link: the results of the run's tasks, and the XComs of this one."""

    def __init__(self, task_id: str, results: dict[str, Any] | None = None) -> None:
        self.task_id, self.run_id = task_id, "manual__1"
        self._results = results or {}
        self.links: dict[str, str] = {}
        self.pulled: list[str] = []

    def xcom_pull(self, *, task_ids: str, key: str = "return_value") -> Any:
        self.pulled.append(task_ids)
        return self.links.get(key) if task_ids == self.task_id else self._results.get(task_ids)

    def finalize(self, links: TaskLinks) -> dict[str, str]:
        """What Airflow does where a task's process ends."""
        for link in links.all:
            self.links[link.xcom_key] = link.get_link(None, ti_key=self)
        return {link.name: self.links[link.xcom_key] for link in links.all}


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "read_settings", lambda: parse_settings(VARIABLES))


def links_of(step: Step | None) -> TaskLinks:
    return TaskLinks("immigration", step)


def test_airflow_asks_a_link_in_the_worker_and_keeps_its_answer_as_an_xcom() -> None:
    source = inspect.getsource(task_runner.finalize)
    assert "oe.get_link(operator=task, ti_key=ti), oe.xcom_key" in source
    assert "_xcom_push_to_db(ti, key=xcom_key, value=link)" in source
    ending = inspect.getsource(task_runner.main)
    assert ending.index("run(ti, context, log)") < ending.index("finalize(ti, state, context, log, error)")


def test_a_serialised_task_has_the_names_of_its_links_and_where_their_addresses_are() -> None:
    operator = StepOperator(
        task_id="emr", pipeline=PIPELINE, step=EnsureEmr(), custom_operator_name="EMR cluster"
    )
    kept = OperatorSerialization.serialize_operator(operator)
    assert kept["_operator_extra_links"] == {EMR: f"link: {EMR}", REPORT: f"link: {REPORT}"}


def test_a_task_that_waits_has_links_already_and_keeps_those_it_does_not_know_anew() -> None:
    waiting, links = Instance("transform.a", {"provision.emr": {"cluster_id": "j-1"}}), links_of(RunJob("a"))
    links.tell(Waiting("", {"url": "http://10.0.0.9:8998", "session": 3}, 1).state)
    while_waiting = waiting.finalize(links)
    assert while_waiting[LIVY] == "http://10.0.0.9:8998/ui/session/3"
    assert while_waiting[SPARK].endswith("#/clusterDetails/j-1")
    assert while_waiting[OUTPUT] == ""

    resumed = links_of(RunJob("a"))  # in another process
    resumed.has_waited = True
    resumed.tell(Done({"manifest": "s3://bucket/processed/immigration/a/0/manifest.json"}).result)
    done = waiting.finalize(resumed)
    assert done[LIVY] == while_waiting[LIVY]
    assert done[OUTPUT].endswith("prefix=processed%2Fimmigration%2Fa%2F0%2F")


def test_the_operator_tells_its_links_what_it_waits_for_and_what_came_of_it(
    opened: Any, script: Any, context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    operator = StepOperator(task_id="a", pipeline=PIPELINE, step=STEP, custom_operator_name="Release EMR")
    monkeypatch.setattr(operator.links, "tell", lambda *known: told.append(known))
    script(Waiting("a cluster", {"generation": 4}, 5))
    with pytest.raises(TaskDeferred):
        operator.execute(context)
    operator._finish(context, Done({"rows": 3}))
    assert told == [({"generation": 4}, parse_settings(VARIABLES)), ({"rows": 3},)]


def test_only_the_results_that_a_tasks_links_need_are_read() -> None:
    ti = Instance("plan")
    ti.finalize(links_of(None))
    assert ti.pulled == []


def test_the_settings_are_read_once_for_all_links_of_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    monkeypatch.setattr(module, "read_settings", lambda: read.append(1) or parse_settings(VARIABLES))
    Instance("transform.a").finalize(links_of(RunJob("a")))
    assert read == [1]


def test_a_task_that_begins_to_wait_asks_airflow_only_for_the_results_that_its_links_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The trigger must not fire before the process has ended."""
    monkeypatch.setattr(module, "read_settings", lambda: pytest.fail("the settings are known"))
    ti, links = Instance("transform.a"), links_of(RunJob("a"))
    links.tell({}, parse_settings(VARIABLES))
    assert ti.finalize(links)[OUTPUT] == ""
    assert ti.pulled == ["provision.emr"]


def test_a_task_whose_trigger_failed_keeps_the_links_that_it_had(context: dict[str, Any]) -> None:
    operator = StepOperator(task_id="a", pipeline=PIPELINE, step=STEP, custom_operator_name="Release EMR")
    with pytest.raises(TaskDeferralError):
        operator.resume_execution(TRIGGER_FAIL_REPR, {"traceback": ["gone"]}, context)
    ti = Instance("a")
    ti.links["link: EMR console"] = "https://before"
    operator.links._addresses = {}
    assert ti.finalize(operator.links)["EMR console"] == "https://before"


def test_links_that_cannot_be_made_are_empty_and_fail_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ValueError("the Variable is gone")

    monkeypatch.setattr(module, "read_settings", fail)
    assert set(Instance("transform.a").finalize(links_of(RunJob("a"))).values()) == {""}


@pytest.mark.parametrize("result", [None, "text", 3, [1]])
def test_a_result_of_another_task_that_is_none_is_left_out(result: Any) -> None:
    found = Instance("transform.a", {"provision.emr": result}).finalize(links_of(RunJob("a")))
    assert found[SPARK].endswith("#/clusters")
