"""Self-signed certificates for the sandbox's servers, as EMR's Livy has one: nobody signed them."""

from __future__ import annotations

import ipaddress
import os
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

_VALID = timedelta(days=30)


def make_certificate(host: str) -> bytes:
    """A new private key and a certificate for the IP address `host`, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _VALID)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)


def ensure_certificate(path: Path, host: str) -> None:
    """The file with key and certificate (PEM) for a server that may be started again; readable by its owner alone."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_privately(path, make_certificate(host))


def write_keystore(path: Path, keystore: Path, password: str) -> None:
    """The key and certificate of a PEM file as a PKCS12 keystore, which Java reads."""
    pem = path.read_bytes()
    key = serialization.load_pem_private_key(pem, None)
    store = pkcs12.serialize_key_and_certificates(
        b"server",
        key,  # type: ignore[arg-type]
        x509.load_pem_x509_certificate(pem),
        None,
        serialization.BestAvailableEncryption(password.encode()),
    )
    _write_privately(keystore, store)


def _write_privately(path: Path, content: bytes) -> None:
    """Write a file that holds a private key: nobody else may read it at any moment, and nobody sees half of it."""
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.touch(mode=0o600)
    unfinished.write_bytes(content)
    unfinished.replace(path)


def server_context(host: str) -> ssl.SSLContext:
    """A TLS context (1.2 or newer) for a server on `host`, with a certificate of its own."""
    with tempfile.TemporaryDirectory() as directory:
        pem = Path(directory) / "server.pem"
        ensure_certificate(pem, host)
        return context_of(pem)


def context_of(pem: Path) -> ssl.SSLContext:
    """A TLS context (1.2 or newer) for a server with the key and certificate of a PEM file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(pem)
    return context
