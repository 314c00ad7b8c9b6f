"""AWS's own roles and policies that Mayfly's clusters need, and the topic that it publishes to."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError

from airflow_lib.aws.clients import Aws
from airflow_lib.aws.errors import code_of
from airflow_lib.prerequisites.finding import Finding, ok, wrong
from airflow_lib.resources.iam_policies import emr_service_policy_arn
from airflow_lib.settings import Settings

# https://docs.aws.amazon.com/emr/latest/ManagementGuide/using-service-linked-roles-cleanup.html
# https://docs.aws.amazon.com/redshift/latest/mgmt/using-service-linked-roles.html
_SERVICE_LINKED_ROLES = {"EMR": "AWSServiceRoleForEMRCleanup", "Redshift": "AWSServiceRoleForRedshift"}
_NO_TOPIC = frozenset({"NotFound", "NotFoundException", "InvalidParameter", "InvalidParameterException"})


def check_emr_policy(aws: Aws, caller_arn: str) -> Iterator[Finding]:
    """AWS's policy for EMR's service role, in the caller's partition."""
    arn = emr_service_policy_arn(caller_arn.split(":")[1])
    try:
        aws.iam.get_policy(PolicyArn=arn)
    except ClientError as error:
        if code_of(error) != "NoSuchEntity":
            raise
        yield wrong(
            "EMR's service policy",
            f"{arn} does not exist, and EMR's service role needs it. Run Mayfly in a partition that has it.",
        )
    else:
        yield ok("EMR's service policy", arn)


def check_service_linked_roles(aws: Aws) -> Iterator[Finding]:
    """The roles that EMR and Redshift have for themselves; the first cluster of an account makes them."""
    for service, role in _SERVICE_LINKED_ROLES.items():
        try:
            aws.iam.get_role(RoleName=role)
        except ClientError as error:
            if code_of(error) != "NoSuchEntity":
                raise
            told = "is not there yet; the first cluster makes it, by the right iam:CreateServiceLinkedRole"
            yield ok(f"{service}'s service-linked role", f"{role} {told}")
        else:
            yield ok(f"{service}'s service-linked role", role)


def check_topic(aws: Aws, settings: Settings) -> Iterator[Finding]:
    """The topic of `notify.sns_topic_arn`: there, and in the region that we publish in."""
    arn = settings.mayfly.notify.sns_topic_arn
    if arn is None:
        yield ok("notifications", "are only logged: notify.sns_topic_arn is not set")
        return
    subject, parts = f"topic {arn}", arn.split(":")
    if len(parts) != 6 or parts[2] != "sns":
        yield wrong(
            subject,
            "this is no topic's ARN, which is like arn:aws:sns:us-east-1:123456789012:topic. Correct "
            "notify.sns_topic_arn.",
        )
        return
    if parts[3] != settings.region:
        yield wrong(
            subject,
            f"is in {parts[3]}, and Mayfly publishes in {settings.region}. Name a topic of that region "
            "(notify.sns_topic_arn).",
        )
        return
    try:
        aws.sns.get_topic_attributes(TopicArn=arn)
    except ClientError as error:
        if code_of(error) not in _NO_TOPIC:
            raise
        yield wrong(subject, "does not exist. Create it, or correct notify.sns_topic_arn.")
    else:
        yield ok(subject, "exists")
