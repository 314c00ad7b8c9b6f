"""What a failing task leaves for the verdict: when it failed, and why.

Airflow keeps a task's XComs until its next try begins (`task_runner` clears them then, and not where a deferred task
is resumed), so a task that has failed for good has the record of its last try, and one that has succeeded has none.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeGuard

from airflow.sdk.exceptions import AirflowException, AirflowTaskTimeout, DownstreamTasksSkipped

from airflow_lib.aws.errors import explain
from airflow_lib.bounded_json import as_text
from airflow_lib.errors import MayflyError

log = logging.getLogger(__name__)

FAILURE_KEY = "failure"
_MAX_CAUSE = 2000
_MAX_FURTHER_CAUSE = 300  # characters: the first cause is the one to read
_MAX_NAMED = 30  # tasks: a notification has its limits


@dataclass(frozen=True)
class Failure:
    """A task that failed; `at` (ISO 8601, UTC) and `cause` are empty where it left no record, as when it was killed."""

    task: str
    at: str = ""
    cause: str = ""


@contextmanager
def recorded_failure(context: Any) -> Iterator[None]:
    """Keep an error that leaves the block as the task's XCom `failure`, and let it go on.

    Of those that are no Exception, AirflowTaskTimeout is a failure, and TaskDeferred is none: that task waits. Nor is
    DownstreamTasksSkipped: that task has succeeded.
    What keeps the record from being written is only logged, since it must not hide the error.
    """
    try:
        yield
    except DownstreamTasksSkipped:
        raise
    except (Exception, AirflowTaskTimeout) as error:
        cause = explain(error) if _is_unforeseen(error) else str(error)
        record = {"at": datetime.now(UTC).isoformat(), "message": as_text(cause, _MAX_CAUSE)}
        try:
            context["ti"].xcom_push(key=FAILURE_KEY, value=record)
        except Exception:
            log.exception("the cause of the failure could not be kept for the verdict")
        raise


def _is_unforeseen(error: Exception | AirflowTaskTimeout) -> TypeGuard[Exception]:
    return not isinstance(error, (MayflyError, AirflowException, AirflowTaskTimeout))


def read_failures(ti: Any, failed: Sequence[str]) -> list[Failure]:
    """The tasks `failed` (in the DAG's order), those with a record first, by time; what is no record counts as none."""
    failures = [_read_failure(ti, task) for task in failed]
    return sorted(
        failures, key=lambda one: (not one.at, one.at)
    )  # stable: the DAG's order decides where no time does


def _read_failure(ti: Any, task: str) -> Failure:
    try:
        record = ti.xcom_pull(task_ids=task, key=FAILURE_KEY)
    except Exception as error:  # noqa: BLE001  the verdict must name the task with or without its cause
        log.warning("the cause of %s cannot be read: %s", task, error)
        return Failure(task)
    if not isinstance(record, Mapping):
        return Failure(task)
    at, cause = record.get("at"), record.get("message")
    if not isinstance(at, str) or not isinstance(cause, str):
        return Failure(task)
    return Failure(task, as_text(at, 40), as_text(cause, _MAX_CAUSE))


def format_verdict(run: str, failures: Sequence[Failure], not_started: Sequence[str]) -> str:
    """What a person is told of a failed run: the first failure and its cause, then the others, then what never ran."""
    if not failures:
        return (
            f"{run} failed, though no task of it did: {_list(not_started)} never started. Find out in Airflow's "
            "audit log who marked or stopped the run, and clear these tasks."
        )
    first, *others = failures
    lines = [f"{_opening(run, failures)} {first.task}: {_cause(first)}"]
    if others:
        lines.append("Failed, too:")
        lines += [f"- {one.task}: {as_text(_cause(one), _MAX_FURTHER_CAUSE)}" for one in others[:_MAX_NAMED]]
        if len(others) > _MAX_NAMED:
            lines.append(f"- and {len(others) - _MAX_NAMED} more")
    if not_started:
        lines.append(f"Never started ({len(not_started)}): {_list(not_started)}.")
    lines.append("Correct the cause and clear the failed tasks, with those downstream of them.")
    return "\n".join(lines)


def _opening(run: str, failures: Sequence[Failure]) -> str:
    """What is known of the first failure: of a task that left no record nobody knows when it failed."""
    if all(one.at for one in failures) or len(failures) == 1:
        return f"{run} failed first in"
    if failures[0].at:
        return f"{run} failed. The first known cause, in"
    return f"{run} failed in"


def _cause(failure: Failure) -> str:
    return failure.cause or "it left no cause, as when its process is killed; read its log."


def _list(tasks: Sequence[str]) -> str:
    more = len(tasks) - _MAX_NAMED
    return ", ".join(tasks[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
