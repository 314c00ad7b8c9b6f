"""When a task began and ended, and how long it waited without a worker: for the run's report.

Airflow's task SDK tells a task the states of the others, and not their times (`get_task_states`, Airflow 3.3). So each
leaves its own as an XCom, which lives as long as the record of its failure does (`operators.failures`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import Any

from airflow.sdk.exceptions import AirflowTaskTimeout, DownstreamTasksSkipped

log = logging.getLogger(__name__)

TIMES_KEY = "times"
DEFERRED_AT = "deferred_at"  # in what Airflow keeps of a deferred task (`next_kwargs`)

_MAX_TRIES = 10_000


@dataclass(frozen=True)
class Times:
    """Of a task's last try; `waited_s` is None where it is not known."""

    began: datetime
    ended: datetime
    waited_s: float | None
    tries: int


def now() -> datetime:
    """This host's clock: it is compared with those of other hosts."""
    return datetime.now(UTC)


@contextmanager
def recorded_times(context: Any, deferred_at: str | None = None) -> Iterator[None]:
    """Keep the task's times as its XCom `times` when the block ends, by an error too, but where the task defers.

    `deferred_at` is when it did (ISO 8601; empty where that is not known), where it goes on after that. `start_date`
    is then still that of its first begin (`TIRunContext.start_date`, Airflow 3.3).
    What keeps the record from being written is only logged.
    """
    resumed = now()
    try:
        yield
    except (Exception, AirflowTaskTimeout, DownstreamTasksSkipped):
        _push(context, deferred_at, resumed)
        raise
    _push(context, deferred_at, resumed)


def with_times(execute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """An operator's `execute` that keeps the task's times."""

    @wraps(execute)
    def timed(self: Any, context: Any) -> Any:
        with recorded_times(context):
            return execute(self, context)

    return timed


def _push(context: Any, deferred_at: str | None, resumed: datetime) -> None:
    try:
        ti = context["ti"]
        ended = now()
        waited = 0.0 if deferred_at is None else _seconds_between(deferred_at, resumed)
        record = {
            "began": ti.start_date.isoformat(),
            "ended": ended.isoformat(),
            "waited_s": waited,
            "tries": ti.try_number,
        }
        ti.xcom_push(key=TIMES_KEY, value=record)
    except Exception as error:  # noqa: BLE001  a report without a bar is better than a task that fails
        log.warning("the task's times could not be kept for the report: %s", error)


def read_times(ti: Any, task_id: str) -> Times | None:
    """The times that a task of the run left; None where there are none, or they are no such record."""
    try:
        return parse_times(ti.xcom_pull(task_ids=task_id, key=TIMES_KEY))
    except Exception as error:  # noqa: BLE001  as above
        log.warning("the times of %s cannot be read: %s", task_id, error)
        return None


def parse_times(record: Any) -> Times | None:
    """The times in an XCom; None where it is none of ours."""
    if not isinstance(record, Mapping):
        return None
    began, ended = _parse(record.get("began")), _parse(record.get("ended"))
    if began is None or ended is None:
        return None
    waited, tries = record.get("waited_s"), record.get("tries")
    return Times(
        began,
        ended,
        float(waited) if isinstance(waited, (int, float)) and not isinstance(waited, bool) else None,
        tries if isinstance(tries, int) and 0 < tries < _MAX_TRIES else 1,
    )


def _seconds_between(deferred_at: str, resumed: datetime) -> float | None:
    since = _parse(deferred_at)
    return max((resumed - since).total_seconds(), 0.0) if since else None


def _parse(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        return None
    return moment if moment.tzinfo else None
