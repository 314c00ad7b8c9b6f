from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_lib.aws.clients import Aws
from airflow_lib.aws.s3_location import S3Location
from airflow_lib.errors import ForeignResource, TeardownError
from airflow_lib.naming import Names
from airflow_lib.resources import iam
from airflow_lib.resources.common import NotReady, as_tag_list
from airflow_lib.resources.iam_policies import EmrScope

from .conftest import ENVIRONMENT, OTHER, TAGS, Faulty, refused

SCOPE = EmrScope(
    source=S3Location.parse("s3://lake/raw/immigration"),
    processed=S3Location.parse("s3://lake/clean/immigration"),
    logs=S3Location.parse("s3://ops/logs/immigration/emr"),
)
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})


def _inline(aws: Aws, role: str, policy: str) -> dict[str, Any]:
    document = aws.iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    return dict(document)


def _statement(document: dict[str, Any], sid: str) -> dict[str, Any]:
    return next(one for one in document["Statement"] if one.get("Sid") == sid)


def test_the_roles_of_a_cluster_are_made_with_tags_on_each(aws: Aws, emr_names: Names) -> None:
    roles = iam.ensure_emr_roles(aws.iam, emr_names, TAGS, SCOPE)

    assert roles == iam.EmrRoles(emr_names.service_role, emr_names.instance_role)
    assert {role.name for role in iam.list_owned_roles(aws.iam, ENVIRONMENT)} == {
        emr_names.service_role,
        emr_names.instance_role,
    }
    (profile,) = iam.list_owned_instance_profiles(aws.iam, ENVIRONMENT)
    assert profile.name == emr_names.instance_role
    assert profile.tags == TAGS


def test_the_service_role_has_emrs_policy_and_passes_exactly_our_ec2_role(aws: Aws, emr_names: Names) -> None:
    iam.ensure_emr_roles(aws.iam, emr_names, TAGS, SCOPE)

    attached = aws.iam.list_attached_role_policies(RoleName=emr_names.service_role)["AttachedPolicies"]
    assert [policy["PolicyName"] for policy in attached] == ["AmazonEMRServicePolicy_v2"]
    (statement,) = _inline(aws, emr_names.service_role, "pass-ec2-role")["Statement"]
    assert statement["Resource"] == aws.iam.get_role(RoleName=emr_names.instance_role)["Role"]["Arn"]
    assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}


