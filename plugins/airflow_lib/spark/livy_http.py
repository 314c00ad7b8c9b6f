"""How a Livy server is reached: over which scheme, with which certificate, and its answers within bounds.

EMR's Livy may speak TLS with a certificate that nobody signed, or plain HTTP
(https://docs.aws.amazon.com/emr/latest/ReleaseGuide/enabling-https.html). `find_endpoint` finds out at first contact;
the register keeps what it found (`lifecycle.document.LivyRecord`), and every later connection demands it.
docs/security.md says what that is worth. What is asked of Livy is `livy`.
"""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from airflow_lib.bounded_json import as_text, load_json
from airflow_lib.errors import LivyDenied, LivyUnreachable, LivyUntrusted

_REQUEST_TIMEOUT_S = 30.0
_CONNECT_TIMEOUT_S = (
    10.0  # of the look whether a port speaks TLS: a plain server may wait for the rest of a line
)
_MAX_ANSWER_BYTES = 16 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_REASON_CHARS = 500

_FINGERPRINT = re.compile(r'Fingerprints did not match.*got "([0-9a-f]{64})"')


@dataclass(frozen=True)
class LivyEndpoint:
    """A server's `url`, and for https the SHA-256 `fingerprint` of its certificate (hex), or the `ca` (PEM) it has."""

    url: str
    fingerprint: str | None = None
    ca: str | None = None


@dataclass(frozen=True)
class Answer:
    """A response within bounds."""

    status: int
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @cached_property
    def json(self) -> Any:
        """The body's JSON; None where it is none, too."""
        try:
            return load_json(self.body, ValueError, max_bytes=_MAX_ANSWER_BYTES)
        except ValueError:
            return None

    @property
    def reason(self) -> str:
        """Livy's error message, which is `{"msg": ...}` or a bare JSON string; else the beginning of the body."""
        found = self.json.get("msg") if isinstance(self.json, dict) else self.json
        text = found if isinstance(found, str) else self.body.decode(errors="replace")
        return as_text(text, _REASON_CHARS)


def find_endpoint(host: str, port: int, *, scheme: str, ca: str | None) -> LivyEndpoint:
    """Where the server on `host` answers, seen at first contact; `scheme` is `auto`, `https` or `http`.

    Without `ca` the certificate is accepted as it is, and pinned. With `auto` and no `ca`, a port that speaks no TLS
    is taken for plain HTTP; whether it is Livy that answers there has yet to be asked.
    Raises LivyUnreachable, and LivyUntrusted where `ca` has not signed the certificate for this host.
    """
    plain = LivyEndpoint(f"http://{host}:{port}")
    if scheme == "http":
        return plain
    secure = LivyEndpoint(f"https://{host}:{port}", ca=ca)
    fingerprint = _probe_certificate(host, port, secure)
    if fingerprint is None and scheme == "auto" and ca is None:
        return plain
    if fingerprint is None:
        raise LivyUnreachable(
            f"Livy at {secure.url}: the port is open, but speaks no TLS. If that does not change, let the EMR "
            "release's Livy speak TLS, or set mayfly.livy.scheme to http and remove mayfly.livy.ca."
        )
    return secure if ca else LivyEndpoint(secure.url, fingerprint)


def _probe_certificate(host: str, port: int, endpoint: LivyEndpoint) -> str | None:
    """The SHA-256 of the certificate on a port, verified by `ca` where there is one; None where it speaks no TLS."""
    if endpoint.ca:
        context = _context(endpoint.ca)
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        connection = socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT_S)
    except (OSError, UnicodeError) as error:
        raise _unreachable(endpoint, f"no connection ({error})") from error
    with closing(connection):
        try:
            with context.wrap_socket(connection, server_hostname=host) as secured:
                certificate = secured.getpeercert(binary_form=True)
        except ssl.SSLCertVerificationError as error:
            raise _not_signed(endpoint, str(error)) from error
        except OSError:
            return None
    return hashlib.sha256(certificate).hexdigest() if certificate else None


