"""Notifies people: through an SNS topic, where the settings name one."""

from __future__ import annotations

import logging

from airflow_lib.bounded_json import as_text
from airflow_lib.lifecycle.holder import Holder

log = logging.getLogger(__name__)

# https://docs.aws.amazon.com/sns/latest/api/API_Publish.html: a message has 256 KiB at most, in UTF-8.
_SUBJECT_LIMIT = 100
_MESSAGE_LIMIT = 60_000


def notify(holder: Holder, message: str) -> None:
    """Publish `message` about the environment, or its beginning; without a topic it is only logged."""
    log.warning("%s", message)
    topic = holder.settings.mayfly.notify.sns_topic_arn
    if topic is not None:
        subject = f"Mayfly: {holder.environment.name}"[:_SUBJECT_LIMIT]
        holder.aws.sns.publish(TopicArn=topic, Subject=subject, Message=as_text(message, _MESSAGE_LIMIT))
