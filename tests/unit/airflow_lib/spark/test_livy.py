"""The Livy client against Livy's own words (docs/livy.md; the contract suite holds servers to the same)."""

import pytest
import requests
import responses

from airflow_lib.errors import LivyError, LivyUnreachable, SourceError, StatementFailed, UnknownState
from airflow_lib.spark.livy import (
    LivyClient,
    SessionSpec,
    SessionState,
    StatementState,
    StatementView,
)

URL = "http://ip-10-0-0-7.ec2.internal:8998"
SPEC = SessionSpec(
    name="mayfly-dev-birds-0123-sightings",
    py_files=("s3://b/code.zip",),
    driver_memory_mib=1024,
    driver_cores=1,
    executor_memory_mib=1024,
    executor_cores=1,
    executors=1,
)
SESSION = {"id": 3, "name": SPEC.name, "state": "starting", "appId": None}


@pytest.fixture
def livy():
    with responses.RequestsMock() as mock:
        yield mock


def test_a_session_is_asked_for_with_its_size_in_livys_words(livy):
    asked = livy.post(f"{URL}/sessions", json=SESSION, status=201)
    assert LivyClient(URL).create_session(SPEC).state is SessionState.STARTING
    body = asked.calls[0].request.body.decode()
    assert '"driverMemory": "1024m"' in body
    assert '"numExecutors": 1' in body


def test_a_name_that_is_taken_is_our_own_session_from_before(livy):
    livy.post(f"{URL}/sessions", json={"msg": "Rejected, Reason: Duplicate session name: x"}, status=400)
    livy.get(f"{URL}/sessions/{SPEC.name}", json={**SESSION, "state": "idle"})
    assert LivyClient(URL).create_session(SPEC).state is SessionState.IDLE


@pytest.mark.parametrize("body", ['{"msg": "too many sessions"}', '"too many sessions"'])
def test_a_refusal_is_told_in_livys_words_in_either_form(livy, body):
    livy.post(f"{URL}/sessions", body=body, status=400, content_type="application/json")
    with pytest.raises(LivyError, match="refused to create session .*: 400 too many sessions"):
        LivyClient(URL).create_session(SPEC)


def test_an_absent_session_is_none_and_deleting_it_is_success(livy):
    livy.get(f"{URL}/sessions/x", json={"msg": "Session 'x' not found."}, status=404)
    livy.delete(f"{URL}/sessions/x", json={"msg": "Session 'x' not found."}, status=404)
    assert LivyClient(URL).probe_session("x") is None
    LivyClient(URL).delete_session("x")


def test_an_unknown_state_is_an_error_that_lists_the_known_ones(livy):
    livy.get(f"{URL}/sessions/x", json={**SESSION, "state": "napping"})
    with pytest.raises(UnknownState, match="'napping'; this release knows not_started, starting"):
        LivyClient(URL).probe_session("x")


def test_a_read_is_tried_again_where_livy_does_not_answer(livy, monkeypatch):
    monkeypatch.setattr(LivyClient._get.retry, "sleep", lambda _: None)
    livy.get(f"{URL}/sessions/x", body=requests.ConnectionError("refused"))
    livy.get(f"{URL}/sessions/x", json={**SESSION, "state": "idle"})
    assert LivyClient(URL).probe_session("x").state is SessionState.IDLE


def test_a_statement_is_never_sent_twice(livy):
    sent = livy.post(f"{URL}/sessions/3/statements", body=requests.ConnectionError("reset"))
    with pytest.raises(LivyUnreachable):
        LivyClient(URL).submit_statement(3, "print(1)")
    assert sent.call_count == 1


def test_statements_of_a_session_that_starts_are_none_yet(livy):
    livy.get(f"{URL}/sessions/3/statements", json="java.lang.IllegalStateException", status=500)
    assert LivyClient(URL).list_statements(3) == ()


def statement(livy, **answer):
    livy.get(f"{URL}/sessions/3/statements", json={"statements": [{"id": 0, "progress": 1.0, **answer}]})
    return LivyClient(URL).list_statements(3)[0]


def test_available_without_output_is_not_finished_yet(livy):
    assert not statement(livy, state="available", output=None).finished


def test_a_finished_statement_gives_its_text(livy):
    output = {"status": "ok", "execution_count": 0, "data": {"text/plain": "42"}}
    view = statement(livy, state="available", output=output)
    assert view.finished
    assert view.text("s") == "42"


def test_a_statement_that_raised_tells_its_traceback(livy):
    output = {
        "status": "error",
        "ename": "Py4JJavaError",
        "evalue": "no space",
        "traceback": ["line 1\n", "line 2\n"],
    }
    with pytest.raises(StatementFailed, match=r"(?s)session s failed. Py4JJavaError: no space.*line 2"):
        statement(livy, state="available", output=output).text("s")


def test_input_that_a_job_cannot_read_is_told_in_its_own_words(livy):
    output = {"status": "error", "ename": "ValueError", "evalue": "a.csv has no column x", "traceback": []}
    with pytest.raises(SourceError, match="^a.csv has no column x$"):
        statement(livy, state="available", output=output).text("s")


def test_a_cancelled_statement_is_a_failure():
    with pytest.raises(StatementFailed, match="it is cancelled"):
        StatementView(id=0, state=StatementState.CANCELLED, progress=0.0, output=None).text("s")


def test_a_dead_session_tells_the_end_of_its_log(livy):
    livy.get(f"{URL}/sessions/x", json={**SESSION, "name": "x", "state": "dead", "appId": "application_1"})
    livy.get(
        f"{URL}/sessions/3/log", json={"id": 3, "from": 0, "total": 1, "log": ["Container killed by YARN"]}
    )
    client = LivyClient(URL)
    error = client.failure(client.probe_session("x"))
    assert "is dead" in str(error)
    assert "Container killed by YARN" in str(error)
