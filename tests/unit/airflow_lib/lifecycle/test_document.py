"""The register's document: what contradicts itself is refused, and what version 1 wrote can still be read."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from airflow_lib.errors import RegisterError
from airflow_lib.lifecycle.document import (
    VERSION,
    Document,
    Lease,
    LivyRecord,
    Phase,
    SlotState,
    decode_document,
    encode_document,
)
from airflow_lib.naming import Slot

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HTTP = LivyRecord("http")  # all that the versions before this one knew
READY = SlotState(Slot.EMR, Phase.READY, 3, leases=(Lease("run1", NOW),), cluster_id="j-3", livy=HTTP)
PINNED = LivyRecord("https", "0f" * 32)

# As Mayfly 0.1 wrote it: a slot in use, one being drained.
VERSION_1 = {
    "environment": "dev-birds",
    "version": 1,
    "emr": {
        "slot": "emr",
        "phase": "ready",
        "generation": 3,
        "owner": None,
        "leases": [{"run": "run1", "until": "2026-11-21T12:00:00Z"}],
        "keep_alive_until": None,
        "resources": [
            {"kind": "IAM role", "name": "mayfly-dev-birds-emr-ec2-g3", "id": "mayfly-dev-birds-emr-ec2-g3"},
            {"kind": "EMR cluster", "name": "mayfly-dev-birds-emr-g3", "id": "j-3"},
        ],
        "snapshot": None,
        "predecessor": None,
        "pending_snapshot": None,
        "unsaved": False,
    },
    "warehouse": {
        "slot": "warehouse",
        "phase": "draining",
        "generation": 7,
        "owner": "run0",
        "leases": [{"run": "run0", "until": "2026-11-21T12:00:00Z"}],
        "keep_alive_until": None,
        "resources": [{"kind": "Redshift cluster", "name": "mayfly-dev-birds-warehouse-g7", "id": None}],
        "snapshot": "s6",
        "predecessor": "s5",
        "pending_snapshot": "s7",
        "unsaved": True,
    },
    "nonces": ["n1"],
}


def decode(content: object) -> Document:
    return decode_document(json.dumps(content).encode(), "s3://b/register.json", "dev-birds")


@pytest.mark.parametrize(
    "change",
    [
        {"owner": "run1"},
        {"phase": Phase.CREATING},
        {"phase": Phase.CREATING, "owner": "run2"},
        {"phase": Phase.EMPTY},
        {"phase": Phase.EMPTY, "leases": ()},
        {"phase": Phase.EMPTY, "leases": (), "cluster_id": None},
        {"phase": Phase.EMPTY, "leases": (), "cluster_id": None, "livy": None, "requested_at": NOW},
        {"phase": Phase.EMPTY, "leases": (), "cluster_id": None, "livy": None, "unsaved": True},
    ],
)
def test_a_slot_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="slot emr"):
        replace(READY, **change)


def test_slots_that_are_mixed_up_are_refused() -> None:
    with pytest.raises(ValueError, match="mixed up"):
        Document("dev-birds", emr=SlotState(Slot.WAREHOUSE))


@pytest.mark.parametrize("livy", [HTTP, PINNED, LivyRecord("https"), None])
def test_a_document_survives_its_json(livy: LivyRecord | None) -> None:
    document = Document("dev-birds").with_slot(replace(READY, livy=livy)).with_nonce("n1")
    assert decode(json.loads(encode_document(document))) == document


@pytest.mark.parametrize(
    ("scheme", "fingerprint"),
    [("http", "0f" * 32), ("https", "0F" * 32), ("https", "0f"), ("https", "x" * 64)],
)
def test_a_fingerprint_that_is_none_is_refused(scheme: Literal["http", "https"], fingerprint: str) -> None:
    with pytest.raises(ValueError, match=f"a certificate of {scheme} has no fingerprint"):
        LivyRecord(scheme, fingerprint)
    livy = {"scheme": scheme, "fingerprint": fingerprint}
    content = json.loads(encode_document(Document("dev-birds").with_slot(READY)))
    with pytest.raises(RegisterError, match="is corrupt"):
        decode({**content, "emr": {**content["emr"], "livy": livy}})


def version_2(state: SlotState) -> Document:
    """What is read of a document of version 2, which had no record of Livy."""
    content = json.loads(encode_document(Document("dev-birds", version=2).with_slot(state)))
    del content["emr"]["livy"]
    return decode(content)


def test_the_livy_of_a_cluster_that_version_2_made_ready_is_reached_by_plain_http() -> None:
    assert version_2(replace(READY, livy=None)) == Document("dev-birds").with_slot(READY)


def test_the_livy_of_a_cluster_that_version_2_was_creating_is_yet_to_be_reached() -> None:
    creating = replace(READY, phase=Phase.CREATING, owner="run1", livy=None)
    assert version_2(creating).emr == creating


@pytest.mark.parametrize(
    "state", [SlotState(Slot.EMR), replace(READY, phase=Phase.TEARING_DOWN, owner="run1")]
)
def test_where_version_2_held_no_cluster_there_is_no_livy(state: SlotState) -> None:
    assert version_2(replace(state, livy=None)).emr.livy is None


def test_only_the_latest_nonces_are_kept() -> None:
    document = Document("dev-birds")
    for number in range(20):
        document = document.with_nonce(f"n{number}")
    assert document.nonces == tuple(f"n{number}" for number in range(4, 20))


def test_a_document_of_version_1_keeps_its_cluster_its_teardown_and_its_snapshots() -> None:
    document = decode(VERSION_1)
    assert (document.version, document.nonces) == (3, ("n1",))
    assert document.emr == READY
    warehouse = document.warehouse
    assert (warehouse.phase, warehouse.owner, warehouse.generation) == (Phase.TEARING_DOWN, "run0", 7)
    assert (warehouse.snapshot, warehouse.predecessor, warehouse.pending_snapshot) == ("s6", "s5", "s7")
    assert warehouse.unsaved


def test_a_document_of_version_2_is_read_as_it_is() -> None:
    document = Document("dev-birds", emr=READY)
    content = json.loads(encode_document(document))
    for slot in ("emr", "warehouse"):
        del content[slot]["absent_since"]  # it had no such field
    assert decode_document(json.dumps(content | {"version": 2}).encode(), "uri", "dev-birds") == document


def test_a_cluster_that_version_1_had_asked_for_without_an_answer_may_still_come() -> None:
    planned = {"kind": "EMR cluster", "name": "mayfly-dev-birds-emr-g3", "id": None}
    creating = {**VERSION_1["emr"], "phase": "creating", "owner": "run1", "resources": [planned]}
    document = decode({**VERSION_1, "emr": creating})
    assert (document.emr.cluster_id, document.emr.requested_at) == (None, NOW)  # when its owner's lease ends


@pytest.mark.parametrize(
    "damage", [{"emr": 1}, {"emr": None}, {"emr": {"resources": 5}}, {"warehouse": {"phase": "gone"}}]
)
def test_a_corrupt_document_of_version_1_is_an_error(damage: dict[str, object]) -> None:
    with pytest.raises(RegisterError, match=r"is corrupt .*Nothing was changed"):
        decode({**VERSION_1, **damage})


def test_a_slot_shows_its_generation_phase_and_owner() -> None:
    assert str(READY) == "emr generation 3, ready"
    assert str(decode(VERSION_1).warehouse) == "warehouse generation 7, tearing down by run0"


@pytest.mark.parametrize("generation", [-5, -1, 10_000_000, 10**18, 1.5, "x", None])
def test_a_generation_that_no_name_has_room_for_is_corrupt(generation: object) -> None:
    """-5 made a role `…-g-5`, which no inventory sees."""
    with pytest.raises(RegisterError, match=r"is corrupt \((emr|emr.generation)"):
        decode(
            {"environment": "dev-birds", "version": VERSION, "emr": {"slot": "emr", "generation": generation}}
        )


@pytest.mark.parametrize(
    ("ahead", "live"),
    [
        (timedelta(seconds=1), True),
        (timedelta(days=2), True),
        (timedelta(days=2, seconds=1), False),
        (-timedelta(1), False),
    ],
)
def test_a_lease_or_keep_alive_further_ahead_than_any_setting_allows_holds_nothing(
    ahead: timedelta,
    live: bool,
) -> None:
    slot = SlotState(
        Slot.EMR, Phase.READY, 3, leases=(Lease("run1", NOW + ahead),), keep_alive_until=NOW + ahead
    )
    assert slot.live(NOW) == (("run1",) if live else ())
    assert slot.kept_alive(NOW) == live


@pytest.mark.parametrize(
    "until", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"]
)
def test_the_ends_of_time_are_read_and_hold_nothing(until: str) -> None:
    leases = [{"run": "run1", "until": until}]
    emr = {"slot": "emr", "phase": "ready", "generation": 3, "leases": leases, "keep_alive_until": until}
    document = decode({"environment": "dev-birds", "version": VERSION, "emr": emr})
    assert document.emr.live(NOW) == ()
    assert not document.emr.kept_alive(NOW)
    assert decode(json.loads(encode_document(document))) == document
