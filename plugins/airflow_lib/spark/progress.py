"""How far a Spark job is, as its driver tells it in a file beside its output (sparkjobs.progress).

It is for people: whatever is wrong with the file, the job goes on, and nothing is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_lib.aws.errors import AWS_ERRORS
from airflow_lib.aws.s3 import read_object
from airflow_lib.aws.s3_location import S3Location
from airflow_lib.errors import MayflyError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MAX_CHARS = 200  # ours has 100


def read_progress(s3: S3Client, uri: str) -> str:
    """What the file says, as one line; empty where there is none, or it cannot be read. Raises nothing of AWS."""
    try:
        location = S3Location.parse(uri)
        body = read_object(s3, location.bucket, location.key(""))
    except (MayflyError, *AWS_ERRORS):
        return ""
    text = (body or b"")[: 4 * _MAX_CHARS].decode(errors="replace")[:_MAX_CHARS]
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
