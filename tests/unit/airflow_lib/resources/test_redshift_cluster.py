from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from airflow_lib.aws.clients import Aws
from airflow_lib.errors import ForeignResource, NotReady, ResourceError, SnapshotAbsent, UnknownState
from airflow_lib.naming import Names, Slot
from airflow_lib.resources import redshift_cluster as redshift
from airflow_lib.resources.iam_roles import delete_roles
from airflow_lib.resources.kind import GenerationSpec
from airflow_lib.resources.redshift_cluster import Attachments, WarehouseState
from airflow_lib.resources.security_groups import find_groups
from airflow_lib.resources.snapshots import probe_snapshot
from airflow_lib.resources.subnet_groups import delete_subnet_groups

from .conftest import (
    ENVIRONMENT,
    LATER,
    NOW,
    OTHER,
    TAGS,
    Faulty,
    ensure_all,
    refused,
    settings_with,
    spec_of,
    tags_of,
    with_clients,
)

ROLE = "arn:aws:iam::123456789012:role/mayfly-dev-immigration-warehouse-copy-g3"
ATTACHED = Attachments(security_group_id="sg-1", copy_role_arn=ROLE)


@pytest.fixture
def spec(aws: Aws, warehouse_spec: GenerationSpec) -> GenerationSpec:
    """A generation with all that its cluster needs."""
    ensure_all(aws, warehouse_spec)
    return warehouse_spec


@pytest.fixture
def newer(aws: Aws, spec: GenerationSpec) -> GenerationSpec:
    """The next generation, to be restored from the final snapshot of the other."""
    newer = spec_of(Slot.WAREHOUSE, spec.subnet, 4, restore_from=spec.names.final_snapshot)
    ensure_all(aws, newer)
    return newer


def _faulty(aws: Aws, method: str, error: Exception) -> Aws:
    """Clients whose next call of that method of Redshift fails."""
    return with_clients(aws, redshift=Faulty(aws.redshift, {method: [error]}))


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


def test_a_new_warehouse_is_encrypted_private_and_tagged(aws: Aws, spec: GenerationSpec) -> None:
    redshift.ensure_cluster(aws, spec, NOW)
    (cluster,) = aws.redshift.describe_clusters(ClusterIdentifier=spec.names.cluster)["Clusters"]

    assert cluster["Encrypted"] is True
    assert cluster["PubliclyAccessible"] is False
    assert cluster["DBName"] == "mayfly"
    assert cluster["NumberOfNodes"] == 1
    assert cluster["ClusterSubnetGroupName"] == spec.names.cluster
    assert [role["IamRoleArn"] for role in cluster["IamRoles"]] == [ROLE]
    groups = find_groups(aws.ec2, spec.names, spec.subnet)
    assert [one["VpcSecurityGroupId"] for one in cluster["VpcSecurityGroups"]] == list(groups.values())
    assert {tag["Key"]: tag["Value"] for tag in cluster["Tags"]} == TAGS


@pytest.mark.parametrize(("nodes", "kind"), [(1, "single-node"), (2, "multi-node")])
def test_the_number_of_nodes_decides_the_type(warehouse_spec: GenerationSpec, nodes: int, kind: str) -> None:
    hardware = replace(warehouse_spec.hardware, warehouse_nodes=nodes)
    request = redshift.render_create(replace(warehouse_spec, hardware=hardware), ATTACHED, admin_password="x")
    assert request["ClusterType"] == kind
    assert request.get("NumberOfNodes") == (None if nodes == 1 else nodes)


