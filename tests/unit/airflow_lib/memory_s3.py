"""S3 in memory: the calls that Mayfly makes of it, answered as AWS answers them.

Conditional writes, pages of listings, the `Date` header by a clock of its own, and answers that get lost.
"""

# ruff: noqa: N803  (boto3's own argument names)

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


class MemoryS3:
    """`before[operation]` runs ahead of a call, and may raise; `lose_after` drops so many answers of PUT."""

    def __init__(self, page_size: int = 1000) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}
        self.calls: list[tuple[str, str]] = []
        self.now = START
        self.before: dict[str, Callable[[str], None]] = {}
        self.lose_after = 0
        self.page_size = page_size

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        self._enter("GetObject", Key)
        body = self._body("GetObject", Bucket, Key)
        return {"Body": io.BytesIO(body), "ETag": _etag(body), **self._meta(200)}

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        self._enter("HeadObject", Key)
        body = self._body("HeadObject", Bucket, Key)
        return {"ContentLength": len(body), "ETag": _etag(body), **self._meta(200)}

    def put_object(
        self,
        *,
        Bucket: str,
        Key: str,
        Body: bytes,
        IfMatch: str | None = None,
        IfNoneMatch: str | None = None,
    ) -> dict[str, Any]:
        self._enter("PutObject", Key)
        there = self.objects.get((Bucket, Key))
        if IfNoneMatch == "*" and there is not None:
            raise self.error("PutObject", "PreconditionFailed", 412)
        if IfMatch is not None and there is None:
            raise self.error("PutObject", "NoSuchKey", 404)
        if IfMatch is not None and there is not None and _etag(there) != IfMatch:
            raise self.error("PutObject", "PreconditionFailed", 412)
        self.objects[Bucket, Key] = Body
        if self.lose_after:
            self.lose_after -= 1
            raise self.timeout()
        return {"ETag": _etag(Body), **self._meta(200)}

    def list_objects_v2(
        self, *, Bucket: str, Prefix: str = "", ContinuationToken: str | None = None
    ) -> dict[str, Any]:
        self._enter("ListObjectsV2", Prefix)
        keys = sorted(key for bucket, key in self.objects if bucket == Bucket and key.startswith(Prefix))
        rest = [key for key in keys if ContinuationToken is None or key > ContinuationToken]
        page = rest[: self.page_size]
        contents = [
            {"Key": key, "ETag": _etag(self.objects[Bucket, key]), "Size": len(self.objects[Bucket, key])}
            for key in page
        ]
        more = {"IsTruncated": True, "NextContinuationToken": page[-1]} if len(rest) > len(page) else {}
        return {"Contents": contents, **more, **self._meta(200)}

    def put(self, bucket: str, key: str, body: bytes = b"x") -> None:
        """Put an object there without a call."""
        self.objects[bucket, key] = body

    def count(self, operation: str) -> int:
        return sum(1 for name, _ in self.calls if name == operation)

    def error(self, operation: str, code: str, status: int) -> ClientError:
        return ClientError({"Error": {"Code": code, "Message": code}, **self._meta(status)}, operation)

    def timeout(self) -> ReadTimeoutError:
        return ReadTimeoutError(endpoint_url="https://s3")

    def _enter(self, operation: str, key: str) -> None:
        self.calls.append((operation, key))
        if operation in self.before:
            self.before[operation](key)

    def _body(self, operation: str, bucket: str, key: str) -> bytes:
        if (bucket, key) not in self.objects:
            raise self.error(operation, "404" if operation == "HeadObject" else "NoSuchKey", 404)
        return self.objects[bucket, key]

    def _meta(self, status: int) -> dict[str, Any]:
        headers = {"date": format_datetime(self.now.replace(microsecond=0), usegmt=True)}
        return {"ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers}}


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
