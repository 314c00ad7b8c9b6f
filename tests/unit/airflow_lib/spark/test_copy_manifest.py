"""What COPY reads is of one dataset and one window, and its name tells what it holds."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime

import pytest

from airflow_lib.aws.s3_location import S3Location
from airflow_lib.errors import OutputError, ResourceError
from airflow_lib.pipeline import Window
from airflow_lib.spark.copy_manifest import ensure_copy_manifest, render_copy_manifest
from airflow_lib.spark.counts import Counts
from airflow_lib.spark.manifest import Manifest
from airflow_lib.spark.outputs import Output
from airflow_lib.spark.parts import Dataset, Part
from tests.world.memory_s3 import MemoryS3

OUTPUT = Output(S3Location("lake", "out/immigration"), "arrivals", "a1")
BASE = "s3://lake/out/immigration/arrivals/a1"
DAYS = [date(2016, 4, day) for day in (1, 2, 3)]
MANIFEST = Manifest(
    f"{BASE}/manifest.json",
    "t1",
    {
        "arrivals": Dataset(
            (), tuple(Part(f"arrivals/day={day}/p.parquet", 9, day.day, day) for day in DAYS)
        ),
        "cities": Dataset((), (Part("cities/p.parquet", 7, 4),)),
        "none": Dataset((), ()),
    },
    Counts(read=10, written={"arrivals": 6, "cities": 4, "none": 0}),
    "0",
)


def urls(body: bytes) -> list[str]:
    return [entry["url"] for entry in json.loads(body)["entries"]]


def window(first: int, end: int) -> Window:
    return Window(date(2016, 4, first), date(2016, 4, end))


@pytest.mark.parametrize(
    ("first", "end", "days", "rows"),
    [(1, 2, [1], 1), (2, 3, [2], 2), (1, 4, [1, 2, 3], 6), (3, 30, [3], 3), (4, 30, [], 0)],
)
def test_of_a_partitioned_dataset_it_has_the_days_of_the_window_and_not_its_end(
    first: int, end: int, days: list[int], rows: int
) -> None:
    copy = render_copy_manifest(OUTPUT, MANIFEST, "arrivals", window(first, end))
    assert urls(copy.body) == [f"{BASE}/t1/arrivals/day=2016-04-0{day}/p.parquet" for day in days]
    assert (copy.files, copy.rows) == (len(days), rows)


def test_of_another_dataset_it_has_all_files_whatever_the_window() -> None:
    instants = Window(datetime(2016, 4, 1, 10, tzinfo=UTC), datetime(2016, 4, 1, 11, tzinfo=UTC))
    for one in (window(1, 2), instants):
        copy = render_copy_manifest(OUTPUT, MANIFEST, "cities", one)
        assert json.loads(copy.body) == {
            "entries": [
                {"url": f"{BASE}/t1/cities/p.parquet", "mandatory": True, "meta": {"content_length": 7}}
            ]
        }
        assert (copy.files, copy.rows) == (1, 4)


def test_a_dataset_without_rows_has_nothing_to_copy() -> None:
    copy = render_copy_manifest(OUTPUT, MANIFEST, "none", window(1, 30))
    assert (copy.files, copy.rows) == (0, 0)


def test_its_name_has_the_hash_of_its_content_and_writing_it_again_changes_nothing() -> None:
    s3 = MemoryS3()
    copies = [render_copy_manifest(OUTPUT, MANIFEST, "arrivals", window(day, 4)) for day in (1, 2, 2)]
    for copy in copies:
        ensure_copy_manifest(s3, OUTPUT, copy)
    stored = {key: body for (_, key), body in s3.objects.items()}
    assert stored == {
        f"out/immigration/arrivals/a1/copy/arrivals-{hashlib.sha256(copy.body).hexdigest()}.json": copy.body
        for copy in copies
    }
    assert len(stored) == 2
    assert copies[0].uri == f"{BASE}/copy/arrivals-{copies[0].sha256}.json"


def test_a_write_that_is_refused_names_it() -> None:
    s3 = MemoryS3()

    def refuse(_: str) -> None:
        raise s3.error("PutObject", "AccessDenied", 403)

    s3.before["PutObject"] = refuse
    with pytest.raises(ResourceError, match=r"a1/copy/cities-.*AccessDenied"):
        ensure_copy_manifest(s3, OUTPUT, render_copy_manifest(OUTPUT, MANIFEST, "cities", window(1, 2)))


def test_a_dataset_that_was_declared_since_says_which_task_to_clear() -> None:
    with pytest.raises(OutputError, match=r"has no output 'seen': .*Clear transform\.arrivals"):
        render_copy_manifest(OUTPUT, MANIFEST, "seen", window(1, 2))
