"""The statements that are sent to the warehouse, kept for people who read what a task did.

`cursor` and `connection` record what they send while somebody is `recording`; else recording costs nothing. No
statement holds a secret: COPY and UNLOAD name a role, and the password of a connection is no part of any.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from airflow_lib.warehouse.sql import Script

# Airflow keeps the text with the task, in its database. It shows less of it where `[core] max_templated_field_length`
# says so (setup_backend.md).
MAX_TEXT = 60_000  # characters

_current: ContextVar[StatementLog | None] = ContextVar("statement_log", default=None)


class StatementLog:
    """The statements of one task, in the order in which they were sent; what failed is the last before a ROLLBACK."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._template = ""
        self._length = self._left_out = 0

    def add(self, statement: str, template: str = "") -> None:
        """Keep one statement, after the name of the file that it was rendered from where that is another one."""
        part = f"{statement};\n"
        if template and template != self._template:
            part = f"\n-- {template}\n{part}"
        self._template = template
        if self._length + len(part) > MAX_TEXT:
            self._left_out += 1
            return
        self._parts.append(part)
        self._length += len(part)

    def text(self) -> str:
        """What was sent, as SQL; empty where nothing was."""
        more = f"\n-- and {self._left_out} statements more, too long to be shown\n" if self._left_out else ""
        return ("".join(self._parts) + more).strip()


@contextmanager
def recording() -> Iterator[StatementLog]:
    """The statements that this thread sends in the block."""
    log = StatementLog()
    token = _current.set(log)
    try:
        yield log
    finally:
        _current.reset(token)


def record(statement: str, script: Script | None = None) -> None:
    """Tell whoever records that this statement, of that script, is sent now."""
    log = _current.get()
    if log is not None:
        log.add(statement, script.template if script is not None else "")
