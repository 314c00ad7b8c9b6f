"""Which Livy speaks TLS, with which certificate, and what a cluster's configuration says to it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import pkcs12

from sandbox import livy, tls
from sandbox.aws import emr_api
from sandbox.livy import apache


@pytest.mark.parametrize(
    ("release", "speaks"),
    [("emr-7.3.0", False), ("emr-7.4.0", True), ("emr-7.13.0", True), ("emr-6.15.0", False), ("", False)],
)
def test_livy_speaks_tls_from_emr_7_4_0_on(release: str, speaks: bool) -> None:
    assert livy.speaks_tls(release) is speaks


def test_a_server_is_started_with_tls_unless_plain_is_asked_for() -> None:
    assert "--plain" not in livy.command("127.0.0.1", 1, Path("w"))
    assert "--plain" in livy.command("127.0.0.1", 1, Path("w"), plain=True)
    command = livy.command("127.0.0.1", 1, Path("w"), certificate=Path("c.pem"))
    assert command[command.index("--certificate") + 1] == "c.pem"


def test_a_server_that_is_started_again_keeps_its_certificate_and_nobody_else_reads_the_key(
    tmp_path: Path,
) -> None:
    pem = tmp_path / "j-1" / livy.CERTIFICATE
    tls.ensure_certificate(pem, "127.0.0.1")
    first = pem.read_bytes()
    tls.ensure_certificate(pem, "127.0.0.1")
    assert pem.read_bytes() == first
    assert stat.S_IMODE(pem.stat().st_mode) == 0o600
    assert [path.name for path in pem.parent.iterdir()] == [livy.CERTIFICATE]


def test_apache_livy_reads_the_same_certificate_from_a_keystore(tmp_path: Path) -> None:
    pem, keystore = tmp_path / "livy.pem", tmp_path / "livy.p12"
    tls.ensure_certificate(pem, "127.0.0.1")
    conf = apache.tls_conf(keystore)
    assert conf["livy.keystore"] == str(keystore)
    tls.write_keystore(pem, keystore, conf["livy.keystore.password"])
    _, certificate, _ = pkcs12.load_key_and_certificates(
        keystore.read_bytes(), conf["livy.key-password"].encode()
    )
    assert certificate is not None
    assert certificate.public_bytes(tls.serialization.Encoding.PEM) in pem.read_bytes()


def test_apache_livys_jvm_gets_the_options_of_livy_env() -> None:
    environment = {"JAVA_HOME": "/java", apache.JAVA_OPTIONS: "-Da=1 -Db=2"}
    command = apache.java_command(environment, Path("home"), Path("conf"), Path("scratch"))
    assert {"-Da=1", "-Db=2"} <= set(command)


def test_the_configuration_of_a_cluster_has_livys_properties_and_its_environment() -> None:
    export = {"Classification": "export", "Properties": {"LIVY_SERVER_JAVA_OPTS": "-Da=1"}}
    configurations = [
        {"Classification": "livy-conf", "Properties": {"livy.x": "1"}},
        {"Classification": "spark-env", "Configurations": [{**export, "Properties": {"other": "2"}}]},
        {"Classification": "livy-env", "Properties": {}, "Configurations": [export]},
    ]
    assert emr_api.livy_settings("role", configurations) == emr_api.LivySettings(
        "role", {"livy.x": "1"}, {"LIVY_SERVER_JAVA_OPTS": "-Da=1"}
    )
