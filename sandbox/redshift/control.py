"""A client for the AWS process's control API: temporary credentials, attached roles, permissions."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from sandbox.errors import RedshiftError

_TIMEOUT_S = 10.0


class ControlPlane:
    """Blocking calls; each raises RedshiftError if the AWS process does not respond."""

    def __init__(self, url: str, cluster_id: str) -> None:
        self._url = url.rstrip("/")
        self._cluster = f"/_sandbox/redshift/{quote(cluster_id, safe='')}"
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def passwords(self, user: str) -> list[str]:
        """The valid temporary passwords of a database user."""
        answer = self._request("GET", f"{self._cluster}/credentials/{quote(user, safe='')}")
        return list(answer["passwords"]) if answer else []

    def roles(self) -> list[str]:
        """The ARNs of the roles attached to the cluster."""
        answer = self._request("GET", f"{self._cluster}/roles")
        return list(answer["roles"]) if answer else []

    def denial(
        self, role: str, action: str, resource: str, context: Mapping[str, str] | None = None
    ) -> str | None:
        """Why the role may not do this, or None if it may; `context` is what the request says beside."""
        question: dict[str, Any] = {"role": role, "action": action, "resource": resource}
        if context:
            question["context"] = dict(context)
        answer = self._request("POST", "/_sandbox/authorize", question)
        if answer is None:
            return "the role does not exist"
        return None if answer["allowed"] else str(answer.get("reason") or "denied")

    def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any] | None:
        """The JSON answer, or None for status 404."""
        request = urllib.request.Request(
            self._url + path,
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Content-Type": "application/json"},
        )
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as response:
                answer: dict[str, Any] = json.load(response)
                return answer
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404:
                    return None
                raise RedshiftError(f"The AWS process answered {error.code} to {method} {path}") from None
        except (OSError, ValueError) as error:
            raise RedshiftError(f"The AWS process at {self._url} does not respond: {error}") from None
