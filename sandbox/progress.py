"""The current state of a run: its tasks as Airflow has them, and the progress of its Spark sessions from Livy."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import Any

import requests
from botocore.exceptions import BotoCoreError, ClientError

from sandbox import livy
from sandbox.account import Account
from sandbox.addresses import LIVY_PORT
from sandbox.airflow.client import TaskRun

log = logging.getLogger(__name__)

_TIMEOUT_S = 2
_EMR_USABLE = ("WAITING", "RUNNING")
_UNFINISHED = frozenset({"queued", "running"})


@dataclass(frozen=True)
class Session:
    """One Spark session: `state` is Livy's, `progress` (0 to 1) that of its last statement."""

    name: str
    state: str
    progress: float


@dataclass(frozen=True)
class Snapshot:
    """A run at one moment."""

    state: str
    tasks: tuple[TaskRun, ...]
    sessions: tuple[Session, ...]

    @property
    def is_over(self) -> bool:
        return self.state not in _UNFINISHED


class SparkProgress:
    """Polls the sessions of every usable EMR cluster. Never raises, since a cluster may end during a request."""

    def __init__(self, account: Account) -> None:
        self._emr = account.client("emr")
        self._http = requests.Session()
        self._http.trust_env = False
        # Nobody signed the certificates, and nothing secret is sent: what is read is shown, and that is all.
        self._http.verify = False
        warnings.filterwarnings("ignore", message="Unverified HTTPS request")

    def poll(self) -> tuple[Session, ...]:
        """Every session that exists now, sorted by name."""
        found = []
        try:
            clusters = self._emr.list_clusters(ClusterStates=list(_EMR_USABLE))["Clusters"]
            for cluster in clusters:
                details = self._emr.describe_cluster(ClusterId=cluster["Id"])["Cluster"]
                if details.get("MasterPublicDnsName"):
                    scheme = "https" if livy.speaks_tls(details.get("ReleaseLabel", "")) else "http"
                    found += self._sessions(f"{scheme}://{details['MasterPublicDnsName']}:{LIVY_PORT}")
        except (ClientError, BotoCoreError, requests.RequestException, ValueError, KeyError) as error:
            log.debug("Cannot read Spark's progress now: %s", error)
        return tuple(sorted(found, key=lambda session: session.name))

    def _sessions(self, base: str) -> list[Session]:
        return [
            Session(
                name=_job_of(session.get("name") or str(session["id"])),
                state=session["state"],
                progress=self._progress(base, session),
            )
            for session in self._get(f"{base}/sessions").get("sessions", ())
        ]

    def _progress(self, base: str, session: dict[str, Any]) -> float:
        if session["state"] not in ("idle", "busy"):
            return 0.0
        statements = self._get(f"{base}/sessions/{session['id']}/statements").get("statements", ())
        if not statements:
            return 0.0
        last = statements[-1]
        return 1.0 if last["state"] == "available" else float(last.get("progress") or 0.0)

    def _get(self, url: str) -> dict[str, Any]:
        answer = self._http.get(url, timeout=_TIMEOUT_S)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


def _job_of(session_name: str) -> str:
    """The job's name: Mayfly names a session `<environment>-<run>-<job>`."""
    return session_name.rsplit("-", 1)[-1]
