"""What each job really writes is what its staging table takes, column by column: COPY goes by position alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_lib.aws.s3_location import S3Location
from airflow_lib.pipeline import SparkJob, Staging
from airflow_lib.spark.counts import Counts
from airflow_lib.spark.manifest import write_manifest
from airflow_lib.spark.outputs import Output
from airflow_lib.warehouse.copy_columns import refuse_other_columns
from airflow_lib.warehouse.sql import ROOT
from sparkjobs.immigration import airports, arrivals, cities, temperature
from tests.sparkjobs import i94, test_airports, test_cities, test_temperature
from tests.world.memory_s3 import MemoryS3

STAGING = {
    arrivals: "staging_immigration",
    airports: "staging_airport",
    cities: "staging_demography",
    temperature: "staging_landtemp",
}


def write_sources(job, folder: Path) -> list[Path]:
    def write(name: str, *lines: str) -> Path:
        path = folder / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    if job is arrivals:
        rows = [
            {"cicid": float(number), "i94port": "SEA" if number % 2 else "WAS"} for number in range(1, 40)
        ]
        return [i94.write_parquet(folder, *rows, files=3), i94.write_labels(folder)]
    if job is airports:
        return [write("airports.csv", test_airports.HEADER, test_airports.line()), i94.write_labels(folder)]
    if job is cities:
        return [write("cities.csv", test_cities.HEADER, "Salem;Oregon;30.0;40;60;100;10;20;2.0;OR;White;70")]
    line = "1855-05-01,25.544,1.171,Alabama,United States"
    return [write("temperatures.csv", test_temperature.HEADER, line)]


def test_every_staging_table_is_compared() -> None:
    templates = (ROOT / "immigration" / "create").glob("staging_*.sql")
    assert set(STAGING.values()) == {path.stem for path in templates}


@pytest.mark.parametrize("job", STAGING, ids=STAGING.values())
def test_a_job_writes_the_columns_of_its_staging_table_in_their_order(run_job, tmp_path, job) -> None:
    counts, kept, _ = run_job(job, *write_sources(job, tmp_path))
    name = job.__name__.rpartition(".")[2]
    output, s3 = Output(S3Location("lake", "out"), name, "a1"), MemoryS3()
    for path in kept.rglob("*"):
        if path.is_file():
            s3.put("lake", f"out/{name}/a1/t1/{name}/{path.relative_to(kept)}", path.read_bytes())
    declared = SparkJob(name, (), partitioned_by="arrivedate" if job is arrivals else None)
    manifest = write_manifest(s3, declared, output, "t1", Counts.parse(counts, [name]))
    columns = manifest.datasets[name].columns
    assert columns
    written = [(column.name, column.type) for column in columns]
    refuse_other_columns("immigration", Staging(STAGING[job], output=name), written, job=name)
