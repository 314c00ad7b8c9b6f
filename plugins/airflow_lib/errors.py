"""Every error Mayfly raises, as one tree.

    MayflyError
    ├── DeclarationError      a pipeline's declaration cannot work
    │   └── SizingError       its sessions cannot fit the declared hardware
    ├── SettingsError         an Airflow Variable is missing or wrong
    ├── SourceError           the input is missing, or not what the pipeline reads
    ├── OutputError           a Spark job's output is incomplete, or its manifest cannot be used
    ├── RegisterError         the register is unreadable, or a write could not be settled
    │   └── LeaseLost         this run no longer holds what it is about to use
    ├── ResourceError         an AWS resource failed, was refused, or is not ours to touch
    │   ├── TerminalState     it ended in a state it cannot leave
    │   ├── UnknownState      AWS reports a state this release does not know
    │   ├── ForeignResource   the name is taken by something without our tags
    │   ├── NotReady          AWS is not ready for a call, but will be
    │   ├── ResponseLost      RunJobFlow's answer was lost: it may have made a cluster
    │   └── TeardownError     what could not be removed, all of it
    │       └── RowsLost      a warehouse and its final snapshot are gone, with rows that no other snapshot has
    ├── WaitTimeout           a deadline passed
    ├── LivyError             Livy refused, or cannot be reached
    │   ├── LivyUnreachable   no answer from Livy
    │   ├── SessionInactive   the session ended, or is being ended
    │   ├── SessionFailed     the session died
    │   └── StatementFailed   the Spark job raised
    └── WarehouseError        a statement or a COPY failed
        └── ConnectionLost    the warehouse cannot be reached, or went away

A message names the thing, the state seen, what was expected, and the next step.
Each class takes the message alone, so that every error survives pickling between Airflow's processes.
"""

from __future__ import annotations


class MayflyError(Exception):
    """Base of all; `str(error)` is the whole message for a person."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class DeclarationError(MayflyError):
    """A pipeline's declaration cannot work."""


class SizingError(DeclarationError):
    """The declared sessions cannot fit the declared hardware."""


class SettingsError(MayflyError):
    """An Airflow Variable is missing or wrong."""


class SourceError(MayflyError):
    """The input is missing, or is not what the pipeline reads."""


class OutputError(MayflyError):
    """A Spark job's output is incomplete, or its manifest cannot be used."""


class RegisterError(MayflyError):
    """The register is unreadable, or a write to it could not be settled."""


class LeaseLost(RegisterError):
    """This run no longer holds the slot or generation it is about to use."""


class ResourceError(MayflyError):
    """An AWS resource failed, was refused, or is not ours to touch."""


class TerminalState(ResourceError):
    """A resource ended in a state it cannot leave; the message carries AWS's reason."""


class UnknownState(ResourceError):
    """AWS reports a state this release does not know."""


class ForeignResource(ResourceError):
    """The name is taken by something that does not bear our tags."""


class NotReady(ResourceError):
    """AWS is not ready for this call, but will be: poll again, until the deadline.

    The message says what is waited for.
    """


class ResponseLost(ResourceError):
    """The answer of a request that must not be repeated was lost: find out whether it took effect."""


class TeardownError(ResourceError):
    """What could not be removed: one line each, with the cause and what to do."""


class RowsLost(TeardownError):
    """A warehouse is gone and its final snapshot cannot be restored: rows that no other snapshot has are lost."""


class WaitTimeout(MayflyError):
    """A deadline passed; the message tells the last state seen."""


class LivyError(MayflyError):
    """Livy refused a request, or cannot be reached."""


class LivyUnreachable(LivyError):
    """No answer from Livy: worth asking again."""


class SessionInactive(LivyError):
    """The session ended, or is being ended: look at it again."""


class SessionFailed(LivyError):
    """A Livy session died or could not start; the message carries the tail of its log."""


class StatementFailed(LivyError):
    """The Spark job raised; the message carries its traceback."""


class WarehouseError(MayflyError):
    """A statement or a COPY failed; the message carries the warehouse's own detail."""


class ConnectionLost(WarehouseError):
    """The warehouse cannot be reached, or went away: what was read can be read again on a new connection."""
