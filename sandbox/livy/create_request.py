"""The body of POST /sessions, validated as Apache Livy 0.9 does (CreateInteractiveRequest.scala)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit

from sandbox.errors import BadBody, Rejected

# The names that Livy accepts for a session kind, and the kind's own name (Kind.scala).
KINDS = {
    "spark": "spark",
    "scala": "spark",
    "pyspark": "pyspark",
    "python": "pyspark",
    "sparkr": "sparkr",
    "r": "sparkr",
    "shared": "shared",
    "sql": "sql",
}
# Refused as in Session.scala; `spark.master` is not refused, but overridden.
_FORBIDDEN_SETTINGS = ("spark.submit.deployMode", "spark.submit.proxyUser.allowCustomClasspathInClusterMode")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str) -> float:
    """A duration in Livy's syntax (`90s`, `1h`; a bare number is in ms), in seconds (ClientConf.java).

    Raises Rejected if it is not valid.
    """
    match = re.fullmatch(r"(-?[0-9]+)([a-z]+)?", text.strip().lower())
    if match is None:
        raise Rejected(f"Invalid time string: {text}")
    value, unit = match.groups()
    if unit is not None and unit not in _SECONDS:
        raise Rejected(f'Invalid suffix: "{unit}"')
    if int(value) < 0:
        raise Rejected(f"Invalid value: {value}")
    return int(value) * _SECONDS[unit or "ms"]


@dataclass(frozen=True)
class CreateRequest:
    """A request for a session. The fields are those of Livy 0.8.0, which EMR has (0.9.0 adds `idleTimeout`)."""

    kind: str = "shared"
    proxyUser: str | None = None  # noqa: N815
    jars: tuple[str, ...] = ()
    pyFiles: tuple[str, ...] = ()  # noqa: N815
    files: tuple[str, ...] = ()
    driverMemory: str | None = None  # noqa: N815
    driverCores: int | None = None  # noqa: N815
    executorMemory: str | None = None  # noqa: N815
    executorCores: int | None = None  # noqa: N815
    numExecutors: int | None = None  # noqa: N815
    archives: tuple[str, ...] = ()
    queue: str | None = None
    name: str | None = None
    conf: dict[str, str] = field(default_factory=dict)
    heartbeatTimeoutInSecond: int = 0  # noqa: N815
    ttl: str | None = None

    @classmethod
    def parse(cls, body: Any) -> CreateRequest:
        """The request in a JSON body. Raises BadBody for an unknown field, an unknown kind or a wrong type."""
        if not isinstance(body, dict):
            raise BadBody("Cannot deserialize CreateInteractiveRequest: a JSON object is expected")
        known = {item.name: str(item.type) for item in fields(cls)}
        for key in body:
            if key not in known:
                raise BadBody(
                    f'Unrecognized field "{key}" (class CreateInteractiveRequest), not marked as ignorable '
                    f"({len(known)} known properties: {', '.join(sorted(known))})"
                )
        values = {key: _convert(key, known[key], value) for key, value in body.items()}
        return cls(**{key: value for key, value in values.items() if value is not None})

    def check(self) -> None:
        """Raise Rejected for a well-formed request that Livy does not allow."""
        if self.ttl:
            seconds(self.ttl)
        if forbidden := [key for key in self.conf if key in _FORBIDDEN_SETTINGS]:
            raise Rejected(f"Blacklisted configuration values in session config: {', '.join(forbidden)}")
        for uri in (*self.jars, *self.pyFiles, *self.files, *self.archives):
            _check_uri(uri)
        if self.name is not None and self.name.isdigit():
            raise Rejected(f"Invalid session name: {self.name}")

    def spark_conf(self, name: str) -> dict[str, str]:
        """The session's own settings for Spark, to be added to the server's defaults."""
        requested = {
            "spark.driver.cores": self.driverCores,
            "spark.driver.memory": self.driverMemory,
            "spark.executor.cores": self.executorCores,
            "spark.executor.memory": self.executorMemory,
            "spark.executor.instances": self.numExecutors,
            "spark.yarn.queue": self.queue,
        }
        named = {key: str(value) for key, value in requested.items() if value is not None}
        return {**self.conf, "spark.master": "local[*]", "spark.app.name": name, **named}

    def submit_arguments(self) -> list[str]:
        """File options for spark-submit, which downloads `s3://` files and puts `pyFiles` on Python's path."""
        lists = {
            "--py-files": self.pyFiles,
            "--jars": self.jars,
            "--files": self.files,
            "--archives": self.archives,
        }
        return [part for option, uris in lists.items() if uris for part in (option, ",".join(uris))]


def _convert(key: str, kind: str, value: Any) -> Any:
    """One field's value, converted as Jackson does."""
    if value is None:
        return None
    if key == "kind":
        if not isinstance(value, str) or value not in KINDS:
            raise BadBody(f"Invalid kind: {value} (through reference chain: CreateInteractiveRequest)")
        return KINDS[value]
    if kind.startswith("tuple") and isinstance(value, list) and all(isinstance(v, str) for v in value):
        return tuple(value)
    if kind.startswith("dict") and isinstance(value, dict):
        return {name: str(setting) for name, setting in value.items()}
    if kind.startswith("str") and isinstance(value, (str, int, float)):
        return str(value)
    if kind.startswith("int") and not isinstance(value, bool) and re.fullmatch(r"-?\d+", str(value)):
        return int(value)
    raise BadBody(
        f'Cannot deserialize "{value}" (through reference chain: CreateInteractiveRequest["{key}"])'
    )


def _check_uri(uri: str) -> None:
    """Raise Rejected for a local file: Livy allows only whitelisted folders (Session.scala), and there are none."""
    parts = urlsplit(uri)
    if not parts.scheme and not parts.path.startswith("/"):
        raise Rejected(f"requirement failed: Path '{parts.path}' is not absolute.")
    if parts.scheme in ("", "file"):
        raise Rejected(f"requirement failed: Local path {parts.path} cannot be added to user sessions.")
