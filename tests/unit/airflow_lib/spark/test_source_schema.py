"""What a source's files hold is compared with the declared columns, from a few small reads."""

# ruff: noqa: N803  (boto3's own argument names)

from __future__ import annotations

import contextlib
import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_lib.aws.s3 import ListedObject, list_objects
from airflow_lib.errors import ResourceError, SourceError
from airflow_lib.pipeline import Source, SparkJob
from airflow_lib.spark.batch import ResolvedSources
from airflow_lib.spark.source_schema import check_columns, check_sources
from tests.world.memory_s3 import MemoryS3

TRIPS = Source("trips/", columns=("id", "Pickup Time", "zone"))


class Files:
    """S3 as far as a ranged GET goes, and which ranges were asked for."""

    def __init__(self, **files: bytes) -> None:
        self.files = files
        self.ranges: list[tuple[str, int, int]] = []

    def get_object(self, *, Bucket: str, Key: str, Range: str, IfMatch: str) -> dict[str, Any]:
        assert IfMatch == "e"
        start, _, end = Range.removeprefix("bytes=").partition("-")
        self.ranges.append((Key, int(start), int(end)))
        assert 0 <= int(start) <= int(end) < len(self.files[Key])
        return {"Body": io.BytesIO(self.files[Key][int(start) : int(end) + 1])}

    def check(self, source: Source = TRIPS) -> None:
        listed = [ListedObject(key, "e", len(body)) for key, body in sorted(self.files.items()) if body]
        check_columns(self, "lake", source, listed)  # type: ignore[arg-type]


def parquet(*names: str) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({name: [1, 2] for name in names}), buffer)
    return buffer.getvalue()


def refused(files: Files, source: Source = TRIPS) -> str:
    with pytest.raises(SourceError) as caught:
        files.check(source)
    return str(caught.value)


GOOD = b"id,zone,pickup time,extra\n1,2,3,4\n"


def test_a_file_that_lacks_a_column_is_named_with_what_it_has_and_what_may_be_meant() -> None:
    assert refused(Files(a=b"id,zones,pickup time\n1,2,3\n")) == (
        "s3://lake/a lacks the column zone; it has: id, zones, pickup time. Did you mean 'zones' by 'zone'? "
        "Upload the file with its published columns, or correct the pipeline's Source and its job."
    )


def test_a_parquet_file_that_lacks_columns_is_named_with_all_of_them() -> None:
    assert "s3://lake/b lacks the columns Pickup Time, zone; it has: id." in refused(
        Files(a=parquet(*TRIPS.columns), b=parquet("id"))
    )


@pytest.mark.parametrize(
    ("delimiter", "word"), [(b";", "a semicolon"), (b"\t", "a tab"), (b"|", "a vertical bar")]
)
def test_another_delimiter_is_named(delimiter: bytes, word: str) -> None:
    told = refused(Files(a=GOOD.replace(b",", delimiter)))
    assert f"s3://lake/a separates its columns by {word}, and ',' is declared" in told


def test_the_declared_delimiter_separates() -> None:
    Files(a=GOOD.replace(b",", b";")).check(Source("a", columns=TRIPS.columns, delimiter=";"))


def test_a_source_without_declared_columns_is_not_read() -> None:
    files = Files(a=b"anything")
    files.check(Source("a"))
    assert files.ranges == []


def test_of_a_large_file_only_its_ends_are_read_and_of_many_files_a_few_with_first_and_last() -> None:
    body = GOOD + b"1,2,3,4\n" * 100_000
    files = Files(**{f"part{number:03}": body for number in range(200)})
    files.check()
    assert len(files.ranges) <= 8
    assert {"part000", "part199"} <= {key for key, *_ in files.ranges}
    assert max(end - start for _, start, end in files.ranges) < 64 * 1024


