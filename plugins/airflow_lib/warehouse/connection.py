"""Connecting to the warehouse: temporary credentials, TLS, transactions, and what is retried.

A connection that cannot be opened is WarehouseUnreachable where waiting may help: whoever began the work bears that for
a while (`polling.repeat_transient`). Reading is repeated on a new connection (`read`). A transaction is repeated only
where the warehouse itself says that it rolled it back (`transact`): after a lost connection it is unknown whether the
transaction was committed, so that is an error, and the caller decides. What is done with a connection is in `load` and
`publish`.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg2
from botocore.exceptions import BotoCoreError, ClientError
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, connection, cursor
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from airflow_lib.aws.errors import (
    describe_credentials_error,
    is_credentials_error,
    is_throttling,
    is_transient,
)
from airflow_lib.errors import (
    ConnectionLost,
    CredentialsRefused,
    StatementRefused,
    WarehouseError,
    WarehouseUnreachable,
)
from airflow_lib.warehouse.sql import render, statements
from airflow_lib.warehouse.statement_log import record

if TYPE_CHECKING:
    from mypy_boto3_redshift import RedshiftClient

logger = logging.getLogger(__name__)

T = TypeVar("T")
Connection = connection
Cursor = cursor

CREDENTIALS_S = 900  # the shortest that GetClusterCredentials grants; an open connection outlives them
CONNECT_TIMEOUT_S = 20  # for how long a thread of the triggerer may be held
ATTEMPTS = 5

# For how long one statement may take, waiting for another run's lock included. A little less than the three hours that
# a task may (subdags): psycopg2 does not let Airflow's signal through while it waits for an answer, and the run's lease
# would be renewed for as long.
STATEMENT_TIMEOUT_S = 10_000

# TCP keepalives. AWS drops a connection that was idle for 350 s; a probe after 60 s keeps a long COPY's open:
# https://docs.aws.amazon.com/redshift/latest/mgmt/connecting-drop-issues.html
_KEEPALIVES: dict[str, Any] = {
    "keepalives": 1,
    "keepalives_idle": 60,
    "keepalives_interval": 15,
    "keepalives_count": 5,
}

# The warehouse rolled the transaction back because of a concurrent one: SQLSTATE 40001 (serialization failure) or
# 40P01 (deadlock); Redshift answers XX000 with message 1023 (serializable isolation violation), 1018 (a table that
# another session made or dropped since this transaction's snapshot), or names the conflict:
# https://docs.aws.amazon.com/redshift/latest/dg/c_serial_isolation-serializable-isolation-troubleshooting.html
_CONFLICTS = frozenset({"40001", "40P01"})
_CONFLICT_MESSAGES = ("1023", "1018", "conflict with concurrent transaction")

# IF NOT EXISTS does not help two sessions that create at the same instant: the later one fails with a duplicate
# table (42P07), schema (42P06), column (42701) or catalogue row (23505). When it is repeated, it finds what the other
# one created.
_CREATION_RACES = frozenset({"42P07", "42P06", "42701", "23505"})

# The statement, or a row it met, is at fault, so that it fails again however often it is sent: classes 0A (not
# supported), 22 (data: too long, out of range, division by zero), 23 (a null where none may be) and 42 (syntax, a table
# or column that does not exist, types) of https://www.postgresql.org/docs/8.0/errcodes-appendix.html. A right that is
# missing (42501) may be one that AWS does not show yet.
_REFUSED_CLASSES = frozenset({"0A", "22", "23", "42"})
_MAY_PASS = _CREATION_RACES | {"42501"}
# Redshift's compute nodes answer XX000 for what they meet in the rows:
# https://github.com/awslabs/amazon-redshift-utils/issues/114 (code 1058), and COPY for what does not fit the table:
# https://docs.aws.amazon.com/redshift/latest/dg/copy-usage_notes-copy-from-columnar.html
_REFUSED_MESSAGES = re.compile(
    r"numeric data overflow|divide by zero|invalid (digit|exponent|data)|value too long for character type"
    r"|string length exceeds ddl length|unsupported utf8 codepoints|incompatible parquet schema|data columns: \d"
    r"|check '?stl_load_errors",
    re.IGNORECASE,
)

# The statement was stopped, by its limit (PostgreSQL: "canceling statement due to statement timeout"; Redshift: "Query
# (150) canceled on user's request", r_statement_timeout) or by a person: Redshift does not say which. It is not tried
# again: either would most likely be so again, after hours.
# https://github.com/awslabs/amazon-redshift-utils/issues/174 shows the code.
_STOPPED = "57014"

# Why no connection was opened, where waiting does not help. psycopg2 gives no SQLSTATE for it, so the words have to do:
# libpq's (postgres/src/interfaces/libpq/fe-connect.c, fe-secure-openssl.c) and the server's own FATAL.
_HOPELESS = re.compile(
    r"password authentication failed|authentication failed for user|no pg_hba\.conf entry"
    r"|(database|role|user) \S+ does not exist|permission denied for|is not permitted to log in"
    r"|server does not support SSL|SSL error: (?!unexpected eof)|server certificate|root certificate"
    r"|no password supplied|authentication method \S+ not supported",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Endpoint:
    """Where a warehouse is, and which database user connects to it."""

    host: str
    port: int
    database: str
    cluster_id: str
    admin_user: str


def connect(redshift: RedshiftClient, endpoint: Endpoint) -> Connection:
    """A new connection over TLS, with temporary credentials, in UTC and with a limit for each statement; close it.

    Raises WarehouseUnreachable where waiting may help: refused, no address yet, starting up, AWS busy. Else
    WarehouseError, where AWS or the warehouse refuses; CredentialsRefused, where it is Mayfly's own credentials.
    """
    user, password = _credentials(redshift, endpoint)
    opened: Connection | None = None
    try:
        opened = psycopg2.connect(
            host=endpoint.host,
            port=endpoint.port,
            dbname=endpoint.database,
            user=user,
            password=password,
            sslmode="require",
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name="mayfly",
            **_KEEPALIVES,
        )
        _set_session(opened)
    except psycopg2.Error as error:
        if opened is not None:
            opened.close()
        reason = " ".join(str(error).replace(password, "***").split())
        raise _no_connection(endpoint, reason) from None  # the cause's own text may hold the password
    logger.debug("Connected to warehouse %s as %s", endpoint.cluster_id, user)
    return opened


def _set_session(conn: Connection) -> None:
    """Committed, since a SET is undone with its transaction."""
    with conn.cursor() as cursor:
        for statement in statements(render("shared/session", timeout_ms=STATEMENT_TIMEOUT_S * 1000)):
            cursor.execute(statement)
    conn.commit()


def _no_connection(endpoint: Endpoint, reason: str) -> WarehouseError:
    what = f"Cannot connect to warehouse {endpoint.cluster_id} at {endpoint.host}:{endpoint.port}: {reason}. "
    if _HOPELESS.search(reason):
        return WarehouseError(
            f"{what}Waiting does not help. Check the cluster's user and database in the Redshift console, and that "
            "nothing between this host and the cluster takes part in its TLS."
        )
    return WarehouseUnreachable(
        f"{what}If this lasts, check that the cluster is available, that its security group lets in Airflow's workers "
        "and triggerer, and that they can resolve its name."
    )


def _credentials(redshift: RedshiftClient, endpoint: Endpoint) -> tuple[str, str]:
    try:
        granted = redshift.get_cluster_credentials(
            ClusterIdentifier=endpoint.cluster_id,
            DbUser=endpoint.admin_user,
            DbName=endpoint.database,
            AutoCreate=False,
            DurationSeconds=CREDENTIALS_S,
        )
    except (ClientError, BotoCoreError) as error:
        what = f"AWS granted no temporary credentials for {endpoint.admin_user} of warehouse {endpoint.cluster_id}: "
        if is_credentials_error(error):
            raise CredentialsRefused(what + describe_credentials_error(error)) from error
        if is_transient(error):
            is_slow_down = isinstance(error, ClientError) and is_throttling(error)
            why = "AWS throttles these requests" if is_slow_down else "AWS does not answer"
            raise WarehouseUnreachable(
                f"{what}{error}. {why}; no permission is missing. Try again."
            ) from error
        raise WarehouseError(
            f"{what}{error}. Grant redshift:GetClusterCredentials to the principal that Airflow runs as "
            "(docs/iam-principal-policy.json), and check that the cluster is available."
        ) from error
    return granted["DbUser"], granted["DbPassword"]


def read(
    open_connection: Callable[[], Connection],
    work: Callable[[Connection], T],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """What `work` reads on a connection of its own; repeated on a new one where the connection is lost.

    Never for work that writes: after a lost connection it is unknown whether a commit took effect.
    Raises ConnectionLost after the last attempt; anything else that `work` raises, at once.
    """

    def once() -> T:
        with closing(open_connection()) as opened:
            return work(opened)

    return _retrying(lambda error: isinstance(error, ConnectionLost), sleep)(once)


def transact(
    conn: Connection,
    work: Callable[[Cursor], T],
    *,
    what: str,
    creates: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """What `work` returns; its statements are one transaction, which is committed whole or not at all.

    `what` names the work in errors and logs. The transaction is repeated, up to `ATTEMPTS` times in all, where the
    warehouse rolled it back because of a concurrent one; with `creates`, also where another session created the same
    thing first. Raises ConnectionLost where it is unknown whether the commit took effect, StatementRefused where the
    statement or its rows are at fault, WarehouseError for any other error of the warehouse.
    """
    codes = _CONFLICTS | _CREATION_RACES if creates else _CONFLICTS
    try:
        return _retrying(lambda error: _is_conflict(error, codes), sleep)(lambda: _transact_once(conn, work))
    except psycopg2.Error as error:
        raise _warehouse_error(error, conn, what) from error


def _transact_once(conn: Connection, work: Callable[[Cursor], T]) -> T:
    record("BEGIN")  # psycopg2 sends it with the first statement
    try:
        with conn.cursor() as cursor:
            result = work(cursor)
        record("COMMIT")
        conn.commit()
    except BaseException:
        _roll_back(conn)
        raise
    return result


def _roll_back(conn: Connection) -> None:
    """Leave the connection usable. Never raises: the caller reports the error that made it roll back."""
    if conn.closed or conn.info.transaction_status == TRANSACTION_STATUS_IDLE:
        return
    record("ROLLBACK")
    try:
        conn.rollback()
    except psycopg2.Error as error:
        logger.debug("Rollback failed as well: %s", error)


def _retrying(is_retryable: Callable[[BaseException], bool], sleep: Callable[[float], None]) -> Retrying:
    return Retrying(
        retry=retry_if_exception(is_retryable),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.5, max=20),
        before_sleep=_log_retry,
        sleep=sleep,
        reraise=True,
    )


def _log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    logger.warning("Warehouse: attempt %s of %s failed (%s), retrying", state.attempt_number, ATTEMPTS, error)


def _is_conflict(error: BaseException, codes: frozenset[str]) -> bool:
    if not isinstance(error, psycopg2.Error):
        return False
    if error.pgcode in codes:
        return True
    reported = str(error.diag.message_primary or "")
    return error.pgcode == "XX000" and any(message in reported for message in _CONFLICT_MESSAGES)


def _warehouse_error(error: psycopg2.Error, conn: Connection, what: str) -> WarehouseError:
    """The error of ours for one of psycopg2's."""
    if conn.closed:
        return ConnectionLost(
            f"{what}: the connection was lost ({_on_one_line(error)}), and it is unknown whether the last commit took "
            "effect. Clear the task: every write of Mayfly replaces what an earlier attempt wrote."
        )
    code = f"SQLSTATE {error.pgcode}: " if error.pgcode else ""
    where = "".join(f" {note}" for note in getattr(error, "__notes__", ()))
    message = f"{what} failed. {code}{_on_one_line(error)}{where}"
    if error.pgcode == _STOPPED:
        hint = (
            f" The statement was stopped: it took longer than Mayfly's limit of {STATEMENT_TIMEOUT_S} s, or than a "
            "shorter one of the warehouse's workload management, or somebody cancelled it. If it waited for a lock, "
            "svv_transactions shows who holds it: end that session, or wait for that load. Then clear the task."
        )
        return StatementRefused(message + hint)
    return StatementRefused(message) if _is_refusal(error) else WarehouseError(message)


def _is_refusal(error: psycopg2.Error) -> bool:
    code = error.pgcode or ""
    if code == "XX000":
        return _REFUSED_MESSAGES.search(str(error)) is not None
    return code[:2] in _REFUSED_CLASSES and code not in _MAY_PASS


def _on_one_line(error: psycopg2.Error) -> str:
    return " ".join(str(error).split())
