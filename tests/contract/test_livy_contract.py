"""What Mayfly relies on in Livy, asked of a running server over HTTP.

By default the server is the sandbox's own, by TLS; what may depend on that is asked of a plain one, too.
`make contract LIVY=https://HOST:8998` (or http) asks another one; then MAYFLY_LIVY_MAX_CREATION tells its
`livy.server.session.max-creation`, where that is to be tried, and MAYFLY_LIVY_CA the file of its CA, without which
its certificate is trusted as it is.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.contract.livy_client import Server, Session, embedded, eventually, given
from tests.sandbox.nets import unused_net

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(300)]

_MAX_CREATION = 5
_NET = unused_net()
_RUN = random.randrange(10**6)  # names must be new, should the server live longer than this suite


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if url := os.environ.get("MAYFLY_LIVY_URL"):
        yield given(url.rstrip("/"), os.environ.get("MAYFLY_LIVY_CA"), tmp_path_factory.mktemp("livy"))
        return
    conf = {
        "livy.server.session.max-creation": str(_MAX_CREATION),
        "livy.server.heartbeat-watchdog.interval": "500ms",
    }
    with embedded(f"127.{_NET}.2.1", tmp_path_factory.mktemp("livy"), conf=conf) as (running, _):
        yield running


@pytest.fixture(scope="module", params=["given"] if os.environ.get("MAYFLY_LIVY_URL") else ["tls", "plain"])
def transport(
    request: pytest.FixtureRequest, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The server, and a plain one for what may depend on that."""
    if request.param != "plain":
        yield server
        return
    with embedded(f"127.{_NET}.2.2", tmp_path_factory.mktemp("plain"), plain=True) as (running, _):
        yield running


@dataclass(frozen=True)
class Sessions:
    """The suite's sessions, posted all at once, and what the server said at their birth."""

    main: Session
    shared: Session
    doomed: Session
    created: requests.Response
    posted_while_starting: requests.Response
    listed_while_starting: requests.Response
    duplicate: requests.Response


def _name(what: str) -> str:
    return f"contract-{_RUN}-{what}"


@pytest.fixture(scope="module")
def sessions(server: Server) -> Iterator[Sessions]:
    wish = {
        "kind": "pyspark",
        "name": _name("main"),
        "driverMemory": "600m",
        "executorMemory": "512m",
        "executorCores": 1,
        "numExecutors": 2,
        "conf": {"spark.sql.shuffle.partitions": "3"},
        "ttl": "2h",
    }
    created = server.post("/sessions", wish)
    main = Session(server, created.json()["id"])
    everything = Sessions(
        main=main,
        created=created,
        posted_while_starting=server.post(f"{main.path}/statements", {"code": "1"}),
        listed_while_starting=server.get(f"{main.path}/statements"),
        duplicate=server.post("/sessions", {"kind": "pyspark", "name": _name("main")}),
        shared=server.create(name=_name("shared"), driverMemory="600m"),
        doomed=server.create(kind="pyspark", name=_name("doomed"), driverMemory="600m"),
    )
    yield everything
    for session in (everything.main, everything.shared, everything.doomed):
        session.delete()


@pytest.fixture(scope="module")
def session(sessions: Sessions) -> Session:
    """An idle pyspark session."""
    assert sessions.main.wait_started() == "idle"
    return sessions.main


# -- requests that make no session -------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    ['{"unknown": 1}', '{"kind": "cobol"}', "{bad", "", "[]", '{"conf": 5}', '{"pyFiles": "s3://a/b"}'],
)
def test_a_body_livy_cannot_read_is_400_and_a_bare_string(transport: Server, body: str) -> None:
    answer = transport.request("POST", "/sessions", data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert isinstance(answer.json(), str)


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ({"ttl": "abc"}, "Rejected, Reason: Invalid time string: abc"),
        ({"ttl": "5x"}, 'Rejected, Reason: Invalid suffix: "x"'),
        ({"ttl": "-5s"}, "Rejected, Reason: Invalid value: -5"),
        (
            {"pyFiles": ["/code.zip"]},
            "Rejected, Reason: requirement failed: Local path /code.zip cannot be added to user sessions.",
        ),
        (
            {"conf": {"spark.submit.deployMode": "cluster"}},
            "Rejected, Reason: Blacklisted configuration values in session config: spark.submit.deployMode",
        ),
    ],
)
def test_a_wish_livy_refuses_is_400_with_the_reason(transport: Server, wish: Any, reason: str) -> None:
    answer = transport.post("/sessions", wish)
    assert (answer.status_code, answer.json()) == (400, {"msg": reason})


