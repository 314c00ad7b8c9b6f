"""HTTP to a Livy server, for the contract suite and the sandbox's tests: nothing of the product's."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests

from sandbox import livy, tls
from sandbox.processes import Child

START_TIMEOUT_S = 120
STATEMENT_TIMEOUT_S = 60
_ENDED = ("available", "cancelled")

_T = TypeVar("_T")


def eventually(look: Callable[[], _T], wanted: Callable[[_T], bool], timeout_s: float) -> _T:
    """What `look` answers once it is `wanted`; fails with the last answer."""
    deadline = time.monotonic() + timeout_s
    while not wanted(answer := look()):
        assert time.monotonic() < deadline, f"after {timeout_s} s it was still {answer}"
        time.sleep(0.05)
    return answer


@dataclass(frozen=True)
class Server:
    """A Livy server by its URL; `certificate` is a file with the one that https must have, or with its CA's."""

    url: str
    certificate: Path | None = None

    def request(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        verify = str(self.certificate) if self.certificate else True
        return requests.request(method, self.url + path, timeout=60, verify=verify, **kwargs)

    def get(self, path: str, **parameters: Any) -> requests.Response:
        return self.request("GET", path, params=parameters)

    def post(self, path: str, body: Any = None) -> requests.Response:
        return self.request("POST", path, json=body)

    def delete(self, path: str) -> requests.Response:
        return self.request("DELETE", path)

    def create(self, **wish: Any) -> Session:
        """A session that was just posted."""
        answer = self.post("/sessions", wish)
        assert answer.status_code == 201, answer.text
        return Session(self, answer.json()["id"])


@dataclass(frozen=True)
class Session:
    """One session of a server."""

    server: Server
    id: int

    @property
    def path(self) -> str:
        return f"/sessions/{self.id}"

    def state(self) -> str:
        return str(self.server.get(f"{self.path}/state").json()["state"])

    def wait_started(self) -> str:
        """The state that `starting` leads to. A session that fails to start is `shutting_down` on its way."""
        on_the_way = ("starting", "shutting_down")
        return eventually(self.state, lambda state: state not in on_the_way, START_TIMEOUT_S)

    def post(self, code: str, **more: Any) -> int:
        """The id of a statement that was just posted."""
        answer = self.server.post(f"{self.path}/statements", {"code": code, **more})
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def statement(self, number: int) -> dict[str, Any]:
        answer = self.server.get(f"{self.path}/statements/{number}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def wait(self, number: int, *states: str) -> dict[str, Any]:
        """The statement once it has ended, or is in one of `states`.

        A real Livy now and then shows a statement as available before it has its output.
        """

        def settled(seen: dict[str, Any]) -> bool:
            waiting_for_output = seen["state"] == "available" and seen["output"] is None
            return seen["state"] in (states or _ENDED) and not waiting_for_output

        return eventually(lambda: self.statement(number), settled, STATEMENT_TIMEOUT_S)

    def run(self, code: str, **more: Any) -> dict[str, Any]:
        """A statement's output."""
        return dict(self.wait(self.post(code, **more))["output"])

    def text(self, code: str) -> str:
        """What a statement printed."""
        output = self.run(code)
        assert output["status"] == "ok", output
        return str(output["data"]["text/plain"])

    def cancel(self, number: int) -> requests.Response:
        return self.server.post(f"{self.path}/statements/{number}/cancel")

    def delete(self) -> requests.Response:
        return self.server.delete(self.path)


def given(url: str, ca: str | None, folder: Path) -> Server:
    """The server of a URL. Without a file `ca`, an https server's own certificate is trusted, as it is seen now."""
    if not url.startswith("https:") or ca:
        return Server(url, Path(ca) if ca else None)
    parts = urlsplit(url)
    seen = folder / "seen.pem"
    seen.write_text(ssl.get_server_certificate((str(parts.hostname), parts.port or 443)))
    return Server(url, seen)


@contextmanager
def embedded(
    host: str,
    work_dir: Path,
    *,
    conf: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    plain: bool = False,
) -> Iterator[tuple[Server, Child]]:
    """A server as the sandbox starts it, gone at the end."""
    certificate = None if plain else work_dir / livy.CERTIFICATE
    server = Server(f"{'http' if plain else 'https'}://{host}:{livy_port()}", certificate)
    if certificate is not None:
        tls.ensure_certificate(certificate, host)
    child = Child(
        livy.command(host, livy_port(), work_dir, conf, plain=plain),
        name="livy",
        log=work_dir / "server.log",
        environment=livy.environment(work_dir, {**os.environ, **(environment or {})}),
    )

    def answers() -> bool:
        assert child.alive, f"the server ended: {child.log_tail()}"
        try:
            return server.get("/sessions").ok
        except requests.ConnectionError:
            return False

    try:
        eventually(answers, bool, 30)
        yield server, child
    finally:
        child.stop()


def livy_port() -> int:
    return 8998
