"""The temporary passwords that GetClusterCredentials issued, for the Redshift simulator to verify."""

from __future__ import annotations

import threading
from collections import defaultdict
from datetime import UTC, datetime


class Credentials:
    """Passwords by cluster and database user, each until it expires."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._issued: dict[tuple[str, str], list[tuple[str, datetime]]] = defaultdict(list)

    def remember(self, cluster_id: str, user: str, password: str, expires: datetime) -> None:
        with self._lock:
            self._issued[cluster_id, user].append((password, expires))

    def valid(self, cluster_id: str, user: str) -> list[str]:
        """The passwords that have not expired, newest first."""
        now = datetime.now(UTC)
        with self._lock:
            unexpired = [issued for issued in self._issued[cluster_id, user] if issued[1] > now]
            self._issued[cluster_id, user] = unexpired
            return [password for password, _ in reversed(unexpired)]