def test_the_password_is_random_strong_and_shown_nowhere(
    aws: Aws, spec: GenerationSpec, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = redshift.make_password(), redshift.make_password()
    assert first != second
    for pattern in ("[a-z]", "[A-Z]", "[0-9]", r"\A[!-~]{8,64}\Z"):
        assert re.search(pattern, first)
    assert "assword" not in repr(redshift.ensure_cluster(aws, spec, NOW))


def test_what_is_ours_already_is_adopted(aws: Aws, spec: GenerationSpec) -> None:
    first = redshift.ensure_cluster(aws, spec, NOW)
    assert redshift.ensure_cluster(aws, spec, NOW) == first
    assert first.state == WarehouseState.AVAILABLE


def test_the_expiry_that_a_warehouse_was_born_with_is_never_renewed(aws: Aws, spec: GenerationSpec) -> None:
    redshift.ensure_cluster(aws, spec, NOW)
    later = replace(spec, tags={**TAGS, "mayfly:expires-at": "2030-01-01T00:00:00Z"})
    redshift.ensure_cluster(aws, later, NOW)
    view = redshift.probe_cluster(aws.redshift, spec.names.cluster)
    assert view is not None
    assert view.tags == TAGS


def test_a_ready_warehouse_has_an_address(aws: Aws, spec: GenerationSpec) -> None:
    redshift.ensure_cluster(aws, spec, NOW)
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
    aws: Aws, spec: GenerationSpec
) -> None:
    delete_subnet_groups(aws, spec.names)
    aws.redshift.create_cluster(
        ClusterIdentifier=spec.names.cluster,
        NodeType="ra3.large",
        ClusterType="single-node",
        MasterUsername="them",
        MasterUserPassword="Secret123",
    )
    with pytest.raises(ForeignResource, match=spec.names.cluster):
        redshift.ensure_cluster(aws, spec, NOW)
    with pytest.raises(ForeignResource):
        _delete(aws.redshift)
    assert redshift.list_owned_clusters(aws.redshift, ENVIRONMENT) == []
    assert redshift.probe_cluster(aws.redshift, spec.names.cluster) is not None


def test_a_restored_warehouse_has_this_generations_tags_groups_and_role(
    aws: Aws, spec: GenerationSpec, newer: GenerationSpec
) -> None:
    redshift.ensure_cluster(aws, spec, NOW)
    _delete(aws.redshift, spec.names.final_snapshot)
    redshift.ensure_cluster(aws, newer, NOW)

    view = redshift.probe_cluster(aws.redshift, newer.names.cluster)
    assert view is not None
    assert view.tags == tags_of(4)
    assert view.subnet_group == newer.names.cluster
    assert set(view.roles) == {ROLE.replace("-g3", "-g4")}
    (cluster,) = aws.redshift.describe_clusters(ClusterIdentifier=newer.names.cluster)["Clusters"]
    groups = find_groups(aws.ec2, newer.names, newer.subnet)
    assert [one["VpcSecurityGroupId"] for one in cluster["VpcSecurityGroups"]] == list(groups.values())
    assert view.database == "mayfly"


def test_a_restored_warehouse_whose_creator_died_before_tagging_it_is_still_ours(
    aws: Aws, spec: GenerationSpec
) -> None:
    redshift.ensure_cluster(aws, spec, NOW)
    arn = f"arn:aws:redshift:us-east-1:123456789012:cluster:{spec.names.cluster}"
    aws.redshift.delete_tags(ResourceName=arn, TagKeys=list(TAGS))

    assert [owned.name for owned in redshift.list_owned_clusters(aws.redshift, ENVIRONMENT)] == [
        spec.names.cluster
    ]
    redshift.ensure_cluster(aws, spec, NOW)
    view = redshift.probe_cluster(aws.redshift, spec.names.cluster)
    assert view is not None
    assert view.tags == TAGS


def test_a_cluster_with_another_environments_tag_is_not_ours_wherever_it_sits(
    aws: Aws, spec: GenerationSpec
) -> None:
    theirs = replace(spec, tags=tags_of(3, OTHER))
    aws.redshift.create_cluster(**redshift.render_create(theirs, ATTACHED, admin_password="Secret123"))
    with pytest.raises(ForeignResource):
        _delete(aws.redshift)


LAG = pytest.mark.parametrize(
    ("code", "message"),
    [
        ("InvalidParameterValue", "The IAM role arn:… is not valid. Cannot assume role"),
        ("InvalidParameterValue", "The IAM role arn:aws:iam::1:role/x does not exist."),
        ("UnauthorizedOperation", "not authorized to assume IAM Role"),
        ("ClusterSubnetGroupNotFoundFault", "Cluster subnet group mayfly-… does not exist"),
        ("InvalidParameterValue", "The security group sg-0 does not exist."),
    ],
)


@LAG
def test_while_redshift_does_not_see_what_was_just_made_it_is_not_ready(
    aws: Aws, spec: GenerationSpec, code: str, message: str
) -> None:
    lagging = _faulty(aws, "create_cluster", refused(code, message))
    with pytest.raises(NotReady):
        redshift.ensure_cluster(lagging, spec, NOW)
    assert redshift.ensure_cluster(lagging, spec, NOW).name == spec.names.cluster


