"""Effects that are seen late: for a while, what was just made is not found by the calls that name it.

IAM and EC2 say so of themselves; Redshift and EMR were seen to. A name that is taken is taken at once, and S3
shows every write at once:
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

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
_GROUP_ID = re.compile(rb"<groupId>([^<]+)</groupId>")


class Late:
    """`delay_s` is for how long what is made from now on stays unseen; `was_on` once anything did."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._seen_from: dict[tuple[str, str], datetime] = {}
        self.delay_s = 0.0
        self.was_on = False

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
