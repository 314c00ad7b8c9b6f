"""The few S3 reads and conditional writes that the register, the outputs and the code zip are made of.

S3 answers reads after writes consistently, and a PUT is seen whole or not at all, so a condition on the ETag
makes a compare-and-swap:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from airflow_lib.aws.s3_location import uri_of
from airflow_lib.errors import ResourceError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PUT_ATTEMPTS = 5


@dataclass(frozen=True)
class StoredObject:
    """An object as read."""

    body: bytes
    etag: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class ListedObject:
    """An object as listed or asked for by HEAD; `size` in bytes."""

    key: str
    etag: str
    size: int


def status_of(error: ClientError) -> int:
    """The HTTP status that AWS answered."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def explain(error: ClientError, uri: str) -> str:
    """One sentence on what S3 refused, and the mend where it is known."""
    code = error.response.get("Error", {}).get("Code", "")
    said = f"{uri}: S3 answered {code or status_of(error)} to {error.operation_name}."
    if code == "NoSuchBucket":
        return f"{said} Make the bucket, or correct mayfly.s3: no run creates one."
    if status_of(error) == 403:
        return (
            f"{said} Allow it to the identity that Airflow uses (setup_backend.md holds the policy); "
            "without s3:ListBucket S3 answers so for a missing key, too."
        )
    return said


def read_object(s3: S3Client, bucket: str, key: str) -> StoredObject | None:
    """The object, or None where there is none. Raises ResourceError where S3 refuses."""
    try:
        answer = s3.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "NoSuchKey":
            return None
        raise ResourceError(explain(error, uri_of(bucket, key))) from error
    return StoredObject(answer["Body"].read(), answer["ETag"], answer["ResponseMetadata"]["HTTPHeaders"])


def probe_object(s3: S3Client, bucket: str, key: str) -> ListedObject | None:
    """The object's ETag and size, or None where there is none. Raises ResourceError where S3 refuses."""
    try:
        answer = s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if status_of(error) == 404:
            return None
        raise ResourceError(explain(error, uri_of(bucket, key))) from error
    return ListedObject(key, answer["ETag"], answer["ContentLength"])


def list_objects(s3: S3Client, bucket: str, prefix: str) -> Iterator[ListedObject]:
    """Every object whose key starts with `prefix`, in key order, page by page.

    Raises ResourceError where S3 refuses.
    """
    page: dict[str, Any] = {}
    while True:
        try:
            answer = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, **page)
        except ClientError as error:
            raise ResourceError(explain(error, uri_of(bucket, prefix))) from error
        for item in answer.get("Contents", ()):
            yield ListedObject(item["Key"], item["ETag"], item["Size"])
        if not answer.get("IsTruncated"):
            return
        page = {"ContinuationToken": answer["NextContinuationToken"]}


def list_folders(s3: S3Client, bucket: str, folder_key: str) -> list[str]:
    """The names of the folders right below `folder_key` (empty, or with a slash at its end), sorted.

    Raises ResourceError where S3 refuses.
    """
    try:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder_key, Delimiter="/")
        prefixes = [item["Prefix"] for page in pages for item in page.get("CommonPrefixes", ())]
    except ClientError as error:
        raise ResourceError(explain(error, uri_of(bucket, folder_key))) from error
    return sorted(prefix.removeprefix(folder_key).rstrip("/") for prefix in prefixes)


def put_if_absent(s3: S3Client, bucket: str, key: str, body: bytes) -> bool:
    """Write the object unless there is one; whether it was written.

    A False may also mean that our own write was answered late and repeated: read what is there.
    Raises ResourceError where S3 refuses, or goes on answering 409.
    """
    for _ in range(_PUT_ATTEMPTS):  # 409: another conditional write is under way; S3 asks for a repeat
        try:
            s3.put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*")
        except ClientError as error:
            if status_of(error) == 412:
                return False
            if status_of(error) != 409:
                raise ResourceError(explain(error, uri_of(bucket, key))) from error
        else:
            return True
    raise ResourceError(
        f"{uri_of(bucket, key)}: S3 answered 409 {_PUT_ATTEMPTS} times, so others keep writing it. "
        "Run the task again."
    )
