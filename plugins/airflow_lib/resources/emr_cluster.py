"""An EMR cluster: request it once, find it again, probe it, end it.

RunJobFlow has no client token, so `request_cluster` takes the client that sends once; where its answer was
lost (`ResponseLost`), `find_clusters` tells by name and tag whether a cluster came of it.
What runs in the cluster and how big its sessions are is in `sizing`; roles and groups in `iam` and `network`.

Instance metadata: EMR 7 works with IMDSv2 alone, so an account whose default requires it needs nothing more.
https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-create-security-configuration.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ProxyConnectionError,
    SSLError,
)

from airflow_lib.errors import ForeignResource, ResourceError, UnknownState
from airflow_lib.errors import ResponseLost as ResponseLost
from airflow_lib.naming import TAG_EMR_MANAGED, Environment, Names, is_ours
from airflow_lib.pipeline import Hardware
from airflow_lib.resources.common import (
    NotReady,
    Owned,
    as_tag_list,
    as_tags,
    asking,
    code_of,
    foreign,
    message_of,
    refusal,
)
from airflow_lib.resources.iam import EmrRoles
from airflow_lib.resources.security_groups import EmrGroups
from airflow_lib.settings import EmrSettings

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

# Roles just made: RunJobFlow may refuse them, or take them and end the cluster for it.
# https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-troubleshoot-errors.html
_IAM_LAG = re.compile(
    r"invalid instanceprofile|instance profile .*(not found|does not exist|invalid)|invalid iaminstanceprofile"
    r"|service role .*(invalid|does not exist)|failed to assume|cannot be assumed|not authorized to assume"
    r"|role .*(is invalid|does not exist)",
    re.IGNORECASE,
)
_CAPACITY = re.compile(
    r"insufficient.*capacity|capacity.*insufficient|not have sufficient|exceeded.*(vcpu|quota|limit)|quota"
    r"|no capacity",
    re.IGNORECASE,
)
_CAPACITY_MEND = (
    "AWS has no such instances to give in this zone now: choose another instance type or subnet in the "
    "Airflow Variable `mayfly`, or raise the account's quota, and run again."
)


@dataclass(frozen=True)
class ClusterSpec:
    """One cluster, whole. `log_uri` is s3://…; `configurations` are EMR's classifications."""

    names: Names
    tags: Mapping[str, str]
    hardware: Hardware
    settings: EmrSettings
    roles: EmrRoles
    groups: EmrGroups
    subnet_id: str
    log_uri: str
    configurations: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class ClusterView:
    """A cluster as EMR describes it; `reason` is AWS's own, empty while there is none."""

    id: str
    name: str
    state: ClusterState
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
    def ended_by_iam_lag(self) -> bool:
        """Whether it ended because roles just made were not yet visible: worth one more request."""
        return self.failed and bool(_IAM_LAG.search(self.reason))

    @property
    def mend(self) -> str:
        """What to do about a failed cluster."""
        return _mend(self.reason)


def render_request(spec: ClusterSpec) -> dict[str, Any]:
    """The RunJobFlow request."""
    names, hardware, groups = spec.names, spec.hardware, spec.groups
    instances: dict[str, Any] = {
        "InstanceGroups": [
            _instance_group("MASTER", hardware.master_type, 1, hardware.ebs_gib),
            _instance_group("CORE", hardware.core_type, hardware.core_count, hardware.ebs_gib),
        ],
        "KeepJobFlowAliveWhenNoSteps": True,
        "TerminationProtected": False,
        "Ec2SubnetId": spec.subnet_id,
        "EmrManagedMasterSecurityGroup": groups.master,
        "EmrManagedSlaveSecurityGroup": groups.core,
    }
    if groups.service is not None:
        instances["ServiceAccessSecurityGroup"] = groups.service
    return {
        "Name": names.cluster,
        "ReleaseLabel": spec.settings.release,
        "Applications": [{"Name": name} for name in ("Hadoop", "Spark", "Livy")],
        "Instances": instances,
        "Configurations": list(spec.configurations),
        "JobFlowRole": spec.roles.instance_profile,
        "ServiceRole": spec.roles.service_role,
        "LogUri": spec.log_uri.rstrip("/") + "/",
        "VisibleToAllUsers": True,
        "AutoTerminationPolicy": {"IdleTimeout": spec.settings.idle_timeout_s},
        "Tags": as_tag_list({**spec.tags, TAG_EMR_MANAGED[0]: TAG_EMR_MANAGED[1]}),
    }


def request_cluster(emr_no_retry: EMRClient, spec: ClusterSpec) -> str:
    """Ask for the cluster, once; the answer is its id.

    Raises NotReady where the roles are not visible to EMR yet or it throttles (nothing was made);
    ResponseLost where no answer came; ResourceError where AWS refuses.
    """
    doing = f"create {CLUSTER} {spec.names.cluster}"
    try:
        return emr_no_retry.run_job_flow(**render_request(spec))["JobFlowId"]
    except (ConnectTimeoutError, EndpointConnectionError, ProxyConnectionError) as error:
        raise NotReady(f"Could not {doing} yet: EMR could not be reached ({error})") from error
    except (HTTPClientError, SSLError) as error:
        raise ResponseLost(f"Lost EMR's answer while trying to {doing}: {error}") from error
    except ClientError as error:
        raise _request_error(doing, error) from error