@pytest.mark.parametrize("which", ["987654", "no-such-name"])
@pytest.mark.parametrize("what", ["", "/state", "/log", "/statements", "/statements/0"])
def test_an_unknown_session_is_404(transport: Server, which: str, what: str) -> None:
    answer = transport.get(f"/sessions/{which}{what}")
    assert (answer.status_code, answer.json()) == (404, {"msg": f"Session '{which}' not found."})


def test_deleting_an_unknown_session_is_404(transport: Server) -> None:
    assert transport.delete("/sessions/987654").status_code == 404


def test_a_number_that_is_none_is_400(transport: Server) -> None:
    answer = transport.get("/sessions", **{"from": "abc"})
    assert (answer.status_code, answer.json()) == (400, {"msg": 'For input string: "abc"'})


def test_a_session_is_made_runs_a_statement_and_ends(transport: Server) -> None:
    session = transport.create(
        kind="pyspark", driverMemory="600m", name=f"{_name('transport')}-{transport.url[:5]}"
    )
    assert session.wait_started() == "idle"
    assert session.text("print(6 * 7)") == "42"
    assert session.delete().status_code == 200
    assert transport.get(session.path).status_code == 404


# -- birth ---------------------------------------------------------------------------------


def test_creating_a_session_answers_201_and_starting(sessions: Sessions) -> None:
    assert sessions.created.status_code == 201
    assert sessions.created.headers["Location"] == f"/sessions/{sessions.main.id}"
    born = sessions.created.json()
    assert (born["state"], born["kind"], born["appId"]) == ("starting", "pyspark", None)


def test_a_session_tells_what_was_wished_for(sessions: Sessions) -> None:
    born = sessions.created.json()
    assert born["name"] == _name("main")
    assert born["conf"] == {"spark.sql.shuffle.partitions": "3"}
    assert (born["driverMemory"], born["executorMemory"]) == ("600m", "512m")
    assert (born["executorCores"], born["numExecutors"], born["driverCores"]) == (1, 2, 0)
    assert (
        born["heartbeatTimeoutInSecond"] == 0
    )  # 0.8.0 tells no ttl and knows no idleTimeout; we use neither


def test_a_statement_posted_while_starting_is_500(sessions: Sessions) -> None:
    answer = sessions.posted_while_starting
    assert answer.status_code == 500
    assert answer.json() == "java.lang.IllegalStateException: Session is in state starting"


def test_statements_asked_for_while_starting_are_none_or_500(sessions: Sessions) -> None:
    answer = sessions.listed_while_starting
    assert answer.status_code == 500 or answer.json() == {"total_statements": 0, "statements": []}


def test_a_second_session_of_the_same_name_is_refused(sessions: Sessions) -> None:
    assert sessions.duplicate.status_code == 400
    message = sessions.duplicate.json()["msg"]
    assert message.startswith("Rejected, Reason: Duplicate session name:")
    assert _name("main") in message


def test_a_session_is_found_by_name_as_by_id(session: Session) -> None:
    by_name = session.server.get(f"/sessions/{_name('main')}").json()
    assert by_name["id"] == session.id
    assert session.server.get(session.path).json()["name"] == _name("main")
    assert session.server.get(f"/sessions/{_name('main')}/state").json() == {
        "id": session.id,
        "state": "idle",
    }


def test_sessions_are_listed(session: Session) -> None:
    listed = session.server.get("/sessions", size=1000).json()
    assert listed["from"] == 0
    assert listed["total"] >= 3
    assert session.id in [item["id"] for item in listed["sessions"]]


def test_a_session_with_too_little_memory_fails_and_its_log_tells_why(server: Server) -> None:
    """A real Livy's threads race to tell how: it is `killed` at times, before it is `dead`."""
    tiny = server.create(kind="pyspark", driverMemory="300m")
    assert tiny.wait_started() in ("dead", "killed", "error")
    log = server.get(f"{tiny.path}/log", size=-1).json()["log"]
    assert any("System memory" in line for line in log)
    tiny.delete()


# -- statements ------------------------------------------------------------------------------


def test_a_statement_tells_its_whole_life(session: Session) -> None:
    before_ms = time.time() * 1000
    answer = session.server.post(f"{session.path}/statements", {"code": "1 + 1"})
    born = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"{session.path}/statements/{born['id']}"
    assert (born["code"], born["output"]) == ("1 + 1", None) or born["state"] == "available"
    done = session.wait(born["id"])
    assert done["state"] == "available"
    assert done["progress"] == 1.0
    assert before_ms - 2000 < done["started"] <= done["completed"] < time.time() * 1000 + 2000
    assert done["output"] == {"status": "ok", "execution_count": done["id"], "data": {"text/plain": "2"}}


