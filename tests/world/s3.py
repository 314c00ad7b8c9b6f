"""S3 as a wired client sees it: moto keeps the objects, botocore is left out, for speed.

More than half of a run's calls are the register's, and botocore with moto's HTTP takes milliseconds for each.
What botocore's standard mode would do about a fault (ask again, five times in all) is done here;
`tests/unit/test_world_s3.py` holds it against botocore itself.
"""

# ruff: noqa: N803  (boto3's own argument names)

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from email.utils import format_datetime
from typing import Any

from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.exceptions import MissingBucket
from moto.s3.models import FakeKey, S3Backend, s3_backends

from tests.world.timeline import Timeline
from tests.world.wire import AFTER, Fault, Kind, Wire, settle

_ATTEMPTS = 5
_BACKOFF_S = 1.0
_URL = "https://s3.world.test"
_AGAIN = frozenset({500, 503})

Answer = dict[str, Any]


class WiredS3:
    """As much of boto3's S3 client as Mayfly uses."""

    def __init__(self, wire: Wire, timeline: Timeline) -> None:
        self._wire, self._timeline = wire, timeline

    def get_object(self, *, Bucket: str, Key: str) -> Answer:
        def get() -> Answer:
            key = self._find("GetObject", Bucket, Key)
            return {"Body": io.BytesIO(key.value), "ETag": key.etag}

        return self._call("GetObject", {"Bucket": Bucket, "Key": Key}, get)

    def head_object(self, *, Bucket: str, Key: str) -> Answer:
        def head() -> Answer:
            key = self._find("HeadObject", Bucket, Key)
            return {"ContentLength": key.size, "ETag": key.etag}

        return self._call("HeadObject", {"Bucket": Bucket, "Key": Key}, head)

    def put_object(
        self,
        *,
        Bucket: str,
        Key: str,
        Body: bytes,
        IfMatch: str | None = None,
        IfNoneMatch: str | None = None,
    ) -> Answer:
        def put() -> Answer:
            self._bucket("PutObject", Bucket)
            there = _backend().head_object(Bucket, Key)
            if IfMatch is not None and there is None:
                raise self._refuse("PutObject", 404, "NoSuchKey")
            if there is not None and (IfNoneMatch == "*" or IfMatch not in (None, there.etag)):
                raise self._refuse("PutObject", 412, "PreconditionFailed")
            return {"ETag": _backend().put_object(Bucket, Key, Body).etag}

        return self._call("PutObject", {"Bucket": Bucket, "Key": Key}, put)

    def list_objects_v2(self, *, Bucket: str, Prefix: str = "", Delimiter: str | None = None) -> Answer:
        def list_all() -> Answer:
            bucket = self._bucket("ListObjectsV2", Bucket)
            keys, folders, *_ = _backend().list_objects(bucket, Prefix, Delimiter, None, None)
            contents = [{"Key": key.name, "ETag": key.etag, "Size": key.size} for key in keys]
            prefixes = [{"Prefix": folder} for folder in folders]
            return {"Contents": contents, "CommonPrefixes": prefixes, "IsTruncated": False}

        return self._call("ListObjectsV2", {"Bucket": Bucket, "Prefix": Prefix}, list_all)

    def get_paginator(self, _: str) -> WiredS3:
        """Of list_objects_v2, the only listing there is."""
        return self

    def paginate(self, **arguments: Any) -> Iterator[Answer]:
        yield self.list_objects_v2(**arguments)

    def _call(self, operation: str, params: Answer, act: Callable[[], Answer]) -> Answer:
        """The answer of one call, asked for as often as botocore's standard mode would."""
        for attempt in range(_ATTEMPTS):
            try:
                return {**self._ask(operation, params, act), **self._meta(200)}
            except (ConnectTimeoutError, ReadTimeoutError, ClientError) as error:
                if attempt + 1 == _ATTEMPTS or not _is_tried_again(error):
                    raise
            self._timeline.advance(_BACKOFF_S * 2**attempt)
        raise AssertionError("unreachable")

    def _ask(self, operation: str, params: Answer, act: Callable[[], Answer]) -> Answer:
        fault = self._wire.enter("s3", operation, params)
        if fault is not None and fault.kind not in AFTER:
            raise self._fail(operation, fault)
        if fault is None:
            return act()
        with suppress(ClientError):  # a refusal is an answer, too, and gets lost
            act()
        settle(fault, f"s3.{operation}")
        raise ReadTimeoutError(endpoint_url=_URL)

    def _fail(self, operation: str, fault: Fault) -> Exception:
        if fault.kind is Kind.TIMEOUT:
            return ConnectTimeoutError(endpoint_url=_URL)
        status, code = {
            Kind.ERROR: (500, "InternalError"),
            Kind.THROTTLED: (503, "SlowDown"),
            Kind.DENIED: (403, "AccessDenied"),
            Kind.REFUSED: (400, fault.code),
        }[fault.kind]
        return self._refuse(operation, status, code)

    def _find(self, operation: str, bucket: str, name: str) -> FakeKey:
        self._bucket(operation, bucket)
        key = _backend().get_object(bucket, name)
        if key is None:
            raise self._refuse(operation, 404, "NoSuchKey")
        return key

    def _bucket(self, operation: str, name: str) -> Any:
        try:
            return _backend().get_bucket(name)
        except MissingBucket as error:
            raise self._refuse(operation, 404, "NoSuchBucket") from error

    def _refuse(self, operation: str, status: int, code: str) -> ClientError:
        # A HEAD has no body to hold a code.
        told = str(status) if operation == "HeadObject" else code
        return ClientError({"Error": {"Code": told, "Message": code}, **self._meta(status)}, operation)

    def _meta(self, status: int) -> Answer:
        date = format_datetime(self._timeline.now().replace(microsecond=0), usegmt=True)
        return {"ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {"date": date}}}


def _is_tried_again(error: Exception) -> bool:
    if not isinstance(error, ClientError):
        return True
    return error.response["ResponseMetadata"]["HTTPStatusCode"] in _AGAIN


def stored(bucket: str, key: str) -> bytes | None:
    """An object's content, asked for by nobody's call; None where there is none."""
    found = _backend().get_object(bucket, key)
    return found.value if found is not None else None


def _backend() -> S3Backend:
    return s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
