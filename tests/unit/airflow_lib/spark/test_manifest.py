"""An output is complete once its manifest says so."""

from __future__ import annotations

import json
from datetime import date

import pytest

from airflow_lib.aws.s3_location import S3Location
from airflow_lib.errors import OutputError, OutputRefused, ResourceError
from airflow_lib.pipeline import SparkJob
from airflow_lib.spark import manifest
from airflow_lib.spark.counts import Counts
from airflow_lib.spark.manifest import Manifest, probe_manifest, write_manifest
from airflow_lib.spark.outputs import Output
from airflow_lib.spark.parquet_schema import ParquetColumn
from airflow_lib.spark.parts import Dataset, Part
from tests.world.memory_s3 import MemoryS3
from tests.world.spark import parquet_of

JOB = SparkJob("arrivals", ("arrivals.csv",), outputs=("arrivals", "seen"))
OUTPUT = Output(S3Location("lake", "out/immigration"), "arrivals", "a1")
KEY = "out/immigration/arrivals/a1/manifest.json"
PART = parquet_of([{"id": 1, "airport": "JFK"}])
COLUMNS = (ParquetColumn("id", "INT64"), ParquetColumn("airport", "BYTE_ARRAY STRING"))
COUNTS = Counts(read=10, written={"arrivals": 1, "seen": 0}, rejected={"age": 3}, notes={"unknown_codes": 2})


@pytest.fixture
def s3() -> MemoryS3:
    return MemoryS3(page_size=2)


def put_attempt(s3: MemoryS3, attempt: str, files: dict[str, bytes] | None = None) -> None:
    """What an attempt wrote: one row of the one output, none of the other."""
    wrote = {"arrivals/part-0.parquet": PART, "arrivals/_SUCCESS": b"", "seen/_SUCCESS": b""}
    for name, body in {**wrote, **(files or {})}.items():
        s3.put("lake", f"out/immigration/arrivals/a1/{attempt}/{name}", body)


def write(s3: MemoryS3, attempt: str = "t1", counts: Counts = COUNTS) -> Manifest:
    return write_manifest(s3, JOB, OUTPUT, attempt, counts)


def test_an_output_without_a_manifest_is_not_complete(s3: MemoryS3) -> None:
    put_attempt(s3, "t1")
    assert probe_manifest(s3, OUTPUT) is None


def test_the_manifest_tells_of_each_output_what_its_files_hold(s3: MemoryS3) -> None:
    put_attempt(s3, "t1")
    put_attempt(s3, "t10")
    written = write(s3)
    assert written.datasets == {
        "arrivals": Dataset(COLUMNS, (Part("arrivals/part-0.parquet", len(PART), 1),)),
        "seen": Dataset((), ()),
    }
    assert (written.attempt, written.counts) == ("t1", COUNTS)
    assert probe_manifest(s3, OUTPUT) == written
    document = json.loads(s3.objects["lake", KEY])
    assert document["outputs"]["arrivals"] == {
        "columns": [{"name": "id", "type": "INT64"}, {"name": "airport", "type": "BYTE_ARRAY STRING"}],
        "entries": [{"file": "arrivals/part-0.parquet", "length": len(PART), "rows": 1, "day": None}],
    }
    assert (document["version"], document["written"]) == (3, {"arrivals": 1, "seen": 0})


def test_the_days_of_a_partitioned_output_are_read_as_they_were_written(s3: MemoryS3) -> None:
    days = (date(2016, 4, 1), date(2016, 4, 30))
    for day in days:
        rows = parquet_of([{"day": day.isoformat()}])
        s3.put("lake", f"out/immigration/arrivals/a1/t1/arrivals/day={day}/part-0.parquet", rows)
    s3.put("lake", "out/immigration/arrivals/a1/t1/arrivals/_SUCCESS", b"")
    job = SparkJob("arrivals", ("arrivals.csv",), partitioned_by="day")
    write_manifest(s3, job, OUTPUT, "t1", Counts(read=2, written={"arrivals": 2}))
    found = probe_manifest(s3, OUTPUT)
    assert found is not None
    assert tuple(part.day for part in found.datasets["arrivals"].parts) == days


def test_the_first_attempt_to_complete_wins_and_the_other_uses_its_output(s3: MemoryS3) -> None:
    put_attempt(s3, "t1")
    put_attempt(s3, "t2")
    first = write(s3)
    assert write(s3, "t2") == first


