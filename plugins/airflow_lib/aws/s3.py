"""The few S3 reads and conditional writes that the register, the outputs and the code zip are made of.

S3 answers reads after writes consistently, and a PUT is seen whole or not at all, so a condition on the ETag
makes a compare-and-swap:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html

Except where it says otherwise, each function raises ResourceError where S3 refuses, and botocore's own error where
it is transient.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from airflow_lib.aws.errors import code_of, is_credentials_error, status_of, translate_aws_errors
from airflow_lib.aws.s3_location import uri_of
from airflow_lib.bounded_json import MAX_JSON_BYTES
from airflow_lib.errors import ResourceError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PUT_ATTEMPTS = 5


@dataclass(frozen=True)
class StoredObject:
    """An object as read; one that is absent has no body, ETag or time of its last write, but the response's headers."""

    body: bytes | None
    etag: str | None
    headers: Mapping[str, str]
    modified: datetime | None = None


@dataclass(frozen=True)
class ListedObject:
    """An object as listed or asked for by HEAD; `size` in bytes."""

    key: str
    etag: str
    size: int


def get_object(s3: S3Client, bucket: str, key: str) -> StoredObject:
    """The object as S3 answers it; an absent object is no error.

    Raises ClientError, and ResourceError, before any of it is read, where it is larger than a document of ours can be.
    """
    try:
        answer = s3.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if code_of(error) != "NoSuchKey":
            raise
        return StoredObject(None, None, error.response["ResponseMetadata"]["HTTPHeaders"])
    length = answer["ContentLength"]
    if length > MAX_JSON_BYTES:
        answer["Body"].close()
        raise ResourceError(
            f"{uri_of(bucket, key)} is {length} bytes long, {MAX_JSON_BYTES} at most were expected, so it is not what "
            "Mayfly wrote. Nothing was changed: find out who wrote it, and restore its last good version."
        )
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    return StoredObject(answer["Body"].read(), answer["ETag"], headers, answer["LastModified"])


def put_object_if(s3: S3Client, bucket: str, key: str, body: bytes, *, etag: str | None) -> None:
    """Write the object if it still has `etag`, or with None if there is none. Raises ClientError (412 if not)."""
    if etag is None:
        s3.put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*")
    else:
        s3.put_object(Bucket=bucket, Key=key, Body=body, IfMatch=etag)


def read_object(s3: S3Client, bucket: str, key: str) -> bytes | None:
    """The object's content, or None where there is none."""
    return read_stored(s3, bucket, key).body


def read_stored(s3: S3Client, bucket: str, key: str) -> StoredObject:
    """As `get_object`, with AWS's errors as ours."""
    with translate_aws_errors(f"read {uri_of(bucket, key)}"):
        return get_object(s3, bucket, key)


def read_range(s3: S3Client, bucket: str, item: ListedObject, start: int, length: int) -> bytes:
    """At most `length` bytes of a listed object that is not empty, from `start` on, or from its begin where less.

    Raises ResourceError, also where the version that was listed is there no more.
    """
    first, last = max(0, start), min(start + length, item.size) - 1
    uri = uri_of(bucket, item.key)
    with translate_aws_errors(f"read {uri}"):
        try:
            answer = s3.get_object(
                Bucket=bucket, Key=item.key, Range=f"bytes={first}-{last}", IfMatch=item.etag
            )
        except ClientError as error:
            if code_of(error) not in {"PreconditionFailed", "NoSuchKey"}:
                raise
            raise ResourceError(
                f"{uri} was replaced or deleted since it was listed, a moment before it was read. "
                "Clear the task once nothing writes there any more."
            ) from error
        return answer["Body"].read(length)


def probe_object(s3: S3Client, bucket: str, key: str) -> ListedObject | None:
    """The object's ETag and size, or None where there is none.

    A HEAD has no body, so its error code is the status. Without s3:ListBucket S3 answers 403 for a missing key, too:
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
    """
    with translate_aws_errors(f"read {uri_of(bucket, key)}", ignore={"404", "NoSuchKey"}):
        try:
            answer = s3.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            _raise_if_credentials_are_refused(s3, bucket, key, error)
            raise
        return ListedObject(key, answer["ETag"], answer["ContentLength"])
    return None


def _raise_if_credentials_are_refused(s3: S3Client, bucket: str, key: str, error: ClientError) -> None:
    """Ask by a request whose answer has a body: HEAD says "400" of an expired token, and "403" of a deleted key.

    https://github.com/boto/boto3/issues/2598
    """
    if code_of(error) not in {"400", "403"}:
        return
    try:
        s3.get_object(Bucket=bucket, Key=key, Range="bytes=0-0")["Body"].close()
    except ClientError as told:
        if is_credentials_error(told):
            raise told from error


def list_objects(s3: S3Client, bucket: str, prefix: str) -> Iterator[ListedObject]:
    """Every object whose key starts with `prefix`, in key order, page by page."""
    page: dict[str, Any] = {}
    while True:
        with translate_aws_errors(f"list {uri_of(bucket, prefix)}"):
            answer = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, **page)
        for item in answer.get("Contents", ()):
            yield ListedObject(item["Key"], item["ETag"], item["Size"])
        if not answer.get("IsTruncated"):
            return
        page = {"ContinuationToken": answer["NextContinuationToken"]}


def list_folders(s3: S3Client, bucket: str, folder_key: str) -> list[str]:
    """The names of the folders right below `folder_key` (empty, or with a slash at its end), sorted."""
    with translate_aws_errors(f"list {uri_of(bucket, folder_key)}"):
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder_key, Delimiter="/")
        prefixes = [item["Prefix"] for page in pages for item in page.get("CommonPrefixes", ())]
    return sorted(prefix.removeprefix(folder_key).rstrip("/") for prefix in prefixes)


def put_if_absent(s3: S3Client, bucket: str, key: str, body: bytes) -> bool:
    """Write the object unless there is one; whether it was written.

    A False may also mean that our own write succeeded, its answer was lost, and botocore repeated it: read what is
    there. Raises ResourceError, too, where S3 goes on answering 409.
    """
    uri = uri_of(bucket, key)
    for _ in range(_PUT_ATTEMPTS):
        with translate_aws_errors(f"write {uri}"):
            try:
                put_object_if(s3, bucket, key, body, etag=None)
            except ClientError as error:
                if status_of(error) == 412:
                    return False
                if (
                    status_of(error) != 409
                ):  # 409: another conditional write is under way; S3 asks for a repeat
                    raise
            else:
                return True
    raise ResourceError(
        f"Could not write {uri}: S3 answered 409 {_PUT_ATTEMPTS} times, so others keep writing it. "
        "Run the task again."
    )


def delete_object(s3: S3Client, bucket: str, key: str) -> None:
    """Delete the object; absent is success."""
    with translate_aws_errors(f"delete {uri_of(bucket, key)}"):
        s3.delete_object(Bucket=bucket, Key=key)
