"""Tells people: an SNS topic, where the settings name one."""

from __future__ import annotations

import logging

from airflow_lib.steps import Holder, Run

log = logging.getLogger(__name__)

_SUBJECT_LIMIT = 100  # https://docs.aws.amazon.com/sns/latest/api/API_Publish.html


def notify(of: Run | Holder, message: str) -> None:
    """Publish `message` on the environment; without a topic it is only logged."""
    topic = of.settings.mayfly.notify.sns_topic_arn
    log.warning("%s", message)
    if topic is not None:
        of.aws.sns.publish(
            TopicArn=topic, Subject=f"Mayfly: {of.environment.name}"[:_SUBJECT_LIMIT], Message=message
        )
