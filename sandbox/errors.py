"""Every error the sandbox raises, as one tree.

    SandboxError
    ├── AirflowNotFound          Airflow's REST API answered 404
    ├── JarsUnavailable          Spark, or its S3 jars, are not on this machine and could not be fetched
    ├── NoBrowser                Airflow's UI is to be looked at, and there is no browser
    ├── PostgresError            a private PostgreSQL could not be initialised or started
    ├── WorkerFailed             the process behind a simulated cluster did not start
    ├── LivyServerError          the embedded Livy server
    │   ├── RequestRefused       the client gets an error in answer to its request
    │   │   ├── BadBody          400 with a bare string: not the JSON that Livy reads
    │   │   ├── Rejected         400 with {"msg": …}: well-formed, but not allowed
    │   │   ├── SessionNotFound  404 with {"msg": …}
    │   │   └── IllegalState     500 with a Java exception's name
    │   ├── DriverFailed         a session's driver could not start
    │   ├── KernelDied           a session's Python process ended
    │   └── KernelError          a call inside a session's Python process raised
    └── RedshiftServerError      the Redshift simulator
        ├── RedshiftError        the client gets an error in Redshift's words
        └── ErrorResponse        the private PostgreSQL answered a statement with an error

Outside the servers, a command prints the message of a SandboxError instead of a traceback, and exits with 2.
A module may derive a private class for its own control flow; it derives from SandboxError, too.
"""

from __future__ import annotations

from collections.abc import Mapping


class SandboxError(Exception):
    """Base of all; `str(error)` is the whole message: what is wrong, what was expected, what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class AirflowNotFound(SandboxError):
    """Airflow's REST API answered 404."""


class NoBrowser(SandboxError):
    """This machine has no browser, or playwright is not installed; the message says what to install."""


class JarsUnavailable(SandboxError):
    """Spark, or its S3 jars, are not on this machine; the message says why, and what to do."""


class PostgresError(SandboxError):
    """A private PostgreSQL could not be initialised or started; the message carries the end of its log."""


class WorkerFailed(SandboxError):
    """The process behind a simulated cluster did not start; the message carries the end of its log."""


class LivyServerError(SandboxError):
    """Base of the embedded Livy server's errors."""


class RequestRefused(LivyServerError):
    """Base of the errors that a client of the embedded Livy server gets; the message is Apache Livy's own."""


class BadBody(RequestRefused):
    """The body is not the JSON that Livy reads: status 400 and a bare string."""


class Rejected(RequestRefused):
    """The request is well-formed, but Livy does not allow it: status 400 and {"msg": …}."""


class SessionNotFound(RequestRefused):
    """There is no such session: status 404 and {"msg": …}."""


class IllegalState(RequestRefused):
    """The session cannot do this in its state: status 500 and a bare string with a Java exception's name."""


class DriverFailed(LivyServerError):
    """A session's driver could not start; its log says why."""


class KernelDied(LivyServerError):
    """A session's Python process ended, so no answer will come."""

    def __init__(self, message: str = "the session's Python process has ended") -> None:
        super().__init__(message)


class KernelError(LivyServerError):
    """A call inside a session's Python process raised; the message is the traceback."""


class RedshiftServerError(SandboxError):
    """Base of the Redshift simulator's errors."""


class RedshiftError(RedshiftServerError):
    """What a client of the Redshift simulator gets: `message`, `code` (SQLSTATE) and `detail` in Redshift's words."""

    def __init__(self, message: str, code: str = "XX000", detail: str | None = None) -> None:
        super().__init__(message)
        self.code, self.detail = code, detail


class ErrorResponse(RedshiftServerError):
    """PostgreSQL's ErrorResponse message; `fields` by their letter (PostgreSQL documentation, "Error Fields")."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(fields.get("M", ""))
        self.fields = dict(fields)
