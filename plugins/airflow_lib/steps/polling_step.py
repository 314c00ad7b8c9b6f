"""The base of every step that waits: it keeps the run's leases, polls until ready, and has one deadline.

The deadline is a time that `begin` writes into the step's state, before the task is deferred. So it is the same
for every poll and for every triggerer that takes the task over.
"""

from __future__ import annotations

from typing import ClassVar

from airflow_lib.errors import MayflyError, NotReady, WaitTimeout
from airflow_lib.naming import Slot
from airflow_lib.polling import is_past, time_after
from airflow_lib.steps import Done, Failed, Json, Outcome, Run, Waiting
from airflow_lib.steps.leases import renew_leases


class PollingStep:
    """A step that waits. Subclasses say `timeout_s` and `advance`; `slot` is the one whose lease the step needs."""

    slot: ClassVar[Slot | None] = None

    def timeout_s(self, run: Run) -> float:
        """For how long the step may wait in all."""
        raise NotImplementedError

    def advance(self, run: Run, state: Json) -> Done | Failed:
        """Do what can be done now; what must be remembered until the next poll goes into `state`.

        Raises NotReady, saying what is waited for, until the step is through.
        """
        raise NotImplementedError

    def timed_out(self, run: Run, what: str, deadline: str) -> MayflyError:
        """The error to raise when the deadline has passed."""
        return WaitTimeout(
            f"Timed out waiting (until {deadline[:19]} UTC): {what}. "
            "If AWS is only slow, raise the time-outs in the Airflow Variable `mayfly`."
        )

    def begin(self, run: Run) -> Outcome:
        return self.poll(run, {})

    def poll(self, run: Run, state: Json) -> Outcome:
        state = {"deadline": time_after(run.services.clock, self.timeout_s(run)), **state}
        self.keep_leases(run, state)
        try:
            return self.advance(run, state)
        except NotReady as pending:
            if is_past(run.services.clock, state["deadline"]):
                raise self.timed_out(run, pending.message, state["deadline"]) from pending
            return Waiting(pending.message, state, run.settings.mayfly.poll_s)

    def keep_leases(self, run: Run, state: Json) -> None:
        """Renew what this run holds, when it is due. Raises LeaseLost where `slot` was taken away."""
        renew_leases(run, state, needs=self.slot)

    def cancel(self, run: Run, state: Json) -> None:
        """Nothing: what the register records is given up by the release task."""
