from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from airflow_lib.aws.clients import Aws
from airflow_lib.errors import ForeignResource, NotReady, ResourceError, ResponseLost, UnknownState
from airflow_lib.naming import TAG_EMR_MANAGED, TAG_ENVIRONMENT, Names, Slot
from airflow_lib.resources import emr_cluster as emr
from airflow_lib.resources.emr_cluster import ClusterState
from airflow_lib.resources.kind import GenerationSpec
from airflow_lib.resources.owned import as_tags
from airflow_lib.resources.security_groups import ensure_groups, find_groups

from .conftest import (
    ENVIRONMENT,
    LATER,
    NOW,
    OTHER,
    TAGS,
    Faulty,
    ensure_all,
    refused,
    spec_of,
    tags_of,
    with_clients,
)


@pytest.fixture
def spec(aws: Aws, emr_spec: GenerationSpec) -> GenerationSpec:
    """A generation whose security groups are there already."""
    ensure_groups(aws, emr_spec)
    return emr_spec


@pytest.fixture
def groups(aws: Aws, spec: GenerationSpec) -> Mapping[str, str]:
    return find_groups(aws.ec2, spec.names, spec.subnet)


def _with_generation(aws: Aws, spec: GenerationSpec, generation: int) -> GenerationSpec:
    other = spec_of(Slot.EMR, spec.subnet, generation)
    ensure_groups(aws, other)
    return other


def _failing(aws: Aws, error: Exception) -> tuple[Aws, Faulty]:
    """Clients whose next RunJobFlow fails, and the failing one of them."""
    faulty = Faulty(aws.emr_no_retry, {"run_job_flow": [error]})
    return with_clients(aws, emr_no_retry=faulty), faulty


def _cluster(state: str, **more: Any) -> dict[str, Any]:
    return {"Id": "j-1", "Name": "n", "Status": {"State": state, **more.pop("status", {})}, **more}


def _answering(cluster: dict[str, Any]) -> Any:
    class Client:
        def describe_cluster(self, **_: Any) -> dict[str, Any]:
            return {"Cluster": cluster}

    return Client()


def test_the_request_says_all_that_the_cluster_is(spec: GenerationSpec, groups: Mapping[str, str]) -> None:
    request = emr.render_request(spec, groups)
    instances = request["Instances"]

    assert request["Name"] == "mayfly-dev-immigration-emr-g3"
    assert request["ReleaseLabel"] == "emr-7.13.0"
    assert [one["Name"] for one in request["Applications"]] == ["Hadoop", "Spark", "Livy"]
    assert [
        (one["InstanceRole"], one["InstanceType"], one["InstanceCount"])
        for one in instances["InstanceGroups"]
    ] == [
        ("MASTER", "m5.xlarge", 1),
        ("CORE", "m6g.2xlarge", 3),
    ]
    for group in instances["InstanceGroups"]:
        (disk,) = group["EbsConfiguration"]["EbsBlockDeviceConfigs"]
        assert disk["VolumeSpecification"] == {"VolumeType": "gp3", "SizeInGB": 64}
    assert instances["KeepJobFlowAliveWhenNoSteps"] is True
    assert instances["TerminationProtected"] is False
    assert request["AutoTerminationPolicy"] == {"IdleTimeout": 900}
    assert request["JobFlowRole"] == "mayfly-dev-immigration-emr-ec2-g3"
    assert request["ServiceRole"] == "mayfly-dev-immigration-emr-service-g3"
    assert request["Configurations"] == [{"Classification": "livy-conf", "Properties": {"a": "b"}}]
    assert instances["Ec2SubnetId"] == spec.subnet.subnet_id
    assert instances["EmrManagedMasterSecurityGroup"] == groups[spec.names.master_security_group]
    assert instances["EmrManagedSlaveSecurityGroup"] == groups[spec.names.core_security_group]
    assert request["LogUri"] == "s3://ops/logs/immigration/emr/"
    assert as_tags(request["Tags"]) == {**TAGS, TAG_EMR_MANAGED[0]: TAG_EMR_MANAGED[1]}


