"""What a whole run tells OpenLineage: events that are valid, with inputs, outputs, schemas and row counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.openlineage.extractors.manager import ExtractorManager
from airflow.providers.openlineage.plugins.adapter import OpenLineageAdapter
from airflow.providers.openlineage.utils.utils import get_task_parent_run_facet
from airflow.utils.state import TaskInstanceState
from openlineage.client import OpenLineageClient, event_v2

from airflow_lib.pipeline import JobOutput, Pipeline, Source, SparkJob
from airflow_lib.steps.transform import RunJob
from operators import lineage
from operators.lineage_datasets import describe_lineage
from operators.step import StepOperator
from subdags import make_dag
from tests.unit.operators.openlineage_events import check_event, read_events
from tests.world import World
from tests.world.account import BUCKET
from tests.world.pipeline import PIPELINE
from tests.world.walk import Walk, walk

S3 = f"s3://{BUCKET}"
REDSHIFT = "redshift://mayfly-dev-immigration-warehouse.us-east-1:5439"
PARENT = "01941f29-7c00-7087-8906-40e512c257bd"
Events = dict[str, event_v2.RunEvent]


@pytest.fixture(scope="module")
def walked() -> Iterator[Walk]:
    with World() as world:
        world.put_sources(PIPELINE)
        yield walk(world, world.run("run1", pipeline=PIPELINE))


@pytest.fixture(scope="module")
def events(walked: Walk, tmp_path_factory: pytest.TempPathFactory) -> Events:
    """The event of each task of a run that is through, as Airflow's provider writes it to a file."""
    path = tmp_path_factory.mktemp("lineage") / "events.jsonl"
    transport = {"type": "file", "log_file_path": str(path), "append": True}
    adapter = OpenLineageAdapter(client=OpenLineageClient(config={"transport": transport}))
    dag = make_dag(walked.run.pipeline)
    for task_id, result in walked.results.items():
        task = dag.get_task(task_id)
        assert isinstance(task, StepOperator)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(lineage, "_is_told", lambda: True)
            task._lineage = lineage.note_lineage(lambda: walked.run, task.step, result)
        emit(adapter, task)
    return {event["job"]["name"]: check_event(event) for event in read_events(path)}


def emit(adapter: OpenLineageAdapter, task: StepOperator) -> None:
    """As the provider's listener does when a task has succeeded."""
    metadata = ExtractorManager().extract_metadata(
        dagrun=SimpleNamespace(run_id="run1"),
        task=task,
        task_instance_state=TaskInstanceState.SUCCESS,
        task_instance=SimpleNamespace(),
    )
    adapter.complete_task(
        run_id=adapter.build_task_instance_run_id(
            "immigration", task.task_id, 1, datetime(2026, 1, 1, tzinfo=UTC), -1
        ),
        job_name=task.task_id,
        end_time="2026-01-01T00:00:00+00:00",
        task=metadata,
        nominal_start_time=None,
        nominal_end_time=None,
        owners=[],
        tags=[],
        job_description=None,
        run_facets=get_task_parent_run_facet(parent_run_id=PARENT, parent_job_name="immigration"),
    )


def inputs(event: event_v2.RunEvent) -> dict[str, Any]:
    return {f"{one.namespace}/{one.name}": one for one in event.inputs or []}


def outputs(event: event_v2.RunEvent) -> dict[str, Any]:
    return {f"{one.namespace}/{one.name}": one for one in event.outputs or []}


def columns(dataset: Any) -> dict[str, str | None]:
    return {field["name"]: field.get("type") for field in dataset.facets["schema"].fields}


def test_every_event_names_the_dags_run_as_its_parent(events: Events) -> None:
    assert len(events) > 10
    for event in events.values():
        assert event.run.facets is not None
        parent: Any = event.run.facets["parent"]
        assert (parent.run["runId"], parent.job["name"]) == (PARENT, "immigration")