@LAG
def test_once_the_role_is_old_the_same_words_are_a_refusal(
    aws: Aws, spec: GenerationSpec, code: str, message: str
) -> None:
    refusing = _faulty(aws, "create_cluster", refused(code, message))
    with pytest.raises(ResourceError, match="this time it was not that") as caught:
        redshift.ensure_cluster(refusing, spec, LATER)
    assert not isinstance(caught.value, NotReady)


def test_a_restore_meets_the_same_lag(aws: Aws, spec: GenerationSpec, newer: GenerationSpec) -> None:
    redshift.ensure_cluster(aws, spec, NOW)
    _delete(aws.redshift, spec.names.final_snapshot)
    error = refused("InvalidParameterValue", "The IAM role arn:… is not valid. Cannot assume role")
    lagging = _faulty(aws, "restore_from_cluster_snapshot", error)
    with pytest.raises(NotReady, match="too young"):
        redshift.ensure_cluster(lagging, newer, NOW)
    assert redshift.ensure_cluster(lagging, newer, NOW).name == newer.names.cluster


def test_a_denied_caller_is_never_taken_for_lag(aws: Aws, spec: GenerationSpec) -> None:
    words = (
        "User: arn:aws:sts::123456789012:assumed-role/airflow/worker is not authorized to perform: iam:PassRole on "
        f"resource: {ROLE} because no identity-based policy allows the iam:PassRole action"
    )
    denied = _faulty(aws, "create_cluster", refused("UnauthorizedOperation", words))
    with pytest.raises(ResourceError, match="iam-principal-policy.json") as caught:
        redshift.ensure_cluster(denied, spec, NOW)
    assert not isinstance(caught.value, NotReady)


# https://docs.aws.amazon.com/redshift/latest/APIReference/API_CreateCluster.html
@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("InsufficientClusterCapacity", "another instance or node type"),
        ("NumberOfNodesQuotaExceeded", "Service Quotas"),
        ("NumberOfNodesPerClusterLimitExceeded", "Service Quotas"),
        ("ClusterQuotaExceeded", "Service Quotas"),
        ("LimitExceededFault", "Service Quotas"),
    ],
)
def test_a_lack_of_capacity_and_a_quota_are_told_apart(
    aws: Aws, spec: GenerationSpec, code: str, hint: str
) -> None:
    full = _faulty(aws, "create_cluster", refused(code))
    with pytest.raises(ResourceError, match=hint):
        redshift.ensure_cluster(full, spec, NOW)


def test_a_restore_names_the_cluster_that_the_snapshot_was_taken_of(
    aws: Aws, spec: GenerationSpec, newer: GenerationSpec
) -> None:
    redshift.ensure_cluster(aws, spec, NOW)
    _delete(aws.redshift, spec.names.final_snapshot)
    watched = Faulty(aws.redshift)
    redshift.ensure_cluster(with_clients(aws, redshift=watched), newer, NOW)
    (request,) = [
        arguments for name, arguments in watched.requests if name == "restore_from_cluster_snapshot"
    ]
    assert request["ClusterIdentifier"] == newer.names.cluster
    assert request["SnapshotIdentifier"] == spec.names.final_snapshot
    assert request["SnapshotClusterIdentifier"] == spec.names.cluster


def test_a_snapshot_that_is_gone_makes_no_empty_warehouse(aws: Aws, spec: GenerationSpec) -> None:
    with pytest.raises(SnapshotAbsent, match="no Redshift snapshot lost"):
        redshift.ensure_cluster(aws, replace(spec, restore_from="lost"), NOW)
    assert redshift.probe_cluster(aws.redshift, spec.names.cluster) is None


def test_a_snapshot_that_only_the_restore_does_not_find_is_absent_too(
    aws: Aws, spec: GenerationSpec, newer: GenerationSpec
) -> None:
    redshift.ensure_cluster(aws, spec, NOW)
    _delete(aws.redshift, spec.names.final_snapshot)
    late = _faulty(aws, "restore_from_cluster_snapshot", refused("ClusterSnapshotNotFound"))
    with pytest.raises(SnapshotAbsent, match=spec.names.final_snapshot):
        redshift.ensure_cluster(late, newer, NOW)


@pytest.mark.parametrize("state", list(WarehouseState))
def test_every_state_is_either_ready_pending_or_failed(state: WarehouseState) -> None:
    assert sum(state in states for states in (redshift.READY, redshift.PENDING, redshift.FAILED)) == 1