def test_statements_are_numbered_one_after_the_other(session: Session) -> None:
    assert session.post("2") - session.post("1") == -1


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("x = 1", ""),
        ("'quoted'", "'quoted'"),
        ("print('a')\nprint('b  ')\nprint()", "a\nb"),
        ("import sys\nprint('err', file=sys.stderr)\nprint('out')\n'echo'", "out\n'echo'\nerr"),
        ("1\n2", "2"),
        ("print('ü → 日本')", "ü → 日本"),
        ("None", ""),
        ("for i in range(2):\n    i", "0\n1"),
    ],
)
def test_output_is_what_was_printed_then_the_echo_then_stderr(session: Session, code: str, text: str) -> None:
    assert session.text(code) == text


def test_what_a_statement_defines_is_there_for_the_next(session: Session) -> None:
    session.text("def doubled(n):\n    return 2 * n")
    assert session.text("doubled(21)") == "42"


def test_the_last_line_printed_is_one_json_document(session: Session) -> None:
    line = session.text("import json\nprint('chatter')\nprint(json.dumps({'read': 3}))").splitlines()[-1]
    assert json.loads(line) == {"read": 3}


def test_spark_is_there_with_the_sessions_settings(session: Session) -> None:
    assert session.text("spark.range(10).count()") == "10"
    assert session.text("spark.conf.get('spark.sql.shuffle.partitions')") == "'3'"
    assert session.text("sc.appName") == f"'{_name('main')}'"


def test_an_error_has_name_value_and_plain_traceback(session: Session) -> None:
    number = session.post("print('lost')\ndef f():\n    raise ValueError('no such thing')\nf()")
    done = session.wait(number)
    assert done["state"] == "available"
    assert done["output"] == {
        "status": "error",
        "execution_count": number,
        "ename": "ValueError",
        "evalue": "no such thing",
        "traceback": [
            "Traceback (most recent call last):\n",
            '  File "<stdin>", line 3, in f\n',
            "ValueError: no such thing\n",
        ],
    }
    assert session.state() == "idle"


def test_a_syntax_error_runs_nothing(session: Session) -> None:
    output = session.run("ran = True\nx = = 1")
    assert (output["status"], output["ename"]) == ("error", "SyntaxError")
    assert session.run("ran")["ename"] == "NameError"


def test_sys_exit_is_an_error_and_the_session_goes_on(session: Session) -> None:
    output = session.run("import sys\nsys.exit(3)")
    assert (output["status"], output["ename"], output["evalue"]) == ("error", "SystemExit", "3")
    assert session.state() == "idle"


def test_a_spark_failure_tells_its_cause(session: Session) -> None:
    output = session.run("spark.read.parquet('/no/such/folder')")
    assert output["ename"] == "AnalysisException"
    assert "/no/such/folder" in output["evalue"]


def test_sql_answers_schema_and_rows(session: Session) -> None:
    data = session.run("select 1 as a, 'x' as b, date'2016-04-01' as c, 1.5 as d", kind="sql")["data"]
    table = data["application/json"]
    assert [field["name"] for field in table["schema"]["fields"]] == ["a", "b", "c", "d"]
    assert table["data"] == [[1, "x", "2016-04-01", 1.5]]


def test_statements_are_listed_in_either_order_and_by_page(session: Session) -> None:
    session.text("'for the list'")
    path = f"{session.path}/statements"
    listed = session.server.get(path).json()
    numbers = [statement["id"] for statement in listed["statements"]]
    assert listed["total_statements"] == len(numbers) == numbers[-1] + 1
    newest = session.server.get(path, order="desc", size=1).json()["statements"]
    assert [statement["id"] for statement in newest] == [numbers[-1]]


def test_an_unknown_statement_is_404_and_a_bare_string(session: Session) -> None:
    answer = session.server.get(f"{session.path}/statements/9999")
    assert (answer.status_code, answer.json()) == (404, "Statement not found")


def test_a_statement_id_that_is_no_number_is_400(session: Session) -> None:
    answer = session.server.get(f"{session.path}/statements/abc")
    assert (answer.status_code, answer.json()) == (400, {"msg": 'For input string: "abc"'})


