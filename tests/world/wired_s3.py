"""S3 as a world's client: every request goes over the wire, and moto keeps the objects.

More than half of a run's calls are the register's, and botocore with moto's HTTP takes milliseconds for each, so
both are left out. What botocore's standard mode would do about a fault (ask again, five times in all) is done here;
`tests/unit/test_world_s3.py` compares it with botocore itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime

from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import S3Backend, s3_backends

from tests.world.memory_s3 import URL, Answer, MemoryS3, Objects
from tests.world.timeline import Timeline
from tests.world.wire import AFTER, Fault, Kind, Wire, error_of, raise_if_killed

_ATTEMPTS = 5
_BACKOFF_S = 1.0
_RETRIED = frozenset({500, 503})


class WiredS3(MemoryS3):
    """A world's S3 client."""

    def __init__(self, wire: Wire, timeline: Timeline) -> None:
        super().__init__(objects=MotoObjects())
        self._wire, self._timeline = wire, timeline

    def _call(self, operation: str, params: Answer, act: Callable[[], Answer]) -> Answer:
        """The response of one call, repeated as often as botocore's standard mode would."""
        for attempt in range(_ATTEMPTS):
            try:
                return {**self._send(operation, params, act), **self._meta(200)}
            except (ConnectTimeoutError, ReadTimeoutError, ClientError) as error:
                if attempt + 1 == _ATTEMPTS or not _is_retried(error):
                    raise
            self._timeline.advance(_BACKOFF_S * 2**attempt)
        raise AssertionError("unreachable")

    def _send(self, operation: str, params: Answer, act: Callable[[], Answer]) -> Answer:
        fault = self._wire.enter("s3", operation, params)
        if fault is not None and fault.kind not in AFTER:
            raise self._fail(operation, fault)
        if fault is None:
            return act()
        with suppress(ClientError):  # an error response is lost as well
            act()
        raise_if_killed(fault, f"s3.{operation}")
        raise self.timeout()

    def _fail(self, operation: str, fault: Fault) -> Exception:
        if fault.kind is Kind.TIMEOUT:
            return ConnectTimeoutError(endpoint_url=URL)
        code, _, status = error_of(fault, "s3", operation)
        return self.error(operation, code, status)

    def _time(self) -> datetime:
        return self._timeline.now()

    def _require_bucket(self, operation: str, bucket: str) -> None:
        if bucket not in _backend().buckets:
            raise self.error(operation, "NoSuchBucket", 404)

    def _region_of(self, bucket: str) -> str:
        return str(_backend().buckets[bucket].region_name)


class MotoObjects(Objects):
    """The objects of the account that moto keeps."""

    def __getitem__(self, where: tuple[str, str]) -> bytes:
        bucket, key = where
        found = _backend().buckets[bucket].keys.get(key)
        if found is None:
            raise KeyError(where)
        return bytes(found.value)

    def __setitem__(self, where: tuple[str, str], body: bytes) -> None:
        _backend().put_object(*where, body)

    def __delitem__(self, where: tuple[str, str]) -> None:
        _backend().delete_object(*where)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((name, key) for name, bucket in _backend().buckets.items() for key in bucket.keys)

    def __len__(self) -> int:
        return sum(len(bucket.keys) for bucket in _backend().buckets.values())


def _is_retried(error: Exception) -> bool:
    if not isinstance(error, ClientError):
        return True
    return error.response["ResponseMetadata"]["HTTPStatusCode"] in _RETRIED


def _backend() -> S3Backend:
    return s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
