"""The address of an output is made of all that it depends on."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from airflow_lib.aws.s3_location import S3Location
from airflow_lib.errors import SettingsError
from airflow_lib.pipeline import JobOutput, Source, SparkJob, Window
from airflow_lib.spark import outputs
from airflow_lib.spark.batch import take_batch
from airflow_lib.spark.outputs import Output, address_output
from tests.world.memory_s3 import MemoryS3
from tests.world.pipeline import PIPELINE

NOW = datetime(2026, 11, 28, tzinfo=UTC)
SOURCE = S3Location("lake", "in/immigration")
PROCESSED = S3Location("lake", "out/immigration")
ARRIVALS = SparkJob("arrivals", (Source("sas_data/", "arrivals.csv"), "labels.SAS"), windowed=True)
CITIES = SparkJob("cities", ("cities.csv",))
APRIL = Window(date(2016, 4, 1), date(2016, 5, 1))
MAY = Window(date(2016, 5, 1), date(2016, 6, 1))
OUTPUT = Output(PROCESSED, "arrivals", "a1")


@pytest.fixture
def s3() -> MemoryS3:
    return MemoryS3(page_size=2)


def put_sources(s3: MemoryS3, *names: str) -> None:
    for name in names:
        s3.put("lake", f"in/immigration/{name}", name.encode())


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


def address(s3: MemoryS3, job: SparkJob, window: Window = APRIL, code: str = "c0de", **more: Any) -> str:
    batch = take_batch(s3, SOURCE, replace(PIPELINE, jobs=(job,)), NOW)  # type: ignore[arg-type]
    sources = batch.resolve(job)
    return address_output(PROCESSED, job, sources, window=window, code=code, **more).address


def test_the_same_input_has_the_same_address(s3: MemoryS3) -> None:
    put_sources(s3, "labels.SAS", "arrivals.csv")
    assert address(s3, ARRIVALS) == address(s3, ARRIVALS)
    assert len(address(s3, ARRIVALS)) == 32


def test_the_address_depends_on_everything_that_the_output_depends_on(s3: MemoryS3) -> None:
    put_sources(s3, "labels.SAS", "arrivals.csv", "cities.csv")
    seen = [address(s3, ARRIVALS), address(s3, ARRIVALS, MAY), address(s3, ARRIVALS, code="c1de")]
    seen.append(address(s3, dataclasses.replace(ARRIVALS, name="arrivals2")))
    seen.append(address(s3, dataclasses.replace(ARRIVALS, outputs=("arrivals", "seen"))))
    seen.append(address(s3, dataclasses.replace(ARRIVALS, windowed=False, partitioned_by="day")))
    seen.append(address(s3, dataclasses.replace(ARRIVALS, windowed=False, partitioned_by="seen_on")))
    seen.append(address(s3, ARRIVALS, upstream={"cities": "a1"}))
    seen.append(address(s3, ARRIVALS, upstream={"cities": "a2"}))
    seen.append(address(s3, ARRIVALS, forced_by="run1"))
    seen.append(address(s3, ARRIVALS, forced_by="run2"))
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


def test_the_output_of_a_partitioned_job_serves_every_window(s3: MemoryS3) -> None:
    put_sources(s3, "cities.csv")
    by_day = dataclasses.replace(CITIES, partitioned_by="day")
    assert address(s3, by_day, APRIL) == address(s3, by_day, MAY)


def test_what_another_job_writes_is_looked_for_in_no_source_folder(s3: MemoryS3) -> None:
    put_sources(s3, "cities.csv")
    job = SparkJob("chained", (JobOutput("arrivals"), "cities.csv"))
    found = take_batch(s3, SOURCE, replace(PIPELINE, jobs=(job,)), NOW).resolve(job)  # type: ignore[arg-type]
    assert found.uris == (("s3://lake/in/immigration/cities.csv",),)


def test_each_attempt_writes_a_folder_for_each_output_with_the_rejects_beside_it() -> None:
    assert OUTPUT.target_uri("t1", "seen") == "s3://lake/out/immigration/arrivals/a1/t1/seen/"
    assert OUTPUT.rejected_uri("t1") == "s3://lake/out/immigration/arrivals/a1/t1-rejected/"


def test_an_output_lies_elsewhere_for_each_version_of_the_manifest_so_an_earlier_one_is_not_in_the_way(
    s3: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_sources(s3, "cities.csv")
    before = address(s3, CITIES)
    monkeypatch.setattr(outputs, "MANIFEST_VERSION", outputs.MANIFEST_VERSION + 1)
    assert address(s3, CITIES) != before
