"""What COPY reads: the files of one dataset that hold the rows of one window, in Redshift's own form.

It is derived from a job's manifest, and written just before the COPY. Its name has the hash of its content, so writing
it again changes nothing, and a staging table that bears the hash holds just these files' rows.
https://docs.aws.amazon.com/redshift/latest/dg/loading-data-files-using-manifest.html
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_lib.aws.errors import translate_aws_errors
from airflow_lib.errors import OutputError
from airflow_lib.pipeline import Window
from airflow_lib.spark.manifest import Manifest
from airflow_lib.spark.outputs import Output
from airflow_lib.spark.parts import Part

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class CopyManifest:
    """The content of a manifest for COPY, where it belongs, and how many `rows` its `files` hold.

    Without files there is nothing to COPY, which fails where it finds none.
    """

    uri: str
    body: bytes
    sha256: str
    files: int
    rows: int


def render_copy_manifest(output: Output, manifest: Manifest, name: str, window: Window) -> CopyManifest:
    """The files of the dataset `name` with the window's days; all of them where it is not partitioned.

    Raises OutputError where the job wrote no such dataset.
    """
    if name not in manifest.datasets:
        raise OutputError(
            f"{manifest.uri} has no output {name!r}: it was computed before that was declared. "
            f"Clear transform.{output.job}."
        )
    parts = [part for part in manifest.datasets[name].parts if _is_in(part, window)]
    entries = [
        {
            "url": output.prefix.uri(f"{manifest.attempt}/{part.file}"),
            "mandatory": True,
            "meta": {"content_length": part.length},
        }
        for part in parts
    ]
    body = json.dumps({"entries": entries}, indent=1, sort_keys=True).encode()
    digest = hashlib.sha256(body).hexdigest()
    uri = output.prefix.uri("copy", f"{name}-{digest}.json")
    return CopyManifest(uri, body, digest, len(parts), sum(part.rows for part in parts))


def ensure_copy_manifest(s3: S3Client, output: Output, copy: CopyManifest) -> None:
    """Write it where it belongs. Raises ResourceError where S3 refuses."""
    key = copy.uri.removeprefix(f"s3://{output.prefix.bucket}/")
    with translate_aws_errors(f"write {copy.uri}"):
        s3.put_object(Bucket=output.prefix.bucket, Key=key, Body=copy.body)


def _is_in(part: Part, window: Window) -> bool:
    return part.day is None or window.start <= part.day < window.end
