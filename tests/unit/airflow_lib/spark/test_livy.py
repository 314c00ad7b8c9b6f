"""The Livy client against answers as Livy gives them (docs/livy.md; the contract suite checks servers for the same).

And against answers as no Livy gives them: every one ends in a value or in one of our errors.
"""

import json
from io import BytesIO

import pytest
import requests
import responses
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_lib.errors import (
    LivyError,
    LivyUnreachable,
    MayflyError,
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
    SessionView,
    StatementState,
    StatementView,
)
from airflow_lib.spark.livy_http import LivyEndpoint

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
    assert LivyClient(LivyEndpoint(URL)).create_session(SPEC).state is SessionState.STARTING
    body = created.calls[0].request.body.decode()
    assert '"driverMemory": "1024m"' in body
    assert '"numExecutors": 1' in body
    assert '"heartbeatTimeoutInSecond": 600' in body


def test_a_duplicate_name_is_our_own_session_from_an_earlier_request(livy):
    livy.post(f"{URL}/sessions", json={"msg": "Rejected, Reason: Duplicate session name: x"}, status=400)
    livy.get(f"{URL}/sessions/{SPEC.name}", json={**SESSION, "state": "idle"})
    assert LivyClient(LivyEndpoint(URL)).create_session(SPEC).state is SessionState.IDLE


@pytest.mark.parametrize("body", ['{"msg": "too many sessions"}', '"too many sessions"'])
def test_a_refusal_carries_livys_reason_in_either_of_its_forms(livy, body):
    livy.post(f"{URL}/sessions", body=body, status=400, content_type="application/json")
    with pytest.raises(LivyError, match="refused to create session .*: 400 too many sessions"):
        LivyClient(LivyEndpoint(URL)).create_session(SPEC)


def test_an_absent_session_is_none_and_deleting_it_is_success(livy):
    livy.get(f"{URL}/sessions/x", json={"msg": "Session 'x' not found."}, status=404)
    livy.delete(f"{URL}/sessions/x", json={"msg": "Session 'x' not found."}, status=404)
    assert LivyClient(LivyEndpoint(URL)).probe_session("x") is None
    LivyClient(LivyEndpoint(URL)).delete_session("x")


def test_of_all_sessions_those_whose_name_begins_so_are_listed_whatever_the_others_are(livy):
    others = [{"id": "?", "name": None, "state": "odd"}, {"name": "x-mayfly-dev-birds-", "state": 5}, {}]
    answer = {"from": 0, "total": 5, "sessions": [*others, SESSION, {**SESSION, "id": 4, "state": "dead"}]}
    asked = livy.get(f"{URL}/sessions", json=answer)
    found = LivyClient(LivyEndpoint(URL)).list_sessions("mayfly-dev-birds-")
    assert [(one.id, one.state) for one in found] == [(3, SessionState.STARTING), (4, SessionState.DEAD)]
    assert asked.calls[0].request.params == {"from": "0", "size": "1000"}


@pytest.mark.parametrize(
    "body", [{}, {"sessions": None}, {"sessions": [5]}, {"sessions": [{**SESSION, "id": -1}]}]
)
def test_a_list_of_sessions_in_another_form_is_an_error(livy, body):
    livy.get(f"{URL}/sessions", json=body)
    with pytest.raises(LivyError, match="in a way that Mayfly does not know"):
        LivyClient(LivyEndpoint(URL)).list_sessions("mayfly-dev-birds-")


def test_an_unknown_state_is_an_error_that_lists_the_known_ones(livy):
    livy.get(f"{URL}/sessions/x", json={**SESSION, "state": "napping"})
    with pytest.raises(UnknownState, match="'napping'; this version knows not_started, starting"):
        LivyClient(LivyEndpoint(URL)).probe_session("x")


def test_a_read_is_tried_again_where_livy_does_not_answer(livy, monkeypatch):
    monkeypatch.setattr(LivyClient._get_patiently.retry, "sleep", lambda _: None)
    livy.get(f"{URL}/sessions/x", body=requests.ConnectionError("refused"))
    livy.get(f"{URL}/sessions/x", json={**SESSION, "state": "idle"})
    assert LivyClient(LivyEndpoint(URL)).probe_session("x").state is SessionState.IDLE