def test_a_public_subnet_has_no_service_access_group(spec: GenerationSpec, groups: Mapping[str, str]) -> None:
    service = spec.names.service_security_group
    public = {name: group_id for name, group_id in groups.items() if name != service}
    private_request, public_request = (emr.render_request(spec, one) for one in (groups, public))
    assert private_request["Instances"]["ServiceAccessSecurityGroup"] == groups[service]
    assert "ServiceAccessSecurityGroup" not in public_request["Instances"]


def test_while_ec2_does_not_list_the_groups_yet_no_cluster_is_requested(
    aws: Aws, emr_spec: GenerationSpec
) -> None:
    watched = Faulty(aws.emr_no_retry)
    with pytest.raises(NotReady, match=emr_spec.names.master_security_group):
        emr.request_cluster(with_clients(aws, emr_no_retry=watched), emr_spec, NOW)
    assert watched.calls == []


def test_a_requested_cluster_is_found_by_name_and_tag(aws: Aws, spec: GenerationSpec) -> None:
    cluster_id = emr.request_cluster(aws, spec, NOW)
    (found,) = emr.find_clusters(aws.emr, spec.names)
    assert found.id == cluster_id
    assert found.ready
    assert found.tags[TAG_ENVIRONMENT] == ENVIRONMENT.name


def test_a_duplicate_cluster_is_found_too(aws: Aws, spec: GenerationSpec) -> None:
    ids = [emr.request_cluster(aws, spec, NOW) for _ in range(2)]
    assert {view.id for view in emr.find_clusters(aws.emr, spec.names)} == set(ids)


def test_a_cluster_of_another_generation_or_that_has_ended_is_not_found(
    aws: Aws, spec: GenerationSpec
) -> None:
    cluster_id = emr.request_cluster(aws, spec, NOW)
    newer = Names(ENVIRONMENT, spec.names.slot, 4)
    assert emr.find_clusters(aws.emr, newer) == []
    emr.delete_cluster(aws.emr, ENVIRONMENT, cluster_id)
    assert emr.find_clusters(aws.emr, spec.names) == []


@pytest.mark.parametrize(
    "error",
    [
        ReadTimeoutError(endpoint_url="https://emr"),
        ConnectionClosedError(endpoint_url="https://emr"),
        refused("InternalFailure", "oops", status=500),
        refused("InternalServerException", "oops", status=503),
        refused("InternalServerException", "oops", status=400),  # EMR's model gives it no status
    ],
)
def test_where_the_answer_was_lost_the_cluster_can_still_be_found(
    aws: Aws, spec: GenerationSpec, error: Exception
) -> None:
    made = emr.request_cluster(aws, spec, NOW)
    lost, client = _failing(aws, error)
    with pytest.raises(ResponseLost):
        emr.request_cluster(lost, spec, NOW)
    assert client.calls == ["run_job_flow"]
    assert [view.id for view in emr.find_clusters(aws.emr, spec.names)] == [made]


@pytest.mark.parametrize(
    "error",
    [
        refused("ThrottlingException", "Rate exceeded"),
        ConnectTimeoutError(endpoint_url="https://emr"),
        EndpointConnectionError(endpoint_url="https://emr"),
    ],
)
def test_a_refusal_that_made_nothing_and_will_pass_is_not_ready(
    aws: Aws, spec: GenerationSpec, error: Exception
) -> None:
    lagging, client = _failing(aws, error)
    with pytest.raises(NotReady):
        emr.request_cluster(lagging, spec, NOW)
    assert client.calls == ["run_job_flow"]