@pytest.mark.parametrize(
    ("body", "status"), [({}, 500), ({"code": "1", "kind": "cobol"}, 500), ({"code": "1", "no": 1}, 400)]
)
def test_a_bad_statement_is_refused_with_a_bare_string(session: Session, body: Any, status: int) -> None:
    answer = session.server.post(f"{session.path}/statements", body)
    assert answer.status_code == status
    assert isinstance(answer.json(), str)


# -- running, waiting, cancelling ------------------------------------------------------------------

_SLOW_JOB = "sc.parallelize(range({tasks}), {tasks}).map(lambda _: __import__('time').sleep({s}) or 1).sum()"


def test_statements_wait_for_their_turn_and_a_waiting_one_is_cancelled_at_once(session: Session) -> None:
    first = session.post("import time; time.sleep(1.5); 'first'")
    second, third = session.post("'second'"), session.post("'third'")
    session.wait(first, "running")
    assert session.state() == "busy"
    assert session.statement(second)["state"] == "waiting"
    assert session.cancel(second).json() == {"msg": "canceled"}
    cancelled = session.statement(second)
    assert (cancelled["state"], cancelled["output"]) == ("cancelled", None)
    assert session.statement(first)["state"] == "running"
    assert session.wait(third)["output"]["data"]["text/plain"] == "'third'"
    assert session.wait(first)["output"]["data"]["text/plain"] == "'first'"
    assert eventually(session.state, lambda state: state != "busy", 5) == "idle"


def test_progress_climbs_while_tasks_end(session: Session) -> None:
    number = session.post(_SLOW_JOB.format(tasks=12, s=0.3))
    seen = []

    def look() -> dict[str, Any]:
        statement = session.statement(number)
        seen.append(statement["progress"])
        return statement

    done = eventually(look, lambda statement: statement["state"] == "available", 60)
    assert done["output"]["data"]["text/plain"] == "12"
    assert seen[0] < 1.0
    assert seen[-1] == 1.0
    assert any(0.0 < progress < 1.0 for progress in seen)
    assert seen == sorted(seen)


def test_progress_of_python_alone_is_nought(session: Session) -> None:
    number = session.post("import time; time.sleep(0.7)")
    running = session.wait(number, "running")
    assert (running["progress"], running["output"], running["completed"]) == (0.0, None, 0)
    session.wait(number)


def test_a_cancelled_spark_job_ends_and_the_session_can_be_used_again(session: Session) -> None:
    number = session.post(_SLOW_JOB.format(tasks=4, s=30))
    session.wait(number, "running")
    time.sleep(1)  # let the job reach its tasks
    answer = session.cancel(number)
    assert (answer.status_code, answer.json()) == (200, {"msg": "canceled"})
    assert session.wait(number, "cancelled")["state"] == "cancelled"
    assert session.text("'again'") == "'again'"


def test_cancelled_python_goes_on_to_its_end(session: Session) -> None:
    number = session.post("import time\ntime.sleep(1.5)\nreached = 'the end'")
    session.wait(number, "running")
    session.cancel(number)
    assert session.statement(number)["state"] == "cancelling"
    assert session.wait(number)["state"] == "cancelled"
    assert session.text("reached") == "'the end'"


def test_cancelling_what_has_ended_or_never_was_is_200(session: Session) -> None:
    number = session.post("1")
    session.wait(number)
    assert session.cancel(number).status_code == 200
    assert session.cancel(9999).status_code == 200
    assert session.statement(number)["state"] == "available"


# -- log -------------------------------------------------------------------------------------


def test_the_log_is_the_drivers_output_by_page(session: Session) -> None:
    path = f"{session.path}/log"
    whole = session.server.get(path, size=-1).json()
    assert whole["id"] == session.id
    assert whole["log"][0] == "stdout: "
    assert "\nstderr: " in whole["log"]
    assert whole["total"] == len(whole["log"])
    default = session.server.get(path).json()
    assert len(default["log"]) == min(100, default["total"])
    first = session.server.get(path, **{"from": 0, "size": 1}).json()
    assert (first["from"], first["log"]) == (0, ["stdout: "])
    last = session.server.get(path, **{"from": -1, "size": 2}).json()
    assert len(last["log"]) == 2
    assert last["from"] == last["total"] - 2


# -- a session of no kind, whose Python dies ---------------------------------------------------------