def test_notes_beside_the_data_are_not_taken_for_data() -> None:
    Files(**{"a.csv": GOOD, "README.md": b"about this data\n", "a.md5": b"0f\n"}).check()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"\n\n", "has not even a header"),
        (b"PAR1" + b"x" * 100, "was cut off"),
        (b"PAR1", "was cut off"),
        (parquet("id")[:-20], "was cut off"),
        (b"PAR1" + b"\xff" * 40 + (40).to_bytes(4, "little") + b"PAR1", "damaged Parquet file"),
        (b"x" * 200_000, "lacks the columns"),
        (b'"' + b"x" * 200_000, "lacks the columns"),
    ],
)
def test_a_damaged_file_is_refused_by_name(body: bytes, told: str) -> None:
    message = refused(Files(a=body))
    assert message.startswith("s3://lake/a ")
    assert told in message
    assert len(message) < 1000


def test_a_packed_file_that_is_damaged_is_refused_by_name() -> None:
    told = refused(Files(**{"a.csv.gz": b"\x1f\x8b" + b"\xff" * 50}))
    assert told.startswith("s3://lake/a.csv.gz is damaged, or not packed as its name says (gz: ")
    assert "Upload it again" in told


def test_a_column_that_is_there_twice_is_named() -> None:
    assert "s3://lake/a has more than one column zone, and nothing says" in refused(
        Files(a=GOOD.replace(b"extra", b"Zone"))
    )


@pytest.mark.parametrize("change", ["replaced", "deleted"])
def test_a_file_that_changed_since_it_was_listed_is_told(change: str) -> None:
    s3 = MemoryS3()
    s3.put("lake", "a", GOOD)
    listed = list(list_objects(s3, "lake", ""))  # type: ignore[arg-type]
    if change == "replaced":
        s3.put("lake", "a", b"id,zone,pickup time\n")
    else:
        del s3.objects["lake", "a"]
    with pytest.raises(
        ResourceError, match=r"s3://lake/a was replaced or deleted since .* Clear the task once"
    ):
        check_columns(s3, "lake", TRIPS, listed)  # type: ignore[arg-type]


def test_a_file_that_is_parquet_by_name_alone_is_refused() -> None:
    assert "is no Parquet file, though its name says so" in refused(Files(**{"a.parquet": GOOD}))


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([b"", b"PAR1", b"\x1f\x8b\x08", b"\xff\xfe", b"\xef\xbb\xbf", parquet("id")[:-30]]),
    st.binary(max_size=60),
    st.sampled_from([b"", b"PAR1", b"\x10\0\0\0PAR1"]),
)
def test_whatever_a_file_holds_it_ends_in_names_or_in_an_error_of_ours(
    head: bytes, middle: bytes, tail: bytes
) -> None:
    with contextlib.suppress(SourceError):
        Files(a=head + middle + tail).check()


def test_every_source_of_a_job_is_checked_and_all_that_is_wrong_is_told_at_once() -> None:
    files = Files(
        **{"in/trips/a.csv": GOOD, "in/trips/b.csv": b"id\n", "in/zones.csv": b"name\n", "in/x": b"x"}
    )
    job = SparkJob("trips", sources=(TRIPS, Source("zones.csv", columns=("zone",)), "x"))
    found = ResolvedSources(
        (
            ("s3://lake/in/trips/a.csv", "s3://lake/in/trips/b.csv"),
            ("s3://lake/in/zones.csv",),
            ("s3://lake/in/x",),
        ),
        tuple(ListedObject(key, "e", len(body)) for key, body in files.files.items()),
    )
    with pytest.raises(SourceError, match=r"(?s)in/trips/b\.csv lacks .*in/zones\.csv lacks the column zone"):
        check_sources(files, "lake", job, found)  # type: ignore[arg-type]


def test_every_file_that_a_pattern_stands_for_is_checked() -> None:
    files = Files(**{"in/trips1.csv": GOOD, "in/trips2.csv": b"id\n", "in/trips3.csv": GOOD})
    source = Source("trips?.csv", columns=TRIPS.columns)
    uris = tuple(f"s3://lake/{key}" for key in files.files)
    found = ResolvedSources(
        (uris,), tuple(ListedObject(key, "e", len(body)) for key, body in files.files.items())
    )
    with pytest.raises(SourceError, match=r"in/trips2\.csv lacks"):
        check_sources(files, "lake", SparkJob("trips", sources=(source,)), found)  # type: ignore[arg-type]
