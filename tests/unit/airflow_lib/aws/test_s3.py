"""Reads and conditional writes of S3."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from moto import mock_aws

from airflow_lib.aws import s3
from airflow_lib.bounded_json import MAX_JSON_BYTES
from airflow_lib.errors import CredentialsRefused, ResourceError
from tests.world.memory_s3 import MemoryS3

HTTP_DATE = "Sat, 21 Nov 2026 12:00:00 GMT"


@pytest.fixture
def store() -> Any:
    return MemoryS3()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of an account with the bucket `lake` (moto)."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client(
            "s3", region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing"
        )
        client.create_bucket(Bucket="lake")
        yield client


def _refuse(store: MemoryS3, operation: str, *answers: tuple[str, int]) -> None:
    """Answer the next calls of an operation so; then, as always."""
    left = list(answers)

    def answer(_: str) -> None:
        if left:
            code, status = left.pop(0)
            raise store.error(operation, code, status)

    store.before[operation] = answer


def test_an_object_is_read_with_its_etag_and_the_answers_headers(store: Any) -> None:
    store.put("lake", "k", b"one")
    stored = s3.get_object(store, "lake", "k")
    assert stored.body == b"one"
    assert stored.etag
    assert stored.headers["date"] == HTTP_DATE


def test_an_absent_object_has_neither_body_nor_etag_but_the_answers_headers(store: Any) -> None:
    stored = s3.get_object(store, "lake", "k")
    assert (stored.body, stored.etag) == (None, None)
    assert stored.headers["date"] == HTTP_DATE


def test_an_absent_object_of_moto_has_headers_too(bucket: Any) -> None:
    stored = s3.get_object(bucket, "lake", "k")
    assert (stored.body, stored.etag) == (None, None)
    assert stored.headers


@pytest.mark.parametrize(
    ("code", "status"), [("AccessDenied", 403), ("NoSuchBucket", 404), ("SlowDown", 503)]
)
def test_any_other_answer_to_a_read_is_raised_as_it_came(store: Any, code: str, status: int) -> None:
    _refuse(store, "GetObject", (code, status))
    with pytest.raises(ClientError, match=code):
        s3.get_object(store, "lake", "k")


def test_content_is_read_and_absence_is_none(store: Any) -> None:
    store.put("lake", "k", b"one")
    assert s3.read_object(store, "lake", "k") == b"one"
    assert s3.read_object(store, "lake", "absent") is None


@pytest.mark.parametrize("client", ["store", "bucket"])
def test_without_an_etag_an_object_is_written_only_where_there_is_none(
    client: str, request: pytest.FixtureRequest
) -> None:
    client_s3: Any = request.getfixturevalue(client)
    s3.put_object_if(client_s3, "lake", "k", b"one", etag=None)
    with pytest.raises(ClientError) as caught:
        s3.put_object_if(client_s3, "lake", "k", b"two", etag=None)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert s3.read_object(client_s3, "lake", "k") == b"one"


@pytest.mark.parametrize("client", ["store", "bucket"])
def test_with_an_etag_an_object_is_written_only_where_it_still_has_it(
    client: str, request: pytest.FixtureRequest
) -> None:
    client_s3: Any = request.getfixturevalue(client)
    s3.put_object_if(client_s3, "lake", "k", b"one", etag=None)
    etag = s3.get_object(client_s3, "lake", "k").etag
    s3.put_object_if(client_s3, "lake", "k", b"two", etag=etag)
    with pytest.raises(ClientError) as caught:
        s3.put_object_if(client_s3, "lake", "k", b"three", etag=etag)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert s3.read_object(client_s3, "lake", "k") == b"two"


def test_an_object_is_probed_by_its_etag_and_size(store: Any) -> None:
    store.put("lake", "k", b"one")
    found = s3.probe_object(store, "lake", "k")
    assert found is not None
    assert (found.key, found.etag, found.size) == ("k", s3.get_object(store, "lake", "k").etag, 3)
    assert s3.probe_object(store, "lake", "absent") is None


def test_an_absent_object_of_moto_is_probed_as_none(bucket: Any) -> None:
    assert s3.probe_object(bucket, "lake", "absent") is None


def test_a_refused_probe_points_to_the_policy_for_a_head_has_no_code_but_its_status(store: Any) -> None:
    _refuse(store, "HeadObject", ("403", 403))
    with pytest.raises(ResourceError, match="s3://lake/k.*iam-principal-policy.json"):
        s3.probe_object(store, "lake", "k")


@pytest.mark.parametrize(
    ("status", "code"), [(400, "ExpiredToken"), (403, "InvalidAccessKeyId"), (403, "RequestTimeTooSkewed")]
)
def test_credentials_that_a_head_cannot_name_are_asked_for_by_a_get(
    store: Any, status: int, code: str
) -> None:
    """HEAD's answer to an expired token is a bare 400: https://github.com/boto/boto3/issues/2598"""
    _refuse(store, "HeadObject", (str(status), status))
    _refuse(store, "GetObject", (code, status))
    with pytest.raises(CredentialsRefused, match=f"s3://lake/k: AWS answered {code}"):
        s3.probe_object(store, "lake", "k")


