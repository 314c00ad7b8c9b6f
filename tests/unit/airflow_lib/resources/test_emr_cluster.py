from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from airflow_lib.aws.clients import Aws
from airflow_lib.errors import ForeignResource, ResourceError, UnknownState
from airflow_lib.naming import TAG_EMR_MANAGED, TAG_ENVIRONMENT, Names
from airflow_lib.pipeline import Hardware
from airflow_lib.resources import emr_cluster as emr
from airflow_lib.resources.common import NotReady, as_tags
from airflow_lib.resources.emr_cluster import ClusterSpec, ClusterState
from airflow_lib.resources.iam import EmrRoles
from airflow_lib.resources.security_groups import EmrGroups, SubnetFacts, ensure_emr_groups
from airflow_lib.settings import EmrSettings, NetworkSettings

from .conftest import ENVIRONMENT, OTHER, TAGS, Faulty, refused


@pytest.fixture
def spec(aws: Aws, emr_names: Names, subnet: SubnetFacts, network: NetworkSettings) -> ClusterSpec:
    groups = ensure_emr_groups(aws.ec2, emr_names, TAGS, subnet, network=network, livy_port=8998)
    return ClusterSpec(
        names=emr_names,
        tags=TAGS,
        hardware=Hardware(core_type="m6g.2xlarge", core_count=3),
        settings=EmrSettings(idle_timeout_s=900),
        roles=EmrRoles("service", "instances"),
        groups=groups,
        subnet_id=subnet.subnet_id,
        log_uri="s3://ops/logs/immigration/emr",
        configurations=[{"Classification": "livy-conf", "Properties": {"a": "b"}}],
    )


def _cluster(state: str, **more: Any) -> dict[str, Any]:
    return {"Id": "j-1", "Name": "n", "Status": {"State": state, **more.pop("status", {})}, **more}


def _answering(cluster: dict[str, Any]) -> Any:
    class Client:
        def describe_cluster(self, **_: Any) -> dict[str, Any]:
            return {"Cluster": cluster}

    return Client()


def test_the_request_says_all_that_the_cluster_is(spec: ClusterSpec) -> None:
    request = emr.render_request(spec)
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
    assert request["LogUri"] == "s3://ops/logs/immigration/emr/"
    assert as_tags(request["Tags"]) == {**TAGS, TAG_EMR_MANAGED[0]: TAG_EMR_MANAGED[1]}


def test_a_public_subnet_has_no_service_access_group(spec: ClusterSpec) -> None:
    public = ClusterSpec(**{**spec.__dict__, "groups": EmrGroups("sg-master", "sg-core", None)})
    assert emr.render_request(spec)["Instances"]["ServiceAccessSecurityGroup"] == spec.groups.service
    assert "ServiceAccessSecurityGroup" not in emr.render_request(public)["Instances"]


def test_a_requested_cluster_is_found_by_name_and_tag(aws: Aws, spec: ClusterSpec) -> None:
    cluster_id = emr.request_cluster(aws.emr_no_retry, spec)
    (found,) = emr.find_clusters(aws.emr, spec.names)
    assert found.id == cluster_id
    assert found.ready
    assert found.tags[TAG_ENVIRONMENT] == ENVIRONMENT.name


def test_a_surplus_cluster_is_found_too_after_the_first(aws: Aws, spec: ClusterSpec) -> None:
    ids = [emr.request_cluster(aws.emr_no_retry, spec) for _ in range(2)]
    assert {view.id for view in emr.find_clusters(aws.emr, spec.names)} == set(ids)


def test_a_cluster_of_another_generation_or_that_has_ended_is_not_found(aws: Aws, spec: ClusterSpec) -> None:
    cluster_id = emr.request_cluster(aws.emr_no_retry, spec)
    newer = Names(ENVIRONMENT, spec.names.slot, 4)
    assert emr.find_clusters(aws.emr, newer) == []
    emr.delete_cluster(aws.emr, ENVIRONMENT, cluster_id)
    assert emr.find_clusters(aws.emr, spec.names) == []


def test_an_old_cluster_is_not_taken_for_the_lost_one(aws: Aws, spec: ClusterSpec) -> None:
    emr.request_cluster(aws.emr_no_retry, spec)
    later = datetime.now(UTC) + timedelta(hours=1)
    assert emr.find_clusters(aws.emr, spec.names, created_after=later) == []


