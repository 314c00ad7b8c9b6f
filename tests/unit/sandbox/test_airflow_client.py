"""The sandbox's client for Airflow's REST API."""

from __future__ import annotations

import json

import pytest
import responses

from sandbox.airflow.client import AirflowClient, TaskRun
from sandbox.errors import SandboxError

URL = "http://airflow.test"
API = f"{URL}/api/v2"
TASK = TaskRun("load.one", "success", None, None, try_number=2)


@pytest.fixture
def server() -> responses.RequestsMock:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.post(f"{URL}/auth/token", status=201, json={"access_token": "first"})
        yield mock


@pytest.fixture
def client() -> AirflowClient:
    return AirflowClient(URL, "admin", "word")


def test_it_logs_in_once_and_sends_the_token(server: responses.RequestsMock, client: AirflowClient) -> None:
    server.get(f"{API}/dags/a", json={"dag_id": "a"})
    client.find_dag("a")
    client.find_dag("a")
    urls = [call.request.url for call in server.calls]
    assert urls.count(f"{URL}/auth/token") == 1
    assert server.calls[-1].request.headers["Authorization"] == "Bearer first"


def test_an_expired_token_is_renewed(server: responses.RequestsMock, client: AirflowClient) -> None:
    server.get(f"{API}/dags/a", status=401)
    server.get(f"{API}/dags/a", json={"dag_id": "a"})
    assert client.find_dag("a") == {"dag_id": "a"}


def test_a_refused_login_is_an_error(client: AirflowClient) -> None:
    with responses.RequestsMock() as server:
        server.post(f"{URL}/auth/token", status=401)
        with pytest.raises(SandboxError, match="refuses the login of admin"):
            client.find_dag("a")


def test_an_error_carries_airflows_own_message(server: responses.RequestsMock, client: AirflowClient) -> None:
    server.patch(f"{API}/dags/a", json={})
    server.post(f"{API}/dags/a/dagRuns", status=400, json={"detail": "window_start: not a date"})
    with pytest.raises(SandboxError, match="window_start: not a date"):
        client.trigger("a", {"window_start": "x"})


def test_an_airflow_that_does_not_respond_is_an_error(
    server: responses.RequestsMock, client: AirflowClient
) -> None:
    with pytest.raises(SandboxError, match="does not respond at http://airflow.test"):
        client.find_dag("a")


def test_an_airflow_that_does_not_respond_to_the_login_is_an_error(client: AirflowClient) -> None:
    with (
        responses.RequestsMock(),
        pytest.raises(SandboxError, match="does not respond at http://airflow.test"),
    ):
        client.find_dag("a")


def test_a_404_is_returned_as_none_or_as_no_lines(
    server: responses.RequestsMock, client: AirflowClient
) -> None:
    server.get(f"{API}/dags/a", status=404)
    server.get(f"{API}/dags/a/dagRuns/r/taskInstances/load.one/xcomEntries/return_value", status=404, json={})
    server.get(f"{API}/dags/a/dagRuns/r/taskInstances/load.one/logs/2", status=404, json={})
    assert client.find_dag("a") is None
    assert client.result("a", "r", TASK) is None
    assert client.log("a", "r", TASK) == []


def test_a_variable_is_replaced_if_it_exists_and_created_if_not(
    server: responses.RequestsMock, client: AirflowClient
) -> None:
    server.patch(f"{API}/variables/old", json={})
    server.patch(f"{API}/variables/new", status=404)
    server.post(f"{API}/variables", status=201, json={})
    client.set_variable("old", "1")
    client.set_variable("new", "2")
    assert json.loads(server.calls[-1].request.body) == {"key": "new", "value": "2"}


def test_a_dag_is_unpaused_and_its_run_triggered_with_its_params(
    server: responses.RequestsMock, client: AirflowClient
) -> None:
    server.patch(f"{API}/dags/a", json={})
    server.post(f"{API}/dags/a/dagRuns", json={"dag_run_id": "manual__1"})
    assert client.trigger("a", {"window_start": "2016-04-01"}) == "manual__1"
    sent = json.loads(server.calls[-1].request.body)
    assert sent == {"logical_date": None, "conf": {"window_start": "2016-04-01"}}


def instance(task_id: str, start: str | None, map_index: int = -1) -> dict[str, object]:
    return {
        "task_id": task_id,
        "state": "success",
        "start_date": start,
        "end_date": None,
        "try_number": 1,
        "map_index": map_index,
    }


def test_tasks_are_sorted_by_their_start(server: responses.RequestsMock, client: AirflowClient) -> None:
    found = [
        instance("never", None),
        instance("second", "2026-11-21T12:00:02Z", map_index=3),
        instance("first", "2026-11-21T12:00:01Z"),
    ]
    server.get(f"{API}/dags/a/dagRuns/r%2B1/taskInstances", json={"task_instances": found})
    assert [task.name for task in client.tasks("a", "r+1")] == ["first", "second[3]", "never"]


@pytest.mark.parametrize(
    ("value", "result"), [({"read": 1}, {"read": 1}), ('{"read": 1}', {"read": 1}), ("text", "text"), (3, 3)]
)
def test_a_result_is_what_the_task_returned_also_if_airflow_sends_it_as_json_text(
    server: responses.RequestsMock, client: AirflowClient, value: object, result: object
) -> None:
    path = "dags/a/dagRuns/r/taskInstances/load.one/xcomEntries/return_value"
    server.get(f"{API}/{path}", json={"value": value})
    assert client.result("a", "r", TASK) == result


def test_a_log_is_text_and_includes_errors_with_their_frames(
    server: responses.RequestsMock, client: AirflowClient
) -> None:
    frames = [{"filename": "f.py", "lineno": 7, "name": "go"}]
    content = [
        {"event": "began", "level": "info"},
        {
            "event": "Task failed",
            "level": "error",
            "error_detail": [{"exc_type": "ValueError", "exc_value": "two\nlines", "frames": frames}],
        },
        "plain",
    ]
    server.get(f"{API}/dags/a/dagRuns/r/taskInstances/load.one/logs/2", json={"content": content})
    assert client.log("a", "r", TASK) == [
        "INFO began",
        "ERROR Task failed",
        "  f.py:7 in go",
        "ValueError: two",
        "lines",
        "plain",
    ]


def test_a_run_id_is_sent_only_if_one_is_given(server: responses.RequestsMock, client: AirflowClient) -> None:
    server.patch(f"{API}/dags/a", json={})
    server.post(f"{API}/dags/a/dagRuns", json={"dag_run_id": "answered"})
    assert client.trigger("a", {}, run_id="mine") == "answered"
    assert json.loads(server.calls[-1].request.body)["dag_run_id"] == "mine"
    client.trigger("a", {})
    assert "dag_run_id" not in json.loads(server.calls[-1].request.body)


def test_the_edges_of_a_dag_are_told_by_what_each_task_waits_for(
    server: responses.RequestsMock, client: AirflowClient
) -> None:
    tasks = [{"task_id": "a", "downstream_task_ids": ["b"]}, {"task_id": "b", "downstream_task_ids": []}]
    server.get(f"{API}/dags/d/tasks", json={"tasks": tasks})
    assert client.upstream("d") == {"a": frozenset(), "b": {"a"}}


def test_what_a_task_left_under_another_key_is_read(
    server: responses.RequestsMock, client: AirflowClient
) -> None:
    path = f"{API}/dags/d/dagRuns/r/taskInstances/load.one/xcomEntries/times"
    server.get(path, json={"value": {"waited_s": 3}})
    assert client.xcom("d", "r", TASK, "times") == {"waited_s": 3}
