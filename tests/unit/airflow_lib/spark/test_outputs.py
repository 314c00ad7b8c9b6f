"""An output is addressed by all that it depends on, and complete once its manifest says so."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from airflow_lib.aws.s3_location import S3Location
from airflow_lib.errors import OutputError, OutputRefused, ResourceError, SettingsError
from airflow_lib.pipeline import Source, SparkJob, Window
from airflow_lib.spark import outputs
from airflow_lib.spark.batch import take_batch
from airflow_lib.spark.outputs import (
    Counts,
    Entry,
    Output,
    address_output,
    probe_manifest,
    write_manifest,
)
from airflow_lib.spark.parquet_schema import ParquetColumn
from tests.world.memory_s3 import MemoryS3
from tests.world.pipeline import PIPELINE
from tests.world.spark import parquet_of

NOW = datetime(2026, 11, 28, tzinfo=UTC)
SOURCE = S3Location("lake", "in/immigration")
PROCESSED = S3Location("lake", "out/immigration")
ARRIVALS = SparkJob("arrivals", (Source("sas_data/", "arrivals.csv"), "labels.SAS"), windowed=True)
CITIES = SparkJob("cities", ("cities.csv",))
APRIL = Window(date(2016, 4, 1), date(2016, 5, 1))
MAY = Window(date(2016, 5, 1), date(2016, 6, 1))
OUTPUT = Output(PROCESSED, "arrivals", "a1")
PART = parquet_of([{"id": 1, "airport": "JFK"}])
COLUMNS = (ParquetColumn("id", "INT64"), ParquetColumn("airport", "BYTE_ARRAY STRING"))
COUNTS = Counts(read=10, written=7, rejected={"age": 3}, notes={"unknown_codes": 2})


@pytest.fixture
def s3() -> MemoryS3:
    return MemoryS3(page_size=2)


def put_sources(s3: MemoryS3, *names: str) -> None:
    for name in names:
        s3.put("lake", f"in/immigration/{name}", name.encode())


def put_attempt(s3: MemoryS3, attempt: str, files: dict[str, bytes], *, committed: bool = True) -> None:
    for name, body in files.items():
        s3.put("lake", f"out/immigration/arrivals/a1/{attempt}/{name}", body)
    if committed:
        s3.put("lake", f"out/immigration/arrivals/a1/{attempt}/_SUCCESS", b"")


def test_a_location_is_parsed_and_put_together() -> None:
    location = S3Location.parse("s3://lake/out/")
    assert (location.bucket, location.prefix, str(location)) == ("lake", "out", "s3://lake/out")
    assert location.below("immigration").uri("jobs/") == "s3://lake/out/immigration/jobs/"
    assert S3Location.parse("s3://lake").uri("x.csv") == "s3://lake/x.csv"
    assert (location.folder_key, S3Location("lake").folder_key) == ("out/", "")


@pytest.mark.parametrize("uri", ["lake/out", "s3:///out", "https://lake/out", ""])
def test_what_is_not_a_location_is_refused(uri: str) -> None:
    with pytest.raises(SettingsError, match="write s3://bucket/prefix"):
        S3Location.parse(uri)


def address(s3: MemoryS3, job: SparkJob, window: Window = APRIL, code: str = "c0de") -> str:
    batch = take_batch(s3, SOURCE, replace(PIPELINE, jobs=(job,)), NOW)  # type: ignore[arg-type]
    sources = batch.resolve(job)
    return address_output(PROCESSED, job, sources, window=window, code=code).address


def test_the_same_input_has_the_same_address(s3: MemoryS3) -> None:
    put_sources(s3, "labels.SAS", "arrivals.csv")
    assert address(s3, ARRIVALS) == address(s3, ARRIVALS)
    assert len(address(s3, ARRIVALS)) == 32


def test_the_address_depends_on_everything_that_the_output_depends_on(s3: MemoryS3) -> None:
    put_sources(s3, "labels.SAS", "arrivals.csv", "cities.csv")
    seen = [address(s3, ARRIVALS), address(s3, ARRIVALS, MAY), address(s3, ARRIVALS, code="c1de")]
    seen.append(address(s3, dataclasses.replace(ARRIVALS, name="arrivals2")))
    s3.put("lake", "in/immigration/labels.SAS", b"other labels")
    seen.append(address(s3, ARRIVALS))
    put_sources(s3, "sas_data/part-0.parquet")
    seen.append(address(s3, ARRIVALS))
    put_sources(s3, "sas_data/part-1.parquet")
    seen.append(address(s3, ARRIVALS))
    assert len(set(seen)) == len(seen)


def test_the_output_of_a_job_without_a_window_serves_every_window(s3: MemoryS3) -> None:
    put_sources(s3, "cities.csv")
    assert address(s3, CITIES, APRIL) == address(s3, CITIES, MAY)


def test_each_attempt_writes_a_folder_of_its_own_with_the_rejects_beside_it() -> None:
    assert OUTPUT.target_uri("t1") == "s3://lake/out/immigration/arrivals/a1/t1/"
    assert OUTPUT.rejected_uri("t1") == "s3://lake/out/immigration/arrivals/a1/t1-rejected/"
    assert OUTPUT.manifest_uri == "s3://lake/out/immigration/arrivals/a1/manifest.json"


def test_an_output_without_a_manifest_is_not_complete(s3: MemoryS3) -> None:
    put_attempt(s3, "t1", {"part-0.parquet": PART})
    assert probe_manifest(s3, OUTPUT) is None


def test_the_manifest_lists_the_attempts_files_as_copy_needs_them(s3: MemoryS3) -> None:
    other = parquet_of([{"id": 1, "airport": "JFK"}] * 9)
    put_attempt(
        s3, "t1", {"year=2016/month=4/part-0.parquet": PART, "year=2016/month=5/part-0.parquet": other}
    )
    put_attempt(s3, "t1", {"_temporary/x.parquet": b"12", ".part-0.crc": b"1", "empty.parquet": b""})
    put_attempt(s3, "t10", {"part-0.parquet": b"another attempt"})
    put_attempt(s3, "t1-rejected", {"part-0.parquet": b"rejected"})
    written = write_manifest(s3, OUTPUT, "t1", COUNTS)
    base = "s3://lake/out/immigration/arrivals/a1/t1/year=2016"
    assert written.entries == (
        Entry(f"{base}/month=4/part-0.parquet", len(PART)),
        Entry(f"{base}/month=5/part-0.parquet", len(other)),
    )
    assert (written.attempt, written.columns, written.counts) == ("t1", COLUMNS, COUNTS)
    assert probe_manifest(s3, OUTPUT) == written
    document = json.loads(s3.objects["lake", "out/immigration/arrivals/a1/manifest.json"])
    assert document["entries"][0] == {
        "url": f"{base}/month=4/part-0.parquet",
        "mandatory": True,
        "meta": {"content_length": len(PART)},
    }
    assert document["meta"]["mayfly"]["rejected"] == {"age": 3}


def test_the_first_attempt_to_complete_wins_and_the_other_uses_its_output(s3: MemoryS3) -> None:
    put_attempt(s3, "t1", {"part-0.parquet": PART})
    put_attempt(s3, "t2", {"part-0.parquet": PART})
    first = write_manifest(s3, OUTPUT, "t1", COUNTS)
    assert write_manifest(s3, OUTPUT, "t2", COUNTS) == first


def test_an_attempt_that_wrote_no_rows_has_a_manifest_without_entries(s3: MemoryS3) -> None:
    put_attempt(s3, "t1", {"part-0.parquet": b"a schema and no rows"})
    nothing = Counts(read=5, written=0, rejected={"window": 5})
    assert write_manifest(s3, OUTPUT, "t1", nothing).entries == ()
    found = probe_manifest(s3, OUTPUT)
    assert found is not None
    assert (found.entries, found.columns, found.counts) == ((), (), nothing)


def test_an_uncommitted_attempt_is_refused_and_leaves_no_manifest(s3: MemoryS3) -> None:
    put_attempt(s3, "t1", {"part-0.parquet": PART}, committed=False)
    with pytest.raises(OutputError, match=r"arrivals/a1/t1/ has no _SUCCESS"):
        write_manifest(s3, OUTPUT, "t1", COUNTS)
    assert probe_manifest(s3, OUTPUT) is None


def test_rows_without_a_file_are_refused(s3: MemoryS3) -> None:
    put_attempt(s3, "t1", {"notes.txt": b"1234"})
    with pytest.raises(OutputRefused, match=r"wrote 7 rows, but .*t1/ holds no Parquet"):
        write_manifest(s3, OUTPUT, "t1", COUNTS)


@pytest.mark.parametrize(
    ("row", "difference"),
    [
        (
            {"airport": "JFK", "id": 1},
            r"column 1 is 'id' \(INT64\) and 'airport' \(BYTE_ARRAY STRING\)",
        ),
        (
            {"id": 1, "port": "JFK"},
            r"column 2 is 'airport' \(BYTE_ARRAY STRING\) and 'port' \(BYTE_ARRAY STRING\)",
        ),
        ({"id": 1, "airport": 1.5}, r"column 2 is 'airport' \(BYTE_ARRAY STRING\) and 'airport' \(DOUBLE\)"),
        ({"id": 1}, r"column 2 is 'airport' \(BYTE_ARRAY STRING\) and not there"),
        ({"id": 1, "airport": "JFK", "n": 1}, r"column 3 is not there and 'n' \(INT64\)"),
    ],
    ids=["other order", "other name", "other type", "one less", "one more"],
)
def test_parts_with_different_columns_are_refused_by_name_and_leave_no_manifest(
    s3: MemoryS3, row: dict[str, object], difference: str
) -> None:
    put_attempt(
        s3, "t1", {"part-0.parquet": PART, "part-1.parquet": PART, "part-2.parquet": parquet_of([row])}
    )
    with pytest.raises(
        OutputRefused, match=difference + r" in .*t1/part-0\.parquet and in .*t1/part-2\.parquet"
    ):
        write_manifest(s3, OUTPUT, "t1", COUNTS)
    assert probe_manifest(s3, OUTPUT) is None


@pytest.mark.parametrize(
    "body", [b'{"id": 1}', b"PAR1", PART[:-1], PART[:20] + PART[21:-30] + b"x" * 22 + PART[-8:]]
)
def test_a_part_that_is_no_parquet_is_refused_by_name(s3: MemoryS3, body: bytes) -> None:
    put_attempt(s3, "t1", {"part-0.parquet": PART, "part-1.parquet": body})
    with pytest.raises(
        OutputRefused, match=r"t1/part-1\.parquet, a part of what job 'arrivals' wrote, .*Correct"
    ):
        write_manifest(s3, OUTPUT, "t1", COUNTS)


def test_of_each_part_only_its_end_is_read_by_one_request(s3: MemoryS3) -> None:
    large = parquet_of([{"id": number, "airport": f"{number:09}"} for number in range(20_000)])
    assert len(large) > 200_000
    put_attempt(s3, "t1", {f"part-{number}.parquet": large for number in range(5)})
    sizes: list[int] = []
    answer = s3.get_object

    def counted(**asked: str) -> dict[str, object]:
        found = answer(**asked)
        sizes.append(int(found["ContentLength"]))
        return found

    s3.get_object = counted  # type: ignore[method-assign,assignment]
    write_manifest(s3, OUTPUT, "t1", COUNTS)
    *parts, _ = sizes
    assert len(parts) == 5
    assert max(parts) <= 64 * 1024


def test_a_manifest_of_an_earlier_version_is_as_good_as_none(s3: MemoryS3) -> None:
    """It does not tell the columns of its files."""
    body = {"entries": [], "meta": {"mayfly": {"version": 1, "attempt": "t1", "read": 1, "written": 0}}}
    s3.put("lake", "out/immigration/arrivals/a1/manifest.json", json.dumps(body).encode())
    assert probe_manifest(s3, OUTPUT) is None


def test_an_output_lies_elsewhere_for_each_version_of_the_manifest_so_an_earlier_one_is_not_in_the_way(
    s3: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_sources(s3, "cities.csv")
    before = address(s3, CITIES)
    monkeypatch.setattr(outputs, "MANIFEST_VERSION", outputs.MANIFEST_VERSION + 1)
    assert address(s3, CITIES) != before


def test_a_manifest_that_is_deleted_while_it_is_written_is_an_error(s3: MemoryS3) -> None:
    put_attempt(s3, "t1", {"part-0.parquet": PART})
    s3.before["GetObject"] = lambda _: s3.objects.pop(
        ("lake", "out/immigration/arrivals/a1/manifest.json"), None
    )
    with pytest.raises(
        OutputError, match=r"manifest\.json was deleted while it was written\. Run the task again"
    ):
        write_manifest(s3, OUTPUT, "t1", COUNTS)


def test_a_refused_write_of_the_manifest_names_it(s3: MemoryS3) -> None:
    put_attempt(s3, "t1", {"part-0.parquet": PART})

    def refuse(_: str) -> None:
        raise s3.error("PutObject", "AccessDenied", 403)

    s3.before["PutObject"] = refuse
    with pytest.raises(ResourceError, match=r"a1/manifest\.json.*AccessDenied"):
        write_manifest(s3, OUTPUT, "t1", COUNTS)


@pytest.mark.parametrize("damage", ["deleted", "shortened"])
def test_a_manifest_whose_files_are_gone_or_changed_is_refused(s3: MemoryS3, damage: str) -> None:
    put_attempt(s3, "t1", {"part-0.parquet": PART})
    write_manifest(s3, OUTPUT, "t1", COUNTS)
    key = ("lake", "out/immigration/arrivals/a1/t1/part-0.parquet")
    if damage == "deleted":
        del s3.objects[key]
    else:
        s3.objects[key] = b"12"
    with pytest.raises(
        OutputError, match=r"manifest.json lists 1 file.*part-0.parquet\. Delete the manifest"
    ):
        probe_manifest(s3, OUTPUT)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"entries": []}',
        b'{"entries": [], "meta": {"mayfly": {"version": 2, "attempt": "t", "columns": [], "read": 1, "written": -1}}}',
        b'{"entries": [{"url": 1}], "meta": {"mayfly": {"version": 2, "attempt": "t", "read": 1, "written": 1}}}',
        b'{"entries": [], "meta": {"mayfly": {"version": 2, "attempt": "t", "read": 1, "written": 1}}}',
        b'{"entries": [], "meta": {"mayfly": {"version": 2, "attempt": "t", "columns": [1], "read": 1, "written": 1}}}',
        b'{"entries": [], "meta": {"mayfly": {"version": "two"}}}',
        b'{"entries": [], "meta": {"mayfly": {"version": 3}}}',
    ],
)
def test_an_unreadable_manifest_is_refused_with_its_uri(s3: MemoryS3, body: bytes) -> None:
    s3.put("lake", "out/immigration/arrivals/a1/manifest.json", body)
    with pytest.raises(OutputError, match=r"a1/manifest\.json is (not a|of version 3)"):
        probe_manifest(s3, OUTPUT)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "found None"),
        ({"read": 1}, "'written'.*found None"),
        ({"read": "1", "written": 1}, "'read'.*found '1'"),
        ({"read": True, "written": 1}, "'read'.*found True"),
        ({"read": 1, "written": 1, "rejected": {"age": -1}}, "'age'.*found -1"),
        ({"read": 1, "written": 1, "rejected": 3}, "'rejected'.*found 3"),
        ({"read": 1, "written": 1, "notes": ["x"]}, r"'notes'.*found \['x'\].*must return them"),
    ],
)
def test_what_is_not_a_count_is_refused(value: object, message: str) -> None:
    with pytest.raises(OutputError, match=message):
        Counts.parse(value)


def test_counts_are_parsed_from_a_jobs_answer() -> None:
    assert Counts.parse({"mayfly": 1, "read": 2, "written": 1, "rejected": {"age": 1}}) == Counts(
        read=2, written=1, rejected={"age": 1}
    )
