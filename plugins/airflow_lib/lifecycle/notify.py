"""Notifies people: through an SNS topic, where the settings name one."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from airflow_lib.bounded_json import as_text
from airflow_lib.lifecycle.holder import Holder
from airflow_lib.settings import Occasion

log = logging.getLogger(__name__)

# https://docs.aws.amazon.com/sns/latest/api/API_Publish.html: a message has 256 KiB at most, in UTF-8.
_SUBJECT_LIMIT = 100
_MESSAGE_LIMIT = 60_000


@dataclass(frozen=True)
class Notice:
    """What people are told, and of what that is."""

    message: str
    about: frozenset[Occasion]


def subject_of(holder: Holder) -> str:
    """One line that says whose notice it is."""
    return f"Mayfly: {holder.environment.name}"[:_SUBJECT_LIMIT]


def notify(holder: Holder, notice: Notice) -> None:
    """Publish the notice about the environment, or its beginning; without a topic it is only logged.

    Warnings are only logged: a topic has no choice of what it is told, and they are no failure.
    """
    log.warning("%s", notice.message)
    topic = holder.settings.mayfly.notify.sns_topic_arn
    if topic is not None and notice.about != {"warnings"}:
        message = as_text(notice.message, _MESSAGE_LIMIT)
        holder.aws.sns.publish(TopicArn=topic, Subject=subject_of(holder), Message=message)
