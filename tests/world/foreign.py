"""Foreign resources that look like ours: another environment's things, ours by name alone, ours by tag alone.

One kind bears our tag and a name that is ours but for a zero: `Names` never makes it.
"""

from __future__ import annotations

from typing import Any

from airflow_lib.naming import TAG_ENVIRONMENT, TAG_EXPIRES_AT
from tests.world import World

# Environment dev-immigration: the first is another's, the second has our name, the others our tag.
_KINDS = (
    ("mayfly-dev-immigration2-{slot}g1", "dev-immigration2"),
    ("mayfly-dev-immigration-{slot}g9", "somebody-else"),
    ("immigration-{slot}of-ours", "dev-immigration"),
    ("mayfly-dev-immigration-{slot}g01", "dev-immigration"),
)
_NOT_OURS = ("-g9", "-g01", "-g-5")
_TRUST = '{"Version": "2012-10-17", "Statement": []}'


class ForeignResources:
    """Makes them, and knows later whether any was touched."""

    def __init__(self, world: World) -> None:
        self._world, self._aws = world, world.others
        self._make_role("mayfly-dev-immigration-emr-ec2-g-5", _tags("dev-immigration"))
        for pattern, owner in _KINDS:
            tags = _tags(owner)
            self._make_emr(pattern.format(slot="emr-"), tags)
            self._make_warehouse(pattern.format(slot="warehouse-"), tags)
            for slot in ("emr-master-", "warehouse-sg-"):
                self._make_group(pattern.format(slot=slot), tags)
            for slot in ("emr-ec2-", "emr-service-", "warehouse-copy-"):
                self._make_role(pattern.format(slot=slot), tags)
        world.advance(600)
        for pattern, owner in _KINDS:
            self._make_snapshot(pattern, _tags(owner))
        world.advance(600)
        self._before = self._look()

    @property
    def touched(self) -> bool:
        return self._look() != self._before

    def _make_emr(self, name: str, tags: list[Any]) -> None:
        self._aws.emr.run_job_flow(
            Name=name,
            ReleaseLabel="emr-7.13.0",
            Instances={"KeepJobFlowAliveWhenNoSteps": True},
            JobFlowRole="r",
            ServiceRole="r",
            Tags=tags,
        )

    def _make_warehouse(self, name: str, tags: list[Any]) -> None:
        self._aws.redshift.create_cluster(
            ClusterIdentifier=name,
            NodeType="ra3.large",
            ClusterType="single-node",
            MasterUsername="a",
            MasterUserPassword="Aa123456",
            Tags=tags,
        )

    def _make_snapshot(self, pattern: str, tags: list[Any]) -> None:
        self._aws.redshift.create_cluster_snapshot(
            SnapshotIdentifier=pattern.format(slot="warehouse-final-"),
            ClusterIdentifier=pattern.format(slot="warehouse-"),
            Tags=tags,
        )

    def _make_group(self, name: str, tags: list[Any]) -> None:
        self._aws.ec2.create_security_group(
            GroupName=name,
            Description="d",
            TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
        )

    def _make_role(self, name: str, tags: list[Any]) -> None:
        self._aws.iam.create_role(RoleName=name, AssumeRolePolicyDocument=_TRUST, Tags=tags)
        self._aws.iam.create_instance_profile(InstanceProfileName=name, Tags=tags)
        self._aws.iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)

    def _look(self) -> list[str]:
        """Each of them with its state, by name."""
        names = {pattern.partition("{")[0] for pattern, _ in _KINDS}
        ec2, iam, redshift = self._aws.ec2, self._aws.iam, self._aws.redshift
        seen = [(one.name, one.state, str(one.tags)) for one in self._world.emr.all]
        seen += [
            (one["ClusterIdentifier"], one["ClusterStatus"], str(one["Tags"]))
            for one in redshift.describe_clusters()["Clusters"]
        ]
        seen += [
            (one["SnapshotIdentifier"], one["Status"], str(one["Tags"]))
            for one in redshift.describe_cluster_snapshots(SnapshotType="manual")["Snapshots"]
        ]
        seen += [
            (one["GroupName"], str(one["IpPermissions"]), str(one["Tags"]))
            for one in ec2.describe_security_groups()["SecurityGroups"]
            if one["GroupName"] != "default"
        ]
        seen += [(one["RoleName"], "", "") for one in iam.list_roles()["Roles"]]
        seen += [
            (one["InstanceProfileName"], str(len(one["Roles"])), "")
            for one in iam.list_instance_profiles()["InstanceProfiles"]
        ]
        mine = tuple(sorted(names))
        return sorted(str(one) for one in seen if one[0].startswith(mine) and _is_foreign(one[0]))


def _is_foreign(name: str) -> bool:
    return not name.startswith("mayfly-dev-immigration-") or name.endswith(_NOT_OURS)


def _tags(owner: str) -> list[Any]:
    return [{"Key": TAG_ENVIRONMENT, "Value": owner}, {"Key": TAG_EXPIRES_AT, "Value": "never"}]
