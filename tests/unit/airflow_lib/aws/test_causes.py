"""What AWS's words mean, and what a person is told to do: real answers, each with where it was read."""

from __future__ import annotations

import pytest
from botocore.retries.standard import ThrottledRetryableChecker

from airflow_lib.aws.causes import Cause, cause_of, hint_of

# (code, message): an end of an EMR cluster and an answer of COPY have no code of their own.
LAG = [
    # hashicorp/terraform-provider-aws, internal/service/emr/cluster.go: what RunJobFlow is asked again on
    ("ValidationException", "Invalid InstanceProfile: MyEmrProfile."),
    ("AccessDeniedException", "Failed to authorize instance profile arn:aws:iam::1:instance-profile/x"),
    # Public reports of RunJobFlow, and of clusters that ended.
    ("ValidationException", "EMR service role arn:aws:iam::1:role/x is invalid"),
    ("", "VALIDATION_ERROR: Service role arn:aws:iam::1:role/x has insufficient EC2 permissions"),
    (
        "",
        "VALIDATION_ERROR: Failed to provision ec2 instances because 'The requested instance profile x is invalid'",
    ),
    # go-to-k/cdkd, retryable errors: EC2 about a profile made a second ago
    ("InvalidParameterValue", "Invalid IAM Instance Profile name 'MyStack-InstanceProfile'"),
    # Public reports of COPY: SQLSTATE XX000, with Redshift's code 8001 or exception type 135 in its detail.
    (
        "",
        (
            "COPY of s3://x into y failed. SQLSTATE XX000: User "
            "arn:aws:redshift:eu-west-2:795712660208:dbuser:c/awsuser "
            "is not authorized to assume IAM Role arn:aws:iam::795712660208:role/dwhRole."
        ),
    ),
    (
        "",
        (
            "exception name : UnauthorizedException, error type : 135, message: Not authorized to get credentials of "
            "role arn:aws:iam::088356671508:role/x, should retry : 0"
        ),
    ),
    # https://docs.aws.amazon.com/redshift/latest/dg/s3serviceexception-error.html
    ("", "S3ServiceException:Access Denied,Status 403,Error AccessDenied,Rid 3D3D"),
    ("", "Problem reading manifest file - S3ServiceException:Access Denied,Status 403,Error AccessDenied"),
    ("ClusterSubnetGroupNotFoundFault", "Cluster subnet group x does not exist"),
    ("InvalidGroup.NotFound", "The security group 'sg-0' does not exist"),
    (
        "",
        "VALIDATION_ERROR: The VPC/subnet configuration was invalid: The security group 'sg-0' does not exist",
    ),
]
# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
BOUNDARY = [
    (
        "AccessDenied",
        (
            "User: arn:aws:sts::1:assumed-role/x/y is not authorized to perform: iam:CreateRole on resource: "
            "arn:aws:iam::1:role/mayfly with an explicit deny in a permissions boundary: arn:aws:iam::1:policy/b"
        ),
    ),
    (
        "AccessDeniedException",
        (
            "User: arn:aws:iam::1:user/x is not authorized to perform: elasticmapreduce:RunJobFlow on resource: * with "
            "an explicit deny in a service control policy"
        ),
    ),
    (
        "UnauthorizedOperation",
        (
            "You are not authorized to perform this operation. User: arn:aws:iam::1:user/x is not authorized to "
            "perform: ec2:CreateSecurityGroup on resource: * because no permissions boundary allows the "
            "ec2:CreateSecurityGroup action. Encoded authorization failure message: mR08NOyR"
        ),
    ),
    ("AccessDenied", "… because no service control policy allows the redshift:CreateCluster action"),
    # EMR hands on what EC2 told it: then it is no lag, however young the roles are.
    (
        "",
        "Service role x has insufficient EC2 permissions. EC2 Message: … with an explicit deny in a session policy",
    ),
]
QUOTA = [
    (
        "VcpuLimitExceeded",
        (
            "You have requested more vCPU capacity than your current vCPU limit of 16 allows for the instance bucket "
            "that the specified instance type belongs to."
        ),
    ),
    (
        "",
        "VcpuLimitExceeded - You have requested more vCPU capacity than your current vCPU limit of 8 allows.",
    ),
    ("InstanceLimitExceeded", "Your quota allows for 0 more running instance(s)."),
    ("LimitExceeded", "Cannot exceed quota for RolesPerAccount: 1000"),
    ("SecurityGroupLimitExceeded", "The maximum number of security groups for VPC 'vpc-1' has been reached."),
    # https://docs.aws.amazon.com/redshift/latest/APIReference/API_CreateCluster.html
    ("NumberOfNodesQuotaExceeded", "The operation would exceed the number of nodes allotted to the account."),
    (
        "NumberOfNodesPerClusterLimitExceeded",
        "The operation would exceed the number of nodes allowed for a cluster.",
    ),
    (
        "ClusterQuotaExceeded",
        "The request would exceed the allowed number of cluster instances for this account.",
    ),
    ("ClusterSubnetGroupQuotaExceeded", ""),
    ("ClusterSnapshotQuotaExceeded", ""),
]
CAPACITY = [
    (
        "InsufficientInstanceCapacity",
        "We currently do not have sufficient m5.large capacity in the Availability Zone you requested (us-east-1a).",
    ),
    ("", "INTERNAL_ERROR: EC2 Insufficient Instance Capacity: no m5.xlarge"),
    (
        "InsufficientClusterCapacity",
        "The number of nodes specified exceeds the allotted capacity of the cluster.",
    ),
    (
        "",
        "Your requested instance type (m6g.2xlarge) is not supported in your requested Availability Zone.",
    ),
    ("InsufficientFreeAddressesInSubnet", "There are not enough free addresses in subnet 'subnet-1'."),
]
DENIED = [
    ("AccessDenied", "no"),
    ("AccessDeniedException", "no right"),
    ("403", "Forbidden"),
    (
        "UnauthorizedOperation",
        (
            "User: arn:aws:sts::1:assumed-role/airflow/w is not authorized to perform: iam:PassRole on resource: "
            "arn:aws:iam::1:role/mayfly-dev-x-emr-service-g1 because no identity-based policy allows the action"
        ),
    ),
]
SETTINGS = [
    ("InvalidParameterValue", "Invalid node type: ra9.huge."),
    ("ValidationException", "The supplied release label is invalid: emr-7.99.0."),
]


