"""What a step has read and written, as OpenLineage's datasets: with schemas, row counts, and names that stay.

A name says what a dataset is for good, whichever attempt or cluster wrote it: `<processed>/<pipeline>/<job>/<output>`,
and `redshift://<the environment's warehouse>/<database>.public.<table>`. Where an output lies is its symlink; which
one it is, its version. https://openlineage.io/docs/spec/naming

It needs Airflow's OpenLineage provider, which need not be installed: `lineage` alone imports it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from airflow.providers.openlineage.extractors import OperatorLineage
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import dataset_version_dataset as version
from openlineage.client.facet_v2 import input_statistics_input_dataset as input_statistics
from openlineage.client.facet_v2 import output_statistics_output_dataset as output_statistics
from openlineage.client.facet_v2 import schema_dataset as schema
from openlineage.client.facet_v2 import symlinks_dataset as symlinks

from airflow_lib.aws.s3_location import S3Location
from airflow_lib.naming import warehouse_name
from airflow_lib.pipeline import JobOutput, SparkJob
from airflow_lib.steps import Json, Run
from airflow_lib.steps.answer import PublishAnswer
from airflow_lib.steps.batch import read_batch
from airflow_lib.steps.load import LoadWindow
from airflow_lib.steps.pinned_output import Pinned, read_pinned
from airflow_lib.steps.transform import RunJob
from airflow_lib.warehouse.answers import list_tables_read
from airflow_lib.warehouse.create_template import columns

Lineage = OperatorLineage[Any, Any]

_REDSHIFT_PORT = 5439
_PATTERN = re.compile(r"[*?]")


def describe_lineage(run: Run, step: RunJob | LoadWindow | PublishAnswer, result: Json) -> Lineage:
    """The datasets of a step that is done. Raises MayflyError, and what S3 raises, where they cannot be found out."""
    match step:
        case RunJob():
            job = run.pipeline.job(step.job)
            return OperatorLineage(inputs=list(_inputs_of(run, job)), outputs=list(_outputs_of(run, job)))
        case LoadWindow():
            return OperatorLineage(inputs=list(_outputs_loaded(run)), outputs=list(_tables_of(run, result)))
        case PublishAnswer():
            answer = run.pipeline.answer(step.name)
            read = [_table_read(run, name) for name in list_tables_read(run.pipeline, answer)]
            return OperatorLineage(inputs=read, outputs=[_answer_of(run, step.name, result)])


def _inputs_of(run: Run, job: SparkJob) -> Iterator[InputDataset]:
    """The job's sources: of files, those of the run's batch; of other jobs, the outputs that the run loads."""
    batch = read_batch(run)
    for source in job.sources:
        if isinstance(source, JobOutput):
            yield _output_read(run, read_pinned(run, run.pipeline.job_of(source.name)), source.name)
            continue
        names = (source,) if isinstance(source, str) else source.names
        name = next((one for one in names if batch.sources.get(one)), names[0])
        objects = batch.sources.get(name, ())
        size = sum(item.size for item in objects)
        counted = input_statistics.InputStatisticsInputDatasetFacet(size=size, fileCount=len(objects))
        namespace, key = _s3_name(run.source, _folder_of(name))
        yield InputDataset(namespace, key, inputFacets={"inputStatistics": counted})


def _folder_of(name: str) -> str:
    """A source as one dataset: the object, or the folder that its files are in, of a pattern up to its wildcards."""
    if _PATTERN.search(name):
        return _PATTERN.split(name)[0].rpartition("/")[0]
    return name.rstrip("/")


def _outputs_of(run: Run, job: SparkJob) -> Iterator[OutputDataset]:
    pinned = read_pinned(run, job)
    for name in pinned.manifest.datasets:
        counted = output_statistics.OutputStatisticsOutputDatasetFacet(**_count(pinned, name))
        yield OutputDataset(
            *_s3_name(run.processed, job.name, name),
            facets=_facets_of(pinned, name),
            outputFacets={"outputStatistics": counted},
        )


def _outputs_loaded(run: Run) -> Iterator[InputDataset]:
    """What the run's staging was filled from: each whole output, also where the run loads only its window's rows."""
    jobs = {table.output: run.pipeline.job_of(table.output) for table in run.pipeline.staging}
    pinned = {job.name: read_pinned(run, job) for job in jobs.values()}
    for name, job in jobs.items():
        yield _output_read(run, pinned[job.name], name)


def _output_read(run: Run, pinned: Pinned, name: str) -> InputDataset:
    counted = input_statistics.InputStatisticsInputDatasetFacet(**_count(pinned, name))
    return InputDataset(
        *_s3_name(run.processed, pinned.output.job, name),
        facets=_facets_of(pinned, name),
        inputFacets={"inputStatistics": counted},
    )


def _count(pinned: Pinned, name: str) -> dict[str, Any]:
    dataset = pinned.manifest.datasets[name]
    size = sum(part.length for part in dataset.parts)
    return {"rowCount": dataset.rows, "size": size, "fileCount": len(dataset.parts)}


def _facets_of(pinned: Pinned, name: str) -> dict[str, Any]:
    """The columns of an output that the run loads, where it lies, and which one it is."""
    lies = symlinks.Identifier(*_s3_name(S3Location.parse(pinned.uri(name))), type="LOCATION")
    listed = [(one.name, one.type) for one in pinned.manifest.datasets[name].columns]
    return {
        "schema": _schema_of(listed),
        "symlinks": symlinks.SymlinksDatasetFacet(identifiers=[lies]),
        "version": version.DatasetVersionDatasetFacet(datasetVersion=pinned.output.address),
    }


def _tables_of(run: Run, result: Json) -> Iterator[OutputDataset]:
    """The tables, each with its rows of the window where it is loaded by windows, else with all its rows."""
    for table, rows in result["tables"].items():
        counted = output_statistics.OutputStatisticsOutputDatasetFacet(
            rowCount=rows.get("rows", rows["total"])
        )
        yield OutputDataset(
            *_table_name(run, table),
            facets={"schema": _schema_of_table(run, table)},
            outputFacets={"outputStatistics": counted},
        )


def _table_read(run: Run, table: str) -> InputDataset:
    return InputDataset(*_table_name(run, table), facets={"schema": _schema_of_table(run, table)})


def _answer_of(run: Run, name: str, result: Json) -> OutputDataset:
    counted = output_statistics.OutputStatisticsOutputDatasetFacet(rowCount=result["row_count"])
    return OutputDataset(
        *_s3_name(run.published, name),
        facets={"schema": _schema_of([(column, None) for column in result["columns"]])},
        outputFacets={"outputStatistics": counted},
    )


def _schema_of_table(run: Run, table: str) -> schema.SchemaDatasetFacet:
    return _schema_of([(one.name, one.type_name) for one in columns(run.pipeline.name, table)])


def _schema_of(listed: Sequence[tuple[str, str | None]]) -> schema.SchemaDatasetFacet:
    return schema.SchemaDatasetFacet(fields=[schema.SchemaDatasetFacetFields(*column) for column in listed])


def _s3_name(location: S3Location, *parts: str) -> tuple[str, str]:
    """Namespace and name: https://openlineage.io/docs/spec/naming#dataset-naming"""
    return f"s3://{location.bucket}", location.key(*parts).strip("/") or "/"


def _table_name(run: Run, table: str) -> tuple[str, str]:
    """As OpenLineage names a table of Redshift, but for the cluster, of which every run may have another."""
    namespace = f"redshift://{warehouse_name(run.environment)}.{run.settings.region}:{_REDSHIFT_PORT}"
    return namespace, f"{run.settings.mayfly.warehouse.database}.public.{table.lower()}"