def test_a_job_tells_the_files_that_it_read_and_the_output_that_it_wrote(
    events: Events, walked: Walk
) -> None:
    event = events["transform.arrivals"]
    assert set(inputs(event)) == {
        f"{S3}/source/immigration/arrivals.csv",
        f"{S3}/source/immigration/labels.sas",
    }
    read = inputs(event)[f"{S3}/source/immigration/arrivals.csv"].inputFacets["inputStatistics"]
    assert read.fileCount == 1
    assert read.size > 0
    ((name, written),) = outputs(event).items()
    assert name == f"{S3}/processed/immigration/arrivals/arrivals"
    assert columns(written)["id"] == "INT64"
    statistics = written.outputFacets["outputStatistics"]
    assert statistics.rowCount == walked.results["transform.arrivals"]["written"] == 30
    assert statistics.fileCount == 1
    assert statistics.size > 0


def test_an_outputs_name_stays_and_its_version_and_place_tell_which_one_it_is(
    events: Events, walked: Walk
) -> None:
    (written,) = outputs(events["transform.airports"]).values()
    manifest = walked.results["transform.airports"]["manifest"]
    address = written.facets["version"].datasetVersion
    assert f"/airports/{address}/" in manifest
    (place,) = written.facets["symlinks"].identifiers
    assert place["name"].startswith(f"processed/immigration/airports/{address}/")
    assert (place["namespace"], place["type"]) == (S3, "LOCATION")


def test_the_load_tells_the_outputs_that_it_took_and_the_tables_with_columns_and_rows(events: Events) -> None:
    event = events["load.load_window"]
    assert set(inputs(event)) == {
        f"{S3}/processed/immigration/arrivals/arrivals",
        f"{S3}/processed/immigration/airports/airports",
    }
    tables = outputs(event)
    assert set(tables) == {
        f"{REDSHIFT}/mayfly.public.arrivals",
        f"{REDSHIFT}/mayfly.public.airports",
    }
    arrivals = tables[f"{REDSHIFT}/mayfly.public.arrivals"]
    assert columns(arrivals) == {
        "arrival_id": "BIGINT",
        "id": "BIGINT",
        "day": "DATE",
        "airport": "VARCHAR(8)",
    }
    assert arrivals.outputFacets["outputStatistics"].rowCount == 30


def test_an_answer_tells_the_tables_that_it_read_and_what_it_published(events: Events, walked: Walk) -> None:
    event = events["answers.arrivals_by_airport"]
    assert f"{REDSHIFT}/mayfly.public.arrivals" in inputs(event)
    ((name, published),) = outputs(event).items()
    assert name == f"{S3}/published/immigration/arrivals_by_airport"
    result = walked.results["answers.arrivals_by_airport"]
    assert list(columns(published)) == result["columns"]
    assert published.outputFacets["outputStatistics"].rowCount == result["row_count"]


def test_what_reads_and_writes_nothing_for_good_tells_neither(events: Events) -> None:
    for name in ("provision.preflight", "load.staging_arrivals", "verify.arrivals", "release.inventory"):
        assert (events[name].inputs, events[name].outputs) == ([], [])


def test_a_job_that_reads_anothers_output_tells_that_as_its_input(walked: Walk) -> None:
    first, second = walked.run.pipeline.jobs
    reading = replace(second, sources=(*second.sources, JobOutput("arrivals")))
    pipeline = replace(walked.run.pipeline, jobs=(first, reading))
    told = describe_lineage(replace(walked.run, pipeline=pipeline), RunJob("airports"), {})
    (_, other) = told.inputs
    assert (other.namespace, other.name) == (S3, "processed/immigration/arrivals/arrivals")
    assert other.inputFacets["inputStatistics"].rowCount == 30


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("a/", "source/immigration/a"),
        ("a/b-*.csv", "source/immigration/a"),
        ("*.csv", "source/immigration"),
        (Source("absent.csv", "airports.csv"), "source/immigration/airports.csv"),
    ],
)
def test_a_source_of_many_files_is_one_dataset(walked: Walk, source: str | Source, name: str) -> None:
    job = SparkJob("airports", sources=(source,))
    pipeline: Pipeline = replace(walked.run.pipeline, jobs=(walked.run.pipeline.jobs[0], job))
    told = describe_lineage(replace(walked.run, pipeline=pipeline), RunJob("airports"), {})
    assert [one.name for one in told.inputs] == [name]
