"""Where a run's report lies, and its writing."""

from __future__ import annotations

import pytest

from airflow_lib.errors import ResourceError
from airflow_lib.naming import run_key
from airflow_lib.steps import Run
from airflow_lib.steps.report import report_uri, store_report
from tests.report_sample import green, red
from tests.world import World
from tests.world.wire import Kind


def test_the_report_lies_beside_the_runs_other_files(world: World, run: Run) -> None:
    uri = store_report(run, green())
    assert uri == report_uri(run) == run.logs.uri("runs", run_key("run1"), "report.html")
    key = uri.removeprefix(f"s3://{run.logs.bucket}/")
    stored = world.others.s3.get_object(Bucket=run.logs.bucket, Key=key)
    assert run.aws.s3.content_types[run.logs.bucket, key] == "text/html; charset=utf-8"  # type: ignore[attr-defined]
    assert stored["Body"].read().decode().startswith("<!DOCTYPE html>")


def test_the_next_verdict_of_the_run_writes_over_it(world: World, run: Run) -> None:
    store_report(run, red())
    store_report(run, green())
    (key,) = [key for key in world.objects() if key.endswith("report.html")]
    page = world.others.s3.get_object(Bucket=run.logs.bucket, Key=key)["Body"].read().decode()
    assert '<header class="hero green">' in page


def test_where_s3_refuses_the_error_names_the_report(world: World, run: Run) -> None:
    world.wire.inject("s3.PutObject", Kind.DENIED)
    with pytest.raises(ResourceError, match=r"report\.html"):
        store_report(run, green())
