"""What a driver tells of its job's progress is shown, whatever is in the file; and no poll fails of it."""

from __future__ import annotations

import math

import pytest

from airflow_lib.spark.progress import read_progress
from tests.world import World
from tests.world.account import BUCKET
from tests.world.spark import put
from tests.world.wire import Kind

URI = f"s3://{BUCKET}/processed/immigration/arrivals/a1/progress.txt"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"stage 3 of 4 so far, 1,200,000 rows read, 0 written", None),
        (b"begun\n", "begun"),
        (b"", ""),
        (b"a\x1b[31mb\nERROR all is lost", "a [31mb ERROR all is lost"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"x" * 100_000, "x" * 200),
    ],
)
def test_the_text_is_shown_as_one_short_line(world: World, body: bytes, text: str | None) -> None:
    put(URI, body)
    assert read_progress(world.others.s3, URI) == (body.decode() if text is None else text)


@pytest.mark.parametrize("uri", [URI, "", "file:///tmp/x", "s3://no-such-bucket/x"])
def test_a_file_that_is_not_there_says_nothing(world: World, uri: str) -> None:
    assert read_progress(world.others.s3, uri) == ""


@pytest.mark.parametrize("kind", [Kind.DENIED, Kind.THROTTLED, Kind.TIMEOUT, Kind.ERROR])
def test_an_s3_that_does_not_answer_says_nothing(world: World, kind: Kind) -> None:
    put(URI, b"begun")
    world.wire.inject("s3.GetObject", kind, times=math.inf)
    assert read_progress(world.aws.s3, URI) == ""
