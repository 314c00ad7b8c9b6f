"""The least policy of the principal that Airflow runs as, against what the resource files really ask."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_lib.aws.clients import Aws
from airflow_lib.aws.s3_location import S3Location
from airflow_lib.naming import Names
from airflow_lib.pipeline import Hardware
from airflow_lib.resources import emr_cluster as emr
from airflow_lib.resources import iam, snapshots, subnet_group
from airflow_lib.resources import redshift_cluster as redshift
from airflow_lib.resources import security_groups as net
from airflow_lib.resources.iam_policies import EmrScope
from airflow_lib.settings import EmrSettings, NetworkSettings

from .conftest import ENVIRONMENT, TAGS

POLICY = json.loads((Path(__file__).parents[4] / "docs/iam-principal-policy.json").read_text())
STATEMENTS: list[dict[str, Any]] = POLICY["Statement"]

# What AWS lets nobody narrow: lists, and RunJobFlow, which is narrowed by the tag it must give.
WITHOUT_RESOURCE = {
    "ec2:Describe",
    "elasticmapreduce:ListClusters",
    "elasticmapreduce:RunJobFlow",
    "iam:List",
    "redshift:Describe",
    "sts:GetCallerIdentity",
}
PREFIXES = {"emr": "elasticmapreduce"}


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _allowed() -> set[str]:
    return {action for one in STATEMENTS for action in _list(one["Action"])}


@pytest.fixture
def asked(aws: Aws) -> Iterator[set[str]]:
    """The IAM action of every call, as it is made."""
    actions: set[str] = set()

    def note(model: Any, **_: Any) -> None:
        service = model.service_model.service_name
        actions.add(f"{PREFIXES.get(service, service)}:{model.name}")

    clients = (aws.emr, aws.emr_no_retry, aws.ec2, aws.iam, aws.redshift)
    for client in clients:
        client.meta.events.register("before-call.*", note)
    yield actions
    for client in clients:
        client.meta.events.unregister("before-call.*", note)


def test_no_action_is_a_wildcard() -> None:
    assert [action for action in _allowed() if "*" in action] == []


def test_every_resource_is_named_where_aws_lets_it_be() -> None:
    for statement in STATEMENTS:
        if "*" in _list(statement["Resource"]):
            for action in _list(statement["Action"]):
                assert any(action.startswith(known) for known in WITHOUT_RESOURCE), action


def test_every_statement_has_a_name_of_its_own() -> None:
    sids = [statement["Sid"] for statement in STATEMENTS]
    assert len(set(sids)) == len(sids)


@pytest.mark.parametrize(
    "action",
    [
        "ec2:DeleteSecurityGroup",
        "elasticmapreduce:TerminateJobFlows",
        "iam:DeleteRole",
        "redshift:DeleteCluster",
    ],
)
def test_only_what_bears_our_tag_or_name_can_be_removed(action: str) -> None:
    for statement in STATEMENTS:
        if action in _list(statement["Action"]):
            by_tag = "mayfly:environment" in json.dumps(statement.get("Condition", {}))
            by_name = all("mayfly-" in resource for resource in _list(statement["Resource"]))
            assert by_tag or by_name


def test_every_call_of_a_whole_life_is_granted(
    aws: Aws, emr_names: Names, warehouse_names: Names, network: NetworkSettings, asked: set[str]
) -> None:
    _live_and_die(aws, emr_names, warehouse_names, network)
    assert asked >= {"elasticmapreduce:RunJobFlow", "redshift:RestoreFromClusterSnapshot", "iam:CreateRole"}
    assert asked - _allowed() == set()


def _live_and_die(aws: Aws, names: Names, warehouse: Names, settings: NetworkSettings) -> None:
    subnet = net.probe_subnet(aws.ec2, None)
    place = S3Location.parse("s3://lake/x")
    roles = iam.ensure_emr_roles(aws.iam, names, TAGS, EmrScope(place, place, place))
    groups = net.ensure_emr_groups(aws.ec2, names, TAGS, subnet, network=settings, livy_port=8998)
    spec = emr.ClusterSpec(
        names, TAGS, Hardware(), EmrSettings(), roles, groups, subnet.subnet_id, "s3://lake/logs", []
    )
    cluster_id = emr.request_cluster(aws.emr_no_retry, spec)
    aws_spec = redshift.WarehouseSpec(
        names=warehouse,
        tags=TAGS,
        node_type="ra3.large",
        nodes=1,
        database="mayfly",
        subnet_group=subnet_group.ensure_subnet_group(aws.redshift, warehouse, TAGS, subnet.subnet_id),
        security_group_id=net.ensure_warehouse_group(aws.ec2, warehouse, TAGS, subnet, network=settings),
        copy_role_arn=iam.ensure_copy_role(aws.iam, warehouse, TAGS, place),
    )
    redshift.ensure_cluster(aws.redshift, aws_spec)
    redshift.delete_cluster(
        aws.redshift, ENVIRONMENT, warehouse.cluster, final_snapshot=warehouse.final_snapshot
    )
    redshift.ensure_cluster(aws.redshift, aws_spec, restore_from=warehouse.final_snapshot)
    redshift.delete_cluster(aws.redshift, ENVIRONMENT, warehouse.cluster, final_snapshot=None)
    emr.delete_cluster(aws.emr, ENVIRONMENT, cluster_id)
    snapshots.prune_snapshots(aws.redshift, ENVIRONMENT, keep=0, never=())
    subnet_group.delete_subnet_group(aws.redshift, ENVIRONMENT, warehouse.cluster)
    for group_names in (net.emr_group_names(names), (warehouse.security_group,)):
        net.delete_groups(aws.ec2, ENVIRONMENT, group_names)
    iam.delete_emr_roles(aws.iam, names)
    iam.delete_copy_role(aws.iam, warehouse)
    assert iam.list_owned_roles(aws.iam, ENVIRONMENT) == []
    assert iam.list_owned_instance_profiles(aws.iam, ENVIRONMENT) == []
