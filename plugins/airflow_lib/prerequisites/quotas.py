"""What the account may have of everything, against what one run of the largest pipeline takes.

https://docs.aws.amazon.com/servicequotas/latest/userguide/reference_quotas.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from airflow_lib.aws.clients import Aws
from airflow_lib.aws.errors import code_of
from airflow_lib.pipeline import Hardware
from airflow_lib.prerequisites.finding import Finding, ok, unknown, wrong

# "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", in vCPUs: the families that Mayfly can size.
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html
_STANDARD_VCPUS = ("ec2", "L-1216C47A")
# "VPC security groups per Region": https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
_SECURITY_GROUPS = ("vpc", "L-E79EC296")
# "Nodes": https://docs.aws.amazon.com/redshift/latest/mgmt/amazon-redshift-limits.html
_REDSHIFT_NODES = "Nodes"

# What both slots of one environment make.
_OWN_GROUPS, _OWN_ROLES, _OWN_PROFILES = 4, 3, 1
_RAISE = "Ask for more (Service Quotas), or free some."


def check_vcpus(aws: Aws, hardware: Hardware) -> Iterator[Finding]:
    """EC2's quota of vCPUs against an EMR cluster's; what runs already counts as well, and is not known here."""
    types = {hardware.master_type: 1}
    types[hardware.core_type] = types.get(hardware.core_type, 0) + hardware.core_count
    answer = aws.ec2.describe_instance_types(InstanceTypes=sorted(types))  # type: ignore[arg-type]
    vcpus = {str(one["InstanceType"]): one["VCpuInfo"]["DefaultVCpus"] for one in answer["InstanceTypes"]}
    needed = sum(vcpus[name] * number for name, number in types.items())
    quota = _read(aws, *_STANDARD_VCPUS)
    yield _compare("quota of EC2 vCPUs (on demand, standard)", quota, needed, "vCPUs for an EMR cluster")


def check_redshift_nodes(aws: Aws, hardware: Hardware) -> Iterator[Finding]:
    """Redshift's quota of nodes against those that there are and a warehouse's."""
    subject = "quota of Redshift nodes"
    pages = aws.quotas.get_paginator("list_service_quotas").paginate(ServiceCode="redshift")
    quotas = [one["Value"] for page in pages for one in page["Quotas"] if one["QuotaName"] == _REDSHIFT_NODES]
    if not quotas:
        yield unknown(subject, f"Service Quotas lists no quota {_REDSHIFT_NODES!r} of Redshift")
        return
    clusters = aws.redshift.get_paginator("describe_clusters").paginate()
    used = sum(cluster.get("NumberOfNodes", 0) for page in clusters for cluster in page["Clusters"])
    yield _compare(subject, quotas[0], used + hardware.warehouse_nodes, f"nodes, {used} of which exist")


def check_security_groups(aws: Aws) -> Iterator[Finding]:
    """The quota of security groups against those that there are and an environment's."""
    pages = aws.ec2.get_paginator("describe_security_groups").paginate()
    used = sum(len(page["SecurityGroups"]) for page in pages)
    needed = used + _OWN_GROUPS
    yield _compare(
        "quota of security groups", _read(aws, *_SECURITY_GROUPS), needed, f"groups, {used} of which exist"
    )


def check_iam(aws: Aws) -> Iterator[Finding]:
    """IAM's quotas of roles and instance profiles: https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountSummary.html"""
    summary: dict[str, int] = dict(aws.iam.get_account_summary()["SummaryMap"])  # type: ignore[arg-type]
    for name, title, own in (
        ("Roles", "IAM roles", _OWN_ROLES),
        ("InstanceProfiles", "instance profiles", _OWN_PROFILES),
    ):
        used = summary.get(name, 0)
        yield _compare(
            f"quota of {title}", summary.get(f"{name}Quota"), used + own, f"{title}, {used} of which exist"
        )


def _read(aws: Aws, service: str, quota: str) -> float | None:
    """The account's own quota, or None where Service Quotas does not list it."""
    try:
        answer: dict[str, Any] = aws.quotas.get_service_quota(ServiceCode=service, QuotaCode=quota)
    except ClientError as error:
        if code_of(error) != "NoSuchResourceException":
            raise
        return None
    return float(answer["Quota"]["Value"])


def _compare(subject: str, quota: float | None, needed: float, what: str) -> Finding:
    if quota is None:
        return unknown(subject, "Service Quotas does not list it for this account")
    if quota < needed:
        return wrong(subject, f"{quota:.0f}, and {needed:.0f} are needed ({what}). {_RAISE}")
    return ok(subject, f"{quota:.0f}, of which {needed:.0f} are needed ({what})")
