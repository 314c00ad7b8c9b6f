"""Every error that Mayfly raises, as one tree.

    MayflyError
    ├── DeclarationError      a pipeline's declaration cannot work
    │   └── SizingError       its Spark sessions do not fit the declared hardware
    ├── SettingsError         an Airflow Variable is missing or wrong
    ├── SourceError           the input is missing, or the pipeline cannot read it
    ├── OutputError           a Spark job's output is incomplete, or its manifest cannot be used
    │   ├── OutputRefused     the job writes the same again, and it cannot be loaded: correct the job or the table
    │   └── InputChanged      a file of the run's batch changed since: clear the run from the preflight on
    ├── RegisterError         the register cannot be read, or the outcome of a write is unknown
    │   ├── LeaseLost         this run no longer holds what it is about to use
    │   └── RegisterUnreachable  S3 does not answer, or is busy: try again
    ├── ResourceError         an AWS resource failed, AWS refused a call, or the resource is not ours
    │   ├── TerminalState     the resource ended in a state it cannot leave, or is lost again and again
    │   ├── UnknownState      AWS or Livy reports a state this version does not know
    │   ├── ForeignResource   the name is taken by something without our tags
    │   ├── CredentialsRefused  AWS does not accept the credentials, or there are none: wait for renewed ones
    │   ├── SnapshotAbsent    AWS answers that the snapshot to restore from does not exist
    │   ├── NotReady          AWS is not ready for this call, but will be: poll again until the deadline
    │   ├── ResponseLost      no response to a create request: whether it took effect is unknown
    │   └── TeardownError     what could not be removed, all of it
    │       └── RowsLost      a warehouse and its final snapshot are gone, with rows that no other snapshot has
    ├── WaitTimeout           a deadline passed
    ├── LivyError             Livy refused a request, or answered something unusable
    │   ├── LivyUnreachable   no response of Livy's own: poll again
    │   ├── LivyDenied        401 or 403: something asks for credentials, and Mayfly has none
    │   ├── LivyUntrusted     the certificate is not the recorded one, or not of the configured CA
    │   ├── SessionInactive   the session has ended or is ending: probe it again
    │   ├── SessionFailed     the session died, or could not start
    │   └── StatementFailed   the Spark job raised, or was cancelled
    │       └── JobFault      it raises the same again on the same input: correct the job
    └── WarehouseError        a statement or a COPY failed
        ├── StatementRefused  the same statement on the same rows fails again: correct the SQL, the table or the data
        └── ConnectionLost    the warehouse cannot be reached, or the connection broke
            └── WarehouseUnreachable  no connection could be opened, so nothing was done: try again

A message says what is wrong, what was expected, and what to do.
Each class takes the message alone, so that every error survives pickling between Airflow's processes.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from airflow_lib.bounded_json import as_text


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the known one that looks most like it, or nothing."""
    found = difflib.get_close_matches(
        name.lower(), by_lower := {one.lower(): one for one in known}, n=1, cutoff=0.75
    )
    return f"; did you mean {by_lower[found[0]]!r}?" if found else ""


class MayflyError(Exception):
    """Base of all; `str(error)` is the whole message for a person.

    A message may quote what AWS, Livy or the warehouse answered: it is cut to a length that logs and Airflow's
    database take, and every character of it can be encoded.
    """

    def __init__(self, message: str) -> None:
        message = as_text(message)
        super().__init__(message)
        self.message = message


class DeclarationError(MayflyError):
    """A pipeline's declaration cannot work."""


class SizingError(DeclarationError):
    """The declared Spark sessions do not fit the declared hardware."""


class SettingsError(MayflyError):
    """An Airflow Variable is missing or wrong."""


class SourceError(MayflyError):
    """The input is missing, or the pipeline cannot read it."""


class OutputError(MayflyError):
    """A Spark job's output is incomplete, or its manifest cannot be used."""


class OutputRefused(OutputError):
    """What a Spark job wrote cannot be loaded, and it writes the same again: correct the job, or the table."""


class InputChanged(OutputError):
    """A file of the run's batch was replaced or deleted since: the run must begin with what is there now."""


class RegisterError(MayflyError):
    """The register cannot be read, or the outcome of a write to it is unknown."""


class LeaseLost(RegisterError):
    """This run no longer holds the slot or generation it is about to use."""


class RegisterUnreachable(RegisterError):
    """S3 does not answer, or is busy, so the register could not be read or written: try again."""


class ResourceError(MayflyError):
    """An AWS resource failed, AWS refused a call, or the resource is not ours to touch."""


class TerminalState(ResourceError):
    """A resource ended in a state it cannot leave, or is lost each time it is replaced; the message says the reason."""


class UnknownState(ResourceError):
    """AWS or Livy reports a state this version does not know."""


class ForeignResource(ResourceError):
    """The name is taken by something that does not bear our tags."""


class CredentialsRefused(ResourceError):
    """AWS does not accept the credentials, or there are none: wait for renewed ones, which need a new session."""


class SnapshotAbsent(ResourceError):
    """AWS answers that the snapshot to restore from does not exist: one such answer is not believed."""


class NotReady(ResourceError):
    """AWS is not ready for this call, but will be: poll again until the deadline.

    The message says what is waited for, so that the poll loop can report it when its deadline passes.
    """


class ResponseLost(ResourceError):
    """No response came to a request that creates something: whether it took effect is unknown.

    Find out what exists before sending the request again.
    """


class TeardownError(ResourceError):
    """What could not be removed: one line each, with the cause and what to do."""


class RowsLost(TeardownError):
    """A warehouse is gone and its final snapshot cannot be restored: rows that no other snapshot has are lost."""


class WaitTimeout(MayflyError):
    """A deadline passed; the message names the last state seen."""


class LivyError(MayflyError):
    """Livy refused a request, or answered something that cannot be used."""


class LivyUnreachable(LivyError):
    """No response from Livy, or one that is not Livy's own: poll again."""


class LivyDenied(LivyError):
    """Livy, or a proxy or gateway before it, asks for credentials: no retry helps."""


class LivyUntrusted(LivyError):
    """The certificate is not the recorded one, or not of the configured CA: a person has to look."""


class SessionInactive(LivyError):
    """The Livy session has ended or is ending: probe it again."""


class SessionFailed(LivyError):
    """A Livy session died or could not start; the message carries the end of its log."""


class StatementFailed(LivyError):
    """The Spark job raised, or was cancelled; the message carries its traceback."""


class JobFault(StatementFailed):
    """The Spark job raised what the same code raises again on the same input: no retry helps."""


class WarehouseError(MayflyError):
    """A statement or a COPY failed; the message carries the warehouse's own detail."""


class StatementRefused(WarehouseError):
    """The warehouse refused a statement for what it says or for its rows, or stopped it: trying again is no help."""


class ConnectionLost(WarehouseError):
    """The warehouse cannot be reached, or the connection broke: a read can be repeated on a new connection."""


class WarehouseUnreachable(ConnectionLost):
    """No connection to the warehouse could be opened, so nothing was done there: try again."""
