"""Finds and reads the S3 objects of a COPY, by manifest or prefix, with the permissions of its role. Blocking.

Source: Redshift Database Developer Guide, "Using a manifest to specify data files" and "COPY from columnar
data formats" (`meta.content_length` is required for Parquet).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.errors import RedshiftError
from sandbox.redshift.cluster import Cluster
from sandbox.redshift.copy_command import CopyCommand, S3Object, parse_url
from sandbox.redshift.errors import load_error

_S3_ERROR = 8001
_CHUNK = 1 << 20
_MISSING = {"404", "NoSuchKey", "NotFound"}


@dataclass(frozen=True)
class Entry:
    """One file to load; `content_length` is in bytes, None for a file that was found by prefix."""

    target: S3Object
    mandatory: bool
    content_length: int | None


class Source:
    """Finds and reads the files of one COPY. Every method raises RedshiftError with Redshift's wording."""

    def __init__(self, cluster: Cluster, command: CopyCommand, *, user: str, query: int) -> None:
        self._cluster, self._command, self._user, self._query = cluster, command, user, query

    def check_role(self) -> None:
        """Raise RedshiftError if the role is not attached to the cluster."""
        role = self._command.role
        if role not in self._cluster.control.roles():
            account = role.split(":")[4] if role.count(":") >= 5 else "000000000000"
            who = f"arn:aws:redshift:us-east-1:{account}:dbuser:{self._cluster.cluster_id}/{self._user}"
            raise self._error(f"User {who} is not authorized to assume IAM Role {role}", f"IAM Role={role}")

    def entries(self) -> list[Entry]:
        """The files to load, in order. Raises RedshiftError for a manifest that Redshift would refuse."""
        return self._read_manifest() if self._command.manifest else self._list_prefix()

    def fetch(self, entry: Entry, sink: IO[bytes]) -> bool:
        """Write the object into `sink`; returns False if it is missing and not mandatory."""
        target = entry.target
        self._require("s3:GetObject", target.arn, target)
        try:
            found = self._cluster.s3.get_object(Bucket=target.bucket, Key=target.key)
            size = found["ContentLength"]
            if entry.content_length is not None and entry.content_length != size:
                raise self._error(
                    "Spectrum Scan Error",
                    f"The manifest says {entry.content_length} bytes (meta.content_length), the object has {size}: "
                    f"{target.url}",
                    code=15001,
                )
            shutil.copyfileobj(found["Body"], sink, _CHUNK)
        except ClientError as error:
            if not entry.mandatory and _code(error) in _MISSING:
                return False
            raise self._s3_error(error, target) from None
        except BotoCoreError as error:
            raise self._error(f"S3ServiceException:{error}", f"File: {target.url}") from None
        sink.seek(0)
        return True

    def _read_manifest(self) -> list[Entry]:
        manifest = self._command.source
        self._require("s3:GetObject", manifest.arn, manifest)
        text = self._call(
            lambda: self._cluster.s3.get_object(Bucket=manifest.bucket, Key=manifest.key)["Body"].read(),
            manifest,
        )
        try:
            found = json.loads(text)["entries"]
            entries = [self._entry(item) for item in found]
        except (ValueError, KeyError, TypeError):
            raise self._error(
                "Invalid JSON format in manifest file", f"Manifest file: {manifest.url}"
            ) from None
        if not entries:
            raise self._error("Manifest file contains no entries", f"Manifest file: {manifest.url}")
        return entries

    def _entry(self, item: dict[str, Any]) -> Entry:
        target = parse_url(item["url"])
        length = (item.get("meta") or {}).get("content_length")
        if type(length) is not int:
            raise self._error(
                "The manifest of a columnar COPY requires meta.content_length for every entry",
                f"Entry: {target.url}, manifest file: {self._command.source.url}",
            )
        return Entry(target, bool(item.get("mandatory", False)), length)

    def _list_prefix(self) -> list[Entry]:
        prefix = self._command.source
        self._require("s3:ListBucket", f"arn:aws:s3:::{prefix.bucket}", prefix)
        pages = self._cluster.s3.get_paginator("list_objects_v2")
        listed = self._call(
            lambda: list(pages.paginate(Bucket=prefix.bucket, Prefix=prefix.key).search("Contents[]")), prefix
        )
        keys = [item["Key"] for item in listed if item and not _is_marker(item["Key"])]
        if not keys:
            raise self._error(
                f"The specified S3 prefix '{prefix.key}' does not exist", f"Bucket: {prefix.bucket}"
            )
        return [Entry(S3Object(prefix.bucket, key), True, None) for key in keys]

    def _require(self, action: str, resource: str, target: S3Object) -> None:
        reason = self._cluster.control.denial(self._command.role, action, resource)
        if reason is not None:
            raise self._error(
                "S3ServiceException:Access Denied,Status 403,Error AccessDenied",
                f"{self._command.role} may not {action} on {resource} ({reason}): {target.url}",
            )

    def _call(self, call: Callable[[], Any], target: S3Object) -> Any:
        try:
            return call()
        except ClientError as error:
            raise self._s3_error(error, target) from None
        except BotoCoreError as error:
            raise self._error(f"S3ServiceException:{error}", f"File: {target.url}") from None

    def _s3_error(self, error: ClientError, target: S3Object) -> RedshiftError:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        text = error.response.get("Error", {}).get("Message", "")
        code = "NoSuchKey" if _code(error) in _MISSING else _code(error)
        return self._error(
            f"S3ServiceException:{text},Status {status},Error {code}", f"Failed to read {target.url}"
        )

    def _error(self, text: str, context: str, code: int = _S3_ERROR) -> RedshiftError:
        return load_error(text, code=code, context=context, query=self._query)


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _is_marker(key: str) -> bool:
    """Whether Redshift ignores this object in a prefix."""
    return key.endswith("/") or key.rsplit("/", 1)[-1].startswith(("_", "."))