@pytest.mark.parametrize(
    "error",
    [
        ReadTimeoutError(endpoint_url="https://emr"),
        ConnectionClosedError(endpoint_url="https://emr"),
        refused("InternalFailure", "oops", status=500),
        refused("InternalServerException", "oops", status=503),
    ],
)
def test_a_lost_answer_is_unsettled_and_the_cluster_can_be_found(
    aws: Aws, spec: ClusterSpec, error: Exception
) -> None:
    made = emr.request_cluster(aws.emr_no_retry, spec)
    lost: Any = Faulty(aws.emr_no_retry, {"run_job_flow": [error]})
    with pytest.raises(emr.ResponseLost):
        emr.request_cluster(lost, spec)
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
def test_what_made_nothing_and_will_pass_is_not_yet(aws: Aws, spec: ClusterSpec, error: Exception) -> None:
    lagging: Any = Faulty(aws.emr_no_retry, {"run_job_flow": [error]})
    with pytest.raises(NotReady):
        emr.request_cluster(lagging, spec)
    assert lagging.calls == ["run_job_flow"]


def test_a_refusal_is_told_and_not_repeated(aws: Aws, spec: ClusterSpec) -> None:
    denied: Any = Faulty(aws.emr_no_retry, {"run_job_flow": [refused("AccessDeniedException", "no right")]})
    with pytest.raises(ResourceError, match="no right") as caught:
        emr.request_cluster(denied, spec)
    assert not isinstance(caught.value, NotReady | emr.ResponseLost)


def test_a_lack_of_capacity_is_told_as_such(aws: Aws, spec: ClusterSpec) -> None:
    full: Any = Faulty(
        aws.emr_no_retry, {"run_job_flow": [refused("ValidationException", "You exceeded your vCPU limit")]}
    )
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
def test_a_cluster_that_ends_while_it_is_waited_for_tells_awss_reason(state: str) -> None:
    reason = {"Code": "BOOTSTRAP_FAILURE", "Message": "On the master instance (i-1), bootstrap failed"}
    view = emr.probe_cluster(_answering(_cluster(state, status={"StateChangeReason": reason})), "j-1")
    assert view is not None
    assert view.failed
    assert view.reason == "BOOTSTRAP_FAILURE: On the master instance (i-1), bootstrap failed"
    assert "bootstrap" in view.mend
    assert not view.ended_by_iam_lag


def test_a_cluster_that_found_no_instances_tells_what_to_do() -> None:
    reason = {
        "Code": "INTERNAL_ERROR",
        "Message": "EC2 Insufficient Instance Capacity: does not have sufficient m5.xlarge capacity",
    }
    answer = _answering(_cluster("TERMINATED_WITH_ERRORS", status={"StateChangeReason": reason}))
    view = emr.probe_cluster(answer, "j-1")
    assert view is not None
    assert "instance type" in view.mend


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


def test_ending_takes_off_a_protection_that_somebody_set(aws: Aws, spec: ClusterSpec) -> None:
    cluster_id = emr.request_cluster(aws.emr_no_retry, spec)
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


def test_a_cluster_that_is_not_ours_is_never_ended(aws: Aws, spec: ClusterSpec) -> None:
    untagged = ClusterSpec(**{**spec.__dict__, "tags": {}})
    theirs = emr.request_cluster(aws.emr_no_retry, untagged)
    misnamed = ClusterSpec(**{**spec.__dict__, "names": Names(OTHER, spec.names.slot, 3)})
    tagged = emr.request_cluster(aws.emr_no_retry, misnamed)

    for cluster_id in (theirs, tagged):
        with pytest.raises(ForeignResource):
            emr.delete_cluster(aws.emr, ENVIRONMENT, cluster_id)
    assert emr.list_owned_clusters(aws.emr, ENVIRONMENT) == []
    assert emr.find_clusters(aws.emr, spec.names) == []


def test_the_clusters_of_an_environment_are_listed_while_they_live(aws: Aws, spec: ClusterSpec) -> None:
    older = ClusterSpec(**{**spec.__dict__, "names": Names(ENVIRONMENT, spec.names.slot, 2)})
    ids = {emr.request_cluster(aws.emr_no_retry, one) for one in (spec, older)}
    assert {owned.id for owned in emr.list_owned_clusters(aws.emr, ENVIRONMENT)} == ids
    for cluster_id in ids:
        emr.delete_cluster(aws.emr, ENVIRONMENT, cluster_id)
    assert emr.list_owned_clusters(aws.emr, ENVIRONMENT) == []
