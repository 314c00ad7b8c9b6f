"""What moto lacks of cluster subnet groups: names are unique, and a group in use cannot be deleted."""

from __future__ import annotations

from typing import Any

from moto.redshift.models import RedshiftBackend, SubnetGroup

from sandbox.aws.redshift_checks import invalid


def install() -> None:
    """Patch moto to refuse what Redshift refuses."""
    moto_create = RedshiftBackend.create_cluster_subnet_group
    moto_delete = RedshiftBackend.delete_cluster_subnet_group

    def create(self: RedshiftBackend, cluster_subnet_group_name: str, **request: Any) -> SubnetGroup:
        if cluster_subnet_group_name in self.subnet_groups:
            raise invalid(
                "ClusterSubnetGroupAlreadyExists",
                f"Cluster subnet group {cluster_subnet_group_name} already exists.",
            )
        return moto_create(self, cluster_subnet_group_name=cluster_subnet_group_name, **request)

    def delete(self: RedshiftBackend, subnet_identifier: str) -> SubnetGroup:
        for cluster in list(self.clusters.values()):
            if cluster.cluster_subnet_group_name == subnet_identifier:
                raise invalid(
                    "InvalidClusterSubnetGroupStateFault",
                    f"Cluster subnet group {subnet_identifier} is in use by {cluster.cluster_identifier}.",
                )
        return moto_delete(self, subnet_identifier)

    RedshiftBackend.create_cluster_subnet_group = create
    RedshiftBackend.delete_cluster_subnet_group = delete
