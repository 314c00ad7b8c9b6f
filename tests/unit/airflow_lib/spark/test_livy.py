"""The Livy client against answers as Livy gives them (docs/livy.md; the contract suite checks servers for the same)."""

import pytest
import requests
import responses

from airflow_lib.errors import (
    LivyError,
    LivyUnreachable,
    NotReady,
    SessionInactive,
    SourceError,
    StatementFailed,
    UnknownState,
)
from airflow_lib.spark.livy import (
    SESSION_FAILED,
    SESSION_PENDING,
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


def test_a_session_is_created_with_its_size_in_livys_own_keys(livy):
    created = livy.post(f"{URL}/sessions", json=SESSION, status=201)
    assert LivyClient(URL).create_session(SPEC).state is SessionState.STARTING
    body = created.calls[0].request.body.decode()
    assert '"driverMemory": "1024m"' in body
    assert '"numExecutors": 1' in body
    assert '"heartbeatTimeoutInSecond": 600' in body


def test_a_duplicate_name_is_our_own_session_from_an_earlier_request(livy):
    livy.post(f"{URL}/sessions", json={"msg": "Rejected, Reason: Duplicate session name: x"}, status=400)
    livy.get(f"{URL}/sessions/{SPEC.name}", json={**SESSION, "state": "idle"})
    assert LivyClient(URL).create_session(SPEC).state is SessionState.IDLE


@pytest.mark.parametrize("body", ['{"msg": "too many sessions"}', '"too many sessions"'])
def test_a_refusal_carries_livys_reason_in_either_of_its_forms(livy, body):
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
    with pytest.raises(UnknownState, match="'napping'; this version knows not_started, starting"):
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


@pytest.mark.parametrize(
    "why",
    [
        "java.lang.IllegalStateException: Session is in state starting",
        "java.util.concurrent.ExecutionException: java.io.IOException: RSCClient instance stopped.",
    ],
)
def test_statements_that_livy_cannot_list_are_not_none_but_unknown(livy, why):
    """A 500 is any exception as text (JsonServlet.scala), such as of the question that Livy asks the driver
    (InteractiveSession.statements, RSCClient.java)."""
    livy.get(f"{URL}/sessions/3/statements", json=why, status=500)
    with pytest.raises(NotReady, match=why.split(":")[0]):
        LivyClient(URL).list_statements(3)


def test_a_session_has_no_statements_where_livy_says_so(livy):
    livy.get(f"{URL}/sessions/3/statements", json={"total_statements": 0, "statements": []})
    assert LivyClient(URL).list_statements(3) == ()


def statement(livy, **answer):
    livy.get(f"{URL}/sessions/3/statements", json={"statements": [{"id": 0, "progress": 1.0, **answer}]})
    return LivyClient(URL).list_statements(3)[0]


def test_available_without_output_is_not_finished_yet(livy):
    assert not statement(livy, state="available", output=None).finished


def test_a_finished_statement_returns_what_it_printed(livy):
    output = {"status": "ok", "execution_count": 0, "data": {"text/plain": "42"}}
    view = statement(livy, state="available", output=output)
    assert view.finished
    assert view.text("s") == "42"


def test_a_statement_that_raised_fails_with_its_traceback(livy):
    output = {
        "status": "error",
        "ename": "Py4JJavaError",
        "evalue": "no space",
        "traceback": ["line 1\n", "line 2\n"],
    }
    with pytest.raises(StatementFailed, match=r"(?s)session s failed: Py4JJavaError: no space.*line 2"):
        statement(livy, state="available", output=output).text("s")


def test_input_that_a_job_cannot_read_is_a_source_error_with_the_jobs_own_message(livy):
    output = {"status": "error", "ename": "ValueError", "evalue": "a.csv has no column x", "traceback": []}
    with pytest.raises(SourceError, match="^a.csv has no column x$"):
        statement(livy, state="available", output=output).text("s")


def test_a_cancelled_statement_is_a_failure():
    with pytest.raises(StatementFailed, match="it is cancelled"):
        StatementView(id=0, state=StatementState.CANCELLED, progress=0.0, output=None).text("s")


def test_a_dead_session_fails_with_the_end_of_its_log(livy):
    livy.get(f"{URL}/sessions/x", json={**SESSION, "name": "x", "state": "dead", "appId": "application_1"})
    livy.get(
        f"{URL}/sessions/3/log", json={"id": 3, "from": 0, "total": 1, "log": ["Container killed by YARN"]}
    )
    client = LivyClient(URL)
    error = client.failure(client.probe_session("x"))
    assert "is dead" in str(error)
    assert "Container killed by YARN" in str(error)


def test_the_failure_of_a_session_is_reported_even_where_its_log_cannot_be_read(livy):
    livy.get(f"{URL}/sessions/x", json={**SESSION, "name": "x", "state": "error"})
    livy.get(f"{URL}/sessions/3/log", json="no log", status=500)
    client = LivyClient(URL)
    error = client.failure(client.probe_session("x"))
    assert "Livy session x is error; idle or busy was expected (YARN application unknown)" in str(error)
    assert "(its log cannot be read: Livy at" in str(error)


def test_a_log_is_its_last_lines_and_none_where_the_session_is_gone(livy):
    read = livy.get(f"{URL}/sessions/3/log", json={"id": 3, "from": 150, "total": 250, "log": ["a", "b"]})
    livy.get(f"{URL}/sessions/4/log", json={"msg": "Session '4' not found."}, status=404)
    assert LivyClient(URL).read_log(3, size=100) == ["a", "b"]
    assert read.calls[0].request.params == {"from": "-1", "size": "100"}
    assert LivyClient(URL).read_log(4, size=100) == []


def test_a_duplicate_name_whose_session_is_gone_by_now_is_refused_with_livys_reason(livy):
    livy.post(f"{URL}/sessions", json={"msg": "Rejected, Reason: Duplicate session name: x"}, status=400)
    livy.get(f"{URL}/sessions/{SPEC.name}", json={"msg": "not found"}, status=404)
    with pytest.raises(LivyError, match="400 Rejected, Reason: Duplicate session name"):
        LivyClient(URL).create_session(SPEC)


def test_all_sessions_are_listed(livy):
    livy.get(f"{URL}/sessions", json={"from": 0, "total": 1, "sessions": [SESSION]})
    assert [session.id for session in LivyClient(URL).list_sessions()] == [3]


@pytest.mark.parametrize("status", [400, 404])
def test_the_statements_of_a_session_that_has_ended_are_inactive(livy, status):
    livy.get(f"{URL}/sessions/3/statements", json={"msg": "Session 3 is not active"}, status=status)
    with pytest.raises(SessionInactive, match="session 3 has ended, or is ending: Session 3 is not active"):
        LivyClient(URL).list_statements(3)


def test_a_submitted_statement_is_pyspark_code(livy):
    sent = livy.post(f"{URL}/sessions/3/statements", json={"id": 0, "state": "waiting"}, status=201)
    assert LivyClient(URL).submit_statement(3, "print(1)").state is StatementState.WAITING
    assert sent.calls[0].request.body.decode() == '{"code": "print(1)", "kind": "pyspark"}'


def test_a_refused_delete_is_an_error(livy):
    livy.delete(f"{URL}/sessions/x", body="boom", status=500)
    with pytest.raises(LivyError, match="refused to delete session x: 500 boom"):
        LivyClient(URL).delete_session("x")


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_that_answers_for_livy_counts_as_unreachable_after_three_attempts(livy, monkeypatch, status):
    monkeypatch.setattr(LivyClient._get.retry, "sleep", lambda _: None)
    read = livy.get(f"{URL}/sessions/x", body="Bad Gateway", status=status)
    with pytest.raises(LivyUnreachable, match=rf"cannot be reached: {status} .*security group"):
        LivyClient(URL).probe_session("x")
    assert read.call_count == 3


@pytest.mark.parametrize("body", ["<html>", "[]", '"ok"', ""])
def test_an_answer_that_is_no_json_object_is_an_error(livy, body):
    livy.get(f"{URL}/sessions/x", body=body)
    with pytest.raises(
        LivyError, match="asked to read /sessions/x and answered .*; a JSON object was expected"
    ):
        LivyClient(URL).probe_session("x")


@pytest.mark.parametrize("answer", [{"state": "idle"}, {"id": None, "state": "idle"}, {"id": "x"}])
def test_a_session_without_a_numeric_id_is_an_error(livy, answer):
    livy.get(f"{URL}/sessions/x", json=answer)
    with pytest.raises(LivyError, match="a session without a numeric id"):
        LivyClient(URL).probe_session("x")


def test_a_pending_statement_is_not_finished_and_a_failed_one_is():
    assert [state for state in StatementState if StatementView(0, state, 0.0, None).finished] == [
        StatementState.ERROR,
        StatementState.CANCELLED,
    ]


def test_a_statement_in_error_without_output_fails_by_its_state():
    with pytest.raises(StatementFailed, match="Statement 0 of Livy session s failed: it is error$"):
        StatementView(id=0, state=StatementState.ERROR, progress=0.0, output=None).text("s")


def test_a_session_is_pending_or_failed_or_can_take_a_statement():
    assert not SESSION_PENDING & SESSION_FAILED
    assert set(SessionState) - SESSION_PENDING - SESSION_FAILED == {
        SessionState.IDLE,
        SessionState.RUNNING,
        SessionState.BUSY,
    }
