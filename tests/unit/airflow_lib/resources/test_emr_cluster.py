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

from .conftest import ENVIRONMENT, OTHER, TAGS, Faulty, refused, spec_of, tags_of, with_clients


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
        emr.request_cluster(with_clients(aws, emr_no_retry=watched), emr_spec)
    assert watched.calls == []


def test_a_requested_cluster_is_found_by_name_and_tag(aws: Aws, spec: GenerationSpec) -> None:
    cluster_id = emr.request_cluster(aws, spec)
    (found,) = emr.find_clusters(aws.emr, spec.names)
    assert found.id == cluster_id
    assert found.ready
    assert found.tags[TAG_ENVIRONMENT] == ENVIRONMENT.name


def test_a_duplicate_cluster_is_found_too(aws: Aws, spec: GenerationSpec) -> None:
    ids = [emr.request_cluster(aws, spec) for _ in range(2)]
    assert {view.id for view in emr.find_clusters(aws.emr, spec.names)} == set(ids)


def test_a_cluster_of_another_generation_or_that_has_ended_is_not_found(
    aws: Aws, spec: GenerationSpec
) -> None:
    cluster_id = emr.request_cluster(aws, spec)
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
    made = emr.request_cluster(aws, spec)
    lost, client = _failing(aws, error)
    with pytest.raises(ResponseLost):
        emr.request_cluster(lost, spec)
    assert client.calls == ["run_job_flow"]
    assert [view.id for view in emr.find_clusters(aws.emr, spec.names)] == [made]


@pytest.mark.parametrize(
    "error",
    [
        refused("ValidationException", "Invalid InstanceProfile: mayfly-dev-immigration-emr-ec2-g3."),
        refused("ValidationException", "Service role arn:… is invalid"),
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
        emr.request_cluster(lagging, spec)
    assert client.calls == ["run_job_flow"]


def test_a_refusal_is_reported_and_not_repeated(aws: Aws, spec: GenerationSpec) -> None:
    denied, client = _failing(aws, refused("AccessDeniedException", "no right"))
    with pytest.raises(ResourceError, match="no right") as caught:
        emr.request_cluster(denied, spec)
    assert not isinstance(caught.value, NotReady | ResponseLost)
    assert client.calls == ["run_job_flow"]


def test_a_lack_of_capacity_is_reported_as_such(aws: Aws, spec: GenerationSpec) -> None:
    full, _ = _failing(aws, refused("ValidationException", "You exceeded your vCPU limit"))
    with pytest.raises(ResourceError, match="choose another instance type"):
        emr.request_cluster(full, spec)


@pytest.mark.parametrize("state", list(ClusterState))
def test_every_state_is_either_ready_pending_or_failed(state: ClusterState) -> None:
    assert sum(state in states for states in (emr.READY, emr.PENDING, emr.FAILED)) == 1


def test_an_unknown_state_is_an_error() -> None:
    with pytest.raises(UnknownState, match="HIBERNATING"):
        emr.probe_cluster(_answering(_cluster("HIBERNATING")), "j-1")


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
    assert not view.ended_by_iam_lag


def test_a_cluster_that_found_no_instances_says_what_to_do() -> None:
    reason = {
        "Code": "INTERNAL_ERROR",
        "Message": "EC2 Insufficient Instance Capacity: does not have sufficient m5.xlarge capacity",
    }
    answer = _answering(_cluster("TERMINATED_WITH_ERRORS", status={"StateChangeReason": reason}))
    view = emr.probe_cluster(answer, "j-1")
    assert view is not None
    assert "instance type" in view.hint


@pytest.mark.parametrize(
    "message",
    [
        "Invalid InstanceProfile: mayfly-dev-immigration-emr-ec2-g3",
        "Service role mayfly-dev-immigration-emr-service-g3 does not exist",
        "EMR service role is invalid",
        "Failed to assume the service role",
    ],
)
def test_a_cluster_that_ended_because_iam_lagged_is_worth_another_request(message: str) -> None:
    reason = {"Code": "VALIDATION_ERROR", "Message": message}
    answer = _answering(_cluster("TERMINATED_WITH_ERRORS", status={"StateChangeReason": reason}))
    view = emr.probe_cluster(answer, "j-1")
    assert view is not None
    assert view.ended_by_iam_lag


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
    cluster_id = emr.request_cluster(aws, spec)
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
    untagged = emr.request_cluster(aws, replace(spec, tags={}))
    theirs = replace(spec, names=Names(OTHER, Slot.EMR, 3), tags=tags_of(3, OTHER))
    ensure_groups(aws, theirs)
    misnamed = emr.request_cluster(aws, replace(theirs, tags=TAGS))

    for cluster_id in (untagged, misnamed):
        with pytest.raises(ForeignResource):
            emr.delete_cluster(aws.emr, ENVIRONMENT, cluster_id)
    assert emr.list_owned_clusters(aws.emr, ENVIRONMENT) == []
    assert emr.find_clusters(aws.emr, spec.names) == []


def test_the_clusters_of_an_environment_are_listed_while_they_live(aws: Aws, spec: GenerationSpec) -> None:
    older = _with_generation(aws, spec, 2)
    ids = {emr.request_cluster(aws, one) for one in (spec, older)}
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
    kept = emr.request_cluster(aws, newer)
    ids = [emr.request_cluster(aws, spec) for _ in range(2)]
    with pytest.raises(NotReady) as caught:
        emr.delete_clusters(aws, spec.names)
    assert all(cluster_id in str(caught.value) for cluster_id in ids)
    emr.delete_clusters(aws, spec.names)
    assert [owned.id for owned in emr.list_owned_clusters(aws.emr, ENVIRONMENT)] == [kept]


def test_deleting_a_generation_without_a_cluster_is_success(aws: Aws, emr_names: Names) -> None:
    emr.delete_clusters(aws, emr_names)
