"""An EMR cluster: request it once, find it again, probe it, end it.

RunJobFlow has no client token, so `request_cluster` takes the client that does not retry; where its answer was
lost (`ResponseLost`), `find_clusters` finds by name and tag whether a cluster came of it.
What runs in the cluster and how big its sessions are is in `spark.sizing`.

Instance metadata: EMR 7 works with IMDSv2 alone, so an account whose default requires it needs nothing more.
https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-create-security-configuration.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ProxyConnectionError,
    SSLError,
)

from airflow_lib.aws.causes import Cause, cause_of, hint_of
from airflow_lib.aws.clients import Aws
from airflow_lib.aws.errors import (
    code_of,
    is_throttling,
    is_transient,
    message_of,
    refusal,
    status_of,
    translate_aws_errors,
)
from airflow_lib.errors import NotReady, ResourceError, ResponseLost
from airflow_lib.naming import TAG_EMR_MANAGED, Environment, Names, Slot, is_ours
from airflow_lib.resources.iam_roles import are_young
from airflow_lib.resources.kind import GenerationSpec, Kind
from airflow_lib.resources.owned import (
    Owned,
    as_tag_list,
    as_tags,
    attempt_all,
    check_known,
    check_ours,
)
from airflow_lib.resources.security_groups import find_groups

if TYPE_CHECKING:
    from mypy_boto3_emr import EMRClient

CLUSTER = "EMR cluster"


class ClusterState(StrEnum):
    """https://docs.aws.amazon.com/emr/latest/APIReference/API_ClusterStatus.html"""

    STARTING = "STARTING"
    BOOTSTRAPPING = "BOOTSTRAPPING"
    RUNNING = "RUNNING"
    WAITING = "WAITING"
    TERMINATING = "TERMINATING"
    TERMINATED = "TERMINATED"
    TERMINATED_WITH_ERRORS = "TERMINATED_WITH_ERRORS"


READY = frozenset({ClusterState.RUNNING, ClusterState.WAITING})
PENDING = frozenset({ClusterState.STARTING, ClusterState.BOOTSTRAPPING})
FAILED = frozenset({ClusterState.TERMINATING, ClusterState.TERMINATED, ClusterState.TERMINATED_WITH_ERRORS})
GONE = frozenset({ClusterState.TERMINATED, ClusterState.TERMINATED_WITH_ERRORS})
ACTIVE = frozenset(ClusterState) - GONE


@dataclass(frozen=True)
class ClusterView:
    """A cluster as EMR describes it; `reason` is AWS's own, empty while there is none.

    `state` is a ClusterState's, or what this version does not know: that is neither ready, nor failed, nor gone.
    """

    id: str
    name: str
    state: str
    reason: str
    master_dns: str | None
    created_at: datetime | None
    termination_protected: bool
    tags: Mapping[str, str]

    @property
    def ready(self) -> bool:
        """Whether Livy can be expected on `master_dns`."""
        return self.state in READY and self.master_dns is not None

    @property
    def failed(self) -> bool:
        """Whether it is ending or has ended, which is failure for one who waits for it."""
        return self.state in FAILED

    @property
    def gone(self) -> bool:
        return self.state in GONE

    @property
    def failed_as_by_lag(self) -> bool:
        """Whether it ended in the words of roles that EMR does not see yet: lag if they were young, else a refusal."""
        return self.failed and cause_of("", self.reason) is Cause.LAG

    @property
    def hint(self) -> str:
        """What to do about a failed cluster."""
        return hint_of("", self.reason) or _end_hint(self.reason)

    def check_known(self) -> None:
        """Raise UnknownState where one who waits for it would wait for what this version does not know."""
        check_known(f"{CLUSTER} {self.name} ({self.id})", self.state, ClusterState, "EMR")


