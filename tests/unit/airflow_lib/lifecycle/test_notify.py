"""Notifications: one SNS message where a topic is named, a line in the log always."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_lib.lifecycle.notify import Notice, notify
from airflow_lib.naming import Environment
from airflow_lib.settings import Occasion
from airflow_lib.steps import Run

RED: frozenset[Occasion] = frozenset({"red"})
TOPIC = "arn:aws:sns:us-east-1:123456789012:mayfly"


def holder_with(run: Run, published: list[dict[str, Any]]) -> Any:
    aws: Any = SimpleNamespace(sns=SimpleNamespace(publish=lambda **message: published.append(message)))
    return replace(run.holder, aws=aws)


def test_without_a_topic_a_message_is_only_logged(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    published: list[dict[str, Any]] = []
    with caplog.at_level(logging.WARNING):
        notify(holder_with(run, published), Notice("it failed", RED))
    assert published == []
    assert "it failed" in caplog.text


def test_a_topic_gets_the_message_under_a_subject_that_sns_takes(make_run: Callable[..., Run]) -> None:
    published: list[dict[str, Any]] = []
    holder = holder_with(make_run(notify={"sns_topic_arn": TOPIC}), published)
    notify(replace(holder, environment=Environment("dev", "x" * 200)), Notice("it failed", RED))
    (message,) = published
    assert (message["TopicArn"], message["Message"]) == (TOPIC, "it failed")
    assert message["Subject"].startswith("Mayfly: dev-x")
    assert len(message["Subject"]) == 100


def test_a_message_is_cut_to_what_sns_takes(make_run: Callable[..., Run]) -> None:
    published: list[dict[str, Any]] = []
    holder = holder_with(make_run(notify={"sns_topic_arn": TOPIC}), published)
    notify(holder, Notice("\ud800" + "é€" * 100_000, RED))
    (message,) = published
    assert len(message["Message"].encode()) <= 256 * 1024
    assert message["Message"].endswith("… (200001 characters)")


@pytest.mark.parametrize(
    ("about", "messages"), [({"warnings"}, 0), ({"red"}, 1), ({"late"}, 1), ({"leftovers", "warnings"}, 1)]
)
def test_a_topic_is_told_of_all_but_warnings(
    make_run: Callable[..., Run], caplog: pytest.LogCaptureFixture, about: set[Occasion], messages: int
) -> None:
    published: list[dict[str, Any]] = []
    holder = holder_with(make_run(notify={"sns_topic_arn": TOPIC}), published)
    notify(holder, Notice("told", frozenset(about)))
    assert len(published) == messages
    assert "told" in caplog.text
