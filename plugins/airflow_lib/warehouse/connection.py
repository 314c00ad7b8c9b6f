"""How the warehouse is reached: temporary credentials, TLS, transactions, and what is retried.

Reading may be repeated on a new connection (`read`). A transaction is repeated only where the warehouse itself
says that it undid it (`transact`); after a lost connection nobody but the caller can tell whether it was
committed, so that is an error. What is done with a connection lives in `warehouse` and `quality`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg2
from botocore.exceptions import BotoCoreError, ClientError
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, connection, cursor
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from airflow_lib.errors import ConnectionLost, WarehouseError

if TYPE_CHECKING:
    from mypy_boto3_redshift import RedshiftClient

logger = logging.getLogger(__name__)

T = TypeVar("T")
Connection = connection
Cursor = cursor

CREDENTIALS_S = 900  # the least GetClusterCredentials grants; a connection outlives it
CONNECT_TIMEOUT_S = 20
ATTEMPTS = 5

# Keepalives below the 350 s after which AWS drops an idle flow, so that a long COPY is not cut off:
# https://docs.aws.amazon.com/redshift/latest/mgmt/connecting-drop-issues.html
_KEEPALIVES: dict[str, Any] = {
    "keepalives": 1,
    "keepalives_idle": 60,
    "keepalives_interval": 15,
    "keepalives_count": 5,
}

# The warehouse undid the transaction because of another one: 40001 and 40P01 by the SQL standard's codes;
# Redshift says XX000 with message 1023 (serializable isolation violation), or names the conflict:
# https://docs.aws.amazon.com/redshift/latest/dg/c_serial_isolation-serializable-isolation-troubleshooting.html
_CONFLICTS = frozenset({"40001", "40P01"})
_CONFLICT_MESSAGES = ("1023", "conflict with concurrent transaction")

# IF NOT EXISTS does not help two creators at the same instant: the later one sees a duplicate
# (object, schema, or row of the catalogue). Once more, and it finds what the other one made.
_LOST_CREATION_RACES = frozenset({"42P07", "42P06", "23505"})


@dataclass(frozen=True)
class Endpoint:
    """Where a warehouse is, and as whom it is entered."""

    host: str
    port: int
    database: str
    cluster_id: str
    admin_user: str


def connect(redshift: RedshiftClient, endpoint: Endpoint) -> Connection:
    """A new connection by temporary credentials, over TLS; close it when done.

    Raises ConnectionLost where the warehouse cannot be reached, WarehouseError where AWS refuses credentials.
    """
    user, password = _credentials(redshift, endpoint)
    try:
        opened: Connection = psycopg2.connect(
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
    except psycopg2.OperationalError as error:
        told = str(error).replace(password, "***").strip()
        raise ConnectionLost(
            f"Warehouse {endpoint.cluster_id} at {endpoint.host}:{endpoint.port} cannot be entered: {told}. "
            "Check that the security group lets Airflow's workers in, and that the cluster is available."
        ) from None
    logger.debug("Entered warehouse %s as %s", endpoint.cluster_id, user)
    return opened


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
        raise WarehouseError(
            f"AWS grants no temporary credentials for {endpoint.admin_user} of warehouse {endpoint.cluster_id}: "
            f"{error}. The principal that Airflow runs as needs redshift:GetClusterCredentials."
        ) from error
    return granted["DbUser"], granted["DbPassword"]


def read(
    open_connection: Callable[[], Connection],
    work: Callable[[Connection], T],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """What `work` reads on a connection of its own; after a lost connection, again on a new one.

    Never for work that writes: a lost connection does not tell whether its commit arrived.
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
    """What `work` returns, its statements being one committed transaction; all of it or nothing.

    The whole is repeated, a bounded number of times, where the warehouse undid it because of a concurrent
    transaction; and, where it `creates`, where someone else created the same first.
    Raises ConnectionLost where it is unknown whether a commit arrived, WarehouseError for anything else.
    """
    codes = _CONFLICTS | _LOST_CREATION_RACES if creates else _CONFLICTS
    try:
        return _retrying(lambda error: _is_conflict(error, codes), sleep)(lambda: _transact_once(conn, work))
    except psycopg2.Error as error:
        raise _told(error, conn, what) from error


def _transact_once(conn: Connection, work: Callable[[Cursor], T]) -> T:
    try:
        with conn.cursor() as cursor:
            result = work(cursor)
        conn.commit()
    except BaseException:
        _roll_back(conn)
        raise
    return result


def _roll_back(conn: Connection) -> None:
    """Leave the connection usable; the error that brought us here is the one to tell."""
    if conn.closed or conn.info.transaction_status == TRANSACTION_STATUS_IDLE:
        return
    try:
        conn.rollback()
    except psycopg2.Error as error:
        logger.debug("Rollback failed as well: %s", error)


def _retrying(again: Callable[[BaseException], bool], sleep: Callable[[float], None]) -> Retrying:
    return Retrying(
        retry=retry_if_exception(again),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.5, max=20),
        before_sleep=_log_retry,
        sleep=sleep,
        reraise=True,
    )


def _log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    logger.warning("Warehouse: attempt %s of %s failed (%s); again", state.attempt_number, ATTEMPTS, error)


def _is_conflict(error: BaseException, codes: frozenset[str]) -> bool:
    if not isinstance(error, psycopg2.Error):
        return False
    if error.pgcode in codes:
        return True
    told = str(error.diag.message_primary or "")
    return error.pgcode == "XX000" and any(message in told for message in _CONFLICT_MESSAGES)


def _told(error: psycopg2.Error, conn: Connection, what: str) -> WarehouseError:
    if conn.closed:
        return ConnectionLost(
            f"{what}: the connection was lost ({_plain(error)}); whether the last commit arrived is unknown. "
            "Run the task again: every write of Mayfly replaces what an earlier try of it wrote."
        )
    code = f"SQLSTATE {error.pgcode}: " if error.pgcode else ""
    return WarehouseError(f"{what} failed. {code}{_plain(error)}")


def _plain(error: psycopg2.Error) -> str:
    return " ".join(str(error).split())