def test_a_session_of_no_kind_is_shared_and_its_statements_must_tell_theirs(sessions: Sessions) -> None:
    shared = sessions.shared
    assert shared.wait_started() == "idle"
    assert shared.server.get(shared.path).json()["kind"] == "shared"
    refused = shared.server.post(f"{shared.path}/statements", {"code": "1"})
    assert refused.status_code == 500
    assert "Code type should be specified if session kind is shared" in refused.json()
    assert shared.run("1 + 1", kind="pyspark")["data"] == {"text/plain": "2"}


def test_when_python_dies_the_session_is_in_error_and_every_statement_fails(sessions: Sessions) -> None:
    shared = sessions.shared
    assert shared.wait_started() == "idle"
    for code in ("import os; os._exit(1)", "1 + 1"):
        output = shared.run(code, kind="pyspark")
        assert (output["status"], output["ename"], output["traceback"]) == ("error", "Error", [])
        assert output["evalue"].startswith("Interpreter died")
        assert shared.state() == "error"


# -- a session whose driver dies ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def dead(sessions: Sessions) -> Session:
    doomed = sessions.doomed
    assert doomed.wait_started() == "idle"
    doomed.server.post(
        f"{doomed.path}/statements", {"code": "sc._jvm.java.lang.Runtime.getRuntime().halt(9)"}
    )
    eventually(doomed.state, lambda state: state == "dead", 15)
    return doomed


def test_a_dead_session_shows_no_statements(dead: Session) -> None:
    for path in ("statements", "statements/0"):
        answer = dead.server.get(f"{dead.path}/{path}")
        assert (answer.status_code, answer.json()) == (
            400,
            {"msg": "requirement failed: Session isn't active."},
        )


def test_a_dead_session_takes_no_statement_and_no_cancel(dead: Session) -> None:
    expected = (500, "java.lang.IllegalStateException: Session is in state dead")
    posted = dead.server.post(f"{dead.path}/statements", {"code": "1"})
    assert (posted.status_code, posted.json()) == expected
    cancelled = dead.cancel(0)
    assert (cancelled.status_code, cancelled.json()) == expected


def test_a_dead_session_keeps_its_log_and_its_name(dead: Session) -> None:
    assert dead.server.get(f"{dead.path}/log").json()["total"] >= 2
    again = dead.server.post("/sessions", {"kind": "pyspark", "name": _name("doomed")})
    assert again.status_code == 400
    assert "Duplicate session name" in again.json()["msg"]


def test_a_deleted_session_is_404_and_its_name_is_free(dead: Session) -> None:
    answer = dead.delete()
    assert (answer.status_code, answer.json()) == (200, {"msg": "deleted"})
    assert dead.server.get(dead.path).status_code == 404
    assert dead.server.get(f"/sessions/{_name('doomed')}").status_code == 404
    again = dead.server.create(kind="pyspark", name=_name("doomed"), driverMemory="600m")
    assert again.delete().status_code == 200


# -- the end -----------------------------------------------------------------------------------


def test_a_session_whose_client_falls_silent_is_deleted(server: Server) -> None:
    silent = server.create(kind="pyspark", driverMemory="600m", heartbeatTimeoutInSecond=1)

    def listed() -> list[int]:
        """Listing is no sign of life to any one session."""
        return [item["id"] for item in server.get("/sessions", size=1000).json()["sessions"]]

    eventually(listed, lambda ids: silent.id not in ids, 150)
    assert server.get(silent.path).status_code == 404


def test_more_sessions_than_may_be_are_refused(server: Server) -> None:
    limit = os.environ.get("MAYFLY_LIVY_MAX_CREATION") if "MAYFLY_LIVY_URL" in os.environ else _MAX_CREATION
    if limit is None:
        pytest.skip("tell this server's livy.server.session.max-creation as MAYFLY_LIVY_MAX_CREATION")
    made = []
    answer = server.post("/sessions", {"kind": "pyspark", "driverMemory": "600m"})
    while answer.status_code == 201 and len(made) <= int(limit):
        made.append(Session(server, answer.json()["id"]))
        answer = server.post("/sessions", {"kind": "pyspark", "driverMemory": "600m"})
    for session in made:
        session.delete()
    assert (answer.status_code, answer.json()) == (
        400,
        {"msg": "Rejected, too many sessions are being created!"},
    )


def test_a_busy_session_can_be_deleted(server: Server, sessions: Sessions) -> None:
    main = sessions.main
    assert main.wait_started() == "idle"
    main.wait(main.post("import time; time.sleep(20)"), "running")
    answer = main.delete()
    assert (answer.status_code, answer.json()) == (200, {"msg": "deleted"})
    assert server.get(main.path).status_code == 404
