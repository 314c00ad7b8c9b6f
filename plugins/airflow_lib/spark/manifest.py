"""The manifest of a job's output: which attempt's files it is, and what they hold.

It is written last and only once, and marks the job complete. What COPY reads is derived from it (`copy_manifest`).
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from airflow_lib.aws.s3 import put_if_absent, read_object
from airflow_lib.bounded_json import MAX_JSON_BYTES, load_json
from airflow_lib.errors import OutputError, OutputRefused
from airflow_lib.pipeline import SparkJob
from airflow_lib.spark import outputs
from airflow_lib.spark.counts import Counts
from airflow_lib.spark.outputs import Output
from airflow_lib.spark.parquet_schema import ParquetColumn
from airflow_lib.spark.parts import Dataset, Part, list_attempt, read_datasets

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

_NAME = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """A complete output: what its one `attempt` wrote of each dataset, by name, and the hash of the manifest."""

    uri: str
    attempt: str
    datasets: Mapping[str, Dataset]
    counts: Counts
    sha256: str


def read_manifest(s3: S3Client, output: Output) -> Manifest | None:
    """The output's manifest, or None while no attempt has completed, or where an earlier version of Mayfly wrote it.

    Whether its files are there is not looked at. Raises OutputError where it cannot be read; ResourceError where S3
    refuses.
    """
    stored = read_object(s3, output.prefix.bucket, output.prefix.key(_NAME))
    return None if stored is None else parse_manifest(output, stored)


def probe_manifest(s3: S3Client, output: Output) -> Manifest | None:
    """As `read_manifest`, once its files were seen to be there.

    Raises OutputError, too, where a file it lists is gone or changed.
    """
    manifest = read_manifest(s3, output)
    if manifest is None:
        return None
    found = list_attempt(s3, output, manifest.attempt)
    changed = [
        part.file
        for dataset in manifest.datasets.values()
        for part in dataset.parts
        if part.file not in found or found[part.file].size != part.length
    ]
    if changed:
        first = output.prefix.uri(f"{manifest.attempt}/{changed[0]}")
        raise OutputError(
            f"{manifest.uri} lists {len(changed)} file(s) that are gone or of another length, first {first}. "
            "Delete the manifest, and the next run computes the output again."
        )
    return manifest


def write_manifest(s3: S3Client, job: SparkJob, output: Output, attempt: str, counts: Counts) -> Manifest:
    """The output's manifest: this attempt's, or that of an attempt that completed first.

    Raises what `parts.read_datasets` does, and OutputRefused where the attempt has more files than a manifest can hold.
    """
    datasets = read_datasets(s3, job, output, attempt, counts)
    files = sum(len(dataset.parts) for dataset in datasets.values())
    content = {
        "version": outputs.MANIFEST_VERSION,
        "job": output.job,
        "address": output.address,
        "attempt": attempt,
        "outputs": {name: _describe(dataset) for name, dataset in datasets.items()},
        **asdict(counts),
    }
    body = json.dumps(content, indent=1, sort_keys=True).encode()
    if len(body) > MAX_JSON_BYTES:
        raise OutputRefused(
            f"Job {output.job!r} wrote {files} files, whose manifest has {len(body)} bytes; {MAX_JSON_BYTES} at most "
            "were expected. Correct the job: it must write fewer and larger files, as by `coalesce`."
        )
    written = put_if_absent(s3, output.prefix.bucket, output.prefix.key(_NAME), body)
    manifest = probe_manifest(s3, output)
    if manifest is None:
        raise OutputError(f"{output.prefix.uri(_NAME)} was deleted while it was written. Run the task again.")
    if written:
        log.info("Output %s is complete: %s rows in %s files", output.prefix, counts.rows_written, files)
    return manifest


def parse_manifest(output: Output, body: bytes) -> Manifest | None:
    """The manifest in an object's content; None for one of an earlier version. Raises OutputError."""
    uri = output.prefix.uri(_NAME)
    try:
        content = load_json(body, OutputError)
        version = _read_version(content)
        if version == outputs.MANIFEST_VERSION:
            datasets = {str(name): _parse_dataset(one) for name, one in content["outputs"].items()}
            counts = Counts.parse(content, tuple(datasets))
            if counts.written != {name: dataset.rows for name, dataset in datasets.items()}:
                raise ValueError("the rows of its files are not those that it says were written")
            return Manifest(uri, str(content["attempt"]), datasets, counts, hashlib.sha256(body).hexdigest())
    except (ValueError, KeyError, TypeError, AttributeError, OutputError) as error:
        raise OutputError(
            f"{uri} is not a manifest that Mayfly wrote ({type(error).__name__}: {error}). "
            "Delete it, and the next run computes the output again."
        ) from error
    if version < outputs.MANIFEST_VERSION:
        return None
    raise OutputError(
        f"{uri} is of version {version}; this version of Mayfly reads manifests of version "
        f"{outputs.MANIFEST_VERSION}. Deploy the same version of Mayfly on every host, or delete the manifest: the "
        "next run computes the output again."
    )


def _read_version(content: Any) -> int:
    """Until version 2 a manifest was also that of COPY, which has what is Mayfly's own under `meta`."""
    return int(content["meta"]["mayfly"]["version"] if "meta" in content else content["version"])


def _describe(dataset: Dataset) -> dict[str, Any]:
    return {
        "columns": [asdict(column) for column in dataset.columns],
        "entries": [
            {
                "file": part.file,
                "length": part.length,
                "rows": part.rows,
                "day": part.day.isoformat() if part.day else None,
            }
            for part in dataset.parts
        ],
    }


def _parse_dataset(content: Any) -> Dataset:
    return Dataset(
        tuple(ParquetColumn(str(item["name"]), str(item["type"])) for item in content["columns"]),
        tuple(
            Part(
                str(item["file"]),
                int(item["length"]),
                int(item["rows"]),
                date.fromisoformat(item["day"]) if item["day"] is not None else None,
            )
            for item in content["entries"]
        ),
    )
