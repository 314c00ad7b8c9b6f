"""The preflight's verdict on files as people have them; the jobs' is in tests/sparkjobs/test_source_files.py."""

from __future__ import annotations

import importlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from airflow_lib.aws.s3_location import S3Location
from airflow_lib.errors import SourceError
from airflow_lib.pipeline import Source, SparkJob
from airflow_lib.spark import csv_header, source_schema
from airflow_lib.spark.batch import take_batch
from airflow_lib.spark.source_schema import check_sources
from tests.source_files import SOURCE_FILES, Files
from tests.world.memory_s3 import MemoryS3
from tests.world.pipeline import PIPELINE


def accepts(files: Files) -> bool:
    s3 = MemoryS3()
    for name, body in files.files.items():
        s3.put("lake", f"in/{'folder/' if files.is_folder else ''}{name}", body)
    name = "folder/" if files.is_folder else next(iter(files.files))
    job = SparkJob("job", sources=(Source(name, columns=files.columns, delimiter=files.delimiter),))
    batch = take_batch(s3, S3Location("lake", "in"), replace(PIPELINE, jobs=(job,)), datetime.now(UTC))  # type: ignore[arg-type]
    try:
        check_sources(s3, "lake", job, batch.resolve(job))  # type: ignore[arg-type]
    except SourceError:
        return False
    return True


@pytest.mark.parametrize("files", SOURCE_FILES, ids=lambda files: files.case)
def test_the_preflight_comes_to_its_verdict(files: Files) -> None:
    assert accepts(files) is files.preflight_accepts


def test_nothing_that_a_job_reads_is_refused_and_little_that_it_refuses_is_accepted() -> None:
    assert [files.case for files in SOURCE_FILES if files.job_reads and not files.preflight_accepts] == []
    assert sum(files.preflight_accepts and not files.job_reads for files in SOURCE_FILES) <= 4


def test_what_the_preflight_copied_of_the_jobs_is_as_it_is_there() -> None:
    """Product code imports neither from the other."""
    jobs_files, jobs_csv, jobs_values = (
        importlib.import_module(f"sparkjobs.{name}") for name in ("files", "csv_files", "values")
    )
    assert source_schema._DOCUMENT == jobs_files._DOCUMENT
    assert tuple(source_schema._DELIMITERS) == jobs_csv._DELIMITERS
    assert csv_header._FOREIGN == jobs_csv._FOREIGN
    assert csv_header.BLANKS == jobs_values.BLANKS
    assert csv_header._UTF16 == jobs_csv.UTF16_MARKS
    assert csv_header.HEAD_BYTES == jobs_files.HEAD_BYTES
