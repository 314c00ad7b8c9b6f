"""The control API at `/_sandbox/…`, for tests and for the other parts of the sandbox. Requests and answers are JSON.

GET    health
GET    calls?since=n
GET    faults · POST faults · DELETE faults
GET    delays · POST delays {emr_s?, redshift_s?, redshift_refusing_s?, iam_s?}
GET    redshift/<cluster>/credentials/<dbuser> · GET redshift/<cluster>/roles
POST   authorize {role, action, resource, context?}
POST   emr/<id or name>/fail {reason, code?} · POST emr/next/fail
"""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Callable, Iterable
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from moto.redshift.models import redshift_backends

from sandbox.aws import iam
from sandbox.aws.calls import CallLog, Environ
from sandbox.aws.context import ACCOUNT, Delays
from sandbox.aws.credentials import Credentials
from sandbox.aws.emr import Lives
from sandbox.aws.emr_life import Reason
from sandbox.aws.faults import Fault, Faults

Json = dict[str, Any]
Reply = tuple[HTTPStatus, Any]


class Control:
    """The WSGI application behind `/_sandbox/`."""

    def __init__(
        self, calls: CallLog, faults: Faults, lives: Lives, credentials: Credentials, delays: Delays
    ) -> None:
        self._calls, self._faults, self._delays = calls, faults, delays
        self._lives, self._credentials = lives, credentials
        self._routes: list[tuple[str, str, Callable[..., Reply]]] = [
            ("GET", "health", self._health),
            ("GET", "calls", self._list_calls),
            ("GET", "faults", self._list_faults),
            ("POST", "faults", self._add_fault),
            ("DELETE", "faults", self._clear_faults),
            ("GET", "delays", self._change_delays),
            ("POST", "delays", self._change_delays),
            ("GET", "redshift/([^/]+)/credentials/([^/]+)", self._list_passwords),
            ("GET", "redshift/([^/]+)/roles", self._list_roles),
            ("POST", "authorize", self._authorize),
            ("POST", "emr/([^/]+)/fail", self._fail_cluster),
        ]

    def __call__(self, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        try:
            status, answer = self._route(environ)
        except (ValueError, TypeError, KeyError) as error:
            status, answer = HTTPStatus.BAD_REQUEST, {"error": str(error)}
        body = json.dumps(answer).encode()
        start(
            f"{status.value} {status.phrase}",
            [("Content-Type", "application/json"), ("Content-Length", str(len(body)))],
        )
        return [body]

    def _route(self, environ: Environ) -> Reply:
        path = environ["PATH_INFO"].removeprefix("/_sandbox/").strip("/")
        raw = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        request: Json = json.loads(raw) if raw else {}
        query = urllib.parse.parse_qs(environ.get("QUERY_STRING", ""))
        request.update({name: values[-1] for name, values in query.items()})
        for method, pattern, handler in self._routes:
            found = re.fullmatch(pattern, path)
            if found and method == environ["REQUEST_METHOD"]:
                return handler(request, *found.groups())
        return HTTPStatus.NOT_FOUND, {"error": f"there is no {environ['REQUEST_METHOD']} {path}"}

    def _health(self, _: Json) -> Reply:
        return HTTPStatus.OK, {"ok": True}

    def _list_calls(self, request: Json) -> Reply:
        return HTTPStatus.OK, self._calls.since(int(request.get("since", 0)))

    def _list_faults(self, _: Json) -> Reply:
        return HTTPStatus.OK, self._faults.to_json()

    def _add_fault(self, request: Json) -> Reply:
        self._faults.add(Fault.from_json(request))
        return HTTPStatus.OK, self._faults.to_json()

    def _clear_faults(self, _: Json) -> Reply:
        self._faults.clear()
        return HTTPStatus.OK, []

    def _change_delays(self, request: Json) -> Reply:
        self._delays.change(request)
        return HTTPStatus.OK, asdict(self._delays)

    def _list_passwords(self, _: Json, cluster_id: str, user: str) -> Reply:
        passwords = self._credentials.valid(cluster_id, user)
        return (HTTPStatus.OK if passwords else HTTPStatus.NOT_FOUND), {"passwords": passwords}

    def _list_roles(self, _: Json, cluster_id: str) -> Reply:
        for backend in redshift_backends[ACCOUNT].values():
            if cluster_id in backend.clusters:
                return HTTPStatus.OK, {"roles": backend.clusters[cluster_id].iam_roles_arn}
        return HTTPStatus.NOT_FOUND, {"error": f"there is no cluster {cluster_id}"}

    def _authorize(self, request: Json) -> Reply:
        verdict = iam.authorize(
            request["role"], request["action"], request["resource"], request.get("context")
        )
        return HTTPStatus.OK, asdict(verdict)

    def _fail_cluster(self, request: Json, which: str) -> Reply:
        failure = Reason(request.get("code", "BOOTSTRAP_FAILURE"), request["reason"])
        if which == "next":
            self._lives.fail_next(failure)
        elif not self._lives.fail(which, failure):
            return HTTPStatus.NOT_FOUND, {"error": f"no running cluster has the id or name {which}"}
        return HTTPStatus.OK, {"ok": True}
