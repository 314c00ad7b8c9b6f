"""The base of every step that waits: it keeps the run's leases, polls until ready, and has one deadline.

The deadline is a time that `begin` writes into the step's state, before the task is deferred. So it is the same
for every poll and for every triggerer that takes the task over. It bounds the wait for renewed credentials, too.
"""

from __future__ import annotations

from typing import ClassVar

from airflow_lib.aws.errors import AWS_ERRORS, describe_credentials_error, is_credentials_error
from airflow_lib.errors import CredentialsRefused, MayflyError, NotReady, WaitTimeout
from airflow_lib.naming import Slot
from airflow_lib.polling import is_past, time_after
from airflow_lib.steps import Done, Failed, Json, Outcome, Run, Waiting
from airflow_lib.steps.leases import renew_leases


class PollingStep:
    """A step that waits. Subclasses say `timeout_s` and `advance`; `slot` is the one whose lease the step needs."""

    slot: ClassVar[Slot | None] = None
    checks_credentials: ClassVar[bool] = False

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
        try:
            self.keep_leases(run, state)
            return self.advance(run, state)
        except NotReady as pending:
            return self._wait(run, state, pending.message, pending)
        except (CredentialsRefused, *AWS_ERRORS) as error:
            if not is_credentials_error(error):
                raise
            what = f"renewed credentials in {run.aws.origin}. {describe_credentials_error(error)}"
            return self._wait(run, state, what, error, reopen=True)

    def _wait(self, run: Run, state: Json, what: str, cause: Exception, *, reopen: bool = False) -> Waiting:
        """Waiting for `what`. Raises `timed_out` where the deadline has passed."""
        if is_past(run.services.clock, state["deadline"]):
            raise self.timed_out(run, what, state["deadline"]) from cause
        return Waiting(what, state, run.settings.mayfly.poll_s, reopen)

    def keep_leases(self, run: Run, state: Json) -> None:
        """Renew what this run holds, when it is due. Raises LeaseLost where `slot` was taken away."""
        renew_leases(run, state, needs=self.slot)

    def cancel(self, run: Run, state: Json) -> None:
        """Nothing: what the register records is given up by the release task."""
