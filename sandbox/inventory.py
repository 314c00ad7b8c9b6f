"""Mayfly's resources in the account, found by listing everything: an independent check that nothing is left.

It shares no code with Mayfly's own inventory. It lists whole services and keeps what has Mayfly's name prefix or
tags. Every cluster, snapshot, instance and customer-managed policy counts, whatever its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from sandbox.account import Account

_NAME_PREFIX = "mayfly-"
_TAG_PREFIX = "mayfly:"
_EMR_ENDED = frozenset({"TERMINATED", "TERMINATED_WITH_ERRORS"})
_INSTANCE_ENDED = frozenset({"terminated", "shutting-down"})


@dataclass(frozen=True)
class Resource:
    """Something that exists; `kept` if it is meant to outlive the runs."""

    kind: str
    name: str
    state: str
    kept: bool = False

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.kind} {self.name} ({self.state})"


def list_account(account: Account) -> list[Resource]:
    """Every resource of Mayfly; a snapshot that a register names is marked as kept."""
    return [
        *_emr_clusters(account.client("emr")),
        *_redshift(account),
        *_ec2(account.client("ec2")),
        *_iam(account.client("iam")),
    ]


def leftovers(resources: list[Resource]) -> list[Resource]:
    """The resources that should not exist once every run is over."""
    return [resource for resource in resources if not resource.kept]


def _emr_clusters(emr: Any) -> Iterator[Resource]:
    for page in emr.get_paginator("list_clusters").paginate():
        for cluster in page["Clusters"]:
            state = cluster["Status"]["State"]
            if state not in _EMR_ENDED:
                yield Resource("EMR cluster", f"{cluster['Name']} {cluster['Id']}", state)


def _redshift(account: Account) -> Iterator[Resource]:
    redshift = account.client("redshift")
    for page in redshift.get_paginator("describe_clusters").paginate():
        for cluster in page["Clusters"]:
            yield Resource("Redshift cluster", cluster["ClusterIdentifier"], cluster["ClusterStatus"])
    for page in redshift.get_paginator("describe_cluster_subnet_groups").paginate():
        for group in page["ClusterSubnetGroups"]:
            name = group["ClusterSubnetGroupName"]
            if _is_mayflys(name, group.get("Tags", ())):
                yield Resource("Redshift subnet group", name, group.get("SubnetGroupStatus", "exists"))
    registers = _registers(account)
    for page in redshift.get_paginator("describe_cluster_snapshots").paginate(SnapshotType="manual"):
        for snapshot in page["Snapshots"]:
            name = snapshot["SnapshotIdentifier"]
            kept = any(f'"{name}"' in register for register in registers)
            yield Resource("Redshift snapshot", name, snapshot["Status"], kept=kept)


def _ec2(ec2: Any) -> Iterator[Resource]:
    for page in ec2.get_paginator("describe_security_groups").paginate():
        for group in page["SecurityGroups"]:
            if _is_mayflys(group["GroupName"], group.get("Tags", ())):
                yield Resource("security group", f"{group['GroupName']} {group['GroupId']}", "exists")
    for page in ec2.get_paginator("describe_instances").paginate():
        for instance in (item for batch in page["Reservations"] for item in batch["Instances"]):
            state = instance["State"]["Name"]
            if state not in _INSTANCE_ENDED:
                yield Resource("EC2 instance", instance["InstanceId"], state)


def _iam(iam: Any) -> Iterator[Resource]:
    for page in iam.get_paginator("list_roles").paginate():
        for role in page["Roles"]:
            if _is_mayflys(role["RoleName"], role.get("Tags", ())):
                yield Resource("IAM role", role["RoleName"], "exists")
    for page in iam.get_paginator("list_instance_profiles").paginate():
        for profile in page["InstanceProfiles"]:
            if _is_mayflys(profile["InstanceProfileName"], profile.get("Tags", ())):
                yield Resource("instance profile", profile["InstanceProfileName"], "exists")
    for page in iam.get_paginator("list_policies").paginate(Scope="Local"):
        for policy in page["Policies"]:
            yield Resource("IAM policy", policy["PolicyName"], "exists")


def _registers(account: Account) -> list[str]:
    """The text of every environment's register."""
    keys = (key for key in account.keys("state/") if key.endswith("/register.json"))
    return [text for key in keys if (text := account.read_text(key)) is not None]


def _is_mayflys(name: str, tags: Any) -> bool:
    return name.startswith(_NAME_PREFIX) or any(tag["Key"].startswith(_TAG_PREFIX) for tag in tags)
