"""Injected faults: rules that tests post to `/_sandbox/faults`, and AWS's errors for each kind.

A rule names a service and action (`*` for any) and is used up after `times` calls (null: never). Kinds:

    error_before   the answer is an error, nothing was done
    error_after    it was done, and the answer is an error all the same
    throttle       nothing was done; the service's own throttling error
    busy           nothing was done; the service, or one behind it, is busy, in a code that the SDK does not repeat
    access_denied  nothing was done; the service's own refusal
    timeout        nothing was done, and after `delay_s` the connection closes without an answer
                   (`after: true`: it was done)
    delay          it is done `delay_s` late
"""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, fields
from typing import Any

from sandbox.aws.calls import Call

# tests/world/wire.py takes its errors from here, too.
KINDS = ("error_before", "error_after", "throttle", "busy", "access_denied", "timeout", "delay")

# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/throttling.html and each service's common errors.
_THROTTLES = {
    "ec2": ("RequestLimitExceeded", "Request limit exceeded.", 503),
    "s3": ("SlowDown", "Please reduce your request rate.", 503),
    "elasticmapreduce": ("ThrottlingException", "Rate exceeded", 400),
}
# Names and words of botocore's service models (botocore/data/<service>/*/service-2.json).
_BUSY = {
    "redshift": (
        "DependentServiceUnavailableFault",
        "Your request cannot be completed because a dependent internal service is temporarily unavailable.",
        400,
    ),
    "elasticmapreduce": ("InternalServerException", "There was an internal failure.", 400),
    "iam": (
        "ConcurrentModification",
        "The request was rejected because multiple requests to change this object were submitted simultaneously.",
        409,
    ),
    "sts": ("IDPCommunicationError", "The identity provider cannot be reached.", 400),
    # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    "s3": (
        "RequestTimeout",
        "Your socket connection to the server was not read from or written to within the timeout period.",
        400,
    ),
}
_INTERNAL = ("InternalFailure", "The request processing has failed.", 500)
_INTERNALS = {"s3": ("InternalError", "We encountered an internal error. Please try again.", 500)}
_DENIALS = {
    "ec2": ("UnauthorizedOperation", "You are not authorized to perform this operation.", 403),
    "s3": ("AccessDenied", "Access Denied", 403),
    "elasticmapreduce": ("AccessDeniedException", "", 400),
}


@dataclass
class Fault:
    """One rule; see the module for its kinds. Raises ValueError where it makes no sense."""

    service: str
    action: str
    kind: str
    times: int | None = 1
    code: str | None = None
    message: str | None = None
    status: int | None = None
    match: str = ""
    delay_s: float = 0.0
    after: bool = False
    fired: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind {self.kind!r} is none of {', '.join(KINDS)}")

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Fault:
        known = {item.name for item in fields(cls)} - {"fired"}
        if unknown := set(value) - known:
            raise ValueError(f"unknown keys {sorted(unknown)}; a fault has {sorted(known)}")
        if missing := {"service", "action", "kind"} - set(value):
            raise ValueError(f"keys {sorted(missing)} are missing")
        return cls(**value)

    def concerns(self, call: Call) -> bool:
        return (
            self.service in (call.service, "*")
            and self.action in (call.action, "*")
            and (self.times is None or self.fired < self.times)
            and self.match in call.text
        )

    def error(self, call: Call) -> tuple[str, str, int]:
        """Code, message and HTTP status of the answer."""
        code, message, status = aws_error(self.kind, call.service, call.action)
        if self.code is not None:
            code, message, status = self.code, self.code, 400
        return code, self.message or message, self.status or status


def aws_error(kind: str, service: str, action: str) -> tuple[str, str, int]:
    """Code, message and HTTP status with which a service answers; `service` is its IAM prefix."""
    if kind == "throttle":
        return _THROTTLES.get(service, ("Throttling", "Rate exceeded", 400))
    if kind == "busy":
        return _BUSY.get(service, ("Unavailable", "The server is overloaded.", 503))
    if kind == "access_denied":
        code, message, status = _DENIALS.get(service, ("AccessDenied", "", 403))
        return code, message or f"User is not authorized to perform: {service}:{action}", status
    return _INTERNALS.get(service, _INTERNAL)


class Faults:
    """The rules in force, in the order they were posted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Fault] = []

    def add(self, rule: Fault) -> None:
        with self._lock:
            self._rules.append(rule)

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def to_json(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(rule) for rule in self._rules]

    def take(self, call: Call) -> Fault | None:
        """The first rule that concerns the call, one of its times used up."""
        with self._lock:
            for rule in self._rules:
                if rule.concerns(call):
                    rule.fired += 1
                    return rule
        return None
