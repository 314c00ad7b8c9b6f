from __future__ import annotations

import re
from typing import Any

import pytest

from airflow_lib.aws.clients import Aws
from airflow_lib.errors import ForeignResource, ResourceError, UnknownState
from airflow_lib.naming import Names
from airflow_lib.resources import redshift_cluster as redshift
from airflow_lib.resources.common import NotReady
from airflow_lib.resources.redshift_cluster import WarehouseSpec, WarehouseState
from airflow_lib.resources.security_groups import SubnetFacts
from airflow_lib.resources.subnet_group import (
    delete_subnet_group,
    ensure_subnet_group,
    list_owned_subnet_groups,
    probe_subnet_group,
)

from .conftest import ENVIRONMENT, OTHER, TAGS, Faulty, refused

ROLE = "arn:aws:iam::123456789012:role/mayfly-dev-immigration-warehouse-copy-g3"


@pytest.fixture
def spec(aws: Aws, warehouse_names: Names, subnet: SubnetFacts) -> WarehouseSpec:
    return WarehouseSpec(
        names=warehouse_names,
        tags=TAGS,
        node_type="ra3.large",
        nodes=1,
        database="mayfly",
        subnet_group=ensure_subnet_group(aws.redshift, warehouse_names, TAGS, subnet.subnet_id),
        security_group_id="sg-1",
        copy_role_arn=ROLE,
    )


class Scripted:
    """A warehouse in a state that moto cannot be in; remembers what it was asked."""

    def __init__(self, status: str, **more: Any) -> None:
        self.cluster = {
            "ClusterIdentifier": "mayfly-dev-immigration-warehouse-g3",
            "ClusterStatus": status,
            "Tags": [{"Key": key, "Value": value} for key, value in TAGS.items()],
            **more,
        }
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def describe_clusters(self, **_: Any) -> dict[str, Any]:
        return {"Clusters": [self.cluster]}

    def __getattr__(self, name: str) -> Any:
        return lambda **arguments: self.asked.append((name, arguments))


def _delete(client: Any, snapshot: str | None = "final") -> None:
    redshift.delete_cluster(
        client, ENVIRONMENT, "mayfly-dev-immigration-warehouse-g3", final_snapshot=snapshot
    )


def test_a_new_warehouse_is_encrypted_private_and_tagged(aws: Aws, spec: WarehouseSpec) -> None:
    redshift.ensure_cluster(aws.redshift, spec)
    (cluster,) = aws.redshift.describe_clusters(ClusterIdentifier=spec.names.cluster)["Clusters"]

    assert cluster["Encrypted"] is True
    assert cluster["PubliclyAccessible"] is False
    assert cluster["DBName"] == "mayfly"
    assert cluster["NumberOfNodes"] == 1
    assert cluster["ClusterSubnetGroupName"] == spec.names.cluster
    assert [role["IamRoleArn"] for role in cluster["IamRoles"]] == [ROLE]
    assert {tag["Key"]: tag["Value"] for tag in cluster["Tags"]} == TAGS


@pytest.mark.parametrize(("nodes", "kind"), [(1, "single-node"), (2, "multi-node")])
def test_the_number_of_nodes_decides_the_type(spec: WarehouseSpec, nodes: int, kind: str) -> None:
    request = redshift.render_create(WarehouseSpec(**{**spec.__dict__, "nodes": nodes}), admin_password="x")
    assert request["ClusterType"] == kind
    assert request.get("NumberOfNodes") == (None if nodes == 1 else nodes)


