"""`s3://bucket/prefix`, taken apart and put together."""

from __future__ import annotations

import pytest

from airflow_lib.aws.s3_location import S3Location, uri_of
from airflow_lib.errors import SettingsError


@pytest.mark.parametrize(
    ("uri", "bucket", "prefix"),
    [
        ("s3://lake", "lake", ""),
        ("s3://lake/", "lake", ""),
        ("s3://lake/raw", "lake", "raw"),
        ("s3://lake/raw/immigration/", "lake", "raw/immigration"),
    ],
)
def test_a_uri_is_taken_apart_into_bucket_and_prefix(uri: str, bucket: str, prefix: str) -> None:
    assert S3Location.parse(uri) == S3Location(bucket, prefix)


@pytest.mark.parametrize("uri", ["", "lake/raw", "s3://", "s3:///raw", "https://lake/raw", "s3:/lake/raw"])
def test_what_is_no_s3_location_is_refused_with_the_expected_form(uri: str) -> None:
    with pytest.raises(SettingsError, match="write s3://bucket/prefix"):
        S3Location.parse(uri)


@pytest.mark.parametrize("uri", ["s3://lake", "s3://lake/raw", "s3://lake/raw/immigration"])
def test_a_location_is_put_together_as_it_was_written(uri: str) -> None:
    assert str(S3Location.parse(uri)) == uri


def test_keys_and_uris_below_a_location_start_with_its_prefix() -> None:
    location = S3Location("lake", "raw")
    assert location.folder_key == "raw/"
    assert location.key("a", "b.csv") == "raw/a/b.csv"
    assert location.uri("a", "b.csv") == "s3://lake/raw/a/b.csv"
    assert location.uri() == "s3://lake/raw"


def test_below_a_whole_bucket_keys_start_without_a_slash() -> None:
    location = S3Location("lake")
    assert location.folder_key == ""
    assert location.key("a") == "a"
    assert location.key() == ""
    assert location.uri("a") == "s3://lake/a"


def test_a_slash_at_the_end_of_the_last_part_is_kept_in_keys_and_dropped_in_locations() -> None:
    location = S3Location("lake", "raw")
    assert location.key("a/") == "raw/a/"
    assert location.uri("a/") == "s3://lake/raw/a/"
    assert location.below("a/") == S3Location("lake", "raw/a")


def test_locations_may_be_nested() -> None:
    assert S3Location("lake").below("raw").below("x", "y") == S3Location("lake", "raw/x/y")


def test_the_uri_of_a_key_and_of_a_whole_bucket() -> None:
    assert uri_of("lake", "a/b") == "s3://lake/a/b"
    assert uri_of("lake", "") == "s3://lake"
