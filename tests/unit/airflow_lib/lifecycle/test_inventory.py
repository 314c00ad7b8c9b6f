"""What the register says of each thing that has our name and tag, and what an inventory makes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from airflow_lib.aws.clients import Aws
from airflow_lib.errors import ResourceError
from airflow_lib.lifecycle import inventory
from airflow_lib.lifecycle.document import Document, Lease, Phase, SlotState
from airflow_lib.lifecycle.inventory import (
    Inventory,
    Listing,
    Standing,
    classify,
    list_owned,
    names_of,
    take_inventory,
    take_unregistered_inventory,
)
from airflow_lib.naming import Environment, Slot
from airflow_lib.resources import emr_cluster, iam_roles, redshift_cluster
from airflow_lib.resources.kind import Kind
from airflow_lib.resources.owned import Owned
from airflow_lib.resources.snapshots import SNAPSHOT

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATER, EARLIER = NOW + timedelta(seconds=60), NOW - timedelta(seconds=60)
ENVIRONMENT = Environment("dev", "birds")
EMR = SlotState(Slot.EMR, Phase.READY, 3, leases=(Lease("run1", LATER),), cluster_id="j-3")
WAREHOUSE = SlotState(Slot.WAREHOUSE, generation=3, snapshot="mayfly-dev-birds-warehouse-final-g3")


def emr(id: str, generation: int = 3) -> Owned:
    return Owned(emr_cluster.CLUSTER, id, f"mayfly-dev-birds-emr-g{generation}")


def role(generation: int) -> Owned:
    return Owned(iam_roles.ROLE, "arn", f"mayfly-dev-birds-emr-service-g{generation}")


def snapshot(generation: int, state: str = "available") -> Owned:
    name = f"mayfly-dev-birds-warehouse-final-g{generation}"
    return Owned(SNAPSHOT, name, name, state=state)


def standings(document: Document, *owned: Owned) -> list[Standing]:
    found = classify(owned, ENVIRONMENT, document, NOW, keep_snapshots=2)
    return [finding.standing for finding in found]


def document(emr_state: SlotState = EMR, warehouse: SlotState = WAREHOUSE) -> Document:
    return Document(ENVIRONMENT.name, emr=emr_state, warehouse=warehouse)


@pytest.mark.parametrize(
    ("state", "item", "standing"),
    [
        (EMR, emr("j-3"), Standing.HELD),
        (EMR, emr("j-4"), Standing.DUPLICATE),
        (EMR, role(3), Standing.HELD),
        (EMR, role(2), Standing.ORPHAN),
        (EMR, role(4), Standing.UNKNOWN),
        (replace(EMR, leases=(Lease("run1", EARLIER),)), role(3), Standing.UNHELD),
        (replace(EMR, leases=(), keep_alive_until=LATER), role(3), Standing.HELD),
        (replace(EMR, leases=(), keep_alive_until=EARLIER), role(3), Standing.UNHELD),
        (replace(EMR, phase=Phase.CREATING, owner="run1", cluster_id=None), emr("j-9"), Standing.HELD),
        (SlotState(Slot.EMR, generation=3), role(3), Standing.ORPHAN),
    ],
)
def test_the_register_says_how_each_thing_stands(state: SlotState, item: Owned, standing: Standing) -> None:
    assert standings(document(state), item) == [standing]


def test_of_the_snapshots_the_recorded_ones_and_the_newest_stay() -> None:
    recorded = replace(WAREHOUSE, snapshot=snapshot(1).name)
    owned = [snapshot(number) for number in (1, 2, 3, 4)]
    assert standings(document(warehouse=recorded), *owned) == [
        Standing.KEPT_SNAPSHOT,
        Standing.OLD_SNAPSHOT,
        Standing.KEPT_SNAPSHOT,
        Standing.KEPT_SNAPSHOT,
    ]


def test_what_does_not_bear_our_name_has_no_standing() -> None:
    assert standings(document(), Owned(iam_roles.ROLE, "arn", "analyst")) == []


def take(document: Document, *owned: Owned, run: str, unlisted: dict[str, str] | None = None) -> Inventory:
    listing = Listing(owned, unlisted or {})
    return take_inventory(ENVIRONMENT, listing, document, NOW, run=run, keep_snapshots=2)


def test_what_another_run_holds_is_kept_and_what_this_run_still_holds_is_left() -> None:
    assert take(document(), role(3), run="run2") == Inventory(left=(), kept=(str(role(3)),))
    assert take(document(), role(3), run="run1") == Inventory(left=(str(role(3)),), kept=())


def test_a_duplicate_cluster_goes_with_the_slot_that_another_run_holds() -> None:
    assert take(document(), emr("j-4"), run="run2").left == ()


def test_orphans_and_old_snapshots_are_left() -> None:
    many = [snapshot(number) for number in (1, 2, 3, 4)]
    taken = take(document(), role(2), *many, run="run2")
    assert taken.left == (str(role(2)), str(many[0]), str(many[1]))
    assert taken.kept == (str(many[2]), str(many[3]))  # g3 is recorded, too


def test_a_kind_that_cannot_be_listed_is_there_by_its_names() -> None:
    taken = take(document(), run="run1", unlisted={iam_roles.ROLE: "denied"})
    assert [line.split(",")[0] for line in taken.left] == [
        "IAM role mayfly-dev-birds-emr-ec2-g3",
        "IAM role mayfly-dev-birds-emr-service-g3",
    ]
    assert (
        take(document(SlotState(Slot.EMR, generation=3)), run="run1", unlisted={iam_roles.ROLE: "no"}).left
        == ()
    )


def test_without_a_register_a_kind_that_cannot_be_listed_is_there_by_the_names_of_what_is() -> None:
    listing = Listing((emr("j-2", 2), snapshot(1)), {iam_roles.ROLE: "denied"})
    taken = take_unregistered_inventory(ENVIRONMENT, listing)
    assert taken.kept == ()
    assert [line.split(",")[0] for line in taken.left[2:]] == [
        "IAM role mayfly-dev-birds-emr-ec2-g2",
        "IAM role mayfly-dev-birds-emr-service-g2",
    ]


def test_snapshots_that_cannot_be_listed_are_not_made_up() -> None:
    slot = SlotState(Slot.WAREHOUSE, Phase.READY, 3, leases=(Lease("run1", LATER),))
    assert take(document(warehouse=slot), run="run1", unlisted={SNAPSHOT: "denied"}).left == ()
    assert not [line for line in names_of(ENVIRONMENT, slot) if SNAPSHOT in line]


def test_every_name_of_a_generation_is_known_from_the_register_alone() -> None:
    lines = names_of(ENVIRONMENT, EMR)
    assert f"{emr_cluster.CLUSTER} mayfly-dev-birds-emr-g3" in lines
    assert "security group mayfly-dev-birds-emr-master-g3" in lines
    assert not [line for line in lines if redshift_cluster.CLUSTER in line]


def test_a_kind_that_cannot_be_listed_keeps_no_other_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(aws: Aws, environment: Environment) -> list[Owned]:
        raise ResourceError("denied")

    kinds = (
        Kind("ghost", names=lambda _: (), list_owned=refuse),
        Kind("IAM role", names=lambda _: (), list_owned=lambda *_: [role(3)]),
    )
    monkeypatch.setattr(inventory, "REGISTRY", kinds)
    listing = list_owned(Aws(None), ENVIRONMENT)  # type: ignore[arg-type]
    assert listing.owned == (role(3),)
    assert listing.problems == ["ghost: cannot be listed: denied"]


def test_an_answer_that_nobody_foresaw_hides_no_other_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(aws: Aws, environment: Environment) -> list[Owned]:
        raise KeyError("Name")

    kinds = (
        Kind("ghost", names=lambda _: (), list_owned=stumble),
        Kind("IAM role", names=lambda _: (), list_owned=lambda *_: [role(3)]),
    )
    monkeypatch.setattr(inventory, "REGISTRY", kinds)
    listing = list_owned(Aws(None), ENVIRONMENT)  # type: ignore[arg-type]
    assert listing.owned == (role(3),)
    assert listing.problems == ["ghost: cannot be listed: unexpected KeyError: 'Name'"]
