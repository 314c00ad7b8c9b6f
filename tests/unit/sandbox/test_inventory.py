"""The sandbox's own search for leftover resources."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sandbox.inventory import Resource, leftovers, list_account

EMPTY: dict[str, list[dict[str, Any]]] = {
    "list_clusters": [{"Clusters": []}],
    "describe_clusters": [{"Clusters": []}],
    "describe_cluster_subnet_groups": [{"ClusterSubnetGroups": []}],
    "describe_cluster_snapshots": [{"Snapshots": []}],
    "describe_security_groups": [{"SecurityGroups": [{"GroupName": "default", "GroupId": "sg-0"}]}],
    "describe_instances": [{"Reservations": []}],
    "list_roles": [{"Roles": [{"RoleName": "AWSServiceRoleForRedshift"}]}],
    "list_instance_profiles": [{"InstanceProfiles": []}],
    "list_policies": [{"Policies": []}],
}


class FakeAccount:
    """Returns the given pages for each listing, whatever the service."""

    def __init__(self, registers: dict[str, str] | None = None, **pages: list[dict[str, Any]]) -> None:
        self._pages = {**EMPTY, **pages}
        self._registers = registers or {}

    def client(self, service: str) -> Any:
        return SimpleNamespace(
            get_paginator=lambda name: SimpleNamespace(paginate=lambda **_: self._pages[name])
        )

    def keys(self, prefix: str) -> list[str]:
        return [key for key in self._registers if key.startswith(prefix)]

    def read_text(self, key: str) -> str | None:
        return self._registers.get(key)


def found_in(**pages: Any) -> list[Resource]:
    return list_account(FakeAccount(**pages))


def test_an_account_with_only_aws_default_resources_has_no_leftovers() -> None:
    assert found_in() == []


TAG = [{"Key": "mayfly:environment", "Value": "sandbox-immigration"}]


@pytest.mark.parametrize(
    ("pages", "kind"),
    [
        (
            {
                "list_clusters": [
                    {"Clusters": [{"Name": "any", "Id": "j-1", "Status": {"State": "TERMINATING"}}]}
                ]
            },
            "EMR cluster",
        ),
        (
            {
                "describe_clusters": [
                    {"Clusters": [{"ClusterIdentifier": "any", "ClusterStatus": "deleting"}]}
                ]
            },
            "Redshift cluster",
        ),
        (
            {
                "describe_security_groups": [
                    {"SecurityGroups": [{"GroupName": "mayfly-x", "GroupId": "sg-1"}]}
                ]
            },
            "security group",
        ),
        (
            {
                "describe_security_groups": [
                    {"SecurityGroups": [{"GroupName": "renamed", "GroupId": "sg-1", "Tags": TAG}]}
                ]
            },
            "security group",
        ),
        (
            {
                "describe_instances": [
                    {"Reservations": [{"Instances": [{"InstanceId": "i-1", "State": {"Name": "running"}}]}]}
                ]
            },
            "EC2 instance",
        ),
        ({"list_roles": [{"Roles": [{"RoleName": "mayfly-x"}]}]}, "IAM role"),
        ({"list_roles": [{"Roles": [{"RoleName": "odd", "Tags": TAG}]}]}, "IAM role"),
        (
            {"list_instance_profiles": [{"InstanceProfiles": [{"InstanceProfileName": "mayfly-x"}]}]},
            "instance profile",
        ),
        ({"list_policies": [{"Policies": [{"PolicyName": "any"}]}]}, "IAM policy"),
        (
            {
                "describe_cluster_subnet_groups": [
                    {"ClusterSubnetGroups": [{"ClusterSubnetGroupName": "mayfly-x"}]}
                ]
            },
            "Redshift subnet group",
        ),
        (
            {
                "describe_cluster_snapshots": [
                    {"Snapshots": [{"SnapshotIdentifier": "any", "Status": "available"}]}
                ]
            },
            "Redshift snapshot",
        ),
    ],
)
def test_each_kind_of_leftover_is_found(pages: dict[str, Any], kind: str) -> None:
    assert [item.kind for item in leftovers(found_in(**pages))] == [kind]


@pytest.mark.parametrize("state", ["TERMINATED", "TERMINATED_WITH_ERRORS"])
def test_an_emr_cluster_that_has_ended_is_not_a_leftover(state: str) -> None:
    page = {"Clusters": [{"Name": "mayfly-x", "Id": "j-1", "Status": {"State": state}}]}
    assert found_in(list_clusters=[page]) == []


def test_every_page_of_a_listing_is_read() -> None:
    pages = [{"Roles": [{"RoleName": "mayfly-a"}]}, {"Roles": [{"RoleName": "mayfly-b"}]}]
    assert [item.name for item in found_in(list_roles=pages)] == ["mayfly-a", "mayfly-b"]


def test_only_a_snapshot_that_a_register_names_counts_as_kept() -> None:
    snapshots = [{"SnapshotIdentifier": name, "Status": "available"} for name in ("snap-1", "snap-11")]
    found = found_in(
        describe_cluster_snapshots=[{"Snapshots": snapshots}],
        registers={
            "state/immigration/register.json": '{"snapshot": "snap-11"}',
            "state/immigration/other.json": '"snap-1"',
        },
    )
    assert [item.name for item in found if item.kept] == ["snap-11"]
    assert [item.name for item in leftovers(found)] == ["snap-1"]
