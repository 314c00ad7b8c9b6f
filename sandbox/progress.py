"""The current state of a run: its tasks as Airflow has them, and its Spark sessions as Livy and their drivers tell."""

from __future__ import annotations

import logging
import re
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

# The file that a statement's driver tells its progress in, as its code names it (`sparkjobs.progress`).
_FILE = re.compile(r"""progress\(spark, ['"]s3://([^/'"]+)/([^'"]+)['"]\)""")
_MAX_CHARS = 200


@dataclass(frozen=True)
class Session:
    """One Spark session: `state` is Livy's, `told` what its driver says of its last statement, if anything."""

    name: str
    state: str
    told: str = ""

    def __str__(self) -> str:
        return f"{self.state}, {self.told}" if self.told else self.state


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
        self._s3 = account.client("s3")
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
                told=self._told(base, session),
            )
            for session in self._get(f"{base}/sessions").get("sessions", ())
        ]

    def _told(self, base: str, session: dict[str, Any]) -> str:
        if session["state"] != "busy":
            return ""
        statements = self._get(f"{base}/sessions/{session['id']}/statements").get("statements", ())
        found = _FILE.search(str(statements[-1].get("code"))) if statements else None
        if found is None:
            return ""
        try:
            body = self._s3.get_object(Bucket=found[1], Key=found[2])["Body"].read(_MAX_CHARS)
        except (ClientError, BotoCoreError):  # it is not there yet
            return ""
        return "".join(letter for letter in body.decode(errors="replace") if letter.isprintable())

    def _get(self, url: str) -> dict[str, Any]:
        answer = self._http.get(url, timeout=_TIMEOUT_S)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


def _job_of(session_name: str) -> str:
    """The job's name: Mayfly names a session `<environment>-<run>-<job>`."""
    return session_name.rsplit("-", 1)[-1]
