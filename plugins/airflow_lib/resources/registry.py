"""Every kind of resource that Mayfly makes, in the order in which a generation is deleted.

A new kind is a file in this room and a line here.
"""

from __future__ import annotations

from airflow_lib.resources import (
    emr_cluster,
    iam_roles,
    instance_profiles,
    redshift_cluster,
    security_groups,
    snapshots,
    subnet_groups,
)
from airflow_lib.resources.kind import Kind

REGISTRY: tuple[Kind, ...] = (
    # Clusters first: EMR terminates its instances with the service role, and both clusters use security groups.
    emr_cluster.KIND,
    redshift_cluster.KIND,
    # A warehouse lives on in its snapshots: the register says which stay, and teardown and janitor delete the others.
    snapshots.KIND,
    # A subnet group is refused while a cluster is in it, a security group while an interface or a rule uses it.
    subnet_groups.KIND,
    security_groups.KIND,
    # A role cannot go while an instance profile holds it.
    instance_profiles.KIND,
    iam_roles.KIND,
)
