"""Sources are resolved and named where missing; the address of an output is made of all that it depends on."""

from __future__ import annotations

import dataclasses
from datetime import date
from typing import Any

import pytest

from airflow_lib.aws.s3_location import S3Location
from airflow_lib.errors import ResourceError, SettingsError, SourceError
from airflow_lib.pipeline import JobOutput, Source, SparkJob, Window
from airflow_lib.spark import outputs
from airflow_lib.spark.outputs import Output, address_output, probe_sources
from tests.world.memory_s3 import MemoryS3

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


def test_sources_are_resolved_in_declared_order_and_the_first_alternative_wins(s3: MemoryS3) -> None:
    put_sources(s3, "labels.SAS", "arrivals.csv", "sas_data/part-0.parquet", "sas_data/part-1.parquet")
    found = probe_sources(s3, SOURCE, ARRIVALS)
    assert found.uris == ("s3://lake/in/immigration/sas_data/", "s3://lake/in/immigration/labels.SAS")
    assert [item.key.rpartition("/")[2] for item in found.objects] == [
        "part-0.parquet",
        "part-1.parquet",
        "labels.SAS",
    ]


def test_the_other_alternative_is_taken_where_the_first_is_not_there(s3: MemoryS3) -> None:
    put_sources(s3, "labels.SAS", "arrivals.csv")
    assert probe_sources(s3, SOURCE, ARRIVALS).uris[0] == "s3://lake/in/immigration/arrivals.csv"


def test_a_folder_is_listed_page_by_page_without_the_files_that_spark_ignores(s3: MemoryS3) -> None:
    data = ["sas_data/a.parquet", "sas_data/_year=2016/b.parquet", "sas_data/c.parquet", "sas_data/d.parquet"]
    put_sources(s3, "labels.SAS", *data)
    put_sources(s3, "sas_data/_SUCCESS", "sas_data/.a.crc", "sas_data/_temporary/0/e.parquet")
    s3.put("lake", "in/immigration/sas_data/", b"")
    s3.put("lake", "in/immigration/sas_data/empty.parquet", b"")
    keys = {item.key for item in probe_sources(s3, SOURCE, ARRIVALS).objects}
    assert keys == {f"in/immigration/{name}" for name in [*data, "labels.SAS"]}


def test_a_folder_with_nothing_to_read_counts_as_missing(s3: MemoryS3) -> None:
    put_sources(s3, "labels.SAS", "arrivals.csv", "sas_data/_SUCCESS")
    s3.put("lake", "in/immigration/sas_data/", b"")
    assert probe_sources(s3, SOURCE, ARRIVALS).uris[0].endswith("arrivals.csv")


def test_every_missing_source_is_named_with_what_the_folder_holds_instead(s3: MemoryS3) -> None:
    put_sources(s3, "arrival.csv", "sasdata/part-0.parquet")
    s3.put("lake", "in/immigration/labels.SAS", b"")
    with pytest.raises(SourceError) as caught:
        probe_sources(s3, SOURCE, ARRIVALS)
    assert str(caught.value) == (
        "Job 'arrivals' cannot read its input:\n"
        "- s3://lake/in/immigration/sas_data/ or s3://lake/in/immigration/arrivals.csv: missing or empty\n"
        "- s3://lake/in/immigration/labels.SAS: missing or empty\n"
        "s3://lake/in/immigration/ holds arrival.csv, labels.SAS, sasdata/. "
        "Put the files there under these names, or correct mayfly.s3.source."
    )


def test_an_empty_source_folder_is_reported_as_holding_nothing(s3: MemoryS3) -> None:
    with pytest.raises(SourceError, match="holds nothing"):
        probe_sources(s3, SOURCE, CITIES)


def test_of_many_names_in_the_source_folder_the_first_twelve_are_shown(s3: MemoryS3) -> None:
    put_sources(s3, *(f"x{number:02}.csv" for number in range(13)))
    with pytest.raises(SourceError, match=r"holds x00\.csv, .*, x11\.csv, …\. Put"):
        probe_sources(s3, SOURCE, CITIES)


def test_a_refused_read_is_not_taken_for_a_missing_source(s3: MemoryS3) -> None:
    def refuse(_: str) -> None:
        raise s3.error("HeadObject", "403", 403)

    s3.before["HeadObject"] = refuse
    with pytest.raises(ResourceError, match=r"cities.csv.*403.*iam-principal-policy.json"):
        probe_sources(s3, SOURCE, CITIES)


def address(s3: MemoryS3, job: SparkJob, window: Window = APRIL, code: str = "c0de", **more: Any) -> str:
    sources = probe_sources(s3, SOURCE, job)
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
    found = probe_sources(s3, SOURCE, SparkJob("chained", (JobOutput("arrivals"), "cities.csv")))
    assert found.uris == ("s3://lake/in/immigration/cities.csv",)


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
