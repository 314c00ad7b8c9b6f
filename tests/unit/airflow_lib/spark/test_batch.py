"""What a run takes in: sources are listed once, resolved for each job, kept as JSON, and compared after a job."""

from __future__ import annotations

import contextlib
import copy
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_lib.aws.s3_location import S3Location
from airflow_lib.errors import OutputError, ResourceError, SourceError
from airflow_lib.pipeline import Source, SparkJob
from airflow_lib.spark import batch as module
from airflow_lib.spark.batch import (
    Batch,
    decode_batch,
    describe_missing,
    encode_batch,
    find_changed,
    take_batch,
)
from tests.world.memory_s3 import MemoryS3
from tests.world.pipeline import PIPELINE

SOURCE = S3Location("lake", "in/immigration")
ARRIVALS = SparkJob("arrivals", (Source("sas_data/", "arrivals.csv"), "labels.SAS"), windowed=True)
CITIES = SparkJob("cities", ("cities.csv",))
NOW = datetime(2026, 11, 28, tzinfo=UTC)


@pytest.fixture
def s3() -> MemoryS3:
    return MemoryS3(page_size=2)


def put_sources(s3: MemoryS3, *names: str) -> None:
    for name in names:
        s3.put("lake", f"in/immigration/{name}", name.encode())


def take(s3: MemoryS3, *jobs: SparkJob) -> Batch:
    return take_batch(s3, SOURCE, replace(PIPELINE, jobs=jobs), NOW)  # type: ignore[arg-type]


def names_read(s3: MemoryS3, *sources: str | Source) -> list[list[str]]:
    """By source, the names of the files that a job reads."""
    job = SparkJob("job", sources)
    return [
        [uri.removeprefix("s3://lake/in/immigration/") for uri in uris]
        for uris in take(s3, job).resolve(job).uris
    ]


def told(s3: MemoryS3, job: SparkJob) -> str:
    return describe_missing(s3, SOURCE, job, take(s3, job))  # type: ignore[arg-type]


def test_sources_are_resolved_to_their_files_in_declared_order_and_the_first_alternative_wins(
    s3: MemoryS3,
) -> None:
    put_sources(s3, "labels.SAS", "arrivals.csv", "sas_data/part-1.parquet", "sas_data/part-0.parquet")
    found = take(s3, ARRIVALS).resolve(ARRIVALS)
    base = "s3://lake/in/immigration"
    assert found.uris == (
        (f"{base}/sas_data/part-0.parquet", f"{base}/sas_data/part-1.parquet"),
        (f"{base}/labels.SAS",),
    )
    assert [item.key.rpartition("/")[2] for item in found.objects] == [
        "part-0.parquet",
        "part-1.parquet",
        "labels.SAS",
    ]


def test_the_other_alternative_is_taken_where_the_first_is_not_there(s3: MemoryS3) -> None:
    put_sources(s3, "arrivals.csv")
    assert names_read(s3, *ARRIVALS.sources[:1]) == [["arrivals.csv"]]


def test_a_folder_is_listed_page_by_page_without_the_files_that_spark_ignores(s3: MemoryS3) -> None:
    data = ["sas_data/_year=2016/b.parquet", "sas_data/a.parquet", "sas_data/c.parquet", "sas_data/d.parquet"]
    put_sources(s3, *data, "sas_data/_SUCCESS", "sas_data/.a.crc", "sas_data/_temporary/0/e.parquet")
    s3.put("lake", "in/immigration/sas_data/", b"")
    s3.put("lake", "in/immigration/sas_data/empty.parquet", b"")
    assert names_read(s3, "sas_data/") == [data]