def test_a_statement_is_never_sent_twice(livy):
    sent = livy.post(f"{URL}/sessions/3/statements", body=requests.ConnectionError("reset"))
    with pytest.raises(LivyUnreachable):
        LivyClient(LivyEndpoint(URL)).submit_statement(3, "print(1)")
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
        LivyClient(LivyEndpoint(URL)).list_statements(3)


def test_a_session_has_no_statements_where_livy_says_so(livy):
    livy.get(f"{URL}/sessions/3/statements", json={"total_statements": 0, "statements": []})
    assert LivyClient(LivyEndpoint(URL)).list_statements(3) == ()


def statement(livy, **answer):
    livy.get(f"{URL}/sessions/3/statements", json={"statements": [{"id": 0, "progress": 1.0, **answer}]})
    return LivyClient(LivyEndpoint(URL)).list_statements(3)[0]


def test_available_without_output_is_not_finished_yet(livy):
    assert not statement(livy, state="available", output=None).finished


def test_a_finished_statement_returns_what_it_printed(livy):
    output = {"status": "ok", "execution_count": 0, "data": {"text/plain": "42"}}
    view = statement(livy, state="available", output=output)
    assert view.finished
    assert view.text("s", "arrivals") == "42"


def test_a_statement_that_raised_fails_with_its_traceback(livy):
    output = {
        "status": "error",
        "ename": "Py4JJavaError",
        "evalue": "no space",
        "traceback": ["line 1\n", "line 2\n"],
    }
    with pytest.raises(StatementFailed, match=r"(?s)Job 'arrivals' failed: Py4JJavaError: no space.*line 2"):
        statement(livy, state="available", output=output).text("s", "arrivals")


def test_input_that_a_job_cannot_read_is_a_source_error_with_the_jobs_own_message(livy):
    output = {"status": "error", "ename": "BadInput", "evalue": "a.csv has no column x", "traceback": []}
    with pytest.raises(SourceError, match="^a.csv has no column x$"):
        statement(livy, state="available", output=output).text("s", "arrivals")


def test_a_cancelled_statement_is_a_failure():
    with pytest.raises(StatementFailed, match="it is cancelled"):
        StatementView(id=0, state=StatementState.CANCELLED, progress=0.0, output=None).text("s", "arrivals")


def test_a_dead_session_fails_with_the_end_of_its_log(livy):
    livy.get(f"{URL}/sessions/x", json={**SESSION, "name": "x", "state": "dead", "appId": "application_1"})
    livy.get(
        f"{URL}/sessions/3/log", json={"id": 3, "from": 0, "total": 1, "log": ["Container killed by YARN"]}
    )
    client = LivyClient(LivyEndpoint(URL))
    error = client.failure(client.probe_session("x"))
    assert "is dead" in str(error)
    assert "Container killed by YARN" in str(error)


def test_the_failure_of_a_session_is_reported_even_where_its_log_cannot_be_read(livy):
    livy.get(f"{URL}/sessions/x", json={**SESSION, "name": "x", "state": "error"})
    livy.get(f"{URL}/sessions/3/log", json="no log", status=500)
    client = LivyClient(LivyEndpoint(URL))
    error = client.failure(client.probe_session("x"))
    assert "Livy session x is error; idle or busy was expected (YARN application unknown)" in str(error)
    assert "(its log cannot be read: Livy at" in str(error)


def test_a_log_is_its_last_lines_and_none_where_the_session_is_gone(livy):
    read = livy.get(f"{URL}/sessions/3/log", json={"id": 3, "from": 150, "total": 250, "log": ["a", "b"]})
    livy.get(f"{URL}/sessions/4/log", json={"msg": "Session '4' not found."}, status=404)
    assert LivyClient(LivyEndpoint(URL)).read_log(3, size=100) == ["a", "b"]
    assert read.calls[0].request.params == {"from": "-1", "size": "100"}
    assert LivyClient(LivyEndpoint(URL)).read_log(4, size=100) == []