def test_a_refusal_is_reported_and_not_repeated(aws: Aws, spec: GenerationSpec) -> None:
    denied, client = _failing(aws, refused("AccessDeniedException", "no right"))
    with pytest.raises(ResourceError, match="no right") as caught:
        emr.request_cluster(denied, spec, NOW)
    assert not isinstance(caught.value, NotReady | ResponseLost)
    assert client.calls == ["run_job_flow"]


# What RunJobFlow answers while EMR does not see what was just made. Terraform asks again on the first two
# (hashicorp/terraform-provider-aws, internal/service/emr/cluster.go); the others are seen in public reports.
LAG = [
    refused("ValidationException", "Invalid InstanceProfile: mayfly-dev-immigration-emr-ec2-g3."),
    refused(
        "AccessDeniedException",
        "Failed to authorize instance profile arn:aws:iam::123456789012:instance-profile/mayfly-…-ec2-g3",
    ),
    refused("ValidationException", "EMR service role arn:aws:iam::123456789012:role/x is invalid"),
    refused("ValidationException", "Service role arn:… is invalid"),
    refused("ValidationException", "The security group 'sg-0' does not exist"),
]


@pytest.mark.parametrize("error", LAG, ids=str)
def test_while_the_roles_are_young_emr_may_only_be_late_to_see_them(
    aws: Aws, spec: GenerationSpec, error: Exception
) -> None:
    ensure_all(aws, spec)
    lagging, client = _failing(aws, error)
    with pytest.raises(NotReady, match="too young"):
        emr.request_cluster(lagging, spec, NOW)
    assert client.calls == ["run_job_flow"]
    emr.request_cluster(lagging, spec, NOW)


@pytest.mark.parametrize("error", LAG, ids=str)
def test_once_the_roles_are_old_the_same_words_are_a_refusal(
    aws: Aws, spec: GenerationSpec, error: Exception
) -> None:
    ensure_all(aws, spec)
    refusing, _ = _failing(aws, error)
    with pytest.raises(ResourceError, match="this time it was not that: look whether the roles") as caught:
        emr.request_cluster(refusing, spec, LATER)
    assert not isinstance(caught.value, NotReady)


def test_a_denied_caller_is_never_taken_for_lag(aws: Aws, spec: GenerationSpec) -> None:
    """An assumed role is in the words, and the roles are young: still it is the caller who lacks a right."""
    ensure_all(aws, spec)
    words = (
        "User: arn:aws:sts::123456789012:assumed-role/airflow/worker is not authorized to perform: iam:PassRole on "
        "resource: arn:aws:iam::123456789012:role/mayfly-dev-immigration-emr-service-g3"
    )
    denied, _ = _failing(aws, refused("AccessDeniedException", words))
    with pytest.raises(ResourceError, match="iam-principal-policy.json") as caught:
        emr.request_cluster(denied, spec, NOW)
    assert not isinstance(caught.value, NotReady)


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (
            refused(
                "ValidationException",
                "We currently do not have sufficient m5.xlarge capacity in the Availability Zone you requested",
            ),
            "choose another instance or node type or another subnet",
        ),
        (refused("ValidationException", "You exceeded your vCPU limit"), "raise it .console: Service Quotas"),
    ],
)
def test_a_lack_of_capacity_and_a_quota_are_told_apart(
    aws: Aws, spec: GenerationSpec, error: Exception, hint: str
) -> None:
    full, _ = _failing(aws, error)
    with pytest.raises(ResourceError, match=hint):
        emr.request_cluster(full, spec, NOW)


@pytest.mark.parametrize("state", list(ClusterState))
def test_every_state_is_either_ready_pending_or_failed(state: ClusterState) -> None:
    assert sum(state in states for states in (emr.READY, emr.PENDING, emr.FAILED)) == 1


def test_an_unknown_state_is_an_error_only_for_one_who_waits() -> None:
    view = emr.probe_cluster(_answering(_cluster("HIBERNATING")), "j-1")
    assert view is not None
    assert not (view.ready)
    assert not (view.failed)
    assert not (view.gone)
    with pytest.raises(UnknownState, match="HIBERNATING"):
        view.check_known()