def test_an_attempt_whose_rows_are_not_those_that_it_counted_has_no_manifest(s3: MemoryS3) -> None:
    put_attempt(s3, "t1")
    with pytest.raises(OutputRefused, match="wrote 2 rows of output 'arrivals'"):
        write(s3, counts=Counts(read=10, written={"arrivals": 2, "seen": 0}))
    assert probe_manifest(s3, OUTPUT) is None


def test_more_files_than_a_manifest_can_hold_are_refused(
    s3: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_attempt(s3, "t1")
    monkeypatch.setattr(manifest, "MAX_JSON_BYTES", 100)
    with pytest.raises(OutputRefused, match=r"wrote 1 files, .* 100 at most .*fewer and larger"):
        write(s3)
    assert ("lake", KEY) not in s3.objects


@pytest.mark.parametrize("form", ["of COPY, too", "its own"])
def test_a_manifest_of_an_earlier_version_is_as_good_as_none(s3: MemoryS3, form: str) -> None:
    """It does not tell the rows of its files; until version 2 it was COPY's as well."""
    about = {"version": 2, "attempt": "t1", "columns": [], "read": 1, "written": 0}
    body = {"entries": [], "meta": {"mayfly": about}} if form == "of COPY, too" else about
    s3.put("lake", KEY, json.dumps(body).encode())
    assert probe_manifest(s3, OUTPUT) is None


def test_a_manifest_that_is_deleted_while_it_is_written_is_an_error(s3: MemoryS3) -> None:
    put_attempt(s3, "t1")
    s3.before["GetObject"] = lambda _: s3.objects.pop(("lake", KEY), None)
    with pytest.raises(
        OutputError, match=r"manifest\.json was deleted while it was written\. Run the task again"
    ):
        write(s3)


def test_a_refused_write_of_the_manifest_names_it(s3: MemoryS3) -> None:
    put_attempt(s3, "t1")

    def refuse(_: str) -> None:
        raise s3.error("PutObject", "AccessDenied", 403)

    s3.before["PutObject"] = refuse
    with pytest.raises(ResourceError, match=r"a1/manifest\.json.*AccessDenied"):
        write(s3)


@pytest.mark.parametrize("damage", ["deleted", "shortened"])
def test_a_manifest_whose_files_are_gone_or_changed_is_refused(s3: MemoryS3, damage: str) -> None:
    put_attempt(s3, "t1")
    write(s3)
    key = ("lake", "out/immigration/arrivals/a1/t1/arrivals/part-0.parquet")
    if damage == "deleted":
        del s3.objects[key]
    else:
        s3.objects[key] = b"12"
    with pytest.raises(
        OutputError, match=r"manifest.json lists 1 file.*part-0.parquet\. Delete the manifest"
    ):
        probe_manifest(s3, OUTPUT)


PARTS = b'{"columns": [], "entries": [{"file": "a/p.parquet", "length": 4, "rows": 1, "day": null}]}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"entries": []}',
        b'{"version": 3, "attempt": "t", "outputs": {}, "read": 1}',
        b'{"version": 3, "attempt": "t", "outputs": [], "read": 1, "written": {}}',
        b'{"version": 3, "attempt": "t", "outputs": {"a": {"columns": [1], "entries": []}}, "read": 1, "written": 0}',
        b'{"version": 3, "attempt": "t", "outputs": {"a": {"entries": []}}, "read": 1, "written": 0}',
        b'{"version": 3, "attempt": "t", "outputs": {"a": ' + PARTS + b'}, "read": 1, "written": 2}',
        b'{"version": 3, "attempt": "t", "outputs": {"a": ' + PARTS + b'}, "read": 1, "written": {"b": 1}}',
        b'{"version": 3, "attempt": "t", "outputs": {"a": '
        + PARTS.replace(b"null", b'"4/1"')
        + b'}, "read": 1, "written": 1}',
        b'{"version": 3, "outputs": {"a": ' + PARTS + b'}, "read": 1, "written": 1}',
        b'{"meta": {"mayfly": {"version": "two"}}}',
        b'{"version": 4}',
    ],
)
def test_an_unreadable_manifest_is_refused_with_its_uri(s3: MemoryS3, body: bytes) -> None:
    s3.put("lake", KEY, body)
    with pytest.raises(OutputError, match=r"a1/manifest\.json is (not a|of version 4)"):
        probe_manifest(s3, OUTPUT)
