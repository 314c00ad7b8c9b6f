"""The register's document: what is held, by whom, until when; and its JSON.

Who may change it, and how, are `rules`; storing it is `register`.
All times are S3's, in UTC. Values are frozen: a change makes a new document.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from pydantic import AwareDatetime, ConfigDict, TypeAdapter, ValidationError

from airflow_lib.bounded_json import load_json
from airflow_lib.errors import RegisterError
from airflow_lib.naming import MAX_GENERATION, Slot

VERSION = 3

# No setting allows a lease or a keep-alive of more than a day, so Mayfly wrote none that ends later than this.
# Twice a day: S3's hosts need not agree on the second.
MAX_AHEAD = timedelta(days=2)

_STRICT = ConfigDict(extra="forbid")
_NONCES_KEPT = 16
_SHA_256 = re.compile(r"[0-9a-f]{64}\Z")


class Phase(StrEnum):
    """Where a slot's current generation stands."""

    EMPTY = "empty"
    CREATING = "creating"
    READY = "ready"
    TEARING_DOWN = "tearing_down"


_OWNED = frozenset({Phase.CREATING, Phase.TEARING_DOWN})


@dataclass(frozen=True)
class Lease:
    """A run holds the slot until `until`; whether it still may is `SlotState.live`."""

    __pydantic_config__ = _STRICT

    run: str
    until: AwareDatetime

    def is_live(self, now: datetime) -> bool:
        """Whether it holds. One that ends beyond `MAX_AHEAD` counts as expired, or nobody could ever clean up."""
        return _is_ahead(self.until, now)


@dataclass(frozen=True)
class LivyRecord:
    """How the cluster's Livy was reached at first contact, which every later connection demands.

    `fingerprint` is the SHA-256 of the certificate that was pinned then (hex); none where `mayfly.livy.ca` verifies.
    """

    __pydantic_config__ = _STRICT

    scheme: Literal["https", "http"]
    fingerprint: str | None = None

    def __post_init__(self) -> None:
        if self.fingerprint is not None and not (self.scheme == "https" and _SHA_256.match(self.fingerprint)):
            raise ValueError(f"a certificate of {self.scheme} has no fingerprint {self.fingerprint[:80]!r}")

    def __str__(self) -> str:
        return f"{self.scheme} with certificate {self.fingerprint}" if self.fingerprint else self.scheme


@dataclass(frozen=True)
class SlotState:
    """One slot. Raises ValueError where the parts contradict each other.

    `owner` is the one run that creates or tears down; it always has a lease of its own.
    Every name follows from the generation. Only an EMR cluster needs an id as well, for its name is not unique:
    `requested_at` is when it was last asked for, `cluster_id` what came of it, `livy` how its Livy is reached.
    `snapshot` is the newest one that is available, `predecessor` the one before it, `pending_snapshot` one
    that was asked for while tearing down. `unsaved`: the warehouse may hold rows that no snapshot has.
    `absent_since` is when AWS first answered, and ever since, that the pending one does not exist although the
    warehouse is gone.
    """

    __pydantic_config__ = _STRICT

    slot: Slot
    phase: Phase = Phase.EMPTY
    generation: int = 0
    owner: str | None = None
    leases: tuple[Lease, ...] = ()
    keep_alive_until: AwareDatetime | None = None
    requested_at: AwareDatetime | None = None
    cluster_id: str | None = None
    livy: LivyRecord | None = None
    snapshot: str | None = None
    predecessor: str | None = None
    pending_snapshot: str | None = None
    unsaved: bool = False
    absent_since: AwareDatetime | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.generation <= MAX_GENERATION:
            raise ValueError(f"slot {self.slot} has no generation {self.generation}: 0 to {MAX_GENERATION}")
        if (self.owner is not None) != (self.phase in _OWNED):
            raise ValueError(f"slot {self.slot} is {self.phase} with owner {self.owner!r}")
        if self.owner is not None and self.lease(self.owner) is None:
            raise ValueError(f"slot {self.slot}: its owner {self.owner!r} has no lease")
        if self.phase is Phase.EMPTY and (
            self.leases or self.cluster_id or self.requested_at or self.livy or self.unsaved
        ):
            raise ValueError(f"slot {self.slot} is empty, but holds leases, a cluster or rows")

    def __str__(self) -> str:
        by = f" by {self.owner}" if self.owner else ""
        return f"{self.slot} generation {self.generation}, {self.phase.replace('_', ' ')}{by}"

    def lease(self, run: str) -> Lease | None:
        return next((lease for lease in self.leases if lease.run == run), None)

    def live(self, now: datetime) -> tuple[str, ...]:
        """The runs whose leases have not expired."""
        return tuple(lease.run for lease in self.leases if lease.is_live(now))

    def kept_alive(self, now: datetime) -> bool:
        return self.keep_alive_until is not None and _is_ahead(self.keep_alive_until, now)

    @property
    def protected_snapshots(self) -> frozenset[str]:
        """The snapshots that nobody may delete."""
        named = (self.snapshot, self.predecessor, self.pending_snapshot)
        return frozenset(name for name in named if name is not None)

    def with_lease(self, run: str, until: datetime) -> tuple[Lease, ...]:
        """The leases with `run`'s set to `until`, in the runs' order."""
        return sort_leases([*self.without_lease(run), Lease(run, until)])

    def without_lease(self, run: str) -> tuple[Lease, ...]:
        return tuple(lease for lease in self.leases if lease.run != run)