def test_a_known_state_is_no_error_for_one_who_waits() -> None:
    for state in ClusterState:
        view = emr.probe_cluster(_answering(_cluster(state)), "j-1")
        assert view is not None
        view.check_known()


class Account:
    """An EMR that lists and describes these clusters, and remembers which it was told to end."""

    def __init__(self, *clusters: dict[str, Any]) -> None:
        self.clusters = clusters
        self.ended: list[str] = []

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [{"Clusters": list(self.clusters)}]

    def describe_cluster(self, *, ClusterId: str) -> dict[str, Any]:  # noqa: N803  (boto3's own name)
        return {"Cluster": next(one for one in self.clusters if one.get("Id") == ClusterId)}

    def terminate_job_flows(self, *, JobFlowIds: list[str]) -> None:  # noqa: N803
        self.ended += JobFlowIds


def _ours(cluster_id: str, state: str) -> dict[str, Any]:
    tags = [{"Key": TAG_ENVIRONMENT, "Value": ENVIRONMENT.name}]
    return _cluster(state) | {"Id": cluster_id, "Name": "mayfly-dev-immigration-emr-g3", "Tags": tags}


def test_a_cluster_in_an_unknown_state_is_ended_all_the_same(aws: Aws, emr_names: Names) -> None:
    account = Account(_ours("j-1", "HIBERNATING"), _ours("j-2", "WAITING"))
    with pytest.raises(NotReady, match="j-1.* was HIBERNATING.*j-2"):
        emr.delete_clusters(with_clients(aws, emr=account), emr_names)
    assert account.ended == ["j-1", "j-2"]


def test_an_unknown_state_and_a_malformed_neighbour_keep_nothing_from_being_listed() -> None:
    neighbours = (
        {},
        {"Id": "j-8"},
        {"Name": "mayfly-dev-immigration-emr-g3"},
        {"Id": "j-9", "Name": "theirs"},
    )
    account: Any = Account(*neighbours, _ours("j-1", "HIBERNATING"), _ours("j-2", "WAITING"))
    listed = emr.list_owned_clusters(account, ENVIRONMENT)
    assert [(owned.id, owned.state) for owned in listed] == [("j-1", "HIBERNATING"), ("j-2", "WAITING")]


def test_a_description_without_a_name_is_taken_neither_for_absence_nor_for_somebody_elses() -> None:
    for answer in ({}, {"Cluster": {}}, {"Cluster": {"Id": "j-1", "Status": {"State": "WAITING"}}}):
        client: Any = type("Client", (), {"describe_cluster": lambda _, answer=answer, **__: answer})()
        with pytest.raises(ResourceError, match="without its name"):
            emr.probe_cluster(client, "j-1")


def test_a_cluster_without_an_address_is_not_ready() -> None:
    view = emr.probe_cluster(_answering(_cluster("WAITING")), "j-1")
    assert view is not None
    assert not view.ready


@pytest.mark.parametrize("state", ["TERMINATING", "TERMINATED", "TERMINATED_WITH_ERRORS"])
def test_a_cluster_that_ends_while_it_is_waited_for_has_awss_reason(state: str) -> None:
    reason = {"Code": "BOOTSTRAP_FAILURE", "Message": "On the master instance (i-1), bootstrap failed"}
    view = emr.probe_cluster(_answering(_cluster(state, status={"StateChangeReason": reason})), "j-1")
    assert view is not None
    assert view.failed
    assert view.reason == "BOOTSTRAP_FAILURE: On the master instance (i-1), bootstrap failed"
    assert "bootstrap" in view.hint
    assert not view.failed_as_by_lag


