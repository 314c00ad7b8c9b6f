"""What sandbox.aws takes hold of inside moto: an upgrade that moves one of these must fail here first."""

import inspect

import pytest
from moto.core.responses import ActionResult
from moto.ec2.models import EC2Backend
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.emr.models import Cluster as EmrCluster
from moto.emr.models import ElasticMapReduceBackend
from moto.emr.responses import ElasticMapReduceResponse
from moto.emr.utils import EmrSecurityGroupManager
from moto.iam import policy_conditions
from moto.iam.access_control import IAMPolicyStatement, PermissionResult
from moto.redshift.models import Cluster as RedshiftCluster
from moto.redshift.models import RedshiftBackend, Snapshot
from moto.redshift.responses import RedshiftResponse
from moto.s3 import models as s3_models
from moto.s3.models import FakeKey, S3Backend
from moto.s3.responses import S3Response


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        (EC2Backend, "_delete_security_group", ["vpc_id", "group_id"]),
        (EmrCluster, "run_bootstrap_actions", []),
        (EmrCluster, "terminate", []),
        (ElasticMapReduceBackend, "terminate_job_flows", ["job_flow_ids"]),
        (ElasticMapReduceResponse, "run_job_flow", []),
        (EmrSecurityGroupManager, "_get_or_create_sg", ["sg_id", "defaults"]),
        (EmrSecurityGroupManager, "_add_rules_to", ["managed_groups"]),
        (RedshiftResponse, "create_cluster", []),
        (RedshiftResponse, "describe_clusters", []),
        (RedshiftResponse, "describe_cluster_snapshots", []),
        (RedshiftBackend, "pause_cluster", ["cluster_id"]),
        (RedshiftBackend, "resume_cluster", ["cluster_id"]),
        (RedshiftBackend, "delete_cluster_snapshot", ["snapshot_identifier"]),
        (RedshiftBackend, "create_tags", ["resource_name", "tags"]),
        (
            RedshiftBackend,
            "get_cluster_credentials",
            ["cluster_identifier", "db_user", "auto_create", "duration_seconds"],
        ),
        (S3Backend, "delete_bucket", ["bucket_name"]),
        (S3Response, "put_object", []),
        (S3Response, "copy_object", []),
        (S3Response, "delete_object", []),
        (S3Response, "get_object", []),
        (S3Response, "_handle_range_header", ["request", "response_headers", "response_content"]),
        (FakeKey, "set_metadata", ["metadata", "replace"]),
        (FakeKey, "dispose", ["garbage"]),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "__name__", ""),
)
def test_a_seam_is_where_it_was(owner, name, parameters):
    found = list(inspect.signature(getattr(owner, name)).parameters)
    assert found == ["self", *parameters]


@pytest.mark.parametrize(
    ("owner", "name"),
    [(EmrCluster, "master_public_dns_name"), (EmrCluster, "status"), (RedshiftCluster, "endpoint")],
)
def test_what_clients_are_told_is_a_property(owner, name):
    assert isinstance(getattr(owner, name), property)


def test_keys_are_made_by_their_name_in_the_module():
    assert s3_models.FakeKey is FakeKey
    for maker in (S3Backend.put_object, s3_models.FakeMultipart.set_part):
        assert "FakeKey" in maker.__code__.co_names


def test_an_action_tells_its_result():
    assert ActionResult({"a": 1}).result == {"a": 1}


def test_a_rule_tells_the_group_it_names():
    rule = SecurityGroupRule(
        type("Backend", (), {"account_id": "1"})(), "tcp", "sg-1", "1", "2", None, {"GroupId": "sg-2"}
    )
    assert rule.source_group["GroupId"] == "sg-2"


def test_a_snapshot_takes_from_its_cluster_what_we_keep():
    taken = {name for name in Snapshot.__init__.__code__.co_names if name != "cluster"}
    assert {"cluster_identifier", "node_type", "number_of_nodes", "db_name", "master_username"} <= taken


def test_conditions_have_a_table_of_operators():
    assert callable(policy_conditions.CONDITION_OPERATIONS["StringEquals"])


def test_an_allow_whose_condition_is_not_met_reads_as_a_denial():
    """Why iam.authorize asks statement by statement, each as an Allow."""
    statement = {
        "Effect": "Allow",
        "Action": "a:B",
        "Resource": "*",
        "Condition": {"StringEquals": {"k": "v"}},
    }
    result = IAMPolicyStatement(statement).is_action_permitted("a:B", "r", None, {"k": "other"})
    assert result is PermissionResult.DENIED
