"""A run is not triggered with a window that is none."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from operators import trigger_requests as module
from operators.trigger_requests import RefuseWindows

DAYS = {"window_start": "2016-04-01", "window_end": "2016-04-08"}
REVERSED = {"window_start": "2016-04-08", "window_end": "2016-04-01"}
PATH = "/api/v2/dags/immigration/dagRuns"


class Client:
    """Sends requests to Airflow's web server behind the middleware; `seen` are the bodies that Airflow was given."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    async def _airflow(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.seen.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    def send(self, body: Any, path: str = PATH, method: str = "POST", size: int = 50) -> tuple[int, str]:
        """The status and what Airflow's form shows of an error; the body comes in pieces of `size` bytes."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        pieces = [content[at : at + size] for at in range(0, len(content), size)] or [b""]
        messages = [
            {"type": "http.request", "body": piece, "more_body": n < len(pieces)}
            for n, piece in enumerate(pieces, 1)
        ]
        answers: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return messages.pop(0)

        async def send(message: dict[str, Any]) -> None:
            answers.append(message)

        scope = {"type": "http", "method": method, "path": path}
        asyncio.run(RefuseWindows(self._airflow)(scope, receive, send))
        return answers[0]["status"], json.loads(answers[1]["body"]).get("detail", "")


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        (REVERSED, "ends (2016-04-01) before it starts (2016-04-08): swap the two"),
        ({"window_start": "2016-04-01", "window_end": "2016-04-01"}, "is empty: its end is the first moment"),
        ({"window_start": "2016-04-01", "window_end": None}, "give both, or neither"),
        ({"window_end": "2016-04-01", "force": True}, "give both, or neither"),
        (
            {"window_start": "2016-04-01T10:00:00+00:00", "window_end": "2016-04-01T11:00:00+02:00"},
            "swap the two",
        ),
        ({"window_start": "2016-04-01T10:00:00Z", "window_end": "2016-04-01T10:00:00Z"}, "is empty"),
    ],
)
def test_a_window_that_is_none_is_refused_before_there_is_a_run(
    client: Client, conf: dict[str, Any], words: str
) -> None:
    status, told = client.send({"logical_date": None, "conf": conf})
    assert (status, client.seen) == (400, [])
    assert words in told


@pytest.mark.parametrize(
    "body",
    [
        {"conf": DAYS},
        {"conf": {"window_start": None, "window_end": None, "force": False}},
        {"conf": {}},
        {"conf": None},
        {"logical_date": None},
        {"conf": {"window_start": "2016-04-01T10:00:00Z", "window_end": "2016-04-02T10:00:00Z"}},
    ],
)
def test_a_window_or_none_goes_through_as_it_was_sent(client: Client, body: dict[str, Any]) -> None:
    assert client.send(body, size=7) == (200, "")
    assert client.seen == [json.dumps(body).encode()]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 5000,
        b"[1]",
        b'{"conf": [1]}',
        b'{"conf": {"window_start": "soon", "window_end": "later"}}',
        b'{"conf": {"window_start": 1, "window_end": [2]}}',
        b'{"conf": {"window_start": "2016-04-08", "window_end": {"a": 1}}}',
    ],
)
def test_what_airflow_itself_refuses_is_left_to_it(client: Client, body: bytes) -> None:
    assert client.send(body)[0] == 200
    assert client.seen == [body]


def test_a_request_that_is_too_long_to_be_read_is_let_through_whole(client: Client) -> None:
    body = json.dumps({"conf": REVERSED, "note": "x" * 200_000}).encode()
    assert client.send(body, size=30_000)[0] == 200
    assert client.seen == [body]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", PATH),
        ("PATCH", f"{PATH}/manual__1"),
        ("POST", f"{PATH}/manual__1/clear"),
        ("POST", "/api/v2/dags/somebodys/dagRuns"),
        ("POST", "/api/v2/dags/IMMIGRATION/dagRuns"),
        ("POST", "/api/v2/dags/%2e/dagRuns"),
    ],
)
def test_other_requests_and_other_dags_are_none_of_our_business(
    client: Client, method: str, path: str
) -> None:
    assert client.send({"conf": REVERSED}, path, method)[0] == 200


def test_a_web_server_below_a_path_is_known_too(client: Client) -> None:
    assert client.send({"conf": REVERSED}, f"/airflow{PATH}")[0] == 400


def test_what_is_no_request_goes_through() -> None:
    passed: list[Any] = []

    async def airflow(scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope["type"])

    asyncio.run(RefuseWindows(airflow)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert passed == ["lifespan"]


def test_a_client_that_goes_away_in_the_middle_is_left_to_airflow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []

    async def airflow(scope: Any, receive: Any, send: Any) -> None:
        seen.extend([(await receive())["type"], (await receive())["type"]])

    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    scope = {"type": "http", "method": "POST", "path": PATH}
    asyncio.run(RefuseWindows(airflow)(scope, receive, None))  # type: ignore[arg-type]
    assert seen == ["http.request", "http.disconnect"]
    assert module._MAX_BODY > 0