def _ended(code: str, message: str) -> emr.ClusterView:
    reason = {"Code": code, "Message": message}
    answer = _answering(_cluster("TERMINATED_WITH_ERRORS", status={"StateChangeReason": reason}))
    view = emr.probe_cluster(answer, "j-1")
    assert view is not None
    return view


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        (
            "INTERNAL_ERROR",
            "EC2 Insufficient Instance Capacity: does not have sufficient m5.xlarge capacity",
            "another instance or node type",
        ),
        (
            "INSTANCE_FAILURE",
            "Your requested instance type (m6g.2xlarge) is not supported in your requested Availability Zone",
            "another subnet",
        ),
        (
            "VALIDATION_ERROR",
            (
                "You have requested more vCPU capacity than your current vCPU limit of 32 allows for the instance "
                "bucket that the specified instance type belongs to."
            ),
            "Service Quotas",
        ),
        (
            "VALIDATION_ERROR",
            (
                "Service role arn:aws:iam::1:role/x has insufficient EC2 permissions. EC2 Message: You are not "
                "authorized to perform: ec2:RunInstances with an explicit deny in a service control policy"
            ),
            "granting it to the principal does not help",
        ),
        (
            "VALIDATION_ERROR",
            "Service role arn:aws:iam::1:role/x has insufficient EC2 permissions",
            "look whether the roles",
        ),
        ("VALIDATION_ERROR", "The subnet ID 'subnet-1' does not exist", "EMR console"),
        ("STEP_FAILURE", "", "Read the logs"),
    ],
)
def test_a_cluster_that_ended_says_what_to_do_about_that_cause(code: str, message: str, hint: str) -> None:
    assert hint in _ended(code, message).hint


@pytest.mark.parametrize(
    "message",
    [
        # https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-troubleshoot-errors.html, and public reports
        "Service role arn:aws:iam::891376966635:role/x has insufficient EC2 permissions",
        (
            "Service role arn:aws:iam::891376966635:role/x has insufficient EC2 permissions.\n"
            "EC2 Message: You are not authorized to perform: ec2:CreateSecurityGroup"
        ),
        "Failed to provision ec2 instances because 'The requested instance profile x is invalid'",
        "Invalid InstanceProfile: mayfly-dev-immigration-emr-ec2-g3",
        "Service role mayfly-dev-immigration-emr-service-g3 does not exist",
        "EMR service role is invalid",
        "Failed to assume the service role",
    ],
)
def test_a_cluster_that_ended_in_the_words_of_lag_is_known(message: str) -> None:
    assert _ended("VALIDATION_ERROR", message).failed_as_by_lag


def test_a_cluster_that_an_organisations_policy_ended_was_not_ended_by_lag() -> None:
    denied = (
        "Service role arn:aws:iam::1:role/x has insufficient EC2 permissions. EC2 Message: … with an explicit deny in "
        "a permissions boundary: arn:aws:iam::1:policy/b"
    )
    assert not _ended("VALIDATION_ERROR", denied).failed_as_by_lag


def test_a_cluster_that_emr_does_not_know_is_absent(aws: Aws) -> None:
    unknown: Any = Faulty(
        aws.emr, {"describe_cluster": [refused("InvalidRequestException", "Cluster id 'j-0' is not valid.")]}
    )
    assert emr.probe_cluster(unknown, "j-0") is None


def test_the_account_says_the_same_of_an_unknown_cluster(aws: Aws) -> None:
    assert emr.probe_cluster(aws.emr, "j-UNKNOWN") is None
    emr.delete_cluster(aws.emr, ENVIRONMENT, "j-UNKNOWN")


def test_deleting_takes_off_a_termination_protection_that_somebody_set(
    aws: Aws, spec: GenerationSpec
) -> None:
    cluster_id = emr.request_cluster(aws, spec, NOW)
    aws.emr.set_termination_protection(JobFlowIds=[cluster_id], TerminationProtected=True)
    emr.delete_cluster(aws.emr, ENVIRONMENT, cluster_id)
    view = emr.probe_cluster(aws.emr, cluster_id)
    assert view is not None
    assert view.gone
    emr.delete_cluster(aws.emr, ENVIRONMENT, cluster_id)


