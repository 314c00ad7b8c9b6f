"""The Spark jobs' code for the cluster: `sparkjobs/` as a zip in S3, named by the hash of its content.

The same code makes the same bytes on every host, so a zip is uploaded once and never changes.
A Livy session takes it as one of its `pyFiles` (`livy.SessionSpec`).
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
from airflow_lib.checkout import find_in_checkout
from airflow_lib.errors import SourceError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

SPARKJOBS = find_in_checkout("sparkjobs")

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
_CREATED_ON_UNIX = 3  # of ZIP's "version made by"
_MODE_644 = 0o644 << 16  # ZIP keeps a Unix file's mode in the upper 16 bits


def build_zip(root: Path = SPARKJOBS) -> tuple[bytes, str]:
    """The package `root` as a zip that Python can import from, and its SHA-256.

    Its entries are stored, not compressed: zlib's output for the same bytes differs between its versions.
    Raises SourceError where `root` holds no code.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in _list_code(root, root):
            entry = zipfile.ZipInfo(f"{root.name}/{path.relative_to(root).as_posix()}", _EPOCH)
            entry.create_system, entry.external_attr = _CREATED_ON_UNIX, _MODE_644
            archive.writestr(entry, path.read_bytes())
    content = buffer.getvalue()
    return content, hashlib.sha256(content).hexdigest()


def hash_code(pipeline: str, root: Path = SPARKJOBS) -> str:
    """SHA-256 of the code that a pipeline's jobs run: its own folder, and the files that all pipelines share.

    Raises SourceError where the pipeline has no code.
    """
    own = _list_code(root, root / pipeline)
    shared = _without_hidden(root, root.glob("*.py"))
    digest = hashlib.sha256()
    for path in [*shared, *own]:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def list_pipelines(root: Path = SPARKJOBS) -> list[str]:
    """The pipelines that have code, whether or not a DAG declares them."""
    return sorted({path.relative_to(root).parts[0] for path in _without_hidden(root, root.glob("*/**/*.py"))})


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


def _list_code(root: Path, folder: Path) -> list[Path]:
    found = _without_hidden(root, folder.rglob("*.py"))
    if not found:
        raise SourceError(
            f"{folder} holds no Python file; the code of Spark jobs was expected. "
            "Deploy the checkout's sparkjobs/ folder beside plugins/, with one folder for each pipeline."
        )
    return found


def _without_hidden(root: Path, paths: Iterable[Path]) -> list[Path]:
    """The files sorted by name within `root`, without those that editors and tools hide (`.#job.py`)."""
    names = {path.relative_to(root).as_posix(): path for path in paths if path.is_file()}
    return [
        names[name] for name in sorted(names) if not any(part.startswith(".") for part in name.split("/"))
    ]
