"""Java from the wheel, and fetching Spark's S3 jars; without network access."""

from __future__ import annotations

import hashlib
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from sandbox import machine
from sandbox.errors import JarsUnavailable


@pytest.fixture
def jars(monkeypatch: pytest.MonkeyPatch) -> tuple[machine.Jar, ...]:
    """Two small jars instead of the real ones."""
    known = tuple(
        machine.Jar("org.example", name, "1.0", hashlib.sha256(name.encode()).hexdigest())
        for name in ("one", "two")
    )
    monkeypatch.setattr(machine, "JARS", known)
    return known


def _delivering(contents: dict[str, bytes], calls: list[Path]):
    def run_ivy(folder: Path) -> None:
        calls.append(folder)
        for name, content in contents.items():
            (folder / name).write_bytes(content)

    return run_ivy


def test_the_wheels_java_runs() -> None:
    java = machine.java_home() / "bin" / "java"
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=True)
    assert '"17.' in answer.stderr


def test_spark_home_is_the_installed_pyspark() -> None:
    assert (machine.spark_home() / "jars").is_dir()


def test_jars_are_fetched_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, jars: tuple[machine.Jar, ...]
) -> None:
    calls: list[Path] = []
    contents = {jar.file: jar.name.encode() for jar in jars}
    monkeypatch.setattr(machine, "_run_ivy", _delivering(contents, calls))
    cache = tmp_path / "deep" / "jars"
    first, second = machine.spark_jars(cache), machine.spark_jars(cache)
    assert first == second == (cache / "one-1.0.jar", cache / "two-1.0.jar")
    assert [path.read_bytes() for path in first] == [b"one", b"two"]
    assert len(calls) == 1


def test_no_file_is_kept_if_one_has_the_wrong_hash(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, jars: tuple[machine.Jar, ...]
) -> None:
    contents = {"one-1.0.jar": b"one", "two-1.0.jar": b"forged"}
    monkeypatch.setattr(machine, "_run_ivy", _delivering(contents, []))
    with pytest.raises(JarsUnavailable, match=r"two-1\.0\.jar is not the expected file"):
        machine.spark_jars(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_missing_jar_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, jars: tuple[machine.Jar, ...]
) -> None:
    monkeypatch.setattr(machine, "_run_ivy", _delivering({"one-1.0.jar": b"one"}, []))
    with pytest.raises(JarsUnavailable, match=r"Ivy did not deliver two-1\.0\.jar.*HTTPS_PROXY"):
        machine.spark_jars(tmp_path)


def test_a_failed_download_is_reported_with_ivys_output_and_a_hint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    unreachable = ["-Dhttps.proxyHost=127.0.0.1", "-Dhttps.proxyPort=9"]
    monkeypatch.setattr(machine, "proxy_options", lambda _: unreachable)
    with pytest.raises(JarsUnavailable, match="Ivy could not fetch") as failure:
        machine.spark_jars(tmp_path)
    assert "make sure that this machine can reach it" in str(failure.value)
    assert "Connection refused" in str(failure.value)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_ivy_fetches_exactly_the_known_jars() -> None:
    asked = ET.fromstring(machine.render_ivy()).iter("dependency")
    found = [(item.get("org"), item.get("name"), item.get("rev"), item.get("transitive")) for item in asked]
    assert found == [(jar.organisation, jar.name, jar.revision, "false") for jar in machine.JARS]


def test_java_trusts_the_machines_ca_certificates() -> None:
    store = machine.truststore(_authority("One") + _authority("Two"))
    names = [
        certificate.certificate.subject.rfc4514_string()
        for certificate in pkcs12.load_pkcs12(store, b"changeit").additional_certs
    ]
    assert sorted(names) == ["CN=One", "CN=Two"]


def _authority(name: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    ("environment", "options"),
    [
        ({}, []),
        (
            {"HTTPS_PROXY": "http://proxy.example:3128"},
            ["-Dhttps.proxyHost=proxy.example", "-Dhttps.proxyPort=3128"],
        ),
        (
            {"https_proxy": "proxy.example", "NO_PROXY": "a.example, .b.example"},
            [
                "-Dhttps.proxyHost=proxy.example",
                "-Dhttps.proxyPort=8080",
                "-Dhttp.nonProxyHosts=a.example|*.b.example",
            ],
        ),
    ],
)
def test_proxy_variables_become_java_options(environment: dict[str, str], options: list[str]) -> None:
    assert machine.proxy_options(environment) == options