def _is_ahead(until: datetime, now: datetime) -> bool:
    return now < until and until - now <= MAX_AHEAD


def sort_leases(leases: Iterable[Lease]) -> tuple[Lease, ...]:
    return tuple(sorted(leases, key=lambda lease: lease.run))


@dataclass(frozen=True)
class Document:
    """One environment's register. `nonces` are the latest writes', newest last."""

    __pydantic_config__ = _STRICT

    environment: str
    version: int = VERSION
    emr: SlotState = field(default_factory=lambda: SlotState(Slot.EMR))
    warehouse: SlotState = field(default_factory=lambda: SlotState(Slot.WAREHOUSE))
    nonces: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.emr.slot, self.warehouse.slot) != (Slot.EMR, Slot.WAREHOUSE):
            raise ValueError(
                f"the slots are mixed up: {self.emr.slot} is under emr, {self.warehouse.slot} under warehouse"
            )

    def slot(self, slot: Slot) -> SlotState:
        return self.emr if slot is Slot.EMR else self.warehouse

    def with_slot(self, state: SlotState) -> Document:
        return replace(self, emr=state) if state.slot is Slot.EMR else replace(self, warehouse=state)

    def with_nonce(self, nonce: str) -> Document:
        return replace(self, nonces=(*self.nonces, nonce)[-_NONCES_KEPT:])


_ADAPTER = TypeAdapter(Document)


def encode_document(document: Document) -> bytes:
    """The document as JSON that a person can read, too."""
    return _ADAPTER.dump_json(document, indent=1)


def decode_document(body: bytes, uri: str, environment: str) -> Document:
    """The document in `body`, read from `uri`.

    A document of an older version is read as what it means in this one.
    Raises RegisterError where it is corrupt, another environment's, or of a version that this one does not know.
    It is never written over then, so nothing is lost.
    """
    content = _parse(body, uri)
    version = content.get("version")
    if isinstance(version, int) and version > VERSION:
        raise RegisterError(
            f"{uri} is of version {version}; this Mayfly knows {VERSION}. A newer version wrote it: "
            "deploy that version to every host that runs this pipeline. Nothing was changed."
        )
    if version == 1:
        content = _from_version_1(content)
    if content.get("version") == 2:
        content = _from_version_2(content)
    try:
        document = _ADAPTER.validate_python(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        raise RegisterError(_format_corrupt(uri, f"{path}: {first['msg']}")) from error
    if document.version != VERSION:
        raise RegisterError(_format_corrupt(uri, f"version {document.version} does not exist"))
    if document.environment != environment:
        raise RegisterError(
            f"{uri} is the register of {document.environment}, not of {environment}: two deployments share a "
            "location. Give each its own mayfly.s3.state. Nothing was changed."
        )
    return document


def _parse(body: bytes, uri: str) -> dict[str, Any]:
    content = load_json(body, lambda cause: RegisterError(_format_corrupt(uri, cause)))
    if not isinstance(content, dict):
        raise RegisterError(
            _format_corrupt(uri, f"a JSON object is expected, found {type(content).__name__}")
        )
    return content


def _from_version_1(content: dict[str, Any]) -> dict[str, Any]:
    """A document of version 1 in the form of version 2: it kept every resource, and had another name for tearing down.

    What has another form stays as it is, and the validation refuses it.
    """
    converted = {**content, "version": 2}
    for slot in (Slot.EMR, Slot.WAREHOUSE):
        state = content.get(slot)
        if not isinstance(state, dict):
            continue
        resources = state["resources"] if isinstance(state.get("resources"), list) else []
        clusters = [
            item for item in resources if isinstance(item, dict) and item.get("kind") == "EMR cluster"
        ]
        kept = {key: value for key, value in state.items() if key != "resources"}
        kept["cluster_id"] = clusters[0].get("id") if clusters else None
        if clusters and kept["cluster_id"] is None and kept.get("phase") == "creating":
            kept["requested_at"] = _lease_end_of_owner(state)
        if kept.get("phase") == "draining":
            kept["phase"] = Phase.TEARING_DOWN
        converted[slot] = kept
    return converted


def _from_version_2(content: dict[str, Any]) -> dict[str, Any]:
    """A document of version 2 in this version's form: it knew Livy by plain HTTP alone.

    So the Livy of a ready cluster was reached that way. That of a cluster which is being created was not reached yet.
    """
    converted = {**content, "version": VERSION}
    emr = content.get("emr")
    if isinstance(emr, dict) and emr.get("phase") == Phase.READY:
        converted["emr"] = {"livy": {"scheme": "http"}, **emr}
    return converted


def _lease_end_of_owner(state: dict[str, Any]) -> Any:
    """The latest time at which the owner can have asked for the cluster: version 1 kept no time of the request."""
    leases = state["leases"] if isinstance(state.get("leases"), list) else []
    owners = [item for item in leases if isinstance(item, dict) and item.get("run") == state.get("owner")]
    return owners[0].get("until") if owners else None


def _format_corrupt(uri: str, cause: str) -> str:
    return (
        f"{uri} is corrupt ({cause}). Nothing was changed. Restore its last good version (the bucket's "
        "versioning keeps them). Do not delete it: it names the snapshot that the warehouse is restored from."
    )