def test_an_unknown_state_is_an_error_only_for_one_who_waits() -> None:
    client: Any = Scripted("daydreaming")
    view = redshift.probe_cluster(client, "w")
    assert view is not None
    assert not (view.ready)
    assert not (view.failed)
    with pytest.raises(UnknownState, match="daydreaming"):
        view.check_known()


def test_a_known_state_is_no_error_for_one_who_waits() -> None:
    for state in WarehouseState:
        client: Any = Scripted(state)
        view = redshift.probe_cluster(client, "w")
        assert view is not None
        view.check_known()


def test_a_cluster_in_an_unknown_state_is_deleted_all_the_same() -> None:
    client = Scripted("daydreaming")
    _delete(client)
    ((name, arguments),) = client.asked
    assert name == "delete_cluster"
    assert arguments["FinalClusterSnapshotIdentifier"] == "final"


def test_an_unknown_state_and_a_malformed_neighbour_keep_nothing_from_being_listed() -> None:
    ours, also = Scripted("daydreaming").cluster, Scripted("available").cluster
    also["ClusterIdentifier"] = "mayfly-dev-immigration-warehouse-g4"
    nameless = {"ClusterStatus": "available", "Tags": [{"Value": "x"}]}
    stateless = {"ClusterIdentifier": "mayfly-dev-immigration-warehouse-g5", "Tags": ours["Tags"]}

    class Account:
        def get_paginator(self, _: str) -> Any:
            return self

        def paginate(self) -> list[dict[str, Any]]:
            return [{"Clusters": [{}, nameless, ours, stateless, also]}]

    account: Any = Account()
    listed = redshift.list_owned_clusters(account, ENVIRONMENT)
    assert [(owned.name[-2:], owned.state) for owned in listed] == [
        ("g3", "daydreaming"),
        ("g5", ""),
        ("g4", "available"),
    ]


def test_deleting_takes_the_final_snapshot(aws: Aws, spec: GenerationSpec) -> None:
    redshift.ensure_cluster(aws, spec, NOW)
    _delete(aws.redshift, spec.names.final_snapshot)
    assert redshift.probe_cluster(aws.redshift, spec.names.cluster) is None
    (snapshot,) = aws.redshift.describe_cluster_snapshots(SnapshotIdentifier=spec.names.final_snapshot)[
        "Snapshots"
    ]
    assert snapshot["ClusterIdentifier"] == spec.names.cluster


def test_deleting_what_is_absent_is_success(aws: Aws) -> None:
    _delete(aws.redshift)


@pytest.mark.parametrize("status", ["deleting", "final-snapshot"])
def test_a_cluster_that_is_being_deleted_is_left_to_it(status: str) -> None:
    client = Scripted(status)
    _delete(client)
    assert client.asked == []


@pytest.mark.parametrize("status", ["creating", "modifying", "resizing", "pausing", "resuming", "rebooting"])
def test_a_cluster_in_transition_is_not_ready_to_be_deleted(status: str) -> None:
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


def test_the_final_snapshot_is_skipped_only_where_none_is_asked_for() -> None:
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


def test_a_refusal_for_the_clusters_state_is_not_ready(aws: Aws, spec: GenerationSpec) -> None:
    redshift.ensure_cluster(aws, spec, NOW)
    busy: Any = Faulty(
        aws.redshift, {"delete_cluster": [refused("InvalidClusterState", "operation running")]}
    )
    with pytest.raises(NotReady, match="operation running"):
        _delete(busy)


def test_a_snapshot_name_that_is_taken_is_reported(aws: Aws, spec: GenerationSpec) -> None:
    redshift.ensure_cluster(aws, spec, NOW)
    taken: Any = Faulty(aws.redshift, {"delete_cluster": [refused("ClusterSnapshotAlreadyExists", "final")]})
    with pytest.raises(ResourceError, match="ClusterSnapshotAlreadyExists"):
        _delete(taken)


def test_the_database_is_the_settings(warehouse_spec: GenerationSpec) -> None:
    spec = replace(warehouse_spec, settings=settings_with(warehouse={"database": "lake"}))
    assert redshift.render_create(spec, ATTACHED, admin_password="x")["DBName"] == "lake"


def test_the_role_of_a_cluster_is_found_by_name(aws: Aws, spec: GenerationSpec) -> None:
    view = redshift.ensure_cluster(aws, spec, NOW)
    assert view.find_role(spec.names.copy_role) == ROLE