def test_a_duplicate_name_whose_session_is_gone_by_now_is_refused_with_livys_reason(livy):
    livy.post(f"{URL}/sessions", json={"msg": "Rejected, Reason: Duplicate session name: x"}, status=400)
    livy.get(f"{URL}/sessions/{SPEC.name}", json={"msg": "not found"}, status=404)
    with pytest.raises(LivyError, match="400 Rejected, Reason: Duplicate session name"):
        LivyClient(LivyEndpoint(URL)).create_session(SPEC)


def test_an_object_with_a_list_of_sessions_is_livy(livy):
    livy.get(f"{URL}/sessions", json={"from": 0, "total": 1, "sessions": [{"state": "of a later version"}]})
    LivyClient(LivyEndpoint(URL)).probe_server()


NOT_LIVY = [
    (404, '{"msg": "not yet"}'),
    (404, "<html>404 Not Found</html>"),
    (200, "null"),
    (200, '"busy"'),
    (200, "<html>EMR</html>"),
    (200, "[]"),
    (200, '{"status": "starting"}'),
    (200, '{"sessions": null}'),
    (200, "[" * 100_000),
    (200, ""),
    (302, ""),
    (400, '{"sessions": []}'),
    (500, '{"sessions": []}'),
    (503, '{"sessions": []}'),
]


@pytest.mark.parametrize(("status", "body"), NOT_LIVY)
def test_anything_else_that_answers_is_not_livy_yet(livy, monkeypatch, status, body):
    monkeypatch.setattr(LivyClient._get_patiently.retry, "sleep", lambda _: None)
    livy.get(f"{URL}/sessions", body=body, status=status)
    with pytest.raises(LivyUnreachable):
        LivyClient(LivyEndpoint(URL)).probe_server()


def test_a_proxys_404_or_400_does_not_mean_that_a_session_is_gone(livy):
    """Livy's own is an object with a message (SessionServlet.scala); another session would be made on the strength of
    this one."""
    livy.get(f"{URL}/sessions/x", body="<html>404 Not Found</html>", status=404)
    livy.delete(f"{URL}/sessions/x", body="<html>404 Not Found</html>", status=404)
    livy.get(f"{URL}/sessions/3/statements", body="null", status=404)
    livy.get(f"{URL}/sessions/4/statements", body="<html>plain HTTP to an HTTPS port", status=400)
    client = LivyClient(LivyEndpoint(URL))
    for ask in (
        lambda: client.probe_session("x"),
        lambda: client.delete_session("x"),
        lambda: client.list_statements(3),
        lambda: client.list_statements(4),
    ):
        with pytest.raises(LivyUnreachable, match="the answer is not Livy's: 40[04]"):
            ask()


@pytest.mark.parametrize("status", [400, 404])
def test_the_statements_of_a_session_that_has_ended_are_inactive(livy, status):
    livy.get(f"{URL}/sessions/3/statements", json={"msg": "Session 3 is not active"}, status=status)
    with pytest.raises(SessionInactive, match="session 3 has ended, or is ending: Session 3 is not active"):
        LivyClient(LivyEndpoint(URL)).list_statements(3)


def test_a_submitted_statement_is_pyspark_code(livy):
    sent = livy.post(f"{URL}/sessions/3/statements", json={"id": 0, "state": "waiting"}, status=201)
    assert LivyClient(LivyEndpoint(URL)).submit_statement(3, "print(1)").state is StatementState.WAITING
    assert sent.calls[0].request.body.decode() == '{"code": "print(1)", "kind": "pyspark"}'


def test_a_refused_delete_is_an_error(livy):
    livy.delete(f"{URL}/sessions/x", body="boom", status=500)
    with pytest.raises(LivyError, match="refused to delete session x: 500 boom"):
        LivyClient(LivyEndpoint(URL)).delete_session("x")


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_that_answers_for_livy_counts_as_unreachable_after_three_attempts(livy, monkeypatch, status):
    monkeypatch.setattr(LivyClient._get_patiently.retry, "sleep", lambda _: None)
    read = livy.get(f"{URL}/sessions/x", body="Bad Gateway", status=status)
    with pytest.raises(LivyUnreachable, match=rf"cannot be reached: {status} .*security group"):
        LivyClient(LivyEndpoint(URL)).probe_session("x")
    assert read.call_count == 3


