"""The base of every step that waits: it keeps the run's leases, polls until ready, and has one deadline.

The deadline is a time that is written down when the step first has to wait: into the step's state, which Airflow
stores with the deferred task, so it is the same for every poll and for every triggerer; and into S3 beside the
run's other files, so it is the same for every try. With it in S3 is how often the step replaced what was lost.
It bounds the wait for renewed credentials, too.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

from pydantic import AwareDatetime, BaseModel, Field, NonNegativeInt, ValidationError

from airflow_lib.aws.errors import (
    AWS_ERRORS,
    describe_credentials_error,
    is_credentials_error,
    translate_aws_errors,
)
from airflow_lib.aws.s3 import put_if_absent, read_object
from airflow_lib.aws.s3_location import uri_of
from airflow_lib.bounded_json import load_json
from airflow_lib.errors import CredentialsRefused, MayflyError, NotReady, ResourceError, WaitTimeout
from airflow_lib.naming import Slot, run_key
from airflow_lib.polling import is_past, time_after
from airflow_lib.steps import Done, Failed, Json, Outcome, Run, Waiting
from airflow_lib.steps.leases import renew_leases


class WaitRecord(BaseModel):
    """What outlives a try of a step that waits: its deadline, and how often each thing happened."""

    deadline: AwareDatetime
    counts: dict[str, NonNegativeInt] = Field(default_factory=dict)


class PollingStep:
    """A step that waits. Subclasses say `timeout_s` and `advance`.

    `slot` is the one whose lease the step needs. `retry_renews_deadline`: each try may wait as long again, because
    nothing but a retry goes on with what the step does; Airflow bounds the tries.
    """

    slot: ClassVar[Slot | None] = None
    retry_renews_deadline: ClassVar[bool] = False
    checks_credentials: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Which of the run's waiting steps this is; each has one of its own."""
        return type(self).__name__

    def timeout_s(self, run: Run) -> float:
        """For how long the step may wait in all."""
        raise NotImplementedError

    def advance(self, run: Run, state: Json) -> Done | Failed:
        """Do what can be done now; what must be remembered until the next poll goes into `state`.

        Raises NotReady, saying what is waited for, until the step is through. Where that must be ready sooner than
        the whole step, `state["until"]` says when.
        """
        raise NotImplementedError

    def timed_out(self, run: Run, what: str, deadline: str) -> MayflyError:
        """The error to raise when the deadline has passed."""
        return WaitTimeout(
            f"Timed out waiting (until {deadline[:19]} UTC): {what}. "
            "If AWS is only slow, raise the time-outs in the Airflow Variable `mayfly`."
        )

    def give_up(self, run: Run, state: Json) -> None:
        """End what nobody will come back to, because the deadline has passed. Raises nothing."""

    def begin(self, run: Run) -> Outcome:
        return self.poll(run, {})

    def poll(self, run: Run, state: Json) -> Outcome:
        state = dict(state)
        try:
            return self._advance(run, state)
        except (CredentialsRefused, *AWS_ERRORS) as error:
            if not is_credentials_error(error):
                raise
            # S3 cannot be asked for the deadline of an earlier try.
            state.setdefault("deadline", time_after(run.services.clock, self.timeout_s(run)))
            what = f"renewed credentials in {run.aws.origin}. {describe_credentials_error(error)}"
            return self._wait(run, state, what, error, reopen=True)

    def _advance(self, run: Run, state: Json) -> Outcome:
        try:
            self.keep_leases(run, state)
            return self.advance(run, state)
        except NotReady as pending:
            self._ensure_deadline(run, state)
            return self._wait(run, state, pending.message, pending)

    def _wait(self, run: Run, state: Json, what: str, cause: Exception, *, reopen: bool = False) -> Waiting:
        """Waiting for `what`. Raises `timed_out` where the deadline has passed."""
        deadline = str(state["deadline"])
        until = deadline if reopen else min(deadline, state.get("until") or deadline)
        if is_past(run.services.clock, until):
            self.give_up(run, state)
            raise self.timed_out(run, what, until) from cause
        return Waiting(what, state, run.settings.mayfly.poll_s, reopen)

    def keep_leases(self, run: Run, state: Json) -> None:
        """Renew what this run holds, when it is due. Raises LeaseLost where `slot` was taken away."""
        renew_leases(run, state, needs=self.slot)

    def cancel(self, run: Run, state: Json) -> None:
        """Nothing: what the register records is given up by the release task."""

    def count(self, run: Run, state: Json, what: str) -> int:
        """How often `what` has happened in this wait, this time included, whichever try or triggerer saw it.

        Call it before doing what is to be bounded: it is written down first. Raises ResourceError.
        """
        deadline = self._ensure_deadline(run, state)
        kept = self._read_record(run) or WaitRecord(deadline=datetime.fromisoformat(deadline))
        times = kept.counts.get(what, 0) + 1
        body = kept.model_copy(update={"counts": {**kept.counts, what: times}}).model_dump_json().encode()
        bucket, key = run.logs.bucket, self._record_key(run)
        with translate_aws_errors(f"write {uri_of(bucket, key)}"):
            run.aws.s3.put_object(Bucket=bucket, Key=key, Body=body)
        return times

    def _ensure_deadline(self, run: Run, state: Json) -> str:
        """The deadline in the state; in the first wait of a try that of an earlier try, or else a new one.

        Never later than `timeout_s` from when the try first waits, whatever was written down.
        """
        if "deadline" not in state:
            deadline = time_after(run.services.clock, self.timeout_s(run))
            if not self.retry_renews_deadline:
                deadline = self._keep_deadline(run, deadline)
            state["deadline"] = deadline
        return str(state["deadline"])

    def _keep_deadline(self, run: Run, deadline: str) -> str:
        body = WaitRecord(deadline=datetime.fromisoformat(deadline)).model_dump_json().encode()
        if put_if_absent(run.aws.s3, run.logs.bucket, self._record_key(run), body):
            return deadline
        kept = self._read_record(run)
        return min(deadline, kept.deadline.astimezone(UTC).isoformat()) if kept else deadline

    def _read_record(self, run: Run) -> WaitRecord | None:
        """What was written down, or None. Raises ResourceError where it cannot be read."""
        bucket, key = run.logs.bucket, self._record_key(run)
        body = read_object(run.aws.s3, bucket, key)
        if body is None:
            return None

        def unreadable(cause: str) -> ResourceError:
            return ResourceError(
                f"{uri_of(bucket, key)} must say until when this task may wait, and cannot be read: {cause[:500]}. "
                "Clear the task: it then begins a record of its own."
            )

        try:
            return WaitRecord.model_validate(load_json(body, unreadable))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            raise unreadable(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None

    def _record_key(self, run: Run) -> str:
        """A cleared task has another number of tries, and so a record of its own; a retry has the same."""
        return run.logs.key("runs", run_key(run.run_id), "waits", f"{self.name}-{run.max_tries}.json")
