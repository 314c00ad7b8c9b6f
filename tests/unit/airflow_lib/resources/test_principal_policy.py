"""The least policy of the principal that Airflow runs as, against what the kinds of resources really call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from airflow_lib.aws.clients import Aws
from airflow_lib.errors import NotReady
from airflow_lib.naming import Names, Slot
from airflow_lib.resources import emr_cluster, redshift_cluster, snapshots
from airflow_lib.resources.kind import GenerationSpec
from airflow_lib.resources.security_groups import Rule, find_groups
from airflow_lib.resources.subnet import probe_subnet

from .conftest import ENVIRONMENT, NOW, delete_whole, ensure_all, ensure_whole, list_all, spec_of

POLICY = json.loads((Path(__file__).parents[4] / "docs/iam-principal-policy.json").read_text())
STATEMENTS: list[dict[str, Any]] = POLICY["Statement"]
SERVICES = ("ec2", "elasticmapreduce", "iam", "redshift")

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

# Granted though no call of a resource's life bears that name, each for its reason.
NOT_CALLED_BY_NAME = {
    # CreateRole, CreateInstanceProfile, CreateSecurityGroup and RunJobFlow with tags ask for the right to tag.
    "iam:TagRole",
    "iam:TagInstanceProfile",
    "ec2:CreateTags",
    "elasticmapreduce:AddTags",
    # RunJobFlow with a time to be idle; roles handed to EMR, EC2 and Redshift; DeleteCluster with a final snapshot.
    "elasticmapreduce:PutAutoTerminationPolicy",
    "iam:PassRole",
    "redshift:CreateClusterSnapshot",
    # The first cluster of an account makes the service's own role.
    "iam:CreateServiceLinkedRole",
    # Redshift asks for them on behalf of whoever makes a subnet group or a cluster.
    "ec2:DescribeAccountAttributes",
    "ec2:DescribeAvailabilityZones",
    "ec2:DescribeInternetGateways",
    "ec2:DescribeVpcs",
    # The preflight's questions, before there is any resource (`prerequisites`).
    "ec2:DescribeInstanceTypeOfferings",
    "ec2:DescribeVpcAttribute",
    "ec2:DescribeVpcPeeringConnections",
    "redshift:DescribeOrderableClusterOptions",
    # Connecting to the warehouse is no part of a resource's life: `warehouse.connection` asks for it.
    "redshift:GetClusterCredentials",
}


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _allowed() -> set[str]:
    return {action for one in STATEMENTS for action in _list(one["Action"])}


@dataclass
class Recorder:
    """The IAM actions of all calls made, but for those of somebody else."""

    actions: set[str] = field(default_factory=set)
    paused: bool = False

    def note(self, model: Any, **_: Any) -> None:
        if not self.paused:
            service = model.service_model.service_name
            self.actions.add(f"{PREFIXES.get(service, service)}:{model.name}")

    @contextmanager
    def somebody_else(self) -> Iterator[None]:
        """Calls that are not Mayfly's: what people, or the services, do to our resources."""
        self.paused = True
        try:
            yield
        finally:
            self.paused = False


@pytest.fixture
def called(aws: Aws) -> Iterator[Recorder]:
    recorder = Recorder()
    clients = (aws.emr, aws.emr_no_retry, aws.ec2, aws.iam, aws.redshift)
    for client in clients:
        client.meta.events.register("before-call.*", recorder.note)
    yield recorder
    for client in clients:
        client.meta.events.unregister("before-call.*", recorder.note)


def test_no_action_is_a_wildcard() -> None:
    assert [action for action in _allowed() if "*" in action] == []


@pytest.mark.parametrize("name", ["iam-principal-policy", "iam-doctor-policy"])
def test_a_managed_policy_may_be_made_of_it(name: str) -> None:
    """6,144 characters, white space not counted, in which names take about as much room as their placeholders:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    """
    text = (Path(__file__).parents[4] / f"docs/{name}.json").read_text()
    assert len("".join(text.split())) <= 6144 - 300


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


def test_every_call_of_a_whole_life_is_granted(aws: Aws, called: Recorder) -> None:
    _live_and_die(aws, called)
    assert called.actions >= {
        "elasticmapreduce:RunJobFlow",
        "redshift:RestoreFromClusterSnapshot",
        "iam:CreateRole",
    }
    assert called.actions - _allowed() == set()


def test_nothing_is_granted_that_no_life_needs(aws: Aws, called: Recorder) -> None:
    _live_and_die(aws, called)
    granted = {action for action in _allowed() if action.split(":")[0] in SERVICES}
    assert granted - called.actions - NOT_CALLED_BY_NAME == set()


def test_no_exception_is_called_after_all_or_granted_no_more(aws: Aws, called: Recorder) -> None:
    _live_and_die(aws, called)
    assert NOT_CALLED_BY_NAME & called.actions == set()
    assert NOT_CALLED_BY_NAME - _allowed() == set()


def _live_and_die(aws: Aws, called: Recorder) -> None:
    """Both slots, from nothing to nothing, with all that others may do to them in between."""
    subnet = probe_subnet(aws.ec2, None)
    emr, warehouse = (spec_of(slot, subnet) for slot in Slot)
    for spec in (emr, warehouse):
        ensure_whole(aws, spec)
    with called.somebody_else():
        _interfere(aws, emr, warehouse.names)
    restored = spec_of(Slot.WAREHOUSE, subnet, 4, restore_from=warehouse.names.final_snapshot)
    with pytest.raises(NotReady, match="resumed"):
        redshift_cluster.delete_clusters(aws, warehouse.names, keep_data=True)
    delete_whole(aws, warehouse.names, keep_data=True)
    snapshots.ensure_snapshot_tags(aws.redshift, warehouse.names, warehouse.tags)
    ensure_all(aws, restored)
    redshift_cluster.ensure_cluster(aws, restored, NOW)
    for spec in (emr, restored):
        delete_whole(aws, spec.names, keep_data=False)
    snapshots.prune_snapshots(aws.redshift, ENVIRONMENT, keep=0, protected=())
    assert list_all(aws) == {title: [] for title in list_all(aws)}


def _interfere(aws: Aws, emr: GenerationSpec, warehouse: Names) -> None:
    """Protect the cluster from termination, pause the warehouse, and add an outgoing rule to a group."""
    for cluster in emr_cluster.find_clusters(aws.emr, emr.names):
        aws.emr.set_termination_protection(JobFlowIds=[cluster.id], TerminationProtected=True)
    aws.redshift.pause_cluster(ClusterIdentifier=warehouse.cluster)
    groups = find_groups(aws.ec2, emr.names, emr.subnet)
    rule = Rule("tcp", 1, 1, group_id=groups[emr.names.master_security_group])
    aws.ec2.authorize_security_group_egress(
        GroupId=groups[emr.names.core_security_group], IpPermissions=[rule.permission()]
    )
