"""The register of one environment: who holds its slots and what was created, in S3, by compare-and-swap.

What each call may change, and every outcome, is `register_rules`' (its tables first); the document is
`register_document`'s. Here: read, apply a rule, write on condition that nobody wrote since, and again.
Time is S3's `Date` header, never a host's clock.
"""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

from airflow_lib.aws.s3 import explain, status_of
from airflow_lib.aws.s3_location import S3Location, uri_of
from airflow_lib.errors import RegisterError
from airflow_lib.lifecycle import rules
from airflow_lib.lifecycle.document import (
    Document,
    Resource,
    SlotState,
    decode_document,
    encode_document,
)
from airflow_lib.lifecycle.rules import Grant, Release
from airflow_lib.naming import Environment, Slot

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


log = logging.getLogger(__name__)

A = TypeVar("A")
Rule = Callable[[SlotState, datetime], tuple[SlotState, A]]
DocumentRule = Callable[[Document, datetime], tuple[Document, A]]

_ATTEMPTS = 12
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0

# 412: somebody wrote since we read. 409: somebody is writing.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
_OVERTAKEN = frozenset({409, 412})
_THROTTLED = frozenset(
    {"SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "RequestLimitExceeded"}
)


@dataclass(frozen=True)
class _Reading:
    document: Document
    etag: str | None
    now: datetime


class Register:
    """The register at `location`/register.json; `lease_s` is how long every lease lasts.

    Each call raises RegisterError where the document cannot be read or written, and LeaseLost where the run
    no longer holds what the call is about. Each may be repeated after a crash.
    """

    def __init__(
        self,
        s3: S3Client,
        location: S3Location,
        environment: Environment,
        *,
        lease_s: float,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
        tell_time: Callable[[Mapping[str, str]], datetime] | None = None,
    ) -> None:
        """`sleep`, `jitter` (0 to 1) and `tell_time` (of S3's response headers) are for tests to replace."""
        self._s3, self._environment, self._lease_s = s3, environment, lease_s
        self._bucket, self._key = location.bucket, location.key("register.json")
        self._sleep, self._jitter = sleep, jitter
        self._tell_time = tell_time or self._read_date

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

    def acquire(self, slot: Slot, run: str) -> Grant:
        """The run's role in the slot. While it is WAIT, poll by this call: it prolongs the lease, too."""
        return self._change(slot, partial(rules.acquire, run=run, lease_s=self._lease_s))

    def renew(self, run: str, needs: Slot | None = None, generation: int | None = None) -> Document:
        """The document with all leases of the run prolonged, in one write.

        Raises LeaseLost where the run has none on the slot that it `needs`, or that is of another `generation`.
        """

        def prolong(document: Document, now: datetime) -> tuple[Document, Document]:
            for slot in Slot:
                state = document.slot(slot)
                if slot is needs or state.lease(run) is not None:
                    wanted = generation if slot is needs else None
                    state, _ = rules.renew(state, now, run=run, generation=wanted, lease_s=self._lease_s)
                    document = document.with_slot(state)
            return document, document

        return self._change_document(prolong)

    def check(self, slot: Slot, run: str, generation: int | None = None) -> SlotState:
        """The slot, which the run may use (or create or drain) right now. Call it before each use."""
        document, now = self.read_with_time()
        return rules.check(document.slot(slot), now, run=run, generation=generation)[0]

    def check_draining(self, slot: Slot, run: str, generation: int) -> SlotState:
        """The slot, which the run drains right now. Call it before anything is deleted."""
        document, now = self.read_with_time()
        return rules.check_draining(document.slot(slot), now, run=run, generation=generation)[0]

    def plan_resource(self, slot: Slot, run: str, kind: str, name: str) -> SlotState:
        """Record what the creator is about to create."""
        return self.plan_resources(slot, run, [(kind, name)])

    def plan_resources(self, slot: Slot, run: str, wanted: Iterable[tuple[str, str]]) -> SlotState:
        """Record several at once, each by kind and name."""
        return self._change_all(
            slot, [partial(rules.plan_resource, run=run, kind=kind, name=name) for kind, name in wanted]
        )

    def complete_resource(self, slot: Slot, run: str, kind: str, name: str, id: str) -> SlotState:
        """Record the id of what was created."""
        return self.complete_resources(slot, run, [(kind, name, id)])

    def complete_resources(self, slot: Slot, run: str, made: Iterable[tuple[str, str, str]]) -> SlotState:
        """Record the ids of several at once, each by kind, name and id."""
        return self._change_all(
            slot,
            [
                partial(rules.complete_resource, run=run, kind=kind, name=name, id=id)
                for kind, name, id in made
            ],
        )

    def forget_resources(self, slot: Slot, run: str, gone: Iterable[Resource]) -> SlotState:
        """Record that the drainer saw them gone."""
        return self._change_all(
            slot, [partial(rules.forget_resource, run=run, kind=item.kind, name=item.name) for item in gone]
        )

    def mark_ready(self, slot: Slot, run: str) -> SlotState:
        """The creator is done: every run may use the slot."""
        return self._change(slot, partial(rules.mark_ready, run=run))

    def release(
        self, slot: Slot, run: str, keep_alive_s: float = 0, *, end_keep_alive: bool = False
    ) -> Release:
        """The run needs the slot no more; what it is to do then."""
        rule = partial(
            rules.release,
            run=run,
            lease_s=self._lease_s,
            keep_alive_s=keep_alive_s,
            end_keep_alive=end_keep_alive,
        )
        return self._change(slot, rule)

    def reap(self, slot: Slot, reaper: str) -> Release:
        """Remove expired leases; what `reaper` (a name of its own, not shared by two) is to do then."""
        return self._change(slot, partial(rules.reap, run=reaper, lease_s=self._lease_s))

    def plan_snapshot(self, run: str, name: str) -> SlotState:
        """Record the warehouse's final snapshot that the drainer is about to ask for."""
        return self._change(Slot.WAREHOUSE, partial(rules.plan_snapshot, run=run, name=name))

    def name_snapshot(self, run: str, name: str) -> SlotState:
        """Record that the final snapshot is available: the next generation is restored from it."""
        return self._change(Slot.WAREHOUSE, partial(rules.name_snapshot, run=run, name=name))

    def admit_loss(self, run: str) -> SlotState:
        """Record that cluster and final snapshot are both gone; the caller makes the run red."""
        return self._change(Slot.WAREHOUSE, partial(rules.admit_loss, run=run))

    def mark_empty(self, slot: Slot, run: str) -> SlotState:
        """The drainer is done."""
        return self._change(slot, partial(rules.mark_empty, run=run))

    def _change_all(self, slot: Slot, changes: Sequence[Rule[SlotState]]) -> SlotState:
        """The slot once all of the rules are applied, in one write."""

        def in_turn(state: SlotState, now: datetime) -> tuple[SlotState, SlotState]:
            for change in changes:
                state, _ = change(state, now)
            return state, state

        return self._change(slot, in_turn)

    def _change(self, slot: Slot, rule: Rule[A]) -> A:
        """As `_change_document`, for a rule of one slot."""

        def in_slot(document: Document, now: datetime) -> tuple[Document, A]:
            after, answer = rule(document.slot(slot), now)
            return document.with_slot(after), answer

        return self._change_document(in_slot)

    def _change_document(self, rule: DocumentRule[A]) -> A:
        """The rule's answer, once what it changed is written; a rule that changes nothing writes nothing."""
        answers: dict[str, A] = {}

        def attempt() -> A:
            reading = self._read()
            written = next((nonce for nonce in reading.document.nonces if nonce in answers), None)
            if written is not None:
                return answers[written]
            after, answer = rule(reading.document, reading.now)
            if after != reading.document:
                nonce = uuid.uuid4().hex
                answers[nonce] = answer
                self._write(reading, after.with_nonce(nonce))
                for slot in Slot:
                    self._tell_change(reading.document.slot(slot), after.slot(slot))
            return answer

        return self._retry(attempt)

    def _retry(self, attempt: Callable[[], A]) -> A:
        """The attempt's answer, tried again while others write, S3 is busy, or an answer gets lost."""
        pause_s, last = _FIRST_PAUSE_S, ""
        for _ in range(_ATTEMPTS):
            try:
                return attempt()
            except ClientError as error:
                if not _is_passing(error):
                    raise RegisterError(explain(error, self.uri)) from error
                last = explain(error, self.uri)
            except (HTTPClientError, ConnectionError) as error:
                last = str(error)
            log.debug("Register %s: %s", self.uri, last)
            self._sleep(pause_s * self._jitter())
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        raise RegisterError(
            f"{self.uri} could not be read or changed in {_ATTEMPTS} attempts; the last: {last} "
            "Run the task again: it finds out what was written."
        )

    def _read(self) -> _Reading:
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=self._key)
            body = answer["Body"].read()
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "NoSuchKey":
                raise
            headers = error.response["ResponseMetadata"]["HTTPHeaders"]
            return _Reading(Document(self._environment.name), None, self._tell_time(headers))
        document = decode_document(body, self.uri, self._environment.name)
        return _Reading(document, answer["ETag"], self._tell_time(answer["ResponseMetadata"]["HTTPHeaders"]))

    def _write(self, reading: _Reading, document: Document) -> None:
        body = encode_document(document)
        if reading.etag is None:
            self._s3.put_object(Bucket=self._bucket, Key=self._key, Body=body, IfNoneMatch="*")
            return
        try:
            self._s3.put_object(Bucket=self._bucket, Key=self._key, Body=body, IfMatch=reading.etag)
        except ClientError as error:
            if status_of(error) != 404:
                raise
            raise RegisterError(
                f"{self.uri} was deleted just now. Restore its last version (the bucket's versioning keeps it): "
                "it names what is running, and the snapshot that the warehouse is restored from."
            ) from error

    def _read_date(self, headers: Mapping[str, str]) -> datetime:
        try:
            return parsedate_to_datetime(headers["date"]).astimezone(UTC)
        except (KeyError, ValueError) as error:
            raise RegisterError(
                f"{self.uri}: S3's answer has no usable Date header ({error}), and leases are counted by it. "
                "Does a proxy strip it?"
            ) from error

    def _tell_change(self, before: SlotState, after: SlotState) -> None:
        if before.phase is not after.phase:
            log.info(
                "%s %s: %s -> %s, generation %s, %s",
                self._environment.name,
                after.slot,
                before.phase,
                after.phase,
                after.generation,
                f"by {after.owner}" if after.owner else f"{len(after.leases)} leases",
            )


def _is_passing(error: ClientError) -> bool:
    """Whether another attempt may succeed."""
    code = error.response.get("Error", {}).get("Code")
    return status_of(error) in _OVERTAKEN or status_of(error) >= 500 or code in _THROTTLED