def test_a_folder_with_nothing_to_read_counts_as_missing(s3: MemoryS3) -> None:
    put_sources(s3, "arrivals.csv", "sas_data/_SUCCESS")
    s3.put("lake", "in/immigration/sas_data/", b"")
    assert names_read(s3, *ARRIVALS.sources[:1]) == [["arrivals.csv"]]


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("user*.csv", ["user.csv", "user1.csv", "user2.csv", "user[3].csv"]),
        ("user?.csv", ["user1.csv", "user2.csv"]),
        ("user[3].*", ["user[3].csv"]),
        ("USER*.csv", []),
        ("2016/part-*.parquet", ["2016/part-0.parquet", "2016/part-1.parquet"]),
        ("*/part-0.parquet", ["2016/part-0.parquet", "2017/part-0.parquet"]),
        ("*", ["user.csv", "user1.csv", "user2.csv", "user[3].csv"]),
    ],
)
def test_a_pattern_stands_for_files_of_its_own_level(s3: MemoryS3, pattern: str, matched: list[str]) -> None:
    put_sources(
        s3, "user.csv", "user1.csv", "user2.csv", "user[3].csv", "old/user4.csv", "_users.csv", ".user"
    )
    put_sources(
        s3, "2016/part-0.parquet", "2016/part-1.parquet", "2017/part-0.parquet", "2016/deep/part-2.parquet"
    )
    s3.put("lake", "in/immigration/user0.csv", b"")
    batch = take(s3, SparkJob("job", (pattern,)))
    start = len("in/immigration/")
    assert [item.key[start:] for item in batch.objects] == matched


def test_a_pattern_that_stands_for_nothing_is_a_missing_source(s3: MemoryS3) -> None:
    put_sources(s3, "users.csv")
    assert "- s3://lake/in/immigration/artist*.csv: missing or empty" in told(
        s3, SparkJob("job", ("artist*.csv",))
    )


def test_a_pattern_lists_no_more_than_what_begins_like_it(s3: MemoryS3) -> None:
    take(s3, SparkJob("job", ("2016/part-*.parquet",)))
    assert s3.calls == [("ListObjectsV2", "in/immigration/2016/part-")]


def test_a_source_is_asked_for_once_however_many_jobs_read_it(s3: MemoryS3) -> None:
    put_sources(s3, "labels.SAS", "arrivals.csv")
    take(s3, ARRIVALS, replace(ARRIVALS, name="again"), SparkJob("labels", ("labels.SAS",)))
    assert len(s3.calls) == len(set(s3.calls)) == 3


def test_every_missing_source_is_named_with_what_the_folder_holds_instead(s3: MemoryS3) -> None:
    put_sources(s3, "arrival.csv", "sasdata/part-0.parquet")
    s3.put("lake", "in/immigration/labels.SAS", b"")
    assert told(s3, ARRIVALS) == (
        "Job 'arrivals' cannot read its input:\n"
        "- s3://lake/in/immigration/sas_data/ or s3://lake/in/immigration/arrivals.csv: missing or empty\n"
        "- s3://lake/in/immigration/labels.SAS: missing or empty\n"
        "s3://lake/in/immigration/ holds arrival.csv, labels.SAS, sasdata/. "
        "Put the files there under these names, or correct mayfly.s3.source."
    )


def test_where_nothing_is_missing_nothing_is_told_and_nothing_listed(s3: MemoryS3) -> None:
    put_sources(s3, "cities.csv")
    assert told(s3, CITIES) == ""
    assert s3.count("ListObjectsV2") == 0


def test_an_empty_source_folder_is_reported_as_holding_nothing(s3: MemoryS3) -> None:
    assert "holds nothing" in told(s3, CITIES)


def test_of_many_names_in_the_source_folder_the_first_twelve_are_shown(s3: MemoryS3) -> None:
    put_sources(s3, *(f"x{number:02}.csv" for number in range(13)))
    assert "x11.csv, …. Put" in told(s3, CITIES)
    assert "x12.csv" not in told(s3, CITIES)


def test_a_refused_read_is_not_taken_for_a_missing_source(s3: MemoryS3) -> None:
    def refuse(_: str) -> None:
        raise s3.error("HeadObject", "403", 403)

    s3.before["HeadObject"] = refuse
    with pytest.raises(ResourceError, match=r"cities.csv.*403.*iam-principal-policy.json"):
        take(s3, CITIES)


