"""The Spark jobs' code on its way to the cluster: `sparkjobs/` as a zip, named by its content's hash.

The same code makes the same bytes on every host, so a zip is uploaded once and never changes.
What a session does with it (`pyFiles`) is `livy`'s.
"""

from __future__ import annotations

import hashlib
import io
import logging
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_lib.aws.s3 import put_if_absent
from airflow_lib.aws.s3_location import S3Location
from airflow_lib.errors import SourceError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

# plugins/airflow_lib/spark/shipping.py -> the checkout's sparkjobs/
SPARKJOBS = Path(__file__).resolve().parents[3] / "sparkjobs"

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
_UNIX = 3
_READABLE = 0o644 << 16


def build_zip(root: Path = SPARKJOBS) -> tuple[bytes, str]:
    """The package `root` as a zip that Python can import from, and its SHA-256.

    Stored, not deflated: what zlib makes of the same bytes differs between its releases.
    Raises SourceError where `root` holds no code.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in _sources(root, root, root.rglob("*.py")):
            entry = zipfile.ZipInfo(f"{root.name}/{path.relative_to(root).as_posix()}", _EPOCH)
            entry.create_system, entry.external_attr = _UNIX, _READABLE
            archive.writestr(entry, path.read_bytes())
    content = buffer.getvalue()
    return content, hashlib.sha256(content).hexdigest()


def hash_code(pipeline: str, root: Path = SPARKJOBS) -> str:
    """SHA-256 of what a pipeline's jobs are made of: its own folder and the files that all pipelines share.

    Raises SourceError where the pipeline has no code.
    """
    own = _sources(root, root / pipeline, (root / pipeline).rglob("*.py"))
    shared = sorted(root.glob("*.py"))
    digest = hashlib.sha256()
    for path in [*shared, *own]:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def ensure_shipped(s3: S3Client, location: S3Location, root: Path = SPARKJOBS) -> str:
    """The URI of the code's zip below `location` (the pipeline's processed folder), uploaded if it is new.

    Raises SourceError where there is no code, ResourceError where S3 refuses.
    """
    content, digest = build_zip(root)
    name = ("_code", f"{digest}.zip")
    uri = location.uri(*name)
    if put_if_absent(s3, location.bucket, location.key(*name), content):
        log.info("Code %s… shipped to %s (%s bytes)", digest[:12], uri, len(content))
    return uri


def _sources(root: Path, folder: Path, found: Iterable[Path]) -> list[Path]:
    """Sorted by name within `root`, without what editors and tools hide there."""
    kept = [
        path
        for path in found
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]
    if not kept:
        raise SourceError(
            f"No Spark job's code was found in {folder}: deploy the checkout's sparkjobs/ folder beside plugins/, "
            "with one folder a pipeline."
        )
    return sorted(kept, key=lambda path: path.relative_to(root).as_posix())