def _request_error(doing: str, error: ClientError) -> ResourceError:
    told = f"{code_of(error)}: {message_of(error)}"
    if "Throttl" in code_of(error) or _IAM_LAG.search(message_of(error)):
        return NotReady(f"Could not {doing} yet: {told}")
    if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
        return ResponseLost(f"EMR failed while trying to {doing}: {told}")
    if _CAPACITY.search(message_of(error)):
        return ResourceError(f"Could not {doing}: AWS answered {told}. {_CAPACITY_MEND}")
    return refusal(doing, error)


def find_clusters(
    emr: EMRClient, names: Names, *, created_after: datetime | None = None
) -> list[ClusterView]:
    """The clusters of this name and our tag that are not gone, oldest first.

    More than one means that an answer was lost: use the first, end the others.
    """
    found = [
        view
        for view in _own_clusters(emr, names.environment, created_after)
        if view.name == names.cluster and not view.gone
    ]
    return sorted(found, key=lambda view: (view.created_at.timestamp() if view.created_at else 0, view.id))


def probe_cluster(emr: EMRClient, cluster_id: str) -> ClusterView | None:
    """The cluster as it is, or None where EMR does not know the id (it forgets the dead after two months).

    Raises UnknownState for a state that this release does not know.
    """
    try:
        cluster = emr.describe_cluster(ClusterId=cluster_id)["Cluster"]
    except ClientError as error:
        # EMR has no code of its own for an unknown id.
        if code_of(error) == "InvalidRequestException" and "not valid" in message_of(error):
            return None
        with asking(f"describe {CLUSTER} {cluster_id}"):
            raise
    return _view(cluster)


def delete_cluster(emr: EMRClient, environment: Environment, cluster_id: str) -> None:
    """Ask EMR to end our cluster, whatever it is doing; poll `probe_cluster` until it is gone.

    Ending or gone already is success. Termination protection that somebody put on our cluster is taken off.
    Raises ForeignResource where it is not ours.
    """
    view = probe_cluster(emr, cluster_id)
    if view is None or view.gone:
        return
    if not is_ours(environment, view.name, view.tags):
        raise ForeignResource(foreign(CLUSTER, f"{view.name} ({cluster_id})", environment))
    if view.state is ClusterState.TERMINATING:
        return
    with asking(f"end {CLUSTER} {view.name} ({cluster_id})"):
        if view.termination_protected:
            emr.set_termination_protection(JobFlowIds=[cluster_id], TerminationProtected=False)
        emr.terminate_job_flows(JobFlowIds=[cluster_id])


def list_owned_clusters(emr: EMRClient, environment: Environment) -> list[Owned]:
    """Every cluster of the environment that is not gone, of whatever generation."""
    return [
        Owned(CLUSTER, view.id, view.name, view.tags, view.state)
        for view in _own_clusters(emr, environment, None)
    ]


def _own_clusters(
    emr: EMRClient, environment: Environment, created_after: datetime | None
) -> list[ClusterView]:
    since: dict[str, Any] = {"CreatedAfter": created_after} if created_after else {}
    with asking("list EMR clusters"):
        pages = emr.get_paginator("list_clusters").paginate(
            ClusterStates=[state.value for state in sorted(ACTIVE)], **since
        )
        ids = [
            cluster["Id"]
            for page in pages
            for cluster in page["Clusters"]
            if cluster["Name"].startswith(environment.prefix)
        ]
    views = [view for view in (probe_cluster(emr, cluster_id) for cluster_id in ids) if view]
    return [view for view in views if not view.gone and is_ours(environment, view.name, view.tags)]


def _view(cluster: Mapping[str, Any]) -> ClusterView:
    status = cluster["Status"]
    reason = status.get("StateChangeReason", {})
    told = ": ".join(part for part in (reason.get("Code"), reason.get("Message")) if part)
    try:
        state = ClusterState(status["State"])
    except ValueError:
        raise UnknownState(
            f"{CLUSTER} {cluster.get('Name')} ({cluster['Id']}) is {status['State']!r}, a state that this "
            "release does not know. Look at it in the EMR console, then update Mayfly."
        ) from None
    return ClusterView(
        id=cluster["Id"],
        name=cluster.get("Name", ""),
        state=state,
        reason=told,
        master_dns=cluster.get("MasterPublicDnsName") or None,
        created_at=status.get("Timeline", {}).get("CreationDateTime"),
        termination_protected=bool(cluster.get("TerminationProtected")),
        tags=as_tags(cluster.get("Tags")),
    )


def _mend(reason: str) -> str:
    if _CAPACITY.search(reason):
        return _CAPACITY_MEND
    if "BOOTSTRAP" in reason:
        return "Read the bootstrap logs below the cluster's LogUri (node/…/bootstrap-actions)."
    if reason.startswith("VALIDATION_ERROR"):
        return "Check roles, subnet and security groups: `plan` names them."
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