def test_the_password_is_random_strong_and_told_nowhere(
    aws: Aws, spec: WarehouseSpec, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = redshift.make_password(), redshift.make_password()
    assert first != second
    for pattern in ("[a-z]", "[A-Z]", "[0-9]", r"\A[!-~]{8,64}\Z"):
        assert re.search(pattern, first)
    assert "assword" not in repr(redshift.ensure_cluster(aws.redshift, spec))


def test_what_is_ours_already_is_adopted(aws: Aws, spec: WarehouseSpec) -> None:
    first = redshift.ensure_cluster(aws.redshift, spec)
    assert redshift.ensure_cluster(aws.redshift, spec) == first
    assert first.state is WarehouseState.AVAILABLE


def test_the_expiry_that_a_warehouse_was_born_with_is_never_renewed(aws: Aws, spec: WarehouseSpec) -> None:
    redshift.ensure_cluster(aws.redshift, spec)
    later = WarehouseSpec(**{**spec.__dict__, "tags": {**TAGS, "mayfly:expires-at": "2030-01-01T00:00:00Z"}})
    redshift.ensure_cluster(aws.redshift, later)
    view = redshift.probe_cluster(aws.redshift, spec.names.cluster)
    assert view is not None
    assert view.tags == TAGS


def test_a_ready_warehouse_tells_where_it_is(aws: Aws, spec: WarehouseSpec) -> None:
    redshift.ensure_cluster(aws.redshift, spec)
    view = redshift.probe_cluster(aws.redshift, spec.names.cluster)
    assert view is not None
    assert view.ready
    assert view.host
    assert view.port == 5439
    assert view.admin_user == redshift.ADMIN_USER


def test_a_warehouse_whose_role_is_still_being_added_is_not_ready() -> None:
    client: Any = Scripted(
        "available",
        Endpoint={"Address": "h", "Port": 5439},
        IamRoles=[{"IamRoleArn": ROLE, "ApplyStatus": "adding"}],
    )
    view = redshift.probe_cluster(client, "w")
    assert view is not None
    assert not view.ready
    assert not view.failed


def test_a_cluster_of_our_name_without_our_tag_is_neither_used_nor_deleted(
    aws: Aws, spec: WarehouseSpec
) -> None:
    delete_subnet_group(aws.redshift, ENVIRONMENT, spec.subnet_group)
    aws.redshift.create_cluster(
        ClusterIdentifier=spec.names.cluster,
        NodeType="ra3.large",
        ClusterType="single-node",
        MasterUsername="them",
        MasterUserPassword="Secret123",
    )
    with pytest.raises(ForeignResource, match=spec.names.cluster):
        redshift.ensure_cluster(aws.redshift, WarehouseSpec(**{**spec.__dict__, "subnet_group": "default"}))
    with pytest.raises(ForeignResource):
        _delete(aws.redshift)
    assert redshift.list_owned_clusters(aws.redshift, ENVIRONMENT) == []
    assert redshift.probe_cluster(aws.redshift, spec.names.cluster) is not None


def test_a_restored_warehouse_has_this_generations_tags_groups_and_role(
    aws: Aws, spec: WarehouseSpec, subnet: SubnetFacts
) -> None:
    redshift.ensure_cluster(aws.redshift, spec)
    _delete(aws.redshift, spec.names.final_snapshot)
    newer = Names(ENVIRONMENT, spec.names.slot, 4)
    tags = {**TAGS, "mayfly:generation": "4"}
    group = ensure_subnet_group(aws.redshift, newer, tags, subnet.subnet_id)
    restored = WarehouseSpec(**{**spec.__dict__, "names": newer, "tags": tags, "subnet_group": group})
    redshift.ensure_cluster(aws.redshift, restored, restore_from=spec.names.final_snapshot)

    view = redshift.probe_cluster(aws.redshift, newer.cluster)
    assert view is not None
    assert view.tags == tags
    assert view.subnet_group == group
    assert set(view.roles) == {ROLE}
    assert view.database == "mayfly"


def test_a_restored_warehouse_whose_maker_died_before_tagging_it_is_still_ours(
    aws: Aws, spec: WarehouseSpec
) -> None:
    redshift.ensure_cluster(aws.redshift, spec)
    arn = f"arn:aws:redshift:us-east-1:123456789012:cluster:{spec.names.cluster}"
    aws.redshift.delete_tags(ResourceName=arn, TagKeys=list(TAGS))

    assert [owned.name for owned in redshift.list_owned_clusters(aws.redshift, ENVIRONMENT)] == [
        spec.names.cluster
    ]
    redshift.ensure_cluster(aws.redshift, spec)
    view = redshift.probe_cluster(aws.redshift, spec.names.cluster)
    assert view is not None
    assert view.tags == TAGS


def test_a_cluster_with_another_environments_tag_is_not_ours_wherever_it_sits(
    aws: Aws, spec: WarehouseSpec
) -> None:
    theirs = WarehouseSpec(**{**spec.__dict__, "tags": {**TAGS, "mayfly:environment": OTHER.name}})
    aws.redshift.create_cluster(**redshift.render_create(theirs, admin_password="Secret123"))
    with pytest.raises(ForeignResource):
        _delete(aws.redshift)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("InvalidParameterValue", "The IAM role arn:… is not valid. Cannot assume role"),
        ("UnauthorizedOperation", "not authorized to assume IAM Role"),
        ("ClusterSubnetGroupNotFoundFault", "Cluster subnet group mayfly-… does not exist"),
    ],
)
def test_what_redshift_does_not_see_yet_is_not_yet(
    aws: Aws, spec: WarehouseSpec, code: str, message: str
) -> None:
    lagging: Any = Faulty(aws.redshift, {"create_cluster": [refused(code, message)]})
    with pytest.raises(NotReady):
        redshift.ensure_cluster(lagging, spec)
    assert redshift.ensure_cluster(lagging, spec).name == spec.names.cluster


