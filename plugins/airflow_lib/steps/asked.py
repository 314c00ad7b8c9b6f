"""When each answer that is published was asked, written down in S3 beside the register.

What was loaded after that is not in the answer: a run that loaded and could not publish leaves work to the next one.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from airflow_lib.aws.errors import translate_aws_errors
from airflow_lib.aws.s3 import read_object
from airflow_lib.bounded_json import load_json
from airflow_lib.errors import ResourceError
from airflow_lib.pipeline import Answer
from airflow_lib.steps import Run


def note_asked(run: Run, answer: Answer, at: datetime) -> None:
    """Write down that what is published of the answer was asked then, or later. Raises ResourceError."""
    location, name = run.state_location, _name(answer)
    with translate_aws_errors(f"write {location.uri(name)}"):
        body = json.dumps({"asked_at": at.isoformat()}).encode()
        run.aws.s3.put_object(Bucket=location.bucket, Key=location.key(name), Body=body)


def is_asked_since(run: Run, answer: Answer, time: datetime) -> bool:
    """Whether what is published of the answer was asked at `time` or later; not where that cannot be read.

    Raises ResourceError.
    """
    location = run.state_location
    body = read_object(run.aws.s3, location.bucket, location.key(_name(answer)))
    if not body:
        return False
    content: Any = load_json(body, ResourceError)
    try:
        return datetime.fromisoformat(content["asked_at"]) >= time
    except (ValueError, KeyError, TypeError):
        return False


def _name(answer: Answer) -> str:
    return f"answers/{answer.name}.json"
