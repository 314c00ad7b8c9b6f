"""The wire between Mayfly and the outside: every request is recorded on it, and may meet an injected fault.

It lies below botocore's retries and below LivyClient's, so a fault meets Mayfly as it would on AWS. Kinds, codes and
error bodies of AWS's own are the sandbox's (`sandbox/aws/faults.py`, `gateway.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import format_datetime
from enum import StrEnum
from functools import partial
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError
from moto.core.botocore_stubber import MockRawResponse
from moto.core.models import botocore_stubber

from sandbox.aws.faults import aws_error
from sandbox.aws.gateway import error_answer
from tests.world.late import IamLag, Late, with_neighbours
from tests.world.read_cache import ReadCache
from tests.world.timeline import Timeline

Ask = Callable[[str, Mapping[str, Any]], Any]


class Killed(BaseException):
    """The process that made the request was killed: nothing of Mayfly's catches it."""


class AirflowGone(Killed):
    """All of Airflow died with that process, and does not come back."""


class Kind(StrEnum):
    """What goes wrong with a request."""

    ERROR = "error"  # AWS answers 500, and did nothing
    LOST = "lost"  # it takes effect; no response comes, and no time passes: what is seen late is not seen yet
    TIMEOUT = "timeout"  # it never arrives
    THROTTLED = "throttled"
    BUSY = "busy"  # as `sandbox.aws.faults` says it: a code that botocore does not repeat
    DENIED = "denied"
    REFUSED = "refused"  # with `code` and `message`
    ANSWERED = "answered"  # by something else than the service: `code` is the status and `message` the body
    KILLED_BEFORE = "killed before"
    KILLED_AFTER = "killed after"
    GONE = "gone"  # it takes effect, and Airflow with all its processes is no more


AFTER = frozenset({Kind.LOST, Kind.KILLED_AFTER, Kind.GONE})

# As sandbox.aws.faults calls them.
_KINDS = {
    Kind.ERROR: "error_before",
    Kind.THROTTLED: "throttle",
    Kind.BUSY: "busy",
    Kind.DENIED: "access_denied",
}
_IAM_PREFIXES = {"emr": "elasticmapreduce"}
_PROTOCOLS = {"emr": "json", "ec2": "ec2", "s3": "s3"}  # else "query"


@dataclass(frozen=True)
class Call:
    """One request as it was sent: `operation` is AWS's name, or Livy's method and path."""

    number: int
    service: str
    operation: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.service}.{self.operation}"


@dataclass
class Fault:
    """Meets the next `times` requests of an operation for which `when` holds; `code` and `message` are REFUSED's."""

    service: str
    operation: str
    kind: Kind
    times: float = 1
    when: Callable[[Call], bool] = lambda _: True
    code: str = ""
    message: str = "injected"

    def concerns(self, call: Call) -> bool:
        return (
            self.times > 0
            and (call.service, call.operation) == (self.service, self.operation)
            and self.when(call)
        )


def raise_if_killed(fault: Fault, call: object) -> None:
    """End a request that took effect: raises Killed, or returns where only its response is lost."""
    if fault.kind is Kind.KILLED_AFTER:
        raise Killed(str(call))
    if fault.kind is Kind.GONE:
        raise AirflowGone(str(call))


