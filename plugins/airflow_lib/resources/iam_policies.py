"""The policy documents of our roles, as data. Who gets which is in `iam_roles`.

Least privilege: every S3 statement on objects names a bucket and a prefix; listing is bound to prefixes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_lib.aws.s3_location import S3Location

Document = dict[str, Any]

CODE_FOLDER = "_code"

_WRITE = [
    "s3:PutObject",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
]


@dataclass(frozen=True)
class EmrScope:
    """The folders of one pipeline: what its Spark jobs read, what they write, where EMR logs go."""

    source: S3Location
    processed: S3Location
    logs: S3Location


def trust(service: str, account: str | None = None) -> Document:
    """Who may assume a role: an AWS service, on behalf of `account` alone where it is given.

    The condition keeps EMR from being talked into using our role for another account:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
    """
    statement: Document = {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    if account is not None:
        statement["Condition"] = {"StringEquals": {"aws:SourceAccount": account}}
    return _document(statement)


def emr_service_policy_arn(partition: str) -> str:
    """AWS's own policy for EMR's service role, version 2.

    https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-iam-role.html
    """
    return f"arn:{partition}:iam::aws:policy/service-role/AmazonEMRServicePolicy_v2"


def pass_role_policy(instance_role_arn: str) -> Document:
    """Let EMR give our EC2 role to instances: the managed policy passes EMR_EC2_DefaultRole only."""
    return _document(
        {
            "Sid": "PassOurEc2Role",
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": instance_role_arn,
            "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
        }
    )


def instance_policy(scope: EmrScope, partition: str) -> Document:
    """What the cluster's instances may do: read the source, read and write the output, write logs.

    The code folder lies in the output folder and is read-only to the cluster that runs it. Writing with S3A
    takes s3:ListBucketMultipartUploads on the bucket too ("Policies required for read/write access"):
    https://hadoop.apache.org/docs/stable/hadoop-aws/tools/hadoop-aws/assumed_roles.html
    """
    processed = _objects(scope.processed, partition)
    return _document(
        _allow("ReadSource", ["s3:GetObject"], _objects(scope.source, partition)),
        _allow("ReadAndWriteOutput", ["s3:GetObject", "s3:DeleteObject", *_WRITE], processed),
        {
            "Sid": "CodeIsReadOnly",
            "Effect": "Deny",
            "Action": ["s3:PutObject", "s3:DeleteObject"],
            "Resource": _objects(scope.processed.below(CODE_FOLDER), partition),
        },
        _allow("WriteLogs", _WRITE, _objects(scope.logs, partition)),
        _allow("FindUploads", ["s3:ListBucketMultipartUploads"], _bucket(scope.processed, partition)),
        # HEAD of a missing key has no s3:prefix, and S3 answers it with 403, not 404, to whoever may not list
        # the bucket; S3A takes the 403 for an error. So a request without a prefix passes, LIST among them.
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
        *_listing((scope.source, scope.processed), partition, like="StringLikeIfExists"),
    )


def copy_policy(processed: S3Location, published: S3Location, partition: str) -> Document:
    """What Redshift may do: for COPY read the pipeline's output, for UNLOAD write its published answers.

    UNLOAD takes GET, LIST and PUT, and deletes nothing:
    https://docs.aws.amazon.com/redshift/latest/dg/copy-usage_notes-access-permissions.html
    """
    return _document(
        _allow("ReadOutput", ["s3:GetObject"], _objects(processed, partition)),
        _allow("PublishAnswers", ["s3:GetObject", *_WRITE], _objects(published, partition)),
        *_listing((processed, published), partition, like="StringLike"),
    )


def _listing(locations: tuple[S3Location, ...], partition: str, *, like: str) -> list[Document]:
    """List below each prefix, compared by `like`; every Hadoop client and COPY ask where a bucket lies."""
    statements = [
        {
            "Sid": f"List{number}",
            "Effect": "Allow",
            "Action": ["s3:ListBucket"],
            "Resource": _bucket(location, partition),
            "Condition": {like: {"s3:prefix": _prefixes(location)}},
        }
        for number, location in enumerate(locations)
    ]
    buckets = sorted({_bucket(location, partition) for location in locations})
    return [*statements, _allow("LocateBuckets", ["s3:GetBucketLocation"], buckets)]


def _prefixes(location: S3Location) -> list[str]:
    return [location.prefix, f"{location.prefix}/*"] if location.prefix else ["*"]


def _bucket(location: S3Location, partition: str) -> str:
    return f"arn:{partition}:s3:::{location.bucket}"


def _objects(location: S3Location, partition: str) -> str:
    return f"{_bucket(location, partition)}/{location.key('*')}"


def _allow(sid: str, actions: list[str], resource: str | list[str]) -> Document:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource}


def _document(*statements: Document) -> Document:
    return {"Version": "2012-10-17", "Statement": list(statements)}