def test_a_head_that_is_refused_for_another_reason_is_reported_as_it_is(store: Any) -> None:
    store.put("lake", "k", b"one")
    _refuse(store, "HeadObject", ("400", 400))
    with pytest.raises(ResourceError, match="AWS answered 400") as caught:
        s3.probe_object(store, "lake", "k")
    assert not isinstance(caught.value, CredentialsRefused)


def test_what_is_absent_is_written(store: Any) -> None:
    assert s3.put_if_absent(store, "lake", "k", b"one") is True
    assert s3.read_object(store, "lake", "k") == b"one"


def test_what_is_there_already_is_left_as_it_is(store: Any) -> None:
    store.put("lake", "k", b"theirs")
    assert s3.put_if_absent(store, "lake", "k", b"ours") is False
    assert s3.read_object(store, "lake", "k") == b"theirs"


@pytest.mark.parametrize("times", [1, 4])
def test_a_write_that_another_is_in_the_way_of_is_repeated(store: Any, times: int) -> None:
    _refuse(store, "PutObject", *[("ConditionalRequestConflict", 409)] * times)
    assert s3.put_if_absent(store, "lake", "k", b"one") is True
    assert store.count("PutObject") == times + 1
    assert s3.read_object(store, "lake", "k") == b"one"


def test_a_write_that_another_was_in_the_way_of_may_turn_out_to_be_too_late(store: Any) -> None:
    _refuse(store, "PutObject", ("ConditionalRequestConflict", 409), ("PreconditionFailed", 412))
    assert s3.put_if_absent(store, "lake", "k", b"one") is False


def test_a_write_is_repeated_five_times_and_no_more(store: Any) -> None:
    _refuse(store, "PutObject", *[("ConditionalRequestConflict", 409)] * 9)
    with pytest.raises(ResourceError, match="Could not write s3://lake/k: S3 answered 409 5 times"):
        s3.put_if_absent(store, "lake", "k", b"one")
    assert store.count("PutObject") == 5
    assert store.objects == {}


def test_a_refused_write_is_not_repeated(store: Any) -> None:
    _refuse(store, "PutObject", ("AccessDenied", 403))
    with pytest.raises(ResourceError, match="AccessDenied"):
        s3.put_if_absent(store, "lake", "k", b"one")
    assert store.count("PutObject") == 1


CALLS: dict[str, tuple[str, Any]] = {
    "read": ("GetObject", lambda client: s3.read_object(client, "lake", "a/k")),
    "probe": ("HeadObject", lambda client: s3.probe_object(client, "lake", "a/k")),
    "list": ("ListObjectsV2", lambda client: list(s3.list_objects(client, "lake", "a/k"))),
    "write": ("PutObject", lambda client: s3.put_if_absent(client, "lake", "a/k", b"")),
}


@pytest.mark.parametrize("name", ["read", "list", "write"])
def test_a_refusal_names_the_uri_and_the_remedy(store: Any, name: str) -> None:
    operation, call = CALLS[name]
    _refuse(store, operation, ("NoSuchBucket", 404))
    with pytest.raises(ResourceError, match="s3://lake/a/k: AWS answered NoSuchBucket.*Create the bucket"):
        call(store)