def test_a_lack_of_capacity_is_told_as_such(aws: Aws, spec: WarehouseSpec) -> None:
    full: Any = Faulty(aws.redshift, {"create_cluster": [refused("InsufficientClusterCapacity")]})
    with pytest.raises(ResourceError, match="another node type"):
        redshift.ensure_cluster(full, spec)


def test_a_restore_names_the_cluster_that_the_snapshot_was_taken_of(aws: Aws, spec: WarehouseSpec) -> None:
    redshift.ensure_cluster(aws.redshift, spec)
    _delete(aws.redshift, spec.names.final_snapshot)
    sent: list[dict[str, Any]] = []
    aws.redshift.meta.events.register(
        "provide-client-params.redshift.RestoreFromClusterSnapshot",
        lambda params, **_: sent.append(params),
    )
    newer = WarehouseSpec(**{**spec.__dict__, "names": Names(ENVIRONMENT, spec.names.slot, 4)})
    redshift.ensure_cluster(aws.redshift, newer, restore_from=spec.names.final_snapshot)
    (request,) = sent
    assert request["ClusterIdentifier"] == newer.names.cluster
    assert request["SnapshotIdentifier"] == spec.names.final_snapshot
    assert request["SnapshotClusterIdentifier"] == spec.names.cluster


def test_a_snapshot_that_is_gone_makes_no_empty_warehouse(aws: Aws, spec: WarehouseSpec) -> None:
    with pytest.raises(ResourceError, match="no Redshift snapshot lost"):
        redshift.ensure_cluster(aws.redshift, spec, restore_from="lost")
    assert redshift.probe_cluster(aws.redshift, spec.names.cluster) is None


@pytest.mark.parametrize("state", list(WarehouseState))
def test_every_state_is_either_ready_pending_or_failed(state: WarehouseState) -> None:
    assert sum(state in states for states in (redshift.READY, redshift.PENDING, redshift.FAILED)) == 1


def test_an_unknown_state_is_an_error() -> None:
    client: Any = Scripted("daydreaming")
    with pytest.raises(UnknownState, match="daydreaming"):
        redshift.probe_cluster(client, "w")


def test_deleting_takes_the_final_snapshot(aws: Aws, spec: WarehouseSpec) -> None:
    redshift.ensure_cluster(aws.redshift, spec)
    _delete(aws.redshift, spec.names.final_snapshot)
    assert redshift.probe_cluster(aws.redshift, spec.names.cluster) is None
    (snapshot,) = aws.redshift.describe_cluster_snapshots(SnapshotIdentifier=spec.names.final_snapshot)[
        "Snapshots"
    ]
    assert snapshot["ClusterIdentifier"] == spec.names.cluster


def test_deleting_what_is_absent_is_success(aws: Aws) -> None:
    _delete(aws.redshift)
    delete_subnet_group(aws.redshift, ENVIRONMENT, "mayfly-dev-immigration-warehouse-g3")


@pytest.mark.parametrize("status", ["deleting", "final-snapshot"])
def test_a_cluster_that_is_being_deleted_is_left_to_it(status: str) -> None:
    client = Scripted(status)
    _delete(client)
    assert client.asked == []