def render_request(spec: GenerationSpec, groups: Mapping[str, str]) -> dict[str, Any]:
    """The RunJobFlow request; `groups` are the ids of the generation's security groups, by name."""
    names, hardware = spec.names, spec.hardware
    instances: dict[str, Any] = {
        "InstanceGroups": [
            _instance_group("MASTER", hardware.master_type, 1, hardware.ebs_gib),
            _instance_group("CORE", hardware.core_type, hardware.core_count, hardware.ebs_gib),
        ],
        "KeepJobFlowAliveWhenNoSteps": True,
        "TerminationProtected": False,
        "Ec2SubnetId": spec.subnet.subnet_id,
        "EmrManagedMasterSecurityGroup": groups[names.master_security_group],
        "EmrManagedSlaveSecurityGroup": groups[names.core_security_group],
    }
    if names.service_security_group in groups:
        instances["ServiceAccessSecurityGroup"] = groups[names.service_security_group]
    return {
        "Name": names.cluster,
        "ReleaseLabel": spec.settings.emr.release,
        "Applications": [{"Name": name} for name in ("Hadoop", "Spark", "Livy")],
        "Instances": instances,
        "Configurations": list(spec.configurations),
        "JobFlowRole": names.instance_role,
        "ServiceRole": names.service_role,
        "LogUri": spec.logs.uri("emr/"),
        "VisibleToAllUsers": True,
        "AutoTerminationPolicy": {"IdleTimeout": spec.settings.emr.idle_timeout_s},
        "Tags": as_tag_list({**spec.tags, TAG_EMR_MANAGED[0]: TAG_EMR_MANAGED[1]}),
    }


def request_cluster(aws: Aws, spec: GenerationSpec, now: datetime) -> str:
    """Ask for the cluster, once; returns its id. `now` is S3's time, by which the roles' age is told.

    Raises NotReady where EMR does not see the roles yet, and they are young, or it throttles (nothing was made);
    ResponseLost where no answer came; ResourceError where AWS refuses.
    """
    action = f"create {CLUSTER} {spec.names.cluster}"
    request = render_request(spec, find_groups(aws.ec2, spec.names, spec.subnet))
    try:
        return aws.emr_no_retry.run_job_flow(**request)["JobFlowId"]
    except (ConnectTimeoutError, EndpointConnectionError, ProxyConnectionError) as error:
        raise NotReady(f"Could not {action} yet: EMR could not be reached ({error})") from error
    except (HTTPClientError, SSLError) as error:
        raise ResponseLost(f"Lost EMR's answer while trying to {action}: {error}") from error
    except ClientError as error:
        answer = f"{code_of(error)}: {message_of(error)}"
        if is_throttling(error):
            raise NotReady(f"Could not {action} yet: {answer}") from error
        if status_of(error) >= 500 or is_transient(error):
            raise ResponseLost(f"EMR failed while trying to {action}: {answer}") from error
        if cause_of(code_of(error), message_of(error)) is Cause.LAG and are_young(aws, spec.names, now):
            raise NotReady(f"Could not {action} yet, its roles are too young: {answer}") from error
        raise refusal(action, error) from error


def find_clusters(emr: EMRClient, names: Names) -> list[ClusterView]:
    """The clusters of this name and our tag that are not gone, oldest first.

    More than one means that an answer was lost: use the first, end the others.
    """
    found = [view for view in _own_clusters(emr, names.environment) if view.name == names.cluster]
    return sorted(found, key=lambda view: (view.created_at.timestamp() if view.created_at else 0, view.id))


def probe_cluster(emr: EMRClient, cluster_id: str) -> ClusterView | None:
    """The cluster as it is, or None where EMR does not know the id (it forgets the dead after two months).

    Raises ResourceError.
    """
    try:
        cluster = emr.describe_cluster(ClusterId=cluster_id).get("Cluster")
    except ClientError as error:
        # EMR has no code of its own for an unknown id.
        if code_of(error) == "InvalidRequestException" and "not valid" in message_of(error):
            return None
        with translate_aws_errors(f"describe {CLUSTER} {cluster_id}"):
            raise
    if not cluster or "Name" not in cluster:
        # Taken for a cluster that is not ours, it would stay; taken for absent, its roles would be deleted.
        raise ResourceError(
            f"EMR described {CLUSTER} {cluster_id} without its name, which was expected. Run the task again."
        )
    return _view(cluster_id, cluster)


