"""The register of one environment: who holds its slots, in S3, by compare-and-swap.

What may change, and every outcome, is `rules`' (its tables first); the document is `document`'s.
Here: read, apply a rule, write if nobody wrote since, else start again.
Time is S3's `Date` header, never a host's clock.
"""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from airflow_lib.aws.errors import is_transient, refusal, status_of
from airflow_lib.aws.s3 import get_object, put_object_if
from airflow_lib.aws.s3_location import S3Location, uri_of
from airflow_lib.errors import CredentialsRefused, RegisterError, RegisterUnreachable, ResourceError
from airflow_lib.lifecycle import rules
from airflow_lib.lifecycle.document import Document, SlotState, decode_document, encode_document
from airflow_lib.lifecycle.rules import Caller, Change
from airflow_lib.naming import Environment, Slot

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

A = TypeVar("A")
P = ParamSpec("P")
Rule = Callable[Concatenate[SlotState, Caller, P], Change[A]]

_ATTEMPTS = 12
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0

# 412: somebody wrote since we read. 409: somebody is writing.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
_OVERTAKEN = frozenset({409, 412})


@dataclass(frozen=True)
class _Reading:
    document: Document
    etag: str | None
    now: datetime


class Register:
    """The register at `location`/register.json, for one `holder`: a run, or a pass of the janitor.

    Each call raises RegisterError where the document cannot be read or written (RegisterUnreachable where S3 is only
    busy), CredentialsRefused, and LeaseLost where the holder no longer holds what the call is about. Each may be
    repeated after a crash.
    """

    def __init__(
        self,
        s3: S3Client,
        location: S3Location,
        environment: Environment,
        *,
        holder: str,
        lease_s: float,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
        read_time: Callable[[Mapping[str, str]], datetime] | None = None,
    ) -> None:
        """`sleep`, `jitter` (0 to 1) and `read_time` (of S3's response headers) are for tests to replace."""
        self._s3, self._environment, self._holder, self._lease_s = s3, environment, holder, lease_s
        self._bucket, self._key = location.bucket, location.key("register.json")
        self._sleep, self._jitter = sleep, jitter
        self._read_time = read_time or self._read_date

    @property
    def uri(self) -> str:
        return uri_of(self._bucket, self._key)

    def read(self) -> Document:
        """The whole document; a new one where none was written yet."""
        return self.read_with_time()[0]

    def read_with_time(self) -> tuple[Document, datetime]:
        """The whole document, and S3's time of reading it, for `SlotState.live`."""
        reading = self._retry(self._read)
        return reading.document, reading.now

    def apply(self, slot: Slot, rule: Rule[P, A], *args: P.args, **kwargs: P.kwargs) -> A:
        """The answer of one of the `rules` for a slot, once what it changed is written.

        A rule that changes nothing writes nothing, so a check costs one read.
        """

        def change(document: Document, caller: Caller) -> tuple[Document, A]:
            after, answer = rule(document.slot(slot), caller, *args, **kwargs)
            return document.with_slot(after), answer

        return self._change(change)

    def renew(self, needs: Slot | None = None, generation: int | None = None) -> Document:
        """The document with all leases of the holder renewed, in one write; see `rules.renew`."""

        def renew_all(document: Document, caller: Caller) -> tuple[Document, Document]:
            renewed = rules.renew(document, caller, needs=needs, generation=generation)
            return renewed, renewed

        return self._change(renew_all)

    def renew_for(self, runs: Collection[str]) -> Document:
        """The document with these runs' leases renewed, in one write; see `rules.renew_for`."""

        def renew_theirs(document: Document, caller: Caller) -> tuple[Document, Document]:
            renewed = rules.renew_for(document, caller, runs=runs)
            return renewed, renewed

        return self._change(renew_theirs)

    def _change(self, rule: Callable[[Document, Caller], tuple[Document, A]]) -> A:
        answers: dict[str, A] = {}

        def attempt() -> A:
            reading = self._read()
            written = next((nonce for nonce in reading.document.nonces if nonce in answers), None)
            if written is not None:
                return answers[written]
            after, answer = rule(reading.document, Caller(self._holder, reading.now, self._lease_s))
            if after != reading.document:
                nonce = uuid.uuid4().hex
                answers[nonce] = answer
                self._write(reading, after.with_nonce(nonce))
                for slot in Slot:
                    self._log_change(reading.document.slot(slot), after.slot(slot))
            return answer

        return self._retry(attempt)

    def _retry(self, attempt: Callable[[], A]) -> A:
        """The attempt's answer, tried again while others write, S3 is busy, or an answer gets lost."""
        pause_s, last, is_busy = _FIRST_PAUSE_S, "", False
        for _ in range(_ATTEMPTS):
            try:
                return attempt()
            except ClientError as error:
                refused = refusal(f"access {self.uri}", error)
                last, is_busy = refused.message, is_transient(error)
                if isinstance(refused, CredentialsRefused):
                    raise refused from error
                if status_of(error) not in _OVERTAKEN and not is_busy:
                    raise RegisterError(last) from error
            except (BotoCoreError, ResponseParserError) as error:
                last, is_busy = str(error), is_transient(error)
                if not is_busy:
                    raise
            log.debug("Register %s: %s", self.uri, last)
            self._sleep(pause_s * self._jitter())
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        raise (RegisterUnreachable if is_busy else RegisterError)(
            f"{self.uri} could not be read or changed in {_ATTEMPTS} attempts; the last: {last} "
            "Run the task again: it finds out what was written."
        )

    def _read(self) -> _Reading:
        try:
            stored = get_object(self._s3, self._bucket, self._key)
        except ResourceError as error:
            raise RegisterError(error.message) from error
        now = self._read_time(stored.headers)
        if stored.body is None:
            return _Reading(Document(self._environment.name), None, now)
        return _Reading(decode_document(stored.body, self.uri, self._environment.name), stored.etag, now)

    def _write(self, reading: _Reading, document: Document) -> None:
        try:
            put_object_if(self._s3, self._bucket, self._key, encode_document(document), etag=reading.etag)
        except ClientError as error:
            if reading.etag is None or status_of(error) != 404:
                raise
            raise RegisterError(
                f"{self.uri} was deleted just now. Restore its last version (the bucket's versioning keeps it): "
                "it names what is running, and the snapshot that the warehouse is restored from."
            ) from error

    def _read_date(self, headers: Mapping[str, str]) -> datetime:
        try:
            return parsedate_to_datetime(headers["date"]).astimezone(UTC)
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise RegisterError(
                f"{self.uri}: S3's answer has no usable Date header ({error}), and leases are counted by it. "
                "Check whether a proxy between this host and S3 removes it."
            ) from error

    def _log_change(self, before: SlotState, after: SlotState) -> None:
        if before.phase is not after.phase:
            log.info("%s: %s -> %s", self._environment.name, before, after)
