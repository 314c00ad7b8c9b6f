"""The buckets' edges; the faults that are named are in test_doctor.py."""

from __future__ import annotations

import re
from typing import Any

import pytest

from airflow_lib.prerequisites.buckets import check_bucket, check_buckets

from .account import BUCKET, Account, settings_with


def looked_at(account: Account) -> dict[str, Any]:
    with account.watched():
        return {one.subject: one for one in check_buckets(account.aws, account.settings)}


@pytest.mark.parametrize("use", ["source", "state", "logs"])
def test_a_bucket_elsewhere_that_copy_does_not_read_is_no_fault(account: Account, use: str) -> None:
    account.answers["s3.HeadBucket"] = {"BucketRegion": "eu-west-1"}
    with account.watched():
        (found,) = check_bucket(account.aws, account.settings, BUCKET, uses=[use])
    assert found.standing == "ok"
    assert "eu-west-1, another region than the clusters' (us-east-1)" in found.message


@pytest.mark.parametrize(
    ("uses", "keys"),
    [
        (["processed"], r"mayfly\.s3\.processed,"),
        (["published", "logs"], r"mayfly\.s3\.published,"),
        (["processed", "published"], r"mayfly\.s3\.processed and mayfly\.s3\.published,"),
    ],
)
def test_a_bucket_that_redshift_uses_has_to_be_in_its_region(
    account: Account, uses: list[str], keys: str
) -> None:
    account.answers["s3.HeadBucket"] = {"BucketRegion": "eu-west-1"}
    with account.watched():
        (found,) = check_bucket(account.aws, account.settings, BUCKET, uses=uses)
    assert found.standing == "wrong"
    assert re.search(f"Name a bucket of that region in {keys}", found.message)


def test_a_bucket_whose_region_is_not_told_is_unknown(account: Account) -> None:
    account.answers["s3.HeadBucket"] = {}
    with account.watched():
        (found,) = check_bucket(account.aws, account.settings, BUCKET, uses=["processed"])
    assert found.standing == "unknown"


def test_each_bucket_is_asked_about_once(account: Account) -> None:
    looked_at(account)
    assert account.called.count("s3.HeadBucket") == 1
    assert account.called.count("s3.GetBucketVersioning") == 1


def test_the_sources_bucket_needs_neither_versions_nor_a_key(account: Account) -> None:
    account.aws.s3.create_bucket(Bucket="raw")
    places = {name: f"s3://{BUCKET}/{name}" for name in ("processed", "published", "state", "logs")}
    account.settings = settings_with(s3={**places, "source": "s3://raw/x"})
    account.aws.s3.put_object(Bucket="raw", Key="x/immigration/a.csv", Body=b"x")
    found = looked_at(account)
    assert {one.standing for one in found.values()} == {"ok"}
    assert "versioning of raw" not in found
    assert "encryption of raw" not in found


@pytest.mark.parametrize(
    ("rule", "metadata", "standing"),
    [
        ({"SSEAlgorithm": "AES256"}, {}, "ok"),
        ({"SSEAlgorithm": "aws:kms"}, {}, "ok"),
        ({"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "arn:aws:kms:us-east-1:1:alias/aws/s3"}, {}, "ok"),
        (
            {"SSEAlgorithm": "aws:kms:dsse", "KMSMasterKeyID": "k"},
            {"KeyState": "Enabled", "KeyManager": "CUSTOMER"},
            "unknown",
        ),
        (
            {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "k"},
            {"KeyState": "Enabled", "KeyManager": "AWS"},
            "ok",
        ),
    ],
)
def test_a_key_of_ones_own_is_unknown_where_it_is_enabled(
    account: Account, rule: dict[str, str], metadata: dict[str, str], standing: str
) -> None:
    encryption = {"Rules": [{"ApplyServerSideEncryptionByDefault": rule}]}
    account.answers["s3.GetBucketEncryption"] = {"ServerSideEncryptionConfiguration": encryption}
    account.answers["kms.DescribeKey"] = {"KeyMetadata": metadata}
    assert looked_at(account)[f"encryption of {BUCKET}"].standing == standing


def test_a_pipelines_own_source_is_looked_at(account: Account) -> None:
    account.settings = settings_with(
        pipelines={"immigration": {}, "flights": {"source": f"s3://{BUCKET}/other"}}
    )
    account.aws.s3.put_object(Bucket=BUCKET, Key="other/flights/a.csv", Body=b"x")
    found = looked_at(account)
    assert found["source of flights"].message == f"s3://{BUCKET}/other/flights has files"
    assert found["source of immigration"].standing == "ok"