def test_a_job_is_refused_a_source_that_the_batch_does_not_hold(s3: MemoryS3) -> None:
    put_sources(s3, "cities.csv")
    with pytest.raises(
        SourceError, match=r"labels\.SAS, which this run's batch does not hold.*provision\.preflight"
    ):
        take(s3, CITIES).resolve(SparkJob("labels", ("labels.SAS",)))


def test_a_batch_is_the_same_after_it_was_kept(s3: MemoryS3) -> None:
    put_sources(s3, "labels.SAS", "sas_data/a b=ü.parquet", "cities.csv")
    batch = take(s3, ARRIVALS, CITIES)
    again = decode_batch(json.loads(json.dumps(encode_batch(batch))))
    assert again == batch
    assert again.hash == batch.hash


def test_its_hash_is_that_of_its_objects_alone(s3: MemoryS3) -> None:
    put_sources(s3, "cities.csv")
    batch = take(s3, CITIES)
    assert len(batch.hash) == 64
    assert replace(batch, fixed_at=datetime(2027, 1, 1, tzinfo=UTC)).hash == batch.hash
    s3.put("lake", "in/immigration/cities.csv", b"other")
    assert take(s3, CITIES).hash != batch.hash


def test_a_batch_that_is_too_large_to_be_kept_is_refused_with_what_to_do(
    s3: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_sources(s3, *(f"sas_data/{number}" for number in range(9)), "labels.SAS")
    monkeypatch.setattr(module, "MAX_JSON_BYTES", 600)
    with pytest.raises(SourceError, match=r"10 files below s3://lake/in/immigration.*larger files"):
        encode_batch(take(s3, ARRIVALS))


VALID: dict[str, Any] = encode_batch(
    Batch("s3://lake/in", NOW, {"a": (), "b/": ()}),
)
ODD = st.sampled_from(
    [
        None,
        True,
        -1,
        0,
        2**70,
        "",
        "\ud800",
        "2026",
        "0001-01-01T00:00:00+14:00",
        "s3://",
        [],
        {},
        [[]],
        ["k", "e", -1],
        [["k", "e", True]],
    ]
)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(
    st.sampled_from([*VALID, "whole"]),
    st.recursive(
        ODD | st.text(max_size=5),
        lambda of: st.lists(of, max_size=3) | st.dictionaries(st.text(max_size=3), of, max_size=3),
    ),
)
def test_whatever_is_kept_it_ends_in_a_batch_or_in_an_error_of_ours(place: str, put: Any) -> None:
    content = put if place == "whole" else {**copy.deepcopy(VALID), place: put}
    with contextlib.suppress(OutputError):
        assert isinstance(decode_batch(content), Batch)


def test_a_batch_whose_objects_were_altered_is_refused(s3: MemoryS3) -> None:
    put_sources(s3, "cities.csv")
    content = encode_batch(take(s3, CITIES))
    content["sources"]["cities.csv"][0][2] += 1
    with pytest.raises(OutputError, match="hash is not that of its objects"):
        decode_batch(content)


@pytest.mark.parametrize("files", [3, 12], ids=["asked for one by one", "listed"])
@pytest.mark.parametrize("change", ["nothing", "one lands", "one is replaced", "one is deleted"])
def test_what_changed_of_a_batch_is_told_and_what_landed_beside_it_is_not(
    s3: MemoryS3, files: int, change: str
) -> None:
    names = [f"sas_data/part-{number:02}" for number in range(files)]
    put_sources(s3, *names, "labels.SAS")
    objects = take(s3, ARRIVALS).objects
    s3.calls.clear()
    if change == "one lands":
        put_sources(s3, "sas_data/part-01-late")
    elif change == "one is replaced":
        s3.put("lake", "in/immigration/sas_data/part-01", b"other")
    elif change == "one is deleted":
        del s3.objects["lake", "in/immigration/sas_data/part-01"]
    changed = find_changed(s3, "lake", objects)  # type: ignore[arg-type]
    assert changed == (["in/immigration/sas_data/part-01"] if change.startswith("one is") else [])
    assert s3.count("HeadObject") == (4 if files == 3 else 1)
