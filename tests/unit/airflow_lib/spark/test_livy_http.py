"""How a server is reached, on real sockets: TLS that nobody signed, TLS of a CA, plain HTTP, and neither."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
import responses

from airflow_lib.errors import LivyDenied, LivyError, LivyUnreachable, LivyUntrusted
from airflow_lib.spark import livy_http
from airflow_lib.spark.livy import LivyClient
from airflow_lib.spark.livy_http import LivyEndpoint, find_endpoint, open_http, send
from sandbox import tls

HOST = "127.0.0.1"
URL = "http://ip-10-0-0-7.ec2.internal:8998"
ENDPOINT = LivyEndpoint(URL)


class _Livy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"from": 0, "total": 0, "sessions": []}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def serving(pem: Path | None, port: int = 0) -> Iterator[int]:
    """A server that answers as Livy does, on the port yielded: by TLS with the key and certificate of `pem`."""
    server = ThreadingHTTPServer((HOST, port), _Livy)
    server.handle_error = lambda *_: None  # type: ignore[method-assign,assignment]
    if pem is not None:
        server.socket = tls.context_of(pem).wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def accepting(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port on which each connection is given to `answer`, and closed."""
    with socket.create_server((HOST, 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    answer(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    return made(tmp_path / "server.pem")


def made(path: Path, host: str = HOST) -> Path:
    """A file with a new key and a certificate for `host`."""
    tls.ensure_certificate(path, host)
    return path


def certificate(pem: Path) -> str:
    """The certificate alone, as `mayfly.livy.ca` is written."""
    text = pem.read_text()
    return text[text.index("-----BEGIN CERTIFICATE") :]


def fingerprint(pem: Path) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate(pem))).hexdigest()


def ask(endpoint: LivyEndpoint) -> None:
    LivyClient(endpoint).probe_server()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LivyClient._get_patiently.retry, "sleep", lambda _: None)  # type: ignore[attr-defined]


# -- first contact -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["auto", "https"])
def test_a_certificate_that_nobody_signed_is_pinned_at_first_contact(scheme: str, pem: Path) -> None:
    """So does EMR's Livy answer by default from release 7.4.0 on (docs/livy.md has the sources)."""
    with serving(pem) as port:
        endpoint = find_endpoint(HOST, port, scheme=scheme, ca=None)
        assert endpoint == LivyEndpoint(f"https://{HOST}:{port}", fingerprint(pem))
        ask(endpoint)


def test_a_port_that_answers_in_plain_http_is_taken_for_that(pem: Path) -> None:
    with serving(None) as port:
        endpoint = find_endpoint(HOST, port, scheme="auto", ca=None)
        assert endpoint == LivyEndpoint(f"http://{HOST}:{port}")
        ask(endpoint)
        assert find_endpoint(HOST, port, scheme="http", ca=None) == endpoint


@pytest.mark.parametrize(
    "answer",
    [
        lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"),  # as Jetty and h11 do
        lambda connection: None,  # closes at once
        lambda connection: connection.recv(1 << 16) and connection.recv(1),  # waits for the rest of a line
    ],
)
def test_a_port_that_speaks_no_tls_is_reached_by_plain_http_only_where_that_is_allowed(
    answer: Callable[[socket.socket], None], pem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(livy_http, "_CONNECT_TIMEOUT_S", 0.2)
    with accepting(answer) as port:
        assert find_endpoint(HOST, port, scheme="auto", ca=None).url.startswith("http:")
        for scheme, ca in (("https", None), ("https", certificate(pem)), ("auto", certificate(pem))):
            with pytest.raises(LivyUnreachable, match="speaks no TLS"):
                find_endpoint(HOST, port, scheme=scheme, ca=ca)


@pytest.mark.parametrize("scheme", ["auto", "https"])
def test_a_server_that_is_not_there_is_not_asked_in_plain_http(scheme: str) -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(LivyUnreachable, match=f"https://{HOST}:{port} cannot be reached: no connection"):
        find_endpoint(HOST, port, scheme=scheme, ca=None)


@pytest.mark.parametrize("host", ["ip-10-0-0-7.ec2.internal", "x" * 70 + ".test", "a..b"])
def test_a_host_without_an_address_yet_is_unreachable(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(name: str, *_: object) -> None:
        name.encode("idna")
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(LivyUnreachable, match="no connection"):
        find_endpoint(host, 8998, scheme="auto", ca=None)


# -- a certificate authority -------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["auto", "https"])
def test_with_a_ca_its_certificate_is_verified_and_nothing_is_pinned(scheme: str, pem: Path) -> None:
    with serving(pem) as port:
        endpoint = find_endpoint(HOST, port, scheme=scheme, ca=certificate(pem))
        assert endpoint == LivyEndpoint(f"https://{HOST}:{port}", None, certificate(pem))
        ask(endpoint)


def test_a_certificate_of_another_ca_is_refused_at_once(pem: Path, tmp_path: Path) -> None:
    other = certificate(made(tmp_path / "other.pem"))
    with serving(pem) as port:
        with pytest.raises(LivyUntrusted, match=r"mayfly\.livy\.ca does not vouch for"):
            find_endpoint(HOST, port, scheme="auto", ca=other)
        with pytest.raises(LivyUntrusted, match=r"mayfly\.livy\.ca does not vouch for"):
            ask(LivyEndpoint(f"https://{HOST}:{port}", ca=other))


def test_a_certificate_for_another_host_is_refused_at_once(tmp_path: Path) -> None:
    pem = made(tmp_path / "elsewhere.pem", "10.0.0.7")
    with serving(pem) as port:
        with pytest.raises(LivyUntrusted, match="mismatch"):
            find_endpoint(HOST, port, scheme="auto", ca=certificate(pem))
        with pytest.raises(LivyUntrusted, match="mismatch"):
            ask(LivyEndpoint(f"https://{HOST}:{port}", ca=certificate(pem)))


def test_the_public_cas_vouch_for_nothing_where_there_is_an_own_one(pem: Path, tmp_path: Path) -> None:
    """requests would add certifi's list to any other; its place is taken by the server's own certificate here."""
    other = certificate(made(tmp_path / "other.pem", "10.0.0.7"))
    with serving(pem) as port, pytest.MonkeyPatch.context() as patch:
        patch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(pem))
        with pytest.raises(LivyUntrusted):
            ask(LivyEndpoint(f"https://{HOST}:{port}", ca=other))


def test_https_with_neither_a_pinned_certificate_nor_a_ca_is_not_asked() -> None:
    with pytest.raises(LivyUntrusted, match=r"has no recorded certificate, and mayfly\.livy\.ca is not set"):
        open_http(LivyEndpoint("https://ip-10-0-0-7.ec2.internal:8998"))


# -- later connections -------------------------------------------------------------------------------


def test_another_certificate_than_the_pinned_one_is_told_with_both_and_no_request_is_sent(
    pem: Path, tmp_path: Path
) -> None:
    pinned, asked = fingerprint(made(tmp_path / "first.pem")), []
    with serving(pem) as port, pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Livy, "do_GET", asked.append)
        with pytest.raises(LivyUntrusted) as caught:
            ask(LivyEndpoint(f"https://{HOST}:{port}", pinned))
    assert not isinstance(caught.value, LivyUnreachable)
    assert f"fingerprint {fingerprint(pem)}; {pinned} was recorded" in str(caught.value)
    assert "Find out who; then clear the run" in str(caught.value)
    assert asked == []