class Wire:
    """`calls` is all that was sent, in order; `watchers` are called with each call before it takes effect.

    `choose_fault` decides first whether a call meets a fault; where it names none, the first of `faults` that
    concerns the call does.
    """

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self.late = Late(timeline)
        self.lag = IamLag(timeline)
        self.read_cache = ReadCache(timeline)
        self.choose_fault: Callable[[Call], Fault | None] = lambda _: None
        self._params: dict[str, Mapping[str, Any]] = {}
        self._entered: list[Fault | None] = []
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self.watchers: list[Callable[[Call], None]] = []

    def inject(self, operation: str, kind: Kind, times: float = 1, **more: Any) -> Fault:
        """Let `operation` ("emr.RunJobFlow") meet a fault; `times` may be infinite."""
        service, _, name = operation.partition(".")
        self.faults.append(Fault(service, name, kind, times, **more))
        return self.faults[-1]

    def sent(self, operation: str) -> list[Call]:
        return [call for call in self.calls if str(call) == operation]

    def enter(self, service: str, operation: str, params: Mapping[str, Any]) -> Fault | None:
        """Record a request; the fault that it meets, used up by one. Raises Killed."""
        call = Call(len(self.calls), service, operation, params)
        self.calls.append(call)
        for watch in self.watchers:
            watch(call)
        fault = self.choose_fault(call) or next(
            (fault for fault in self.faults if fault.concerns(call)), None
        )
        if fault is not None:
            fault.times -= 1
            if fault.kind is Kind.KILLED_BEFORE:
                raise Killed(str(call))
        return fault

    def attach(self, client: Any) -> Any:
        """Put a boto3 client on the wire, in place of moto's own hook."""
        events = client.meta.events
        events.unregister("before-send", botocore_stubber)
        events.register_first("before-parameter-build", self._note_params)
        events.register_first("before-send", self._send)
        client._make_api_call = partial(
            self._call, client.meta.service_model.service_name, client._make_api_call
        )
        return client

    def _call(self, service: str, ask: Ask, operation: str, params: Mapping[str, Any]) -> Any:
        """One call of a client: the fault of its first request is chosen here, those of its retries in `_send`."""
        self._entered = [self.enter(service, operation, params)]
        if self._entered == [None] and self.read_cache.on and not self.late.was_on:
            answer = self.read_cache.ask(service, operation, params, lambda: ask(operation, params))
        else:
            self.read_cache.forget(service)
            answer = ask(operation, params)
        return with_neighbours(operation, params, answer, hide_snapshots=self.late.hides_snapshots)

    def _note_params(self, params: Mapping[str, Any], model: Any, **_: Any) -> None:
        self._params[model.name] = dict(params)

    def _send(self, event_name: str, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        _, service, operation = event_name.split(".")
        params = self._params.get(operation, {})
        fault = self._entered.pop() if self._entered else self.enter(service, operation, params)
        if fault is not None and fault.kind not in AFTER:
            return _fail(fault, request, service, operation)
        absent = self.late.refusal(operation, params)
        unseen = (absent, "not seen yet") if absent else self.lag.refusal(operation, params)
        if unseen is not None:
            if fault is not None:  # the refusal is the answer that gets lost, or nobody is there to read
                raise_if_killed(fault, f"{service}.{operation}")
                raise ReadTimeoutError(endpoint_url=request.url)
            code, message = unseen
            return _fail(
                Fault(service, operation, Kind.REFUSED, code=code, message=message),
                request,
                service,
                operation,
            )
        response = botocore_stubber(event_name, request)
        assert response is not None, f"moto does not know {request.url}"
        if self.late.delay_s and response.status_code < 300:
            self.late.note(operation, params, response.content)
        if response.status_code < 300:
            self.lag.note(operation, params)
        if fault is not None:
            raise_if_killed(fault, f"{service}.{operation}")
            raise ReadTimeoutError(endpoint_url=request.url)
        response.headers["date"] = format_datetime(self._timeline.now().replace(microsecond=0), usegmt=True)
        return response


def _fail(fault: Fault, request: AWSPreparedRequest, service: str, operation: str) -> AWSResponse:
    if fault.kind is Kind.TIMEOUT:
        raise ConnectTimeoutError(endpoint_url=request.url)
    code, message, status = error_of(fault, service, operation)
    protocol = _PROTOCOLS.get(service, "query")
    _, _, body = error_answer(protocol, code, message, status)
    text = "" if request.method == "HEAD" else body.decode()
    return AWSResponse(request.url, status, {}, MockRawResponse(text))  # type: ignore[arg-type]


def error_of(fault: Fault, service: str, operation: str) -> tuple[str, str, int]:
    """Code, message and HTTP status of the answer to a request that meets the fault."""
    if fault.kind is Kind.REFUSED:
        return fault.code, fault.message, 400
    return aws_error(_KINDS[fault.kind], _IAM_PREFIXES.get(service, service), operation)