@pytest.mark.parametrize("body", ["<html>", "[]", '"ok"', ""])
def test_an_answer_that_is_no_json_object_is_an_error(livy, body):
    livy.get(f"{URL}/sessions/x", body=body)
    with pytest.raises(
        LivyUnreachable,
        match="asked to read /sessions/x, and the answer is not Livy's: 200 .*; a JSON object was expected",
    ):
        LivyClient(LivyEndpoint(URL)).probe_session("x")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"state": "idle"}, "id: Field required"),
        ({"id": None, "state": "idle"}, "id: Input should be a valid integer"),
        ({"id": "x", "state": "idle"}, "id: Input should be a valid integer"),
        ({"id": -1, "state": "idle"}, "id: Input should be greater than or equal to 0"),
        ({"id": 2**40, "state": "idle"}, "id: Input should be less than or equal to"),
        ({"id": 3}, "state: Field required"),
        ({"id": 3, "state": ["idle"]}, "state: Input should be a valid string"),
        ({"id": 3, "state": "idle", "name": {}}, "name: Input should be a valid string"),
    ],
)
def test_a_session_in_another_form_is_an_error_that_names_the_field(livy, answer, told):
    livy.get(f"{URL}/sessions/x", json=answer)
    with pytest.raises(LivyError, match=f"described a session in a way that Mayfly does not know: {told}"):
        LivyClient(LivyEndpoint(URL)).probe_session("x")


@pytest.mark.parametrize(
    "answer",
    [
        {"state": "available", "output": "42"},
        {"state": "available", "output": {"status": None}},
        {"state": "available", "output": {"status": "error", "traceback": {"0": "line"}}},
        {"state": None},
    ],
)
def test_a_statement_in_another_form_is_an_error(livy, answer):
    with pytest.raises(LivyError, match="described the statements of session 3 in a way"):
        statement(livy, **answer)


@pytest.mark.parametrize("progress", [None, "half", "NaN", -1, 7, 2**60, {}, True])
def test_progress_that_is_none_is_nought(livy, progress):
    livy.get(
        f"{URL}/sessions/3/statements",
        body=json.dumps({"statements": [{"id": 0, "state": "running", "progress": progress}]}),
    )
    (found,) = LivyClient(LivyEndpoint(URL)).list_statements(3)
    assert found.progress == (1.0 if progress is True else 0.0)


def test_what_a_job_raised_is_told_within_bounds_and_can_be_encoded(livy):
    output = {
        "status": "error",
        "ename": "E",
        "evalue": "\ud800\0" + "x" * 10**6,
        "traceback": ["y" * 10**5] * 9,
    }
    with pytest.raises(StatementFailed, match="characters") as caught:
        statement(livy, state="available", output=output).text("s", "arrivals")
    message = str(caught.value)
    assert len(message) < 30_000
    assert "\0" not in message
    message.encode()


def test_the_lines_of_a_log_can_be_encoded(livy):
    livy.get(f"{URL}/sessions/3/log", json={"log": ["a\ud800\0b", "c" * 10**5]})
    first, second = LivyClient(LivyEndpoint(URL)).read_log(3, size=100)
    assert first == "a\ufffd\ufffdb"
    assert len(second) < 5000


def test_a_pending_statement_is_not_finished_and_a_failed_one_is():
    assert [state for state in StatementState if StatementView(0, state, 0.0, None).finished] == [
        StatementState.ERROR,
        StatementState.CANCELLED,
    ]


def test_a_statement_in_error_without_output_fails_by_its_state():
    with pytest.raises(
        StatementFailed, match="Statement 0 of Livy session s, job 'arrivals', failed: it is error$"
    ):
        StatementView(id=0, state=StatementState.ERROR, progress=0.0, output=None).text("s", "arrivals")


def test_a_session_is_pending_or_failed_or_can_take_a_statement():
    assert not SESSION_PENDING & SESSION_FAILED
    assert set(SessionState) - SESSION_PENDING - SESSION_FAILED == {
        SessionState.IDLE,
        SessionState.RUNNING,
        SessionState.BUSY,
    }