def test_a_pinned_server_that_speaks_plain_http_now_is_not_asked(pem: Path) -> None:
    with serving(None) as port, pytest.raises(LivyUnreachable):
        ask(LivyEndpoint(f"https://{HOST}:{port}", fingerprint(pem)))


def test_a_server_that_speaks_tls_now_cannot_be_reached_by_plain_http(pem: Path) -> None:
    with serving(pem) as port, pytest.raises(LivyUnreachable):
        ask(LivyEndpoint(f"http://{HOST}:{port}"))


# -- requests ----------------------------------------------------------------------------------------


@pytest.fixture
def livy() -> Iterator[Any]:
    with responses.RequestsMock() as mock:
        yield mock


def test_no_proxy_is_asked_and_no_password_is_sent(
    livy: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine ip-10-0-0-7.ec2.internal login me password secret\n")
    for name, value in {"HTTP_PROXY": "http://proxy:3128", "NETRC": str(netrc)}.items():
        monkeypatch.setenv(name, value)
    asked = livy.get(f"{URL}/sessions", json={"sessions": []})
    ask(ENDPOINT)
    (call,) = asked.calls
    assert call.request.req_kwargs["proxies"] == {}
    assert "Authorization" not in call.request.headers


@pytest.mark.parametrize(
    ("status", "body"), [(401, "Authentication required"), (403, '{"msg": "no"}'), (407, "")]
)
def test_who_asks_for_credentials_is_told_at_once(livy: Any, status: int, body: str) -> None:
    """401: LdapAuthenticationHandlerImpl.scala; 403: AccessFilter.scala, "User not authorised to use Livy."; 407: a
    proxy."""
    asked = livy.get(f"{URL}/sessions", body=body, status=status)
    with pytest.raises(
        LivyDenied, match=rf"refused GET /sessions: {status} .*livy\.server\.auth\.type.*gateway"
    ):
        ask(ENDPOINT)
    assert asked.call_count == 1


def test_a_redirect_is_not_followed(livy: Any) -> None:
    livy.get(f"{URL}/sessions", status=302, headers={"Location": "https://login.test/?next=" + "x" * 5000})
    with pytest.raises(
        LivyUnreachable, match=r"not Livy's: 302 to 'https://login.test/.*characters"
    ) as caught:
        ask(ENDPOINT)
    assert len(str(caught.value)) < 1000


def test_an_endless_answer_is_given_up(livy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(livy_http, "_MAX_ANSWER_BYTES", 1000)
    monkeypatch.setattr(livy_http, "_CHUNK_BYTES", 100)
    livy.get(f"{URL}/sessions", json={"sessions": ["x" * 2000]})
    with pytest.raises(LivyUnreachable, match="more than 1000 bytes"):
        send(requests.Session(), ENDPOINT, "GET", "/sessions")


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_server_that_has_no_time_is_polled_again(livy: Any, status: int) -> None:
    livy.get(f"{URL}/sessions", status=status)
    with pytest.raises(LivyUnreachable, match=f"{status} in response to GET /sessions"):
        send(requests.Session(), ENDPOINT, "GET", "/sessions")


def test_a_reason_is_livys_message_in_either_form_or_the_body() -> None:
    answers = [json.dumps({"msg": "a"}).encode(), b'"b"', b"<html>", b'{"msg": 5}', b"\xff"]
    reasons = [livy_http.Answer(400, body).reason for body in answers]
    assert reasons == ["a", "b", "<html>", '{"msg": 5}', "\ufffd"]


def test_what_is_untrusted_or_denied_is_an_error_of_livy_that_is_not_polled_again() -> None:
    for kind in (LivyDenied, LivyUntrusted):
        assert issubclass(kind, LivyError)
        assert not issubclass(kind, LivyUnreachable)
