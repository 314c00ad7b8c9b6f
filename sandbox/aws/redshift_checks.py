"""The requests to create a Redshift cluster that AWS refuses.

Error codes: https://docs.aws.amazon.com/redshift/latest/APIReference/API_CreateCluster.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from moto.ec2.models import ec2_backends
from moto.redshift.exceptions import ClusterSubnetGroupNotFoundError, RedshiftClientError
from moto.redshift.models import redshift_backends

from sandbox.aws import iam
from sandbox.aws.context import ACCOUNT

# Node type -> (single-node allowed, maximum of nodes).
# https://docs.aws.amazon.com/redshift/latest/mgmt/working-with-clusters.html#rs-ra3-nodes
NODE_TYPES = {
    "ra3.large": (True, 16),
    "ra3.xlplus": (True, 16),
    "ra3.4xlarge": (False, 32),
    "ra3.16xlarge": (False, 128),
}

_IDENTIFIER = re.compile(r"[a-z](?:-?[a-z0-9])*\Z")
_DATABASE = re.compile(r"[a-z_][a-z0-9_$]{0,63}\Z")
_MASTER = re.compile(r"[a-z_][a-z0-9_+.@-]{0,127}\Z")


def invalid(code: str, message: str) -> RedshiftClientError:
    """An error of the Redshift API, to be raised; moto answers with it."""
    return RedshiftClientError(code, message)


def check_cluster(request: dict[str, Any], region: str) -> None:
    """Raise RedshiftClientError if AWS would refuse to create this cluster; `request` has moto's keys."""
    _check_identifier(request["cluster_identifier"])
    _check_nodes(request["node_type"], request.get("cluster_type"), request.get("number_of_nodes"))
    if request.get("db_name") and not _DATABASE.match(request["db_name"]):
        raise invalid("InvalidParameterValue", f"The database name {request['db_name']!r} is not valid.")
    check_network_and_roles(request, region)


def check_network_and_roles(request: dict[str, Any], region: str) -> None:
    """Raise RedshiftClientError for a subnet group, security group or role that cannot be used."""
    subnet_group = request.get("cluster_subnet_group_name")
    if subnet_group and subnet_group not in redshift_backends[ACCOUNT][region].subnet_groups:
        raise ClusterSubnetGroupNotFoundError(subnet_group)
    for group_id in request.get("vpc_security_group_ids") or ():
        if ec2_backends[ACCOUNT][region].get_security_group_from_id(group_id) is None:
            raise invalid("InvalidParameterValue", f"The security group {group_id} does not exist.")
    check_roles(request.get("iam_roles_arn") or ())


def check_roles(arns: Sequence[str]) -> None:
    """Raise RedshiftClientError for a role that does not exist, that Redshift does not see yet or cannot assume."""
    for arn in arns:
        role = iam.find_role(arn)
        if role is None or role.arn != arn:
            raise invalid("InvalidParameterValue", f"The IAM role {arn} does not exist.")
        if iam.unseen(role.name) > 0:
            raise invalid("InvalidParameterValue", f"The IAM role {arn} is not valid. Cannot assume role")
        if not iam.trusts(role, "redshift.amazonaws.com"):
            raise invalid("InvalidParameterValue", f"The IAM role {arn} cannot be assumed by Redshift.")


def check_master(user: str | None, password: str | None, *, managed: bool) -> None:
    """Raise RedshiftClientError for an admin's name or password that AWS does not accept."""
    if not user or not _MASTER.match(user):
        raise invalid("InvalidParameterValue", f"The parameter MasterUsername {user!r} is not valid.")
    if managed:
        if password:
            raise invalid(
                "InvalidParameterCombination", "Give MasterUserPassword or ManageMasterPassword, not both."
            )
        return
    if not password or not _is_strong(password):
        raise invalid(
            "InvalidParameterValue",
            "The parameter MasterUserPassword must be 8 to 64 printable characters without / @ \" ' \\ or "
            "space, with at least one upper case letter, one lower case letter and one decimal digit.",
        )


def _is_strong(password: str) -> bool:
    needed = all(re.search(kind, password) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    return needed and 8 <= len(password) <= 64 and not re.search(r"""[^!-~]|[/@"'\\]""", password)


def _check_identifier(identifier: str) -> None:
    if not _IDENTIFIER.match(identifier) or len(identifier) > 63:
        raise invalid(
            "InvalidParameterValue",
            f"The parameter ClusterIdentifier {identifier!r} is not a valid identifier: 1 to 63 lower case "
            "letters, digits and single hyphens, a letter first.",
        )


def _check_nodes(node_type: str, cluster_type: str | None, nodes: int | None) -> None:
    if node_type not in NODE_TYPES:
        raise invalid("InvalidParameterValue", f"Invalid node type: {node_type}.")
    single_allowed, most = NODE_TYPES[node_type]
    if cluster_type not in (None, "single-node", "multi-node"):
        raise invalid(
            "InvalidParameterValue",
            "Invalid cluster type. Cluster type can be one of multi-node or single-node",
        )
    if cluster_type == "single-node":
        if (nodes or 1) != 1:
            raise invalid(
                "InvalidParameterCombination", "Number of nodes cannot be specified for single-node clusters."
            )
        if not single_allowed:
            raise invalid("InvalidParameterValue", f"{node_type} cannot be a single-node cluster.")
    elif (nodes or 1) < 2:
        raise invalid(
            "InvalidParameterCombination",
            "Number of nodes for cluster type multi-node must be greater than or equal to 2",
        )
    elif nodes is not None and nodes > most:
        raise invalid("InvalidParameterValue", f"Number of nodes for {node_type} must be at most {most}.")