# -- answers that no Livy gives -------------------------------------------------------------------

_TEXT = st.text(st.characters() | st.sampled_from("\0\ud800\udfff"), max_size=20)
_SCALAR = (
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats()
    | _TEXT
    | st.sampled_from(
        ["idle", "dead", "available", "ok", "error", "BadInput", "ValueError", "a\0b", "x" * 100_000]
    )
)
_KEYS = ["id", "name", "state", "appId", "sessions", "statements", "log", "msg", "progress", "output"]
_KEYS += ["status", "ename", "evalue", "traceback", "data", "text/plain"]
_JSON = st.recursive(
    _SCALAR,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_KEYS) | _TEXT, inner, max_size=8)
    ),
    max_leaves=20,
)
_OUTPUT = st.fixed_dictionaries(
    {"status": st.sampled_from(["ok", "error"])},
    optional={"ename": _SCALAR, "evalue": _SCALAR, "traceback": _JSON, "data": _JSON},
)
_LIKE_LIVY = st.fixed_dictionaries(
    {},
    optional={
        "id": st.just(3) | _SCALAR,
        "name": _SCALAR,
        "state": st.sampled_from([*SessionState, *StatementState]) | _SCALAR,
        "appId": _SCALAR,
        "progress": _SCALAR,
        "output": _OUTPUT | _JSON,
        "msg": _SCALAR,
        "log": st.lists(_SCALAR, max_size=5) | _JSON,
    },
)
_BODY = st.one_of(
    st.binary(max_size=200),
    st.builds(lambda value: json.dumps(value).encode(), _JSON | _LIKE_LIVY),
    st.builds(lambda items: json.dumps({"statements": items}).encode(), st.lists(_LIKE_LIVY, max_size=3)),
    st.builds(lambda items: json.dumps({"sessions": items}).encode(), st.lists(_LIKE_LIVY, max_size=3)),
    st.sampled_from([b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000, b'"\\ud800"', b"\xff\xfe", b""]),
)
_STATUS = st.just(200) | st.sampled_from(
    [201, 204, 301, 302, 400, 401, 403, 404, 407, 409, 429, 500, 502, 503, 999]
)
_HEADERS = st.dictionaries(st.sampled_from(["Location", "Content-Type", "Content-Length"]), _TEXT, max_size=2)


class _Answering:
    """The one method of requests.Session that the client uses."""

    def __init__(self, status, body, headers):
        self._status, self._body, self._headers = status, body, headers

    def request(self, *_, **__):
        response = requests.Response()
        response.status_code, response.raw = self._status, BytesIO(self._body)
        response.headers.update(self._headers)
        return response


@given(status=_STATUS, body=_BODY, headers=_HEADERS)
@settings(max_examples=1500, derandomize=True, deadline=None, database=None)
def test_every_answer_ends_in_a_value_or_in_one_of_our_errors(status, body, headers):
    LivyClient._get_patiently.retry.sleep, sleep = lambda _: None, LivyClient._get_patiently.retry.sleep
    try:
        client = LivyClient(LivyEndpoint(URL), http=_Answering(status, body, headers))
        for ask in (
            client.probe_server,
            lambda: client.probe_session("x"),
            lambda: [view.state.value for view in client.list_sessions("")],
            lambda: client.create_session(SPEC),
            lambda: [view.text("s", "arrivals") for view in client.list_statements(3) if view.finished],
            lambda: client.submit_statement(3, "print(1)"),
            lambda: client.read_log(3, size=100),
            lambda: client.delete_session("x"),
            lambda: str(client.failure(SessionView(3, "x", SessionState.DEAD, None))),
        ):
            try:
                told = ask()
            except MayflyError as error:
                told = str(error)
            assert not isinstance(told, str) or len(told) < 30_000
            _expect_encodable(told)
    finally:
        LivyClient._get_patiently.retry.sleep = sleep


def _expect_encodable(told):
    """Of a view its fields: its repr would hide what cannot be encoded."""
    parts = vars(told).values() if hasattr(told, "__dict__") else told if isinstance(told, list) else [told]
    for text in parts:
        if isinstance(text, str):
            text.encode()
            assert "\0" not in text