@pytest.mark.parametrize(
    ("cause", "answer"),
    [
        (cause, answer)
        for cause, answers in {
            Cause.LAG: LAG,
            Cause.BOUNDARY: BOUNDARY,
            Cause.QUOTA: QUOTA,
            Cause.CAPACITY: CAPACITY,
            Cause.DENIED: DENIED,
            Cause.SETTINGS: SETTINGS,
            Cause.BUCKET: [("NoSuchBucket", "The specified bucket does not exist")],
            Cause.UNKNOWN: [("Nope", "because"), ("", ""), ("", "STEP_FAILURE: Shut down as step failed")],
        }.items()
        for answer in answers
    ],
)
def test_each_answer_has_its_cause(cause: Cause, answer: tuple[str, str]) -> None:
    assert cause_of(*answer) is cause


def test_each_cause_has_a_hint_of_its_own() -> None:
    firsts = [answers[0] for answers in (LAG, BOUNDARY, QUOTA, CAPACITY, DENIED, SETTINGS)]
    hints = [hint_of(*answer) for answer in (*firsts, ("NoSuchBucket", ""))]
    assert all(hints)
    assert len(set(hints)) == len(hints)
    assert hint_of("Nope", "because") == ""


def test_what_no_grant_helps_against_is_not_told_to_be_granted() -> None:
    for answer in BOUNDARY:
        assert "granting it to the principal does not help" in hint_of(*answer)
        assert "Grant the action" not in hint_of(*answer)


@pytest.mark.parametrize(
    "answer",
    [("UnauthorizedOperation", "You are not authorized to perform this operation. "), BOUNDARY[0], ("", "")],
)
def test_an_encoded_message_is_told_how_to_be_read(answer: tuple[str, str]) -> None:
    code, message = answer
    encoded = f"{message} Encoded authorization failure message: qM8QPrewJjoOL80iQBVBSZq5WUc"
    assert "aws sts decode-authorization-message" in hint_of(code, encoded)
    assert "decode-authorization-message" not in hint_of(code, message)


def test_throttling_is_nobodys_quota() -> None:
    """Its codes are called so too; LimitExceededException alone is both, and whoever polls takes it for throttling."""
    for code in ThrottledRetryableChecker._THROTTLED_ERROR_CODES:
        if code != "LimitExceededException":
            assert cause_of(code, "Rate exceeded") is not Cause.QUOTA


def test_a_403_says_that_a_missing_key_looks_so_too() -> None:
    assert "Without s3:ListBucket" in hint_of("403", "Forbidden")