@pytest.mark.parametrize("status", ["creating", "modifying", "resizing", "pausing", "resuming", "rebooting"])
def test_a_cluster_in_transition_is_asked_again_later(status: str) -> None:
    client = Scripted(status)
    with pytest.raises(NotReady, match=status):
        _delete(client)
    assert client.asked == []


def test_a_paused_cluster_is_resumed_for_its_final_snapshot() -> None:
    client = Scripted("paused")
    with pytest.raises(NotReady, match="resumed"):
        _delete(client)
    assert [name for name, _ in client.asked] == ["resume_cluster"]


@pytest.mark.parametrize("status", ["storage-full", "incompatible-network", "hardware-failure"])
def test_a_broken_cluster_is_deleted_with_its_final_snapshot(status: str) -> None:
    client = Scripted(status)
    _delete(client)
    ((name, arguments),) = client.asked
    assert name == "delete_cluster"
    assert arguments["FinalClusterSnapshotIdentifier"] == "final"


def test_a_snapshot_is_skipped_only_where_it_is_said() -> None:
    client = Scripted("paused")
    _delete(client, snapshot=None)
    assert client.asked == [
        (
            "delete_cluster",
            {
                "ClusterIdentifier": "mayfly-dev-immigration-warehouse-g3",
                "SkipFinalClusterSnapshot": True,
            },
        )
    ]


def test_a_refusal_for_the_state_is_not_yet(aws: Aws, spec: WarehouseSpec) -> None:
    redshift.ensure_cluster(aws.redshift, spec)
    busy: Any = Faulty(
        aws.redshift, {"delete_cluster": [refused("InvalidClusterState", "operation running")]}
    )
    with pytest.raises(NotReady, match="operation running"):
        _delete(busy)


def test_a_snapshot_name_that_is_taken_is_told(aws: Aws, spec: WarehouseSpec) -> None:
    redshift.ensure_cluster(aws.redshift, spec)
    taken: Any = Faulty(aws.redshift, {"delete_cluster": [refused("ClusterSnapshotAlreadyExists", "final")]})
    with pytest.raises(ResourceError, match="ClusterSnapshotAlreadyExists"):
        _delete(taken)


def test_the_subnet_group_is_made_adopted_listed_and_deleted(
    aws: Aws, warehouse_names: Names, subnet: SubnetFacts
) -> None:
    name = ensure_subnet_group(aws.redshift, warehouse_names, TAGS, subnet.subnet_id)
    assert ensure_subnet_group(aws.redshift, warehouse_names, TAGS, subnet.subnet_id) == name
    (owned,) = list_owned_subnet_groups(aws.redshift, ENVIRONMENT)
    assert owned.name == name
    assert list_owned_subnet_groups(aws.redshift, OTHER) == []
    delete_subnet_group(aws.redshift, ENVIRONMENT, name)
    assert probe_subnet_group(aws.redshift, ENVIRONMENT, name) is None


def test_a_subnet_group_without_our_tag_is_neither_used_nor_deleted(
    aws: Aws, warehouse_names: Names, subnet: SubnetFacts
) -> None:
    aws.redshift.create_cluster_subnet_group(
        ClusterSubnetGroupName=warehouse_names.cluster, Description="d", SubnetIds=[subnet.subnet_id]
    )
    # moto overwrites a group of the same name; AWS refuses.
    strict: Any = Faulty(
        aws.redshift, {"create_cluster_subnet_group": [refused("ClusterSubnetGroupAlreadyExists")]}
    )
    with pytest.raises(ForeignResource):
        ensure_subnet_group(strict, warehouse_names, TAGS, subnet.subnet_id)
    with pytest.raises(ForeignResource):
        delete_subnet_group(aws.redshift, ENVIRONMENT, warehouse_names.cluster)


def test_a_subnet_group_in_use_is_not_yet(aws: Aws, spec: WarehouseSpec) -> None:
    held: Any = Faulty(
        aws.redshift, {"delete_cluster_subnet_group": [refused("InvalidClusterSubnetGroupStateFault")]}
    )
    with pytest.raises(NotReady):
        delete_subnet_group(held, ENVIRONMENT, spec.subnet_group)
    delete_subnet_group(held, ENVIRONMENT, spec.subnet_group)
