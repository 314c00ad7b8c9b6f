"""Tells people: an SNS topic, where the settings name one."""

from __future__ import annotations

import logging

from airflow_lib.steps import Run

log = logging.getLogger(__name__)

_SUBJECT_LIMIT = 100  # https://docs.aws.amazon.com/sns/latest/api/API_Publish.html


def notify(run: Run, message: str) -> None:
    """Publish `message`; without a topic it is only logged."""
    topic = run.settings.mayfly.notify.sns_topic_arn
    log.warning("%s", message)
    if topic is not None:
        run.aws.sns.publish(
            TopicArn=topic, Subject=f"Mayfly: {run.environment.name}"[:_SUBJECT_LIMIT], Message=message
        )
