"""Effects that are seen late: for a while, what was just made is not found by the calls that name it.

IAM and EC2 say so of themselves; Redshift and EMR were seen to. A name that is taken is taken at once, and S3
shows every write at once:
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from sandbox.aws.emr_life import Reason
from tests.world.timeline import Timeline

# What a creating call's request names, by the key under which later calls name it.
_MADE = {
    "CreateRole": "RoleName",
    "CreateInstanceProfile": "InstanceProfileName",
    "CreateClusterSubnetGroup": "ClusterSubnetGroupName",
    "CreateCluster": "ClusterIdentifier",
    "RestoreFromClusterSnapshot": "ClusterIdentifier",
}
_ABSENT = {
    "RoleName": "NoSuchEntity",
    "InstanceProfileName": "NoSuchEntity",
    "ClusterSubnetGroupName": "ClusterSubnetGroupNotFoundFault",
    "ClusterIdentifier": "ClusterNotFound",
    "GroupId": "InvalidGroup.NotFound",
    "GroupIds": "InvalidGroup.NotFound",
}
# Lists, by the key of their items; DescribeClusterSnapshots may name one instead.
_LISTS = {
    "ListClusters": "Clusters",
    "DescribeClusters": "Clusters",
    "DescribeClusterSnapshots": "Snapshots",
    "DescribeClusterSubnetGroups": "ClusterSubnetGroups",
    "DescribeSecurityGroups": "SecurityGroups",
    "ListRoles": "Roles",
    "ListInstanceProfiles": "InstanceProfiles",
}
_NAMING = frozenset(
    {"ClusterIdentifier", "SnapshotIdentifier", "ClusterSubnetGroupName", "GroupIds", "Filters"}
)
_GROUP_ID = re.compile(rb"<groupId>([^<]+)</groupId>")


class Late:
    """`delay_s` is for how long what is made from now on stays unseen; `was_on` once anything did.

    `snapshots_unseen_until` is until when AWS answers that there is no snapshot, though there may be.
    """

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._seen_from: dict[tuple[str, str], datetime] = {}
        self.delay_s = 0.0
        self.was_on = False
        self.snapshots_unseen_until = timeline.now()

    @property
    def hides_snapshots(self) -> bool:
        return self._timeline.now() < self.snapshots_unseen_until

    def note(self, operation: str, params: Mapping[str, Any], answer: bytes) -> None:
        """Hide what a call made for `delay_s`."""
        self.was_on = True
        key = _MADE.get(operation)
        made = [(key, params[key])] if key else []
        if operation == "CreateSecurityGroup":
            made = [("GroupId", one.decode()) for one in _GROUP_ID.findall(answer)]
        for one in made:
            self._seen_from[one] = self._timeline.now() + timedelta(seconds=self.delay_s)

    def refusal(self, operation: str, params: Mapping[str, Any]) -> str | None:
        """The error code that a call meets because of what is not seen yet."""
        if self.hides_snapshots and "SnapshotIdentifier" in params and operation != "DeleteClusterSnapshot":
            return "ClusterSnapshotNotFound"
        for key, value in params.items():
            if key not in _ABSENT or _MADE.get(operation) == key:
                continue
            named = value if isinstance(value, list) else [value]
            if any(self._is_hidden(key.rstrip("s"), one) for one in named):
                return _ABSENT[key]
        return None

    def _is_hidden(self, key: str, name: str) -> bool:
        seen_from = self._seen_from.get((key, name))
        return seen_from is not None and self._timeline.now() < seen_from


def with_neighbours(operation: str, params: Mapping[str, Any], answer: Any, *, hide_snapshots: bool) -> Any:
    """A list as it may come, too: with items that lack what every item has, and without any snapshot.

    https://docs.aws.amazon.com/redshift/latest/APIReference/API_Snapshot.html requires no field of an item.
    """
    key = _LISTS.get(operation)
    if key is None or key not in answer or _NAMING & params.keys():
        return answer
    items = [] if hide_snapshots and key == "Snapshots" else answer[key]
    return {**answer, key: [{}, {"Tags": [{"Value": "no key"}]}, *items]}


class IamLag:
    """For `lag_s` after a role, its trust, a policy or an instance profile came to be, other services do not see it.

    AWS says of IAM that it is so: RunJobFlow, CreateCluster, RestoreFromClusterSnapshot and COPY answer as they
    were seen to (`plugins/airflow_lib/aws/causes.py` has the sources). `takes` is whether RunJobFlow takes such
    roles instead, and EMR ends the cluster for them.
    """

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._since: dict[tuple[str, str, str], datetime] = {}
        self.lag_s = 120.0
        self.takes = False

    def note(self, operation: str, params: Mapping[str, Any]) -> None:
        """What a call gave a role: given again, it has been seen already."""
        if operation in ("CreateRole", "PutRolePolicy", "AttachRolePolicy", "AddRoleToInstanceProfile"):
            what = params.get("PolicyName") or params.get("PolicyArn") or ""
            self._since.setdefault((params["RoleName"], operation, what), self._timeline.now())

    def refusal(self, operation: str, params: Mapping[str, Any]) -> tuple[str, str] | None:
        """The code and message with which a call is refused because of roles that its service does not see."""
        if operation == "RunJobFlow" and not self.takes:
            return self._refuse_run(params["JobFlowRole"], params["ServiceRole"])
        if operation in ("CreateCluster", "RestoreFromClusterSnapshot"):
            for arn in params["IamRoles"]:
                if self._is_unseen(_name(arn)):
                    return "InvalidParameterValue", f"The IAM role {arn} is not valid. Cannot assume role"
        return None

    def find_doom(self, service_role: str) -> Reason | None:
        """Why a cluster with this service role ends as it starts."""
        if not self._is_unseen(service_role):
            return None
        return Reason("VALIDATION_ERROR", f"Service role {service_role} has insufficient EC2 permissions")

    def refuse_copy(self, role_arn: str) -> str | None:
        """COPY's words about a role that Redshift cannot assume yet, or whose policy S3 does not see."""
        role = _name(role_arn)
        if self._age_s(role, "CreateRole") < self.lag_s:
            return f"User is not authorized to assume IAM Role {role_arn}"
        if self._is_unseen(role):
            return "S3ServiceException:Access Denied,Status 403,Error AccessDenied"
        return None

    def _refuse_run(self, profile: str, service_role: str) -> tuple[str, str] | None:
        if self._age_s(profile) < self.lag_s / 2:
            return "ValidationException", f"Invalid InstanceProfile: {profile}."
        if self._is_unseen(profile):
            return "AccessDeniedException", f"Failed to authorize instance profile {profile}"
        if self._is_unseen(service_role):
            return "ValidationException", f"EMR service role {service_role} is invalid"
        return None

    def _is_unseen(self, role: str) -> bool:
        return self._age_s(role) < self.lag_s

    def _age_s(self, role: str, operation: str = "") -> float:
        """The age of the newest thing about a role, or of what this operation gave it."""
        return min(self._ages_s(role, operation), default=math.inf)

    def _ages_s(self, role: str, operation: str) -> Iterator[float]:
        for (name, made_by, _), since in self._since.items():
            if name == role and operation in ("", made_by):
                yield (self._timeline.now() - since).total_seconds()


def _name(arn: str) -> str:
    return arn.rpartition("/")[2]
