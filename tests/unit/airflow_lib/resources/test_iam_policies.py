"""What the roles may do: each its own folders, nobody everything."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from airflow_lib.aws.clients import Aws
from airflow_lib.aws.s3_location import S3Location
from airflow_lib.resources.iam_roles import ensure_roles
from airflow_lib.resources.kind import GenerationSpec


def _inline(aws: Aws, role: str, policy: str) -> dict[str, Any]:
    document = aws.iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    return dict(document)


def _statement(document: dict[str, Any], sid: str) -> dict[str, Any]:
    return next(one for one in document["Statement"] if one.get("Sid") == sid)


def _listings(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [one["Condition"] for one in document["Statement"] if one["Action"] == ["s3:ListBucket"]]


def test_the_service_role_has_emrs_policy_and_passes_exactly_our_ec2_role(
    aws: Aws, emr_spec: GenerationSpec
) -> None:
    names = emr_spec.names
    ensure_roles(aws, emr_spec)

    attached = aws.iam.list_attached_role_policies(RoleName=names.service_role)["AttachedPolicies"]
    assert [policy["PolicyName"] for policy in attached] == ["AmazonEMRServicePolicy_v2"]
    (statement,) = _inline(aws, names.service_role, "pass-ec2-role")["Statement"]
    assert statement["Action"] == "iam:PassRole"
    assert statement["Resource"] == aws.iam.get_role(RoleName=names.instance_role)["Role"]["Arn"]
    assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}


def test_emr_may_assume_the_service_role_for_this_account_alone(aws: Aws, emr_spec: GenerationSpec) -> None:
    ensure_roles(aws, emr_spec)
    role = aws.iam.get_role(RoleName=emr_spec.names.service_role)["Role"]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]  # type: ignore[index,misc]
    assert statement["Principal"] == {"Service": "elasticmapreduce.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def test_only_ec2_may_assume_the_instances_role_and_only_redshift_the_copy_role(
    aws: Aws, emr_spec: GenerationSpec, warehouse_spec: GenerationSpec
) -> None:
    ensure_roles(aws, emr_spec)
    ensure_roles(aws, warehouse_spec)
    for role, service in (
        (emr_spec.names.instance_role, "ec2"),
        (warehouse_spec.names.copy_role, "redshift"),
    ):
        document = aws.iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
        (statement,) = document["Statement"]  # type: ignore[index,misc]
        assert statement["Principal"] == {"Service": f"{service}.amazonaws.com"}


def test_the_cluster_reads_the_source_and_cannot_write_it(aws: Aws, emr_spec: GenerationSpec) -> None:
    ensure_roles(aws, emr_spec)
    document = _inline(aws, emr_spec.names.instance_role, "s3")

    assert _statement(document, "ReadSource")["Action"] == ["s3:GetObject"]
    assert _statement(document, "ReadSource")["Resource"] == "arn:aws:s3:::lake/raw/immigration/*"
    writing = [
        one["Resource"]
        for one in document["Statement"]
        if one["Effect"] == "Allow" and "s3:PutObject" in one["Action"]
    ]
    assert writing == ["arn:aws:s3:::lake/clean/immigration/*", "arn:aws:s3:::ops/logs/immigration/emr/*"]
    assert _statement(document, "CodeIsReadOnly")["Effect"] == "Deny"
    assert _statement(document, "CodeIsReadOnly")["Resource"] == "arn:aws:s3:::lake/clean/immigration/_code/*"


def test_redshift_reads_the_output_and_writes_the_answers_alone(
    aws: Aws, warehouse_spec: GenerationSpec
) -> None:
    ensure_roles(aws, warehouse_spec)
    document = _inline(aws, warehouse_spec.names.copy_role, "s3")
    writing = {one["Sid"] for one in document["Statement"] if "s3:PutObject" in one["Action"]}
    assert writing == {"PublishAnswers"}
    assert _statement(document, "PublishAnswers")["Resource"] == "arn:aws:s3:::shop/answers/immigration/*"
    assert _statement(document, "ReadOutput")["Action"] == ["s3:GetObject"]
    assert _statement(document, "ReadOutput")["Resource"] == "arn:aws:s3:::lake/clean/immigration/*"
    actions = {action for one in document["Statement"] for action in one["Action"]}
    assert "s3:DeleteObject" not in actions


@pytest.mark.parametrize("location", ["s3://lake/clean/immigration", "s3://lake"])
def test_no_policy_of_ours_names_every_resource_or_every_action(
    aws: Aws, emr_spec: GenerationSpec, warehouse_spec: GenerationSpec, location: str
) -> None:
    ensure_roles(aws, replace(emr_spec, source=S3Location.parse(location)))
    ensure_roles(aws, warehouse_spec)
    for role, policy in (
        (emr_spec.names.instance_role, "s3"),
        (emr_spec.names.service_role, "pass-ec2-role"),
        (warehouse_spec.names.copy_role, "s3"),
    ):
        for statement in _inline(aws, role, policy)["Statement"]:
            resources = statement["Resource"]
            for resource in [resources] if isinstance(resources, str) else resources:
                assert resource != "*"
                assert not resource.startswith("arn:aws:s3:::*")
            assert "*" not in json.dumps(statement["Action"])


def test_the_clusters_listing_is_bound_to_the_prefixes_where_a_request_has_one(
    aws: Aws, emr_spec: GenerationSpec
) -> None:
    ensure_roles(aws, emr_spec)
    assert _listings(_inline(aws, emr_spec.names.instance_role, "s3")) == [
        {"StringLikeIfExists": {"s3:prefix": ["raw/immigration", "raw/immigration/*"]}},
        {"StringLikeIfExists": {"s3:prefix": ["clean/immigration", "clean/immigration/*"]}},
    ]


def test_the_warehouses_listing_is_bound_to_the_prefixes(aws: Aws, warehouse_spec: GenerationSpec) -> None:
    ensure_roles(aws, warehouse_spec)
    assert _listings(_inline(aws, warehouse_spec.names.copy_role, "s3")) == [
        {"StringLike": {"s3:prefix": ["clean/immigration", "clean/immigration/*"]}},
        {"StringLike": {"s3:prefix": ["answers/immigration", "answers/immigration/*"]}},
    ]


def test_the_cluster_may_find_unfinished_uploads_where_it_writes_its_output(
    aws: Aws, emr_spec: GenerationSpec
) -> None:
    ensure_roles(aws, replace(emr_spec, source=S3Location.parse("s3://raw/immigration")))
    document = _inline(aws, emr_spec.names.instance_role, "s3")
    (statement,) = [one for one in document["Statement"] if "s3:ListBucketMultipartUploads" in one["Action"]]
    assert (statement["Effect"], statement["Resource"]) == ("Allow", "arn:aws:s3:::lake")
