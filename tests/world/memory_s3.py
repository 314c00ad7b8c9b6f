"""S3 in memory: the calls that Mayfly makes, answered as AWS answers them.

Conditional writes, listings in pages, and the `Date` header. Unit tests use `MemoryS3` as it is; a world's client
(`wired_s3.WiredS3`) adds the wire's faults and botocore's retries.
Conditional writes: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

# ruff: noqa: N803  (boto3's own argument names)

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, MutableMapping
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from tests.world.timeline import START

Answer = dict[str, Any]
Objects = MutableMapping[tuple[str, str], bytes]  # by bucket and key

URL = "https://s3.world.test"


class MemoryS3:
    """As much of boto3's S3 client as Mayfly uses; `objects` is what is stored, `calls` each operation and its key.

    `before[operation]` is called with the key before a call takes effect, and may raise.
    `lose_after` is of how many of the next PUTs the response is lost after they took effect.
    """

    def __init__(self, page_size: int = 1000, objects: Objects | None = None) -> None:
        self.objects: Objects = {} if objects is None else objects
        self.page_size = page_size
        self._modified: dict[tuple[str, str], datetime] = {}
        self.content_types: dict[tuple[str, str], str] = {}
        self.calls: list[tuple[str, str]] = []
        self.now = START
        self.before: dict[str, Callable[[str], None]] = {}
        self.lose_after = 0

    def head_bucket(self, *, Bucket: str) -> Answer:
        def head() -> Answer:
            self._require_bucket("HeadBucket", Bucket)
            return {"BucketRegion": self._region_of(Bucket)}

        return self._call("HeadBucket", {"Bucket": Bucket}, head)

    def get_object(self, *, Bucket: str, Key: str, Range: str = "", IfMatch: str | None = None) -> Answer:
        """The whole object, or a range of both ends, `bytes=0-99`: no other is asked for."""
        first, _, last = Range.removeprefix("bytes=").partition("-")

        def get() -> Answer:
            body = self._find("GetObject", Bucket, Key)
            etag = etag_of(body)
            if IfMatch not in (None, etag):
                raise self.error("GetObject", "PreconditionFailed", 412)
            body = body[int(first) : int(last) + 1] if Range else body
            modified = self._modified.get((Bucket, Key), START)
            return {
                "Body": io.BytesIO(body),
                "ContentLength": len(body),
                "ETag": etag,
                "LastModified": modified,
            }

        return self._call("GetObject", {"Bucket": Bucket, "Key": Key}, get)

    def head_object(self, *, Bucket: str, Key: str) -> Answer:
        def head() -> Answer:
            body = self._find("HeadObject", Bucket, Key)
            return {"ContentLength": len(body), "ETag": etag_of(body)}

        return self._call("HeadObject", {"Bucket": Bucket, "Key": Key}, head)

    def put_object(
        self,
        *,
        Bucket: str,
        Key: str,
        Body: bytes,
        IfMatch: str | None = None,
        IfNoneMatch: str | None = None,
        ContentType: str = "binary/octet-stream",
    ) -> Answer:
        def put() -> Answer:
            self._require_bucket("PutObject", Bucket)
            there = self.objects.get((Bucket, Key))
            if IfMatch is not None and there is None:
                raise self.error("PutObject", "NoSuchKey", 404)
            if there is not None and (IfNoneMatch == "*" or IfMatch not in (None, etag_of(there))):
                raise self.error("PutObject", "PreconditionFailed", 412)
            self.objects[Bucket, Key] = Body
            self._modified[Bucket, Key] = self._time()
            self.content_types[Bucket, Key] = ContentType
            return {"ETag": etag_of(Body)}

        return self._call("PutObject", {"Bucket": Bucket, "Key": Key}, put)

    def delete_object(self, *, Bucket: str, Key: str) -> Answer:
        def delete() -> Answer:
            self._require_bucket("DeleteObject", Bucket)
            if (Bucket, Key) in self.objects:
                del self.objects[Bucket, Key]
            return {}

        return self._call("DeleteObject", {"Bucket": Bucket, "Key": Key}, delete)

    def list_objects_v2(
        self,
        *,
        Bucket: str,
        Prefix: str = "",
        Delimiter: str | None = None,
        ContinuationToken: str | None = None,
    ) -> Answer:
        def list_page() -> Answer:
            self._require_bucket("ListObjectsV2", Bucket)
            keys = [key for bucket, key in self.objects if bucket == Bucket and key.startswith(Prefix)]
            folders = {key: _common_prefix(key, Prefix, Delimiter) for key in keys}
            names = sorted({folder or key for key, folder in folders.items()})
            rest = [name for name in names if ContinuationToken is None or name > ContinuationToken]
            page = rest[: self.page_size]
            more = {"NextContinuationToken": page[-1]} if len(rest) > len(page) else {}
            prefixes = set(folders.values())
            return {
                "Contents": [self._listed(Bucket, name) for name in page if name not in prefixes],
                "CommonPrefixes": [{"Prefix": name} for name in page if name in prefixes],
                "IsTruncated": bool(more),
                **more,
            }

        return self._call("ListObjectsV2", {"Bucket": Bucket, "Prefix": Prefix}, list_page)

    def get_paginator(self, _: str) -> MemoryS3:
        """Of list_objects_v2, the only listing there is."""
        return self

    def paginate(self, **arguments: Any) -> Iterator[Answer]:
        page = self.list_objects_v2(**arguments)
        yield page
        while page["IsTruncated"]:
            page = self.list_objects_v2(**arguments, ContinuationToken=page["NextContinuationToken"])
            yield page

    # For tests

    def put(self, bucket: str, key: str, body: bytes = b"x") -> None:
        """Store an object without a call."""
        self.objects[bucket, key] = body

    def count(self, operation: str) -> int:
        """How many calls of this operation were made."""
        return sum(1 for name, _ in self.calls if name == operation)

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def error(self, operation: str, code: str, status: int) -> ClientError:
        """An error as boto3 raises it; the response to a HEAD has no body that could hold the code."""
        shown = str(status) if operation.startswith("Head") else code
        return ClientError({"Error": {"Code": shown, "Message": code}, **self._meta(status)}, operation)

    def timeout(self) -> ReadTimeoutError:
        return ReadTimeoutError(endpoint_url=URL)

    # What subclasses change

    def _call(self, operation: str, params: Answer, act: Callable[[], Answer]) -> Answer:
        """The response of one call, whose effect and answer are `act`'s."""
        key = params.get("Key", params.get("Prefix", ""))
        self.calls.append((operation, key))
        if operation in self.before:
            self.before[operation](key)
        answer = {**act(), **self._meta(200)}
        if operation == "PutObject" and self.lose_after:
            self.lose_after -= 1
            raise self.timeout()
        return answer

    def _time(self) -> datetime:
        return self.now

    def _require_bucket(self, operation: str, bucket: str) -> None:
        """Raise NoSuchBucket; here every bucket exists."""

    def _region_of(self, bucket: str) -> str:
        return "us-east-1"

    def _find(self, operation: str, bucket: str, key: str) -> bytes:
        self._require_bucket(operation, bucket)
        body = self.objects.get((bucket, key))
        if body is None:
            raise self.error(operation, "NoSuchKey", 404)
        return body

    def _listed(self, bucket: str, key: str) -> Answer:
        body = self.objects[bucket, key]
        return {"Key": key, "ETag": etag_of(body), "Size": len(body)}

    def _meta(self, status: int) -> Answer:
        date = format_datetime(self._time().replace(microsecond=0), usegmt=True)
        return {"ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {"date": date}}}


def etag_of(body: bytes) -> str:
    """The ETag of an object that was written in one part."""
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def _common_prefix(key: str, prefix: str, delimiter: str | None) -> str | None:
    """The folder under which a listing with a delimiter shows the key; None where it shows the key itself."""
    if not delimiter:
        return None
    first, found, _ = key.removeprefix(prefix).partition(delimiter)
    return f"{prefix}{first}{delimiter}" if found else None
