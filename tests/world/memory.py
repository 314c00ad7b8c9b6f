"""What moto answered to reads, given again while nothing changed: half of a run's reads ask what was asked before."""

from __future__ import annotations

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from moto.core.botocore_stubber import MockRawResponse

from tests.world.timeline import Timeline

_READS = ("Describe", "List", "Get")
_MAKES_SOMETHING = "GetClusterCredentials"

Key = tuple[str, bytes]


class Memory:
    """`on` may be set where the account changes by calls on the wire and by the timeline alone."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._answers: dict[Key, tuple[int, dict[str, str], bytes]] = {}
        self._happened = 0
        self.on = False

    def recall(self, operation: str, request: AWSPreparedRequest) -> AWSResponse | None:
        """The answer to the same request since the last change, if there was one."""
        if self._happened != self._timeline.happened:
            self._answers.clear()
            self._happened = self._timeline.happened
        answer = self._answers.get(_key(operation, request))
        if answer is None:
            return None
        status, headers, content = answer
        return AWSResponse(request.url, status, dict(headers), MockRawResponse(content))  # type: ignore[arg-type]

    def note(self, operation: str, request: AWSPreparedRequest, response: AWSResponse) -> None:
        """Keep a read's answer; forget all where something may have changed."""
        if not self.on:
            return
        if operation.startswith(_READS) and operation != _MAKES_SOMETHING:
            self._answers[_key(operation, request)] = (
                response.status_code,
                dict(response.headers),
                response.content,
            )
        elif operation != _MAKES_SOMETHING:
            self._answers.clear()


def _key(operation: str, request: AWSPreparedRequest) -> Key:
    body = request.body or b""
    return f"{operation} {request.url}", body if isinstance(body, bytes) else str(body).encode()
