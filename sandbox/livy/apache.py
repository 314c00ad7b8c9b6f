"""Starts Apache Livy itself, from an unpacked distribution (`jars/`, `rsc-jars/`, `repl_2.12-jars/`).

Its REST API and Spark listen on loopback only. Its RPC between server and driver cannot be restricted so:
RpcServer.java binds ports from 10000 on all addresses. It authenticates with the session's secret.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from sandbox import tls
from sandbox.livy import spark

# Read by Livy's own bin/livy-server, from livy-env.sh.
JAVA_OPTIONS = "LIVY_SERVER_JAVA_OPTS"
_PASSWORD = "sandbox"  # Java reads no keystore without one; the file is its owner's alone

# As in Livy's own bin/livy-server, for Java 17.
_OPENED_PACKAGES = (
    "java.lang",
    "java.lang.invoke",
    "java.nio",
    "java.util.concurrent.atomic",
    "sun.nio.ch",
    "java.net",
    "java.io",
    "sun.util.calendar",
)
_EXPORTED_PACKAGES = ("sun.net.dns", "sun.net.util", "sun.security.x509", "sun.security.util")
_FOLDERS = ("jars", "rsc-jars", "repl_2.12-jars")

_LOG4J = """\
log4j.rootCategory=INFO, console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.target=System.err
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{yy/MM/dd HH:mm:ss} %p %c{1}: %m%n
log4j.logger.org.eclipse.jetty=WARN
"""


def exec_server(
    home: Path,
    *,
    host: str,
    port: int,
    work_dir: Path,
    conf: Mapping[str, str],
    environment: Mapping[str, str],
    certificate: Path | None,
) -> NoReturn:
    """Write the server's configuration below `work_dir`, then replace this process with the server.

    It speaks TLS with the key and certificate in the PEM file `certificate`; None: plain HTTP.
    Raises SystemExit if `home` is not a distribution.
    """
    missing = [name for name in _FOLDERS if not (home / name).is_dir()]
    if missing:
        raise SystemExit(
            f"SANDBOX_LIVY_HOME is {home}, which lacks {', '.join(missing)}: "
            "name the folder that an Apache Livy binary zip for Scala 2.12 unpacks to, or unset it."
        )
    conf_dir, scratch, logs = (work_dir / name for name in ("livy-conf", "scratch", "logs"))
    for folder in (conf_dir, scratch, logs):
        folder.mkdir(parents=True, exist_ok=True)
    if certificate is not None:
        keystore = conf_dir / "livy.p12"
        tls.write_keystore(certificate, keystore, _PASSWORD)
        conf = {**conf, **tls_conf(keystore)}
    lines = (f"{key} = {value}\n" for key, value in livy_conf(host, port, conf).items())
    (conf_dir / "livy.conf").write_text("".join(lines), encoding="utf-8")
    (conf_dir / "log4j.properties").write_text(_LOG4J, encoding="utf-8")
    command = java_command(environment, home, conf_dir, scratch)
    # Sessions must not import from this checkout, which PYTHONPATH contains.
    kept = {key: value for key, value in environment.items() if key != "PYTHONPATH"}
    paths = {
        "LIVY_HOME": str(home),
        "LIVY_CONF_DIR": str(conf_dir),
        "LIVY_LOG_DIR": str(logs),
        "SPARK_LOCAL_DIRS": str(scratch),
        "TZ": "UTC",  # a local driver is no application master, so spark.yarn.appMasterEnv does not reach it
    }
    os.chdir(work_dir)
    os.execve(command[0], command, {**kept, **paths})


def livy_conf(host: str, port: int, conf: Mapping[str, str]) -> dict[str, str]:
    """The content of livy.conf: `conf`, and what the sandbox requires: loopback, and a local Spark per session."""
    return {
        **conf,
        "livy.server.host": host,
        "livy.server.port": str(port),
        "livy.spark.master": "local[*]",
        "livy.spark.deploy-mode": "client",  # 0.8.0 hands on `cluster`, which Spark refuses of a local master
        "livy.repl.enable-hive-context": "false",
        "livy.rsc.rpc.server.address": host,
        "livy.rsc.launcher.address": host,
    }


def tls_conf(keystore: Path) -> dict[str, str]:
    """What livy.conf has for TLS, as AWS's livy_ssl.sh writes it (LivyConf.SSL_KEYSTORE; WebServer.scala)."""
    return {
        "livy.keystore": str(keystore),
        "livy.keystore.password": _PASSWORD,
        "livy.key-password": _PASSWORD,
    }


def driver_settings() -> dict[str, str]:
    """Settings that drivers need besides Spark's defaults, because Spark's launcher starts them."""
    return {
        "spark.driver.extraClassPath": spark.s3_class_path(),
        "spark.driver.extraJavaOptions": spark.driver_options(),
    }


def java_command(environment: Mapping[str, str], home: Path, conf_dir: Path, scratch: Path) -> list[str]:
    """The command line of the server's JVM."""
    return [
        f"{environment['JAVA_HOME']}/bin/java",
        "-Xmx512m",
        "-XX:+UseSerialGC",
        f"-Djava.io.tmpdir={scratch}",
        *shlex.split(environment.get(JAVA_OPTIONS, "")),
        *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED_PACKAGES),
        *(f"--add-exports=java.base/{package}=ALL-UNNAMED" for package in _EXPORTED_PACKAGES),
        "-cp",
        f"{home}/jars/*:{conf_dir}",
        "org.apache.livy.server.LivyServer",
    ]