def delete_cluster(emr: EMRClient, environment: Environment, cluster_id: str) -> None:
    """Ask EMR to end our cluster, whatever it is doing; poll `probe_cluster` until it is gone.

    Ending or gone already is success. Termination protection that somebody put on our cluster is taken off.
    Raises ForeignResource where it is not ours.
    """
    view = probe_cluster(emr, cluster_id)
    if view is None or view.gone:
        return
    check_ours(CLUSTER, view.name, view.tags, environment)
    if view.state == ClusterState.TERMINATING:
        return
    with translate_aws_errors(f"end {CLUSTER} {view.name} ({cluster_id})"):
        if view.termination_protected:
            emr.set_termination_protection(JobFlowIds=[cluster_id], TerminationProtected=False)
        emr.terminate_job_flows(JobFlowIds=[cluster_id])


def delete_clusters(aws: Aws, names: Names) -> None:
    """End every cluster of this name: a lost answer to RunJobFlow may have left more than one. See `kind.Delete`."""
    if names.slot is not Slot.EMR:
        return
    found = find_clusters(aws.emr, names)
    attempt_all(partial(delete_cluster, aws.emr, names.environment, view.id) for view in found)
    if found:
        states = [f"{CLUSTER} {view.name} ({view.id}) was {view.state}" for view in found]
        raise NotReady(f"asked to end: {'; '.join(states)}")


def list_owned_clusters(emr: EMRClient, environment: Environment) -> list[Owned]:
    """Every cluster of the environment that is not gone, of whatever generation."""
    views = _own_clusters(emr, environment)
    return [Owned(CLUSTER, view.id, view.name, view.tags, view.state) for view in views]


def _own_clusters(emr: EMRClient, environment: Environment) -> list[ClusterView]:
    with translate_aws_errors("list EMR clusters"):
        pages = emr.get_paginator("list_clusters").paginate(
            ClusterStates=[state.value for state in sorted(ACTIVE)]
        )
        ids = [
            cluster["Id"]
            for page in pages
            for cluster in page["Clusters"]
            if "Id" in cluster and cluster.get("Name", "").startswith(environment.prefix)
        ]
    views = [view for view in (probe_cluster(emr, cluster_id) for cluster_id in ids) if view]
    return [view for view in views if not view.gone and is_ours(environment, view.name, view.tags)]


def _view(cluster_id: str, cluster: Mapping[str, Any]) -> ClusterView:
    status = cluster.get("Status", {})
    reason = status.get("StateChangeReason", {})
    answer = ": ".join(part for part in (reason.get("Code"), reason.get("Message")) if part)
    return ClusterView(
        id=cluster_id,
        name=cluster["Name"],
        state=status.get("State", ""),
        reason=answer,
        master_dns=cluster.get("MasterPublicDnsName") or None,
        created_at=status.get("Timeline", {}).get("CreationDateTime"),
        termination_protected=bool(cluster.get("TerminationProtected")),
        tags=as_tags(cluster.get("Tags")),
    )


def _end_hint(reason: str) -> str:
    """What to do about an end whose cause its words do not tell."""
    if "BOOTSTRAP" in reason:
        return "Read the bootstrap logs below the cluster's LogUri (node/…/bootstrap-actions)."
    if reason.startswith("VALIDATION_ERROR"):
        return (
            "Check its roles, subnet and security groups: the EMR console shows them on the cluster's page."
        )
    return "Read the logs below the cluster's LogUri, then run again."


def _instance_group(role: str, instance_type: str, count: int, ebs_gib: int) -> dict[str, Any]:
    return {
        "Name": role.lower(),
        "InstanceRole": role,
        "InstanceType": instance_type,
        "InstanceCount": count,
        "Market": "ON_DEMAND",
        "EbsConfiguration": {
            "EbsBlockDeviceConfigs": [
                {
                    "VolumeSpecification": {"VolumeType": "gp3", "SizeInGB": ebs_gib},
                    "VolumesPerInstance": 1,
                }
            ]
        },
    }


KIND = Kind(
    title=CLUSTER,
    names=lambda names: (names.cluster,) if names.slot is Slot.EMR else (),
    list_owned=lambda aws, environment: list_owned_clusters(aws.emr, environment),
    delete=lambda aws, names, *, keep_data: delete_clusters(aws, names),
    uses_the_rest=True,
)