def _context(ca: str) -> ssl.SSLContext:
    """A context that trusts this CA alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=ca)
    return context


class _VerifyingAdapter(HTTPAdapter):
    """Connections to one endpoint: to the pinned certificate, or to one that the CA signed for its host."""

    def __init__(self, endpoint: LivyEndpoint) -> None:
        self._endpoint = endpoint
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        if self._endpoint.ca:
            kwargs["ssl_context"] = _context(self._endpoint.ca)
        else:
            kwargs["assert_fingerprint"] = self._endpoint.fingerprint
        super().init_poolmanager(*args, **kwargs)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """requests would add the public CAs to ours here."""
        conn.cert_reqs = "CERT_REQUIRED" if self._endpoint.ca else "CERT_NONE"


def open_http(endpoint: LivyEndpoint) -> requests.Session:
    """A session that asks the endpoint itself: no proxy, and no password from a .netrc.

    Raises LivyUntrusted for https with neither fingerprint nor CA.
    """
    http = requests.Session()
    http.trust_env = False
    if urlsplit(endpoint.url).scheme == "https":
        if not endpoint.fingerprint and not endpoint.ca:
            raise LivyUntrusted(
                f"Livy at {endpoint.url} has no recorded certificate, and mayfly.livy.ca is not set, so nothing shows "
                "who answers. Set mayfly.livy.ca to the CA by which this cluster was made."
            )
        http.verify = bool(endpoint.ca)
        http.mount("https://", _VerifyingAdapter(endpoint))
    return http


def send(
    http: requests.Session,
    endpoint: LivyEndpoint,
    method: str,
    path: str,
    *,
    body: dict[str, Any] | None = None,
    params: dict[str, int] | None = None,
) -> Answer:
    """The endpoint's answer; a redirect is not followed.

    Raises LivyUnreachable where there is none that is Livy's own, LivyDenied for 401, 403 and 407, and LivyUntrusted
    where the certificate is another one than the endpoint's.
    """
    asked = f"{method} {path}"
    try:
        response = http.request(
            method,
            endpoint.url + path,
            json=body,
            params=params,
            timeout=_REQUEST_TIMEOUT_S,
            headers={"X-Requested-By": "mayfly"},  # Livy's CSRF protection, where it is on
            allow_redirects=False,
            stream=True,
        )
        with closing(response):
            answer = Answer(response.status_code, _read(response, endpoint))
            location = response.headers.get("Location", "")
    except requests.exceptions.SSLError as error:
        raise _format_ssl(endpoint, asked, error) from error
    except (requests.RequestException, UnicodeError) as error:
        raise _unreachable(endpoint, f"no response to {asked} ({error})") from error
    if answer.status in (401, 403, 407):
        raise LivyDenied(
            f"Livy at {endpoint.url} refused {asked}: {answer.status} {answer.reason}. Mayfly sends no credentials: "
            "switch authentication off for Livy (livy.server.auth.type), or let Airflow's workers and triggerer reach "
            "it without the proxy or gateway that asks for them."
        )
    if answer.status in (429, 502, 503, 504):
        raise _unreachable(endpoint, f"{answer.status} in response to {asked}")
    if 300 <= answer.status < 400:
        raise not_livy(endpoint, asked, f"{answer.status} to {as_text(location, 200)!r}")
    return answer


def not_livy(endpoint: LivyEndpoint, asked: str, what: str) -> LivyUnreachable:
    """The error to raise where something else than Livy answers: a server that starts, a proxy, a login page."""
    return LivyUnreachable(
        f"Livy at {endpoint.url} was asked to {asked}, and the answer is not Livy's: {what}; a JSON object was "
        "expected. If that does not change, check that it is a Livy server that answers at this address."
    )


def wrong_certificate(endpoint: LivyEndpoint, seen: str) -> LivyUntrusted:
    """The error to raise where the certificate is another one than the pinned one."""
    return LivyUntrusted(
        f"Livy at {endpoint.url} has a certificate with the SHA-256 fingerprint {seen}; {endpoint.fingerprint} was "
        "recorded when this cluster was made. A restart of Livy does not change it: if nobody replaced it, another "
        "host answers there. Find out who; then clear the run: its release tears the cluster down, and the next "
        "one's certificate is recorded anew."
    )


def _read(response: requests.Response, endpoint: LivyEndpoint) -> bytes:
    """The body. Raises LivyUnreachable where it is longer than any of Livy's."""
    body = bytearray()
    for chunk in response.iter_content(_CHUNK_BYTES):
        body += chunk
        if len(body) > _MAX_ANSWER_BYTES:
            raise not_livy(endpoint, "answer", f"more than {_MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _format_ssl(endpoint: LivyEndpoint, asked: str, error: Exception) -> LivyUntrusted | LivyUnreachable:
    """What a failed handshake means: another certificate is for a person to look at, anything else may pass."""
    text = str(error)
    seen = _FINGERPRINT.search(text)
    if seen:
        return wrong_certificate(endpoint, seen[1])
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return _not_signed(endpoint, text)
    return _unreachable(endpoint, f"no TLS in response to {asked} ({text})")


def _not_signed(endpoint: LivyEndpoint, cause: str) -> LivyUntrusted:
    return LivyUntrusted(
        f"Livy at {endpoint.url} has a certificate that mayfly.livy.ca does not vouch for: {as_text(cause, 300)}. "
        "Set mayfly.livy.ca to the CA that signs the cluster's certificates, with this host's name in them; or "
        "remove it, and the certificate seen first is pinned instead."
    )


def _unreachable(endpoint: LivyEndpoint, what: str) -> LivyUnreachable:
    return LivyUnreachable(
        f"Livy at {endpoint.url} cannot be reached: {as_text(what, _REASON_CHARS)}. Check that the EMR cluster is "
        "running, and that its security group lets Airflow's workers and triggerer in on this port."
    )