@pytest.mark.parametrize(
    "name", ["mayfly-dev-immigration-warehouse-copy-g4", "warehouse-copy-g3", "copy-g3", ""]
)
def test_a_role_that_the_cluster_does_not_have_is_not_found(
    aws: Aws, spec: GenerationSpec, name: str
) -> None:
    assert redshift.ensure_cluster(aws, spec, NOW).find_role(name) is None


def test_a_cluster_without_any_role_finds_none() -> None:
    client: Any = Scripted("creating")
    view = redshift.probe_cluster(client, "w")
    assert view is not None
    assert view.find_role("mayfly-dev-immigration-warehouse-copy-g3") is None


def test_while_iam_does_not_find_the_role_no_cluster_is_requested(aws: Aws, spec: GenerationSpec) -> None:
    delete_roles(aws, spec.names)
    with pytest.raises(NotReady, match=spec.names.copy_role):
        redshift.ensure_cluster(aws, spec, NOW)
    assert redshift.probe_cluster(aws.redshift, spec.names.cluster) is None


def test_a_cluster_that_redshift_does_not_find_yet_is_not_ready(aws: Aws, spec: GenerationSpec) -> None:
    lagging = _faulty(aws, "describe_clusters", refused("ClusterNotFound"))
    with pytest.raises(NotReady, match="does not find it yet"):
        redshift.ensure_cluster(lagging, spec, NOW)
    assert redshift.ensure_cluster(lagging, spec, NOW).name == spec.names.cluster


@pytest.mark.parametrize("keep_data", [True, False])
def test_deleting_a_generation_leaves_a_final_snapshot_where_its_data_is_to_be_kept(
    aws: Aws, spec: GenerationSpec, keep_data: bool
) -> None:
    redshift.ensure_cluster(aws, spec, NOW)
    with pytest.raises(NotReady, match=spec.names.cluster):
        redshift.delete_clusters(aws, spec.names, keep_data=keep_data)
    redshift.delete_clusters(aws, spec.names, keep_data=keep_data)
    assert redshift.list_owned_clusters(aws.redshift, ENVIRONMENT) == []
    assert (probe_snapshot(aws.redshift, spec.names.final_snapshot) is not None) is keep_data


def test_deleting_a_generation_without_a_cluster_is_success(aws: Aws, warehouse_names: Names) -> None:
    redshift.delete_clusters(aws, warehouse_names, keep_data=True)


def test_the_warehouses_of_an_environment_are_listed_whatever_their_generation(
    aws: Aws, spec: GenerationSpec, newer: GenerationSpec
) -> None:
    for one in (spec, replace(newer, restore_from=None)):
        redshift.ensure_cluster(aws, one, NOW)
    listed = redshift.list_owned_clusters(aws.redshift, ENVIRONMENT)
    assert {owned.name for owned in listed} == {spec.names.cluster, newer.names.cluster}
    assert redshift.list_owned_clusters(aws.redshift, OTHER) == []


def test_only_a_snapshot_of_ours_is_restored(aws: Aws, spec: GenerationSpec, newer: GenerationSpec) -> None:
    """The register is a document that others may write: a name in it is not yet a snapshot of ours."""
    redshift.ensure_cluster(aws, spec, NOW)
    ours = [{"Key": key, "Value": value} for key, value in TAGS.items()]
    theirs = [{"Key": key, "Value": value} for key, value in tags_of(3, OTHER).items()]
    strange = {
        "payroll-2026": ours,
        "mayfly-dev-immigration-emr-final-g2": ours,
        "mayfly-dev-immigration2-warehouse-final-g2": ours,
        "mayfly-dev-immigration-warehouse-final-g1": theirs,
        "mayfly-dev-immigration-warehouse-final-g2": [],
    }
    for name, tags in strange.items():
        aws.redshift.create_cluster_snapshot(
            SnapshotIdentifier=name, ClusterIdentifier=spec.names.cluster, Tags=tags
        )
        if not tags:
            arn = probe_snapshot(aws.redshift, name).arn  # type: ignore[union-attr]
            aws.redshift.delete_tags(ResourceName=arn, TagKeys=list(TAGS))
        with pytest.raises(
            ForeignResource, match=f"{name}, which is not ours .* Restore the register's last"
        ):
            redshift.ensure_cluster(aws, replace(newer, restore_from=name), NOW)
    assert redshift.probe_cluster(aws.redshift, newer.names.cluster) is None
