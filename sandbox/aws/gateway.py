"""Handles every request before moto does: call log, injected faults, and errors in AWS's format."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import uuid
from collections.abc import Callable, Iterable
from typing import Any
from xml.sax.saxutils import escape

from sandbox.aws.calls import Call, CallLog, Environ, identify
from sandbox.aws.context import Context
from sandbox.aws.faults import Fault, Faults

logger = logging.getLogger(__name__)

Wsgi = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
Answer = tuple[str, list[tuple[str, str]], bytes]

# moto's tagging API omits EMR and Redshift: an error is better than a wrong "nothing is left".
_REFUSED_SERVICES = frozenset({"tag"})


class Gateway:
    """The WSGI application in front of moto."""

    def __init__(self, context: Context, aws: Wsgi, control: Wsgi, calls: CallLog, faults: Faults) -> None:
        self._context, self._aws, self._control = context, aws, control
        self._calls, self._faults = calls, faults

    def __call__(self, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("PATH_INFO", "").startswith("/_sandbox/"):
            return self._control(environ, start)
        call = identify(environ)
        try:
            status, headers, body = self._answer(call, environ)
        except ConnectionError:
            self._calls.add(call, 0)
            raise
        self._calls.add(call, int(status.split(" ", 1)[0]))
        start(status, headers)
        return [body]

    def _answer(self, call: Call, environ: Environ) -> Answer:
        fault = self._faults.take(call)
        if fault is None:
            return self._forward(call, environ)
        logger.info("injected fault %s: %s.%s", fault.kind, call.service, call.action)
        self._context.stopping.wait(fault.delay_s)
        if fault.kind == "delay":
            return self._forward(call, environ)
        if fault.kind == "timeout":
            self._drop_connection(fault, call, environ)
        if fault.kind == "error_after":
            self._forward(call, environ)
        code, message, status = fault.error(call)
        return error_answer(call.protocol, code, message, status)

    def _drop_connection(self, fault: Fault, call: Call, environ: Environ) -> None:
        if fault.after:
            self._forward(call, environ)
        # werkzeug would keep the connection open, and the client would wait for its whole read timeout.
        with contextlib.suppress(OSError):
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        raise ConnectionAbortedError(f"injected fault: no answer to {call.service}.{call.action}")

    def _forward(self, call: Call, environ: Environ) -> Answer:
        """moto's answer; an action that moto lacks, or that raises in it, becomes an error in AWS's format."""
        if call.service in _REFUSED_SERVICES:
            return error_answer(call.protocol, *_unknown_action(call), 400)
        started: list[Any] = []
        try:
            chunks = self._aws(environ, lambda *arguments: started.extend(arguments))
            with contextlib.closing(chunks):  # type: ignore[type-var]
                body = b"".join(chunks)
        except NotImplementedError as error:
            return error_answer(call.protocol, *_unknown_action(call), 400, str(error))
        except Exception:
            logger.exception("%s.%s failed", call.service, call.action)
            return error_answer(
                call.protocol, "InternalFailure", f"{call.action} failed: see the AWS process's log", 500
            )
        status, headers = started[0], started[1]
        if status.startswith("404") and not body and call.protocol != "s3":
            return error_answer(call.protocol, *_unknown_action(call), 400)
        return status, headers, body


def _unknown_action(call: Call) -> tuple[str, str]:
    return "InvalidAction", f"{call.service}:{call.action} is not available in the sandbox."


def error_answer(protocol: str, code: str, message: str, status: int, detail: str = "") -> Answer:
    """An error in the format that clients of the service's protocol parse."""
    request_id = str(uuid.uuid4())
    headers = [("x-amzn-RequestId", request_id), ("x-amz-request-id", request_id)]
    text = escape(f"{message} {detail}".strip())
    if protocol == "json":
        body = json.dumps({"__type": code, "message": f"{message} {detail}".strip()})
        headers += [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-ErrorType", code)]
    else:
        headers.append(("Content-Type", "text/xml"))
        error = f"<Code>{escape(code)}</Code><Message>{text}</Message>"
        if protocol == "ec2":
            body = f"<Response><Errors><Error>{error}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
        elif protocol == "s3":
            body = f"<Error>{error}<RequestId>{request_id}</RequestId></Error>"
        else:
            body = (
                f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error>"
                f"<RequestId>{request_id}</RequestId></ErrorResponse>"
            )
    raw = body.encode()
    headers.append(("Content-Length", str(len(raw))))
    return f"{status} Error", headers, raw
