"""The buckets of `mayfly.s3`: there, open, in the right region, versioned, and encrypted by a key that can be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from airflow_lib.aws.clients import Aws
from airflow_lib.aws.errors import code_of, status_of
from airflow_lib.aws.s3 import list_folders, list_objects
from airflow_lib.aws.s3_location import S3Location
from airflow_lib.errors import ResourceError
from airflow_lib.prerequisites.finding import Finding, examine, format_refusal, ok, unknown, wrong
from airflow_lib.settings import Settings

# What is written with the bucket's own encryption; UNLOAD chooses S3's keys, whatever that is.
_KEPT = ("processed", "state", "logs")
# What Redshift itself reads and writes.
_IN_OUR_REGION = ("processed", "published")

# A HEAD of a bucket elsewhere is 301, or 400 in a region that the account has to opt into.
_ELSEWHERE = frozenset({301, 400})


def check_buckets(aws: Aws, settings: Settings) -> Iterator[Finding]:
    """All of the five locations, each bucket once."""
    places = {
        name: S3Location.parse(getattr(settings.mayfly.s3, name))
        for name in ("source", "processed", "published", "state", "logs")
    }
    for bucket in dict.fromkeys(place.bucket for place in places.values()):
        uses = [name for name, place in places.items() if place.bucket == bucket]
        subject = f"bucket {bucket} ({', '.join(uses)})"
        findings = examine(subject, partial(check_bucket, aws, settings, bucket, uses=uses))
        yield from findings
        if any(one.standing == "wrong" for one in findings):
            continue
        for name in uses:
            yield from examine(f"s3.{name}", partial(_check_listing, aws, name, places[name]))
        if "state" in uses:
            yield from examine(f"versioning of {bucket}", partial(_check_versioning, aws, bucket))
        if set(uses) & set(_KEPT):
            yield from examine(f"encryption of {bucket}", partial(_check_encryption, aws, bucket))
    yield from examine("sources", partial(_check_sources, aws, settings, places["source"]))


def check_bucket(aws: Aws, settings: Settings, bucket: str, *, uses: list[str]) -> Iterator[Finding]:
    """Whether the bucket is there, and where; `uses` are the keys of `mayfly.s3` that name it. One call."""
    subject = f"bucket {bucket} ({', '.join(uses)})"
    try:
        answer: Mapping[str, Any] = aws.s3.head_bucket(Bucket=bucket)
        region = answer.get("BucketRegion")
    except ClientError as error:
        region = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-bucket-region")
        elsewhere = status_of(error) in _ELSEWHERE and region not in (None, settings.region)
        if not elsewhere:
            yield _format_refusal_head(subject, error)
            return
    yield _judge_region(subject, region, settings.region, uses)


def _format_refusal_head(subject: str, error: ClientError) -> Finding:
    if code_of(error) in ("404", "NoSuchBucket"):
        return wrong(subject, "does not exist. Create the bucket, or correct mayfly.s3: no run creates one.")
    return unknown(subject, format_refusal(error))


def _judge_region(subject: str, region: str | None, ours: str, uses: list[str]) -> Finding:
    """COPY of Parquet takes no REGION, and UNLOAD is given none: their buckets must be in the warehouse's.

    https://docs.aws.amazon.com/redshift/latest/dg/copy-usage_notes-copy-from-columnar.html
    """
    if region is None:
        return unknown(subject, "S3 does not say in which region it is")
    if region == ours:
        return ok(subject, f"in {region}")
    if bound := [name for name in _IN_OUR_REGION if name in uses]:
        keys = " and ".join(f"mayfly.s3.{name}" for name in bound)
        return wrong(
            subject,
            f"is in {region}, and the clusters are in {ours}: Redshift's COPY of Parquet reads, and UNLOAD writes, "
            f"only in its own region. Name a bucket of that region in {keys}, or change aws_region.",
        )
    return ok(
        subject,
        f"in {region}, another region than the clusters' ({ours}): each byte costs, and a gateway endpoint for S3 "
        "does not lead there",
    )


def _check_listing(aws: Aws, name: str, place: S3Location) -> Iterator[Finding]:
    """Every run lists its locations, so a refusal is wrong, and not merely unknown."""
    try:
        next(list_objects(aws.s3, place.bucket, place.folder_key), None)
    except ResourceError as error:
        yield wrong(
            f"s3.{name}", f"{error.message} The bucket may be another account's: then correct mayfly.s3."
        )
    else:
        yield ok(f"s3.{name}", f"{place} can be listed")


def _check_versioning(aws: Aws, bucket: str) -> Iterator[Finding]:
    subject, status = f"versioning of {bucket}", aws.s3.get_bucket_versioning(Bucket=bucket).get("Status")
    if status == "Enabled":
        yield ok(subject, "is on")
        return
    yield wrong(
        subject,
        f"is {'suspended' if status else 'off'}: a damaged register could not be restored, and with it the warehouse. "
        "Turn versioning on for the bucket of mayfly.s3.state.",
    )


def _check_encryption(aws: Aws, bucket: str) -> Iterator[Finding]:
    subject = f"encryption of {bucket}"
    try:
        configuration = aws.s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]
    except ClientError as error:
        if code_of(error) != "ServerSideEncryptionConfigurationNotFoundError":
            raise
        yield ok(subject, "S3's own keys")
        return
    rules = [rule.get("ApplyServerSideEncryptionByDefault", {}) for rule in configuration["Rules"]]
    keys = [
        rule.get("KMSMasterKeyID") for rule in rules if rule.get("SSEAlgorithm", "").startswith("aws:kms")
    ]
    if not keys:
        yield ok(subject, "S3's own keys")
    elif keys[0] is None or keys[0].endswith("alias/aws/s3"):
        yield ok(subject, "the account's key aws/s3")
    else:
        yield _check_key(aws, subject, keys[0])


def _check_key(aws: Aws, subject: str, key: str) -> Finding:
    try:
        facts = aws.kms.describe_key(KeyId=key)["KeyMetadata"]
    except ClientError as error:
        if code_of(error) not in ("NotFoundException", "InvalidArnException"):
            raise
        return wrong(subject, f"its key {key} does not exist. Correct the bucket's default encryption.")
    if facts["KeyState"] != "Enabled":
        return wrong(
            subject,
            f"its key {key} is {facts['KeyState']}, Enabled was expected. Enable the key, or change the bucket's "
            "default encryption.",
        )
    if facts.get("KeyManager") == "AWS":
        return ok(subject, "a key of AWS's own")
    return unknown(
        subject,
        f"its key {key} is enabled; whether its policy lets the principal and the roles mayfly-* use it, only a write "
        "shows: Mayfly's own policies grant no right of KMS",
    )


def _check_sources(aws: Aws, settings: Settings, source: S3Location) -> Iterator[Finding]:
    """Whether each pipeline that the settings name has input; its files' names are its declaration's."""
    named = settings.mayfly.pipelines
    for name, override in named.items():
        place = S3Location.parse(override.source or settings.mayfly.s3.source).below(name)
        yield from examine(f"source of {name}", partial(_check_input, aws, f"source of {name}", place))
    there = list_folders(aws.s3, source.bucket, source.folder_key)
    if there:
        yield ok("sources", f"{source} holds input of {', '.join(there)}")
    elif not named:
        yield wrong(
            "sources", f"{source} holds no input. Put each pipeline's files below {source}/<pipeline>/."
        )


def _check_input(aws: Aws, subject: str, place: S3Location) -> Iterator[Finding]:
    if next(list_objects(aws.s3, place.bucket, place.folder_key), None) is None:
        yield wrong(
            subject,
            f"{place} is empty. Put the pipeline's input files there, or correct its name or its `source` below "
            "`pipelines`.",
        )
    else:
        yield ok(subject, f"{place} has files")