def test_a_head_has_no_code_but_its_status(store: Any) -> None:
    """So a missing bucket looks like a missing key; whatever lists or reads there names the bucket."""
    _refuse(store, "HeadObject", ("NoSuchBucket", 404), ("AccessDenied", 403))
    assert s3.probe_object(store, "lake", "a/k") is None
    with pytest.raises(ResourceError, match="AWS answered 403.*Without s3:ListBucket"):
        s3.probe_object(store, "lake", "a/k")


@pytest.mark.parametrize(("operation", "call"), CALLS.values(), ids=CALLS)
def test_a_transient_answer_passes_unchanged(store: Any, operation: str, call: Any) -> None:
    _refuse(store, operation, ("SlowDown", 503))
    with pytest.raises(ClientError, match="SlowDown"):
        call(store)


def test_no_answer_to_a_write_passes_unchanged_and_the_object_may_be_there(store: Any) -> None:
    store.lose_after = 1
    with pytest.raises(ReadTimeoutError):
        s3.put_if_absent(store, "lake", "k", b"one")
    assert s3.put_if_absent(store, "lake", "k", b"one") is False


@pytest.mark.parametrize("page_size", [1, 2, 3, 5, 1000])
def test_objects_are_listed_in_key_order_over_as_many_pages_as_it_takes(page_size: int) -> None:
    store: Any = MemoryS3(page_size)
    keys = [f"a/{number}" for number in range(5)]
    for key in reversed(keys):
        store.put("lake", key, key.encode())
    store.put("lake", "b/0")
    store.put("other", "a/0")

    found = list(s3.list_objects(store, "lake", "a/"))
    assert [one.key for one in found] == keys
    assert {one.size for one in found} == {3}
    assert found[0].etag == s3.get_object(store, "lake", "a/0").etag
    assert store.count("ListObjectsV2") == -(-len(keys) // page_size)


def test_below_an_unused_prefix_no_object_is_listed(store: Any) -> None:
    assert list(s3.list_objects(store, "lake", "a/")) == []


def test_the_folders_right_below_one_are_listed_by_name_in_order(bucket: Any) -> None:
    for key in ("a/2/x", "a/1/x", "a/1/deep/x", "a/file", "b/3/x"):
        bucket.put_object(Bucket="lake", Key=key, Body=b"")
    assert s3.list_folders(bucket, "lake", "a/") == ["1", "2"]
    assert s3.list_folders(bucket, "lake", "") == ["a", "b"]
    assert s3.list_folders(bucket, "lake", "c/") == []


def test_folders_of_an_absent_bucket_are_refused_with_the_uri(bucket: Any) -> None:
    with pytest.raises(ResourceError, match="s3://absent/a/.*NoSuchBucket"):
        s3.list_folders(bucket, "absent", "a/")


def test_an_object_that_no_document_of_ours_can_be_is_not_read_at_all(store: Any, bucket: Any) -> None:
    """S3 says the length before the body: GetObject, ContentLength."""
    body = b" " * (MAX_JSON_BYTES + 1)
    store.put("lake", "register.json", body)
    bucket.put_object(Bucket="lake", Key="register.json", Body=body)
    expected = rf"s3://lake/register.json is {len(body)} bytes long, {MAX_JSON_BYTES} at most were expected"
    for client in (store, bucket):
        with pytest.raises(ResourceError, match=expected):
            s3.get_object(client, "lake", "register.json")
        with pytest.raises(ResourceError, match=expected):
            s3.read_object(client, "lake", "register.json")


def test_an_object_is_deleted_and_one_that_is_not_there_is_no_error(bucket: Any) -> None:
    bucket.put_object(Bucket="lake", Key="here", Body=b"x")
    for _ in range(2):
        s3.delete_object(bucket, "lake", "here")
    assert list(s3.list_objects(bucket, "lake", "")) == []


def test_a_delete_that_s3_refuses_names_the_object(bucket: Any) -> None:
    with pytest.raises(ResourceError, match=r"delete s3://none-such/here"):
        s3.delete_object(bucket, "none-such", "here")
