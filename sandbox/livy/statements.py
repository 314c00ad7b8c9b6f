"""One statement of a session, with Livy's JSON representation (Statement.java)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class StatementState(StrEnum):
    """Livy's statement states."""

    WAITING = "waiting"
    RUNNING = "running"
    AVAILABLE = "available"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


@dataclass
class Statement:
    """Code, its result, and when it started and completed (epoch ms, 0 until known)."""

    id: int
    code: str
    kind: str
    state: StatementState = StatementState.WAITING
    output: dict[str, Any] | None = None
    progress: float = 0.0
    started: int = 0
    completed: int = 0

    @property
    def ended(self) -> bool:
        return self.state in (StatementState.AVAILABLE, StatementState.CANCELLED)

    def begin(self) -> None:
        self.state, self.started = StatementState.RUNNING, now_ms()

    def finish(self, output: dict[str, Any]) -> None:
        """Store the output; a statement that was being cancelled becomes cancelled."""
        self.output = output
        if self.state is StatementState.RUNNING:
            self.state = StatementState.AVAILABLE
        elif self.state is StatementState.CANCELLING:
            self.state = StatementState.CANCELLED
        self.progress, self.completed = 1.0, now_ms()

    def mark_cancelled(self) -> None:
        """Mark it cancelled, whether or not its code still runs."""
        self.state, self.completed = StatementState.CANCELLED, now_ms()

    def view(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "code": self.code,
            "state": self.state.value,
            "output": self.output,
            "progress": self.progress,
            "started": self.started,
            "completed": self.completed,
        }


def now_ms() -> int:
    return time.time_ns() // 1_000_000
