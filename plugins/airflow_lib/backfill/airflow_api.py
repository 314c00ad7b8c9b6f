"""The little of Airflow's REST API that starts runs.

https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html

Its own backfills (`POST /backfills`) make a run of each data interval, all with one `conf`; windows that were joined
are runs of their own, each with its params (`POST /dags/{dag_id}/dagRuns`).
Who asks is said in the environment alone, and neither logged nor told.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from airflow_lib.bounded_json import as_text, load_json
from airflow_lib.errors import ResourceError, SettingsError

URL, TOKEN, USER, PASSWORD = (f"MAYFLY_AIRFLOW_{name}" for name in ("URL", "TOKEN", "USER", "PASSWORD"))
CA = "MAYFLY_AIRFLOW_CA"
SECRETS = frozenset({TOKEN, PASSWORD})

_TIMEOUT_S = 60.0
_MAX_ANSWER_BYTES = 1024 * 1024
_UNDER_WAY = frozenset({"queued", "running"})
_MAX_STARTS = 100


@dataclass(frozen=True)
class Access:
    """Where Airflow's API is, and who asks. Raises SettingsError where that would send a secret in clear."""

    url: str
    token: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    ca: str = ""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(
                f"{URL} is {self.url!r:.200}: give the URL of Airflow's API server, with https."
            )
        if parts.username or parts.password:
            raise SettingsError(f"{URL} names a user: say who asks in {TOKEN}, or {USER} and {PASSWORD}.")
        if parts.scheme == "http" and not _is_this_host(parts.hostname):
            raise SettingsError(
                f"{URL} is {self.url!r:.200}: by http everybody on the way reads the token; use https."
            )


def read_access(environ: Mapping[str, str]) -> Access:
    """What the environment says. Raises SettingsError where it does not say enough."""
    url, token = environ.get(URL, "").strip(), environ.get(TOKEN, "").strip()
    user, password = environ.get(USER, ""), environ.get(PASSWORD, "")
    if not url or not (token or (user and password)):
        raise SettingsError(
            f"To start runs, set {URL} to the URL of Airflow's API server, and {TOKEN} to a token of it, or {USER} and "
            f"{PASSWORD}."
        )
    return Access(url.rstrip("/"), token, user, password, environ.get(CA, ""))


class AirflowApi:
    """Requests as one user. Each raises ResourceError where Airflow refuses, or cannot be reached."""

    def __init__(self, access: Access, http: requests.Session | None = None) -> None:
        self._access = access
        self._http = http or requests.Session()
        self._http.trust_env = False  # neither a proxy nor a .netrc gets to see the token
        self._http.verify = access.ca or True

    def is_paused(self, dag_id: str) -> bool:
        """Whether the DAG is: a run of it waits until it is unpaused."""
        return self._ask("GET", f"/api/v2/dags/{quote(dag_id, safe='')}").get("is_paused") is True

    def start_run(self, dag_id: str, run_id: str, conf: Mapping[str, str]) -> tuple[str, bool]:
        """The id of the run, and whether it was started now: one of this id that is not over is not started again.

        Where one of this id is over, the next has a number, too.
        """
        for number in range(1, _MAX_STARTS + 1):
            name = run_id if number == 1 else f"{run_id}-{number}"
            path = f"/api/v2/dags/{quote(dag_id, safe='')}/dagRuns"
            body = {"logical_date": None, "dag_run_id": name, "conf": dict(conf)}
            if self._ask("POST", path, body, may_be=409) is not _REFUSED:
                return name, True
            state = self._ask("GET", f"{path}/{quote(name, safe='')}").get("state")
            if state in _UNDER_WAY:
                return name, False
        raise ResourceError(
            f"{dag_id} has {_MAX_STARTS} runs {run_id} already: look why they do not load it."
        )

    def _ask(self, method: str, path: str, body: Any = None, *, may_be: int = 0) -> dict[str, Any]:
        if "Authorization" not in self._http.headers:
            self._http.headers["Authorization"] = f"Bearer {self._access.token or self._log_in()}"
        status, answer = self._send(method, path, body)
        if status == may_be:
            return _REFUSED
        if not 200 <= status < 300 or not isinstance(answer, dict):
            raise ResourceError(
                f"Airflow at {self._access.url} answered {method} {path} with {status}: {_detail(answer)}"
            )
        return answer

    def _log_in(self) -> str:
        body = {"username": self._access.user, "password": self._access.password}
        status, answer = self._send("POST", "/auth/token", body)
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not 200 <= status < 300 or not isinstance(token, str) or not token.isascii():
            raise ResourceError(
                f"Airflow at {self._access.url} refuses the login of {self._access.user!r:.100} ({status}). Check "
                f"{USER} and {PASSWORD}, or give {TOKEN} a token."
            )
        return token

    def _send(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """The status, and the JSON of the answer; None where it is none."""
        try:
            with self._http.request(
                method,
                self._access.url + path,
                json=body,
                timeout=_TIMEOUT_S,
                allow_redirects=False,
                stream=True,
            ) as answer:
                content = answer.raw.read(_MAX_ANSWER_BYTES + 1, decode_content=True)
                return answer.status_code, _parse(content)
        except (requests.RequestException, OSError, ValueError) as error:
            # Its text may have the URL, which has no secret in it (`Access`).
            raise ResourceError(f"Airflow at {self._access.url} cannot be reached: {error}") from error


_REFUSED: dict[str, Any] = {}


def _parse(content: bytes) -> Any:
    try:
        return load_json(content, ValueError, max_bytes=_MAX_ANSWER_BYTES)
    except ValueError:
        return None


def _detail(answer: Any) -> str:
    found = answer.get("detail") if isinstance(answer, dict) else None
    return as_text(str(found) if found else "no reason that can be read", 500)


def _is_this_host(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