def test_emr_may_assume_the_service_role_for_this_account_alone(aws: Aws, emr_names: Names) -> None:
    iam.ensure_emr_roles(aws.iam, emr_names, TAGS, SCOPE)
    role = aws.iam.get_role(RoleName=emr_names.service_role)["Role"]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]  # type: ignore[index,misc]
    assert statement["Principal"] == {"Service": "elasticmapreduce.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def test_the_cluster_reads_the_source_and_cannot_write_it(aws: Aws, emr_names: Names) -> None:
    iam.ensure_emr_roles(aws.iam, emr_names, TAGS, SCOPE)
    document = _inline(aws, emr_names.instance_role, "s3")

    assert _statement(document, "ReadSource")["Action"] == ["s3:GetObject"]
    writing = [
        one["Resource"]
        for one in document["Statement"]
        if one["Effect"] == "Allow" and "s3:PutObject" in one["Action"]
    ]
    assert writing == ["arn:aws:s3:::lake/clean/immigration/*", "arn:aws:s3:::ops/logs/immigration/emr/*"]
    assert _statement(document, "CodeIsReadOnly")["Resource"] == "arn:aws:s3:::lake/clean/immigration/_code/*"


def test_redshift_reads_the_output_alone(aws: Aws, warehouse_names: Names) -> None:
    arn = iam.ensure_copy_role(aws.iam, warehouse_names, TAGS, SCOPE.processed)

    assert arn.endswith(f":role/{warehouse_names.copy_role}")
    document = _inline(aws, warehouse_names.copy_role, "s3")
    actions = {action for one in document["Statement"] for action in one["Action"]}
    assert actions == {"s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation"}
    assert _statement(document, "ReadOutput")["Resource"] == "arn:aws:s3:::lake/clean/immigration/*"


@pytest.mark.parametrize("location", ["s3://lake/clean/immigration", "s3://lake"])
def test_no_policy_of_ours_names_every_resource_or_every_action(
    aws: Aws, emr_names: Names, warehouse_names: Names, location: str
) -> None:
    scope = EmrScope(S3Location.parse(location), SCOPE.processed, SCOPE.logs)
    iam.ensure_emr_roles(aws.iam, emr_names, TAGS, scope)
    iam.ensure_copy_role(aws.iam, warehouse_names, TAGS, SCOPE.processed)
    for role, policy in (
        (emr_names.instance_role, "s3"),
        (emr_names.service_role, "pass-ec2-role"),
        (warehouse_names.copy_role, "s3"),
    ):
        for statement in _inline(aws, role, policy)["Statement"]:
            resources = statement["Resource"]
            for resource in [resources] if isinstance(resources, str) else resources:
                assert resource != "*"
                assert not resource.startswith("arn:aws:s3:::*")
            assert "*" not in json.dumps(statement["Action"])


def _listings(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [one["Condition"] for one in document["Statement"] if one["Action"] == ["s3:ListBucket"]]


def test_the_clusters_listing_is_bound_to_the_prefixes_where_a_request_has_one(
    aws: Aws, emr_names: Names
) -> None:
    iam.ensure_emr_roles(aws.iam, emr_names, TAGS, SCOPE)
    assert _listings(_inline(aws, emr_names.instance_role, "s3")) == [
        {"StringLikeIfExists": {"s3:prefix": ["raw/immigration", "raw/immigration/*"]}},
        {"StringLikeIfExists": {"s3:prefix": ["clean/immigration", "clean/immigration/*"]}},
    ]


def test_the_warehouses_listing_is_bound_to_the_prefix(aws: Aws, warehouse_names: Names) -> None:
    iam.ensure_copy_role(aws.iam, warehouse_names, TAGS, SCOPE.processed)
    assert _listings(_inline(aws, warehouse_names.copy_role, "s3")) == [
        {"StringLike": {"s3:prefix": ["clean/immigration", "clean/immigration/*"]}}
    ]


def test_the_cluster_may_find_uploads_left_unfinished_where_it_writes_its_output(
    aws: Aws, emr_names: Names
) -> None:
    scope = EmrScope(S3Location.parse("s3://raw/immigration"), SCOPE.processed, SCOPE.logs)
    iam.ensure_emr_roles(aws.iam, emr_names, TAGS, scope)
    document = _inline(aws, emr_names.instance_role, "s3")
    (statement,) = [one for one in document["Statement"] if "s3:ListBucketMultipartUploads" in one["Action"]]
    assert (statement["Effect"], statement["Resource"]) == ("Allow", "arn:aws:s3:::lake")


def test_what_is_ours_already_is_adopted(aws: Aws, emr_names: Names, warehouse_names: Names) -> None:
    first = iam.ensure_emr_roles(aws.iam, emr_names, TAGS, SCOPE)
    assert iam.ensure_emr_roles(aws.iam, emr_names, TAGS, SCOPE) == first
    arn = iam.ensure_copy_role(aws.iam, warehouse_names, TAGS, SCOPE.processed)
    assert iam.ensure_copy_role(aws.iam, warehouse_names, TAGS, SCOPE.processed) == arn


def test_what_a_killed_attempt_left_half_made_is_completed(aws: Aws, emr_names: Names) -> None:
    aws.iam.create_role(
        RoleName=emr_names.instance_role, AssumeRolePolicyDocument=TRUST, Tags=as_tag_list(TAGS)
    )
    aws.iam.create_instance_profile(InstanceProfileName=emr_names.instance_role, Tags=as_tag_list(TAGS))
    iam.ensure_emr_roles(aws.iam, emr_names, TAGS, SCOPE)
    profile = aws.iam.get_instance_profile(InstanceProfileName=emr_names.instance_role)["InstanceProfile"]
    assert [role["RoleName"] for role in profile["Roles"]] == [emr_names.instance_role]


def test_a_role_of_our_name_without_our_tag_is_neither_used_nor_deleted(aws: Aws, emr_names: Names) -> None:
    aws.iam.create_role(RoleName=emr_names.instance_role, AssumeRolePolicyDocument=TRUST)

    with pytest.raises(ForeignResource, match=emr_names.instance_role):
        iam.ensure_emr_roles(aws.iam, emr_names, TAGS, SCOPE)
    with pytest.raises(ForeignResource):
        iam.delete_role(aws.iam, ENVIRONMENT, emr_names.instance_role)
    assert iam.list_owned_roles(aws.iam, ENVIRONMENT) == []
    assert aws.iam.get_role(RoleName=emr_names.instance_role)


def test_an_instance_profile_that_is_not_ours_is_not_used(aws: Aws, emr_names: Names) -> None:
    aws.iam.create_instance_profile(InstanceProfileName=emr_names.instance_role)
    with pytest.raises(ForeignResource, match="instance profile"):
        iam.ensure_emr_roles(aws.iam, emr_names, TAGS, SCOPE)
    with pytest.raises(ForeignResource):
        iam.delete_instance_profile(aws.iam, ENVIRONMENT, emr_names.instance_role)


def test_an_instance_profile_that_holds_somebody_elses_role_is_not_used(aws: Aws, emr_names: Names) -> None:
    name = emr_names.instance_role
    aws.iam.create_role(RoleName="theirs", AssumeRolePolicyDocument=TRUST)
    aws.iam.create_instance_profile(InstanceProfileName=name, Tags=as_tag_list(TAGS))
    aws.iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName="theirs")
    with pytest.raises(ForeignResource, match="theirs"):
        iam.ensure_emr_roles(aws.iam, emr_names, TAGS, SCOPE)


def test_deleting_takes_the_role_out_of_its_profile_first(aws: Aws, emr_names: Names) -> None:
    iam.ensure_emr_roles(aws.iam, emr_names, TAGS, SCOPE)
    iam.delete_emr_roles(aws.iam, emr_names)

    assert iam.list_owned_roles(aws.iam, ENVIRONMENT) == []
    assert iam.list_owned_instance_profiles(aws.iam, ENVIRONMENT) == []


def test_deleting_what_is_absent_is_success(aws: Aws, emr_names: Names, warehouse_names: Names) -> None:
    iam.delete_emr_roles(aws.iam, emr_names)
    iam.delete_copy_role(aws.iam, warehouse_names)


def test_policies_that_others_hung_on_our_role_do_not_keep_it(aws: Aws, warehouse_names: Names) -> None:
    iam.ensure_copy_role(aws.iam, warehouse_names, TAGS, SCOPE.processed)
    aws.iam.put_role_policy(
        RoleName=warehouse_names.copy_role, PolicyName="extra", PolicyDocument=json.dumps(_ALLOW)
    )
    aws.iam.attach_role_policy(
        RoleName=warehouse_names.copy_role, PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess"
    )
    iam.delete_copy_role(aws.iam, warehouse_names)
    assert iam.probe_role(aws.iam, ENVIRONMENT, warehouse_names.copy_role) is None


_ALLOW = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lake/*"}],
}


@pytest.mark.parametrize(
    ("call", "code"),
    [("put_role_policy", "NoSuchEntity"), ("create_role", "ConcurrentModification")],
)
def test_iam_lagging_behind_its_own_writes_is_not_yet(
    aws: Aws, warehouse_names: Names, call: str, code: str
) -> None:
    lagging: Any = Faulty(aws.iam, {call: [refused(code)]})
    with pytest.raises(NotReady):
        iam.ensure_copy_role(lagging, warehouse_names, TAGS, SCOPE.processed)
    assert iam.ensure_copy_role(lagging, warehouse_names, TAGS, SCOPE.processed)


def test_a_role_that_exists_but_is_not_found_yet_is_asked_for_again(aws: Aws, warehouse_names: Names) -> None:
    iam.ensure_copy_role(aws.iam, warehouse_names, TAGS, SCOPE.processed)
    lagging: Any = Faulty(aws.iam, {"get_role": [refused("NoSuchEntity")]})
    with pytest.raises(NotReady):
        iam.ensure_copy_role(lagging, warehouse_names, TAGS, SCOPE.processed)


def test_a_role_still_held_is_deleted_on_the_next_try(aws: Aws, emr_names: Names) -> None:
    iam.ensure_emr_roles(aws.iam, emr_names, TAGS, SCOPE)
    held: Any = Faulty(aws.iam, {"delete_role": [refused("DeleteConflict")]})
    with pytest.raises(NotReady, match="DeleteConflict"):
        iam.delete_emr_roles(held, emr_names)
    iam.delete_emr_roles(held, emr_names)
    assert iam.list_owned_roles(aws.iam, ENVIRONMENT) == []


def test_one_role_that_cannot_go_does_not_keep_the_other(aws: Aws, emr_names: Names) -> None:
    iam.ensure_emr_roles(aws.iam, emr_names, TAGS, SCOPE)
    denied: Any = Faulty(aws.iam, {"delete_role": [refused("AccessDenied")]})
    with pytest.raises(TeardownError, match=emr_names.instance_role):
        iam.delete_emr_roles(denied, emr_names)
    assert [role.name for role in iam.list_owned_roles(aws.iam, ENVIRONMENT)] == [emr_names.instance_role]


def test_another_environment_with_a_longer_name_is_not_ours(aws: Aws, emr_names: Names) -> None:
    theirs = Names(OTHER, emr_names.slot, 3)
    iam.ensure_emr_roles(aws.iam, theirs, {**TAGS, "mayfly:environment": OTHER.name}, SCOPE)
    assert iam.list_owned_roles(aws.iam, ENVIRONMENT) == []
    assert len(iam.list_owned_roles(aws.iam, OTHER)) == 2


def test_a_role_that_bears_our_tag_and_another_name_is_not_ours(aws: Aws) -> None:
    aws.iam.create_role(RoleName="analyst", AssumeRolePolicyDocument=TRUST, Tags=as_tag_list(TAGS))
    assert iam.list_owned_roles(aws.iam, ENVIRONMENT) == []