def test_a_cluster_that_is_ending_already_is_left_to_it() -> None:
    emr.delete_cluster(
        _answering(
            _cluster(
                "TERMINATING",
                Name="mayfly-dev-immigration-emr-g3",
                Tags=[{"Key": TAG_ENVIRONMENT, "Value": ENVIRONMENT.name}],
            )
        ),
        ENVIRONMENT,
        "j-1",
    )


def test_a_cluster_that_is_not_ours_is_never_ended(aws: Aws, spec: GenerationSpec) -> None:
    untagged = emr.request_cluster(aws, replace(spec, tags={}), NOW)
    theirs = replace(spec, names=Names(OTHER, Slot.EMR, 3), tags=tags_of(3, OTHER))
    ensure_groups(aws, theirs)
    misnamed = emr.request_cluster(aws, replace(theirs, tags=TAGS), NOW)

    for cluster_id in (untagged, misnamed):
        with pytest.raises(ForeignResource):
            emr.delete_cluster(aws.emr, ENVIRONMENT, cluster_id)
    assert emr.list_owned_clusters(aws.emr, ENVIRONMENT) == []
    assert emr.find_clusters(aws.emr, spec.names) == []


def test_the_clusters_of_an_environment_are_listed_while_they_live(aws: Aws, spec: GenerationSpec) -> None:
    older = _with_generation(aws, spec, 2)
    ids = {emr.request_cluster(aws, one, NOW) for one in (spec, older)}
    assert {owned.id for owned in emr.list_owned_clusters(aws.emr, ENVIRONMENT)} == ids
    for cluster_id in ids:
        emr.delete_cluster(aws.emr, ENVIRONMENT, cluster_id)
    assert emr.list_owned_clusters(aws.emr, ENVIRONMENT) == []


def test_two_clusters_of_one_name_are_listed_oldest_first() -> None:
    names = Names(ENVIRONMENT, Slot.EMR, 3)

    def cluster(cluster_id: str, day: int) -> dict[str, Any]:
        timeline = {"CreationDateTime": datetime(2026, 11, day, tzinfo=UTC)}
        tags = [{"Key": TAG_ENVIRONMENT, "Value": ENVIRONMENT.name}]
        status = {"State": "WAITING", "Timeline": timeline}
        return {"Id": cluster_id, "Name": names.cluster, "Status": status, "Tags": tags}

    clusters = {"j-a": cluster("j-a", 2), "j-b": cluster("j-b", 1)}

    class Client:
        def get_paginator(self, _: str) -> Any:
            return self

        def paginate(self, **_: Any) -> list[dict[str, Any]]:
            return [{"Clusters": [one]} for one in clusters.values()]

        def describe_cluster(self, *, ClusterId: str) -> dict[str, Any]:  # noqa: N803  (boto3's own name)
            return {"Cluster": clusters[ClusterId]}

    client: Any = Client()
    assert [view.id for view in emr.find_clusters(client, names)] == ["j-b", "j-a"]


def test_deleting_a_generation_ends_the_duplicate_too_and_leaves_other_generations(
    aws: Aws, spec: GenerationSpec
) -> None:
    newer = _with_generation(aws, spec, 4)
    kept = emr.request_cluster(aws, newer, NOW)
    ids = [emr.request_cluster(aws, spec, NOW) for _ in range(2)]
    with pytest.raises(NotReady) as caught:
        emr.delete_clusters(aws, spec.names)
    assert all(cluster_id in str(caught.value) for cluster_id in ids)
    emr.delete_clusters(aws, spec.names)
    assert [owned.id for owned in emr.list_owned_clusters(aws.emr, ENVIRONMENT)] == [kept]


def test_deleting_a_generation_without_a_cluster_is_success(aws: Aws, emr_names: Names) -> None:
    emr.delete_clusters(aws, emr_names)
