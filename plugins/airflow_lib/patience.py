"""Which errors of a poll are worth another poll, and for how long."""

from __future__ import annotations

from datetime import datetime, timedelta

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

from airflow_lib.errors import LivyUnreachable
from airflow_lib.waiting import Clock

TRANSIENT_BUDGET_S = 300

_THROTTLES = frozenset(
    {"Throttling", "ThrottlingException", "ThrottledException", "RequestLimitExceeded", "SlowDown"}
)


def is_transient(error: BaseException) -> bool:
    """Whether asking again may well succeed: no answer, throttling, or a fault of the server's."""
    if isinstance(error, (LivyUnreachable, ConnectionError, HTTPClientError)):
        return True
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return error.response.get("Error", {}).get("Code", "") in _THROTTLES or status >= 500
    return False


class TransientBudget:
    """Bears transient errors for `TRANSIENT_BUDGET_S` after the last good poll."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: datetime | None = None

    def reset(self) -> None:
        """A poll went well."""
        self._since = None

    def allows(self, error: BaseException) -> bool:
        """Whether to poll again after `error`."""
        if not is_transient(error):
            return False
        now = self._clock.now()
        self._since = self._since or now
        return now - self._since < timedelta(seconds=TRANSIENT_BUDGET_S)
