"""Notifies people: through an SNS topic, where the settings name one."""

from __future__ import annotations

import logging

from airflow_lib.lifecycle.holder import Holder

log = logging.getLogger(__name__)

_SUBJECT_LIMIT = 100  # https://docs.aws.amazon.com/sns/latest/api/API_Publish.html


def notify(holder: Holder, message: str) -> None:
    """Publish `message` about the environment; without a topic it is only logged."""
    log.warning("%s", message)
    topic = holder.settings.mayfly.notify.sns_topic_arn
    if topic is not None:
        subject = f"Mayfly: {holder.environment.name}"[:_SUBJECT_LIMIT]
        holder.aws.sns.publish(TopicArn=topic, Subject=subject, Message=message)
