"""Connecting to the warehouse, and what is repeated when it fails."""

from __future__ import annotations

from typing import Any, Self

import psycopg2
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, TRANSACTION_STATUS_INTRANS

from airflow_lib.errors import (
    ConnectionLost,
    CredentialsRefused,
    StatementRefused,
    WarehouseError,
    WarehouseUnreachable,
)
from airflow_lib.warehouse.connection import (
    ATTEMPTS,
    STATEMENT_TIMEOUT_S,
    Endpoint,
    connect,
    read,
    transact,
)
from tests.unit.airflow_lib.warehouse.recording_connection import RecordingConnection

ENDPOINT = Endpoint("warehouse.example", 5439, "mayfly", "mayfly-test-immigration-warehouse-g1", "admin")
PASSWORD = "temporary-password"


class Redshift:
    """Grants credentials, or raises the error it was given; `request` is what it was asked for."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.request: dict[str, Any] = {}

    def get_cluster_credentials(self, **request: Any) -> dict[str, Any]:
        self.request = request
        if self.error:
            raise self.error
        return {"DbUser": "IAM:admin", "DbPassword": PASSWORD}


class Refused(psycopg2.DatabaseError):
    """An error of the warehouse with a SQLSTATE of our choice."""

    pgcode: str = ""  # type: ignore[assignment]
    diag = None  # type: ignore[assignment]

    def __init__(self, pgcode: str, message: str = "refused") -> None:
        super().__init__(message)
        self.pgcode = pgcode
        self.diag = type("Diagnostics", (), {"message_primary": message})()  # type: ignore[assignment]


class FakeConnection:
    """A connection whose commits end as scripted: None, or an error to raise."""

    def __init__(self, *commits: Exception | None, dies: bool = False) -> None:
        self.commits = list(commits)
        self.dies = dies
        self.closed = 0
        self.rollbacks = 0
        self.info = type("Info", (), {"transaction_status": TRANSACTION_STATUS_INTRANS})()

    def cursor(self) -> FakeConnection:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def commit(self) -> None:
        outcome = self.commits.pop(0) if self.commits else None
        if outcome is not None:
            self.closed = 2 if self.dies else 0
            raise outcome

    def rollback(self) -> None:
        self.rollbacks += 1

    def close(self) -> None:
        self.closed = 1


@pytest.fixture
def sleeps() -> list[float]:
    return []


def run(conn: FakeConnection, sleeps: list[float], *, creates: bool = False) -> int:
    calls: list[int] = []

    def work(_: Any) -> int:
        calls.append(1)
        return len(calls)

    return transact(conn, work, what="The work", creates=creates, sleep=sleeps.append)  # type: ignore[arg-type]


def test_a_connection_is_encrypted_and_made_with_temporary_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used: dict[str, Any] = {}
    opened = RecordingConnection()
    monkeypatch.setattr(psycopg2, "connect", lambda **options: used.update(options) or opened)
    redshift = Redshift()

    assert connect(redshift, ENDPOINT) is opened  # type: ignore[arg-type, comparison-overlap]
    assert used["sslmode"] == "require"
    assert used["host"] == "warehouse.example"
    assert (used["user"], used["password"], used["dbname"]) == ("IAM:admin", PASSWORD, "mayfly")
    assert used["connect_timeout"] > 0
    assert used["keepalives_idle"] < 350
    assert redshift.request == {
        "ClusterIdentifier": ENDPOINT.cluster_id,
        "DbUser": "admin",
        "DbName": "mayfly",
        "AutoCreate": False,
        "DurationSeconds": 900,
    }


def test_a_session_is_in_utc_and_its_statements_end_before_their_task_has_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened = RecordingConnection()
    monkeypatch.setattr(psycopg2, "connect", lambda **_: opened)

    connect(Redshift(), ENDPOINT)  # type: ignore[arg-type]

    assert opened.log == [
        "SET timezone TO 'UTC'",
        f"SET statement_timeout TO {STATEMENT_TIMEOUT_S * 1000}",
        "COMMIT",
    ]
    assert 2 * 3600 < STATEMENT_TIMEOUT_S < 3 * 3600, "subdags: a task's execution_timeout is 3 hours"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (psycopg2.OperationalError("server closed the connection unexpectedly"), WarehouseUnreachable),
        (psycopg2.ProgrammingError("permission denied for parameter"), WarehouseError),
    ],
)
def test_a_session_that_cannot_be_set_is_closed_and_told_as_no_connection(
    monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[Exception]
) -> None:
    def fail(_: str) -> None:
        raise error

    class Closing(RecordingConnection):
        def close(self) -> None:
            self.closed = 1

    opened = Closing(fail)
    monkeypatch.setattr(psycopg2, "connect", lambda **_: opened)
    with pytest.raises(kind, match="Cannot connect to warehouse") as caught:
        connect(Redshift(), ENDPOINT)  # type: ignore[arg-type]
    assert type(caught.value) is kind
    assert opened.closed


@pytest.mark.parametrize(
    "words", ["canceling statement due to statement timeout", "Query (150) canceled on user's request"]
)
def test_a_statement_that_was_stopped_is_told_with_its_limit_and_not_tried_again(
    sleeps: list[float], words: str
) -> None:
    with pytest.raises(StatementRefused) as caught:
        run(FakeConnection(Refused("57014", words)), sleeps)
    for told in ("The work failed", words, f"limit of {STATEMENT_TIMEOUT_S} s", "svv_transactions"):
        assert told in str(caught.value)
    assert sleeps == []


def _refuse_connections(monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    def refuse(**_: object) -> None:
        raise psycopg2.OperationalError(message)

    monkeypatch.setattr(psycopg2, "connect", refuse)


# libpq 16's words (src/interfaces/libpq/fe-connect.c, fe-secure-openssl.c), PostgreSQL's, and Redshift's own.
@pytest.mark.parametrize(
    "message",
    [
        'connection to server at "w.example" (10.0.0.7), port 5439 failed: Connection refused',
        'could not translate host name "w.example" to address: Name or service not known',
        'could not translate host name "w.example" to address: Temporary failure in name resolution',
        'connection to server at "w.example" (10.0.0.7), port 5439 failed: timeout expired',
        'connection to server at "w.example" (10.0.0.7), port 5439 failed: No route to host',
        "server closed the connection unexpectedly",
        "SSL SYSCALL error: Connection reset by peer",
        "SSL error: unexpected eof while reading",
        "FATAL:  the database system is starting up",
        'FATAL:  connection limit "500" exceeded for non-bootstrap users',
    ],
)
def test_a_connection_that_waiting_may_open_is_unreachable(
    monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    _refuse_connections(monkeypatch, message)
    with pytest.raises(WarehouseUnreachable, match="workers and triggerer"):
        connect(Redshift(), ENDPOINT)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "message",
    [
        'FATAL:  password authentication failed for user "IAM:admin"',
        'FATAL:  database "mayfly" does not exist',
        'FATAL:  role "IAM:admin" does not exist',
        'FATAL:  permission denied for database "mayfly"',
        'FATAL:  no pg_hba.conf entry for host "10.0.0.9", user "admin", database "mayfly", SSL off',
        "server does not support SSL, but SSL was required",
        "SSL error: certificate verify failed",
        "SSL error: tlsv1 alert protocol version",
        'server certificate for "other.example" does not match host name "w.example"',
    ],
)
def test_a_refusal_that_waiting_does_not_mend_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, sleeps: list[float], message: str
) -> None:
    _refuse_connections(monkeypatch, message)
    with pytest.raises(WarehouseError, match="Waiting does not help") as caught:
        read(lambda: connect(Redshift(), ENDPOINT), lambda _: None, sleep=sleeps.append)  # type: ignore[arg-type]
    assert not isinstance(caught.value, ConnectionLost)
    assert sleeps == []


# "Throttling" and the faults of botocore's model of Redshift, all of them with status 400.
@pytest.mark.parametrize("code", ["Throttling", "DependentServiceRequestThrottlingFault"])
def test_throttled_credentials_are_told_as_throttling_and_not_as_a_missing_permission(code: str) -> None:
    throttled = ClientError({"Error": {"Code": code, "Message": "Rate exceeded"}}, "GetClusterCredentials")
    with pytest.raises(WarehouseUnreachable, match="AWS throttles these requests") as caught:
        connect(Redshift(throttled), ENDPOINT)  # type: ignore[arg-type]
    assert "Grant" not in str(caught.value)


def test_expired_credentials_of_mayflys_own_are_told_as_such() -> None:
    expired = ClientError({"Error": {"Code": "ExpiredToken", "Message": "expired"}}, "GetClusterCredentials")
    with pytest.raises(CredentialsRefused, match=r"ExpiredToken: expired\. Renew the credentials"):
        connect(Redshift(expired), ENDPOINT)  # type: ignore[arg-type]


def test_no_password_is_in_an_error_or_a_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")

    _refuse_connections(monkeypatch, f"FATAL: password {PASSWORD} is wrong")

    with pytest.raises(ConnectionLost, match=r"warehouse\.example:5439") as raised:
        connect(Redshift(), ENDPOINT)  # type: ignore[arg-type]
    assert PASSWORD not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    assert PASSWORD not in caplog.text


def test_refused_credentials_name_the_permission() -> None:
    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetClusterCredentials")

    with pytest.raises(WarehouseError, match="redshift:GetClusterCredentials"):
        connect(Redshift(denied), ENDPOINT)  # type: ignore[arg-type]


def test_credentials_that_cannot_be_asked_for_are_an_error_of_the_warehouse() -> None:
    unreachable = EndpointConnectionError(endpoint_url="https://redshift.eu-central-1.amazonaws.com")

    with pytest.raises(
        WarehouseUnreachable, match="granted no temporary credentials for admin .*Could not connect"
    ):
        connect(Redshift(unreachable), ENDPOINT)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "conflict",
    [
        Refused("40001"),
        Refused("40P01"),
        Refused("XX000", "1023"),
        Refused("XX000", "1018"),
        Refused("XX000", "could not complete because of conflict with concurrent transaction"),
    ],
    ids=str,
)
def test_a_transaction_that_the_warehouse_rolled_back_is_repeated_whole(
    conflict: Exception, sleeps: list[float]
) -> None:
    conn = FakeConnection(conflict, conflict, None)

    assert run(conn, sleeps) == 3
    assert conn.rollbacks == 2
    assert len(sleeps) == 2


def test_conflicts_are_not_repeated_for_ever(sleeps: list[float]) -> None:
    conn = FakeConnection(*[Refused("40001")] * 100)

    with pytest.raises(WarehouseError, match=r"The work failed\. SQLSTATE 40001: refused"):
        run(conn, sleeps)
    assert len(sleeps) == ATTEMPTS - 1


@pytest.mark.parametrize("code", ["42601", "23505", "42P07", "XX000"])
def test_any_other_error_is_raised_at_once_with_its_sqlstate(code: str, sleeps: list[float]) -> None:
    with pytest.raises(WarehouseError, match=f"SQLSTATE {code}"):
        run(FakeConnection(Refused(code)), sleeps)
    assert sleeps == []


@pytest.mark.parametrize(
    "refusal",
    [
        *(Refused(code) for code in ("42601", "42703", "42P01", "42804", "42883", "22012", "22001", "22007")),
        *(Refused(code) for code in ("23502", "0A000")),
        Refused("XX000", "Numeric data overflow (result precision)"),
        Refused("XX000", "Divide by zero"),
        Refused("XX000", "Invalid digit, Value 'x', Pos 0, Type: Integer"),
        Refused("XX000", "Value too long for character type"),
        Refused("XX000", "Load into table 'x' failed.  Check 'stl_load_errors' system table for details."),
        Refused("XX000", "Spectrum Scan Error: Table columns: 3, Data columns: 4"),
        Refused("XX000", "file has an incompatible Parquet schema for column 's3://b/x.day'"),
    ],
    ids=str,
)
def test_what_fails_again_however_often_it_is_sent_is_told_as_such(
    refusal: Exception, sleeps: list[float]
) -> None:
    with pytest.raises(StatementRefused):
        run(FakeConnection(refusal), sleeps)


@pytest.mark.parametrize(
    "passing",
    [
        *(Refused(code) for code in ("40001", "42501", "42P07", "42P06", "23505", "53300", "58030")),
        Refused("XX000", "1023"),
        Refused("XX000", "S3ServiceException:Access Denied,Status 403,Error AccessDenied"),
        Refused("XX000", "Assert"),
    ],
    ids=str,
)
def test_what_may_pass_is_no_refusal(passing: Exception, sleeps: list[float]) -> None:
    with pytest.raises(WarehouseError) as raised:
        run(FakeConnection(*[passing] * 100), sleeps)
    assert not isinstance(raised.value, StatementRefused)


def test_an_error_tells_the_notes_that_it_bears(sleeps: list[float]) -> None:
    noted = Refused("42703", "no such column")
    noted.add_note("In sql_templates/a.sql: SELECT prize")
    noted.add_note("That is check cheap.")

    with pytest.raises(
        StatementRefused, match=r"no such column In sql_templates/a\.sql: SELECT prize That is check cheap\."
    ):
        run(FakeConnection(noted), sleeps)


@pytest.mark.parametrize("code", ["42P07", "42P06", "42701", "23505"])
def test_a_lost_race_to_create_is_repeated(code: str, sleeps: list[float]) -> None:
    assert run(FakeConnection(Refused(code)), sleeps, creates=True) == 2


def test_a_lost_commit_is_never_repeated_but_reported(sleeps: list[float]) -> None:
    conn = FakeConnection(psycopg2.OperationalError("server closed the connection"), dies=True)

    with pytest.raises(ConnectionLost, match="it is unknown whether the last commit took effect"):
        run(conn, sleeps)
    assert sleeps == []
    assert conn.rollbacks == 0


def test_an_error_of_the_work_itself_leaves_the_connection_usable(sleeps: list[float]) -> None:
    conn = FakeConnection()

    def work(_: Any) -> None:
        raise KeyError("ours")

    with pytest.raises(KeyError):
        transact(conn, work, what="The work", sleep=sleeps.append)  # type: ignore[arg-type]
    assert conn.rollbacks == 1


def test_a_transaction_that_never_began_is_not_rolled_back(sleeps: list[float]) -> None:
    conn = FakeConnection(Refused("42601"))
    conn.info.transaction_status = TRANSACTION_STATUS_IDLE

    with pytest.raises(WarehouseError):
        run(conn, sleeps)
    assert conn.rollbacks == 0


def test_reading_starts_over_on_a_new_connection(sleeps: list[float]) -> None:
    opened: list[FakeConnection] = []

    def open_connection() -> FakeConnection:
        opened.append(FakeConnection())
        return opened[-1]

    def work(_: Any) -> str:
        if len(opened) < 3:
            raise ConnectionLost("gone")
        return "read"

    assert read(open_connection, work, sleep=sleeps.append) == "read"  # type: ignore[arg-type]
    assert [conn.closed for conn in opened] == [1, 1, 1]


def test_reading_does_not_repeat_what_fails_for_another_reason(sleeps: list[float]) -> None:
    def work(_: Any) -> None:
        raise WarehouseError("no such table")

    with pytest.raises(WarehouseError, match="no such table"):
        read(FakeConnection, work, sleep=sleeps.append)  # type: ignore[arg-type]
    assert sleeps == []


def test_reading_gives_up_after_its_last_attempt(sleeps: list[float]) -> None:
    def work(_: Any) -> None:
        raise ConnectionLost("gone")

    with pytest.raises(ConnectionLost, match="gone"):
        read(FakeConnection, work, sleep=sleeps.append)  # type: ignore[arg-type]
    assert len(sleeps) == ATTEMPTS - 1


def test_a_rollback_that_fails_as_well_does_not_hide_the_error(sleeps: list[float]) -> None:
    conn = FakeConnection(Refused("42601", "syntax error"))

    def fail() -> None:
        raise psycopg2.InterfaceError("cursor already closed")

    conn.rollback = fail  # type: ignore[method-assign]

    with pytest.raises(WarehouseError, match=r"The work failed\. SQLSTATE 42601: syntax error"):
        run(conn, sleeps)


def test_an_error_without_a_sqlstate_is_reported_on_one_line(sleeps: list[float]) -> None:
    conn = FakeConnection(psycopg2.ProgrammingError("no results\n  to fetch\n"))

    with pytest.raises(WarehouseError, match=r"^The work failed\. no results to fetch$"):
        run(conn, sleeps)


def test_each_repeat_is_logged_with_its_cause(sleeps: list[float], caplog: pytest.LogCaptureFixture) -> None:
    run(FakeConnection(Refused("40001", "overtaken"), None), sleeps)

    assert f"attempt 1 of {ATTEMPTS} failed (overtaken), retrying" in caplog.text
