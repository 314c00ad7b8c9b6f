"""Why AWS refuses or ends something, read off its words, and what a person does about each cause.

One table for every service: what a code or a sentence means is said here, and nowhere else. For how long a `LAG` is
borne is the caller's to say (`resources.iam_roles.are_young`): the same words are a refusal when nothing is young.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_GRANT = "Grant the action to the principal that Airflow runs as: docs/iam-principal-policy.json lists it."
_DECODE = (
    "The encoded part says which policy: `aws sts decode-authorization-message --encoded-message …` "
    "(needs sts:DecodeAuthorizationMessage)."
)


class Cause(StrEnum):
    """What is behind an answer of AWS's."""

    BOUNDARY = "boundary"  # a policy that no grant overrides
    LAG = "lag"  # a service does not see what was just made for it
    CAPACITY = "capacity"  # AWS has none to give now
    QUOTA = "quota"  # the account may have no more
    DENIED = "denied"  # the caller lacks a right
    SETTINGS = "settings"  # the request is wrong
    BUCKET = "bucket"
    UNKNOWN = "unknown"


_HINTS = {
    Cause.BOUNDARY: (
        "A policy above the principal's own denies it (a permissions boundary, a service control policy, an explicit "
        "deny), so granting it to the principal does not help: ask whoever administers that policy to let the actions "
        "of docs/iam-principal-policy.json through."
    ),
    Cause.LAG: (
        "While roles are minutes old these words are only IAM's delay, which is waited for; this time it was not that: "
        "look whether the roles, their policies, trust, instance profile and groups are as Mayfly made them, whether a "
        "permissions boundary or a service control policy limits them, and whether the subnet has EMR's tag."
    ),
    Cause.CAPACITY: (
        "AWS has none of these to give in this zone now: choose another instance or node type or another subnet in "
        "the Airflow Variable `mayfly`, or run again later."
    ),
    Cause.QUOTA: (
        "The account's quota is used up: raise it (console: Service Quotas), remove what is no longer needed, or "
        "choose smaller or fewer instances or nodes in the Airflow Variable `mayfly`."
    ),
    Cause.DENIED: _GRANT,
    Cause.SETTINGS: "Check the settings in the Airflow Variable `mayfly`.",
    Cause.BUCKET: "Create the bucket, or correct mayfly.s3: no run creates one.",
    Cause.UNKNOWN: "",
}


@dataclass(frozen=True)
class _Sign:
    """An answer has this cause where its code is among `codes`, or `words` are in its code or message."""

    cause: Cause
    codes: frozenset[str] = frozenset()
    words: re.Pattern[str] | None = None


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


# The first that fits decides. So a role that EMR cannot use because of an organisation's policy is no lag, and a
# quota that is called a lack of capacity is a quota.
_SIGNS = (
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
    _Sign(
        Cause.BOUNDARY,
        words=_words(
            r"explicit deny",
            r"no (permissions boundary|service control policy|resource control policy|session policy"
            r"|VPC endpoint policy) allows",
        ),
    ),
    # RunJobFlow, which Terraform asks again (hashicorp/terraform-provider-aws, internal/service/emr/cluster.go):
    #   ValidationException: Invalid InstanceProfile: x.
    #   AccessDeniedException: Failed to authorize instance profile arn:…
    # How EMR ends a cluster for it:
    #   VALIDATION_ERROR: Service role arn:… has insufficient EC2 permissions
    #   https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-troubleshoot-errors.html
    #   Failed to provision ec2 instances because 'The requested instance profile x is invalid'
    # CreateCluster and RestoreFromClusterSnapshot name the role; COPY (all three seen in public reports, XX000):
    #   User arn:… is not authorized to assume IAM Role arn:…
    #   exception name : UnauthorizedException, …, message: Not authorized to get credentials of role arn:…
    #   S3ServiceException:Access Denied,Status 403,Error AccessDenied
    #   https://docs.aws.amazon.com/redshift/latest/dg/s3serviceexception-error.html
    _Sign(
        Cause.LAG,
        codes=frozenset({"ClusterSubnetGroupNotFoundFault", "InvalidGroup.NotFound"}),
        words=_words(
            r"invalid (iam ?)?instance ?profile",
            r"failed to authorize instance profile",
            r"instance profile .*(not found|does not exist|is invalid|not authorized)",
            r"\brole\b.* (is invalid|is not valid|not found|does not exist|cannot be assumed)",
            r"insufficient EC2 permissions",
            r"(failed|unable|not authorized) to assume",
            r"not authorized to get credentials of role",
            r"security group.* does not exist",
            r"S3ServiceException:Access ?Denied",
            r"Spectrum.*(Status:? ?403|Access ?Denied|Forbidden)",
        ),
    ),
    # https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html and, of Redshift's codes,
    # https://docs.aws.amazon.com/redshift/latest/APIReference/API_CreateCluster.html
    _Sign(
        Cause.QUOTA,
        words=_words(
            # Throttling has such names, too, and is nobody's quota.
            r"(?<!Request)(?<!Bandwidth)(Limit|Quota)Exceeded",
            r"exceed\w* .*\b(limit|quota)",
            r"\bquota\b",
            r"vCPU limit",
        ),
    ),
    _Sign(
        Cause.CAPACITY,
        codes=frozenset({"InsufficientFreeAddressesInSubnet"}),
        words=_words(
            r"insufficient.*capacity",
            r"capacity.*insufficient",
            r"not have sufficient",
            r"no capacity",
            r"not supported in your requested availability zone",
            r"not enough free addresses",
        ),
    ),
    _Sign(
        Cause.DENIED,
        codes=frozenset(
            {
                "AccessDenied",
                "AccessDeniedException",
                "AuthorizationError",  # SNS
                "AuthorizationErrorException",
                "UnauthorizedOperation",
                "403",
            }
        ),
        words=_words(r"not authorized to perform"),
    ),
    _Sign(Cause.BUCKET, codes=frozenset({"NoSuchBucket"})),
    _Sign(
        Cause.SETTINGS,
        codes=frozenset(
            {
                "InvalidParameterValue",
                "InvalidParameterCombination",
                "ValidationException",
                "ValidationError",
                "InvalidRequestException",
            }
        ),
    ),
)


def cause_of(code: str, message: str) -> Cause:
    """The cause of an answer with this error code, or of an end with this reason; `code` may be empty."""
    words = f"{code}: {message}"
    for sign in _SIGNS:
        if code in sign.codes or (sign.words is not None and sign.words.search(words)):
            return sign.cause
    return Cause.UNKNOWN


def hint_of(code: str, message: str) -> str:
    """What a person does about it; empty where nothing is known."""
    hints = [_HINTS[cause_of(code, message)]]
    if code == "403":
        # A HEAD's answer has no body, so its status is all the code there is.
        hints.append("Without s3:ListBucket S3 answers so for a missing key, too.")
    if "encoded authorization failure message" in message.lower():
        hints.append(_DECODE)
    return " ".join(hint for hint in hints if hint)
