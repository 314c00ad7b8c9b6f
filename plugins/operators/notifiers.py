"""Tells people by whatever notifier of Airflow's the settings name, besides the SNS topic.

https://airflow.apache.org/docs/apache-airflow/stable/howto/notifications.html
A notifier's arguments are Jinja templates, rendered with the task's context and `mayfly`: `subject` (one line),
`message` (plain text), `html` (the message as HTML, escaped), and `about` (what it is about).
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from typing import Any

from airflow.sdk import BaseNotifier

from airflow_lib.aws.errors import explain
from airflow_lib.bounded_json import as_text
from airflow_lib.errors import MayflyError, SettingsError
from airflow_lib.lifecycle.holder import Holder
from airflow_lib.lifecycle.notify import Notice, notify, subject_of
from airflow_lib.settings import NotifierSettings, Settings

_MAX_CAUSE = 500  # characters


def list_mistakes(settings: Settings) -> list[str]:
    """What keeps the notifiers that the settings name from being made on this host, one line each."""
    mistakes = []
    for index, named in enumerate(settings.mayfly.notify.notifiers):
        try:
            _make(named)
        except SettingsError as error:
            mistakes.append(f"mayfly: notify.notifiers.{index}: {error.message}")
    return mistakes


def check_notifiers(settings: Settings) -> None:
    """Raise SettingsError that lists every notifier that cannot be made on this host."""
    if mistakes := list_mistakes(settings):
        lines = "\n".join(f"- {mistake}" for mistake in mistakes)
        raise SettingsError(f"The Airflow Variables cannot be used:\n{lines}")


def tell(context: Mapping[str, Any], holder: Holder, notice: Notice) -> None:
    """Send the notice to the SNS topic and to each notifier that is for it. One that fails keeps no other from it.

    Raises MayflyError, once all were tried, that names those that failed.
    """
    failed = []
    for key, send in _list_ways(context, holder, notice):
        try:
            send()
        except Exception as error:  # noqa: BLE001  whatever it is, the others are still to be tried
            cause = error.message if isinstance(error, MayflyError) else explain(error)
            failed.append(f"{key}: {as_text(cause, _MAX_CAUSE)}")
    if failed:
        raise MayflyError("; ".join(failed))


def _list_ways(
    context: Mapping[str, Any], holder: Holder, notice: Notice
) -> Iterator[tuple[str, Callable[[], None]]]:
    yield "notify.sns_topic_arn", partial(notify, holder, notice)
    message = as_text(notice.message)
    told = {
        "subject": subject_of(holder),
        "message": message,
        "html": f"<pre>{html.escape(message)}</pre>",
        "about": sorted(notice.about),
    }
    for index, named in enumerate(holder.settings.mayfly.notify.notifiers):
        if not notice.about.isdisjoint(named.on):
            send = partial(_send, named, {**context, "mayfly": told})
            yield f"notify.notifiers.{index} ({named.path})", send


def _send(named: NotifierSettings, context: Any) -> None:
    _make(named)(context)


def _make(named: NotifierSettings) -> BaseNotifier:
    """Raises SettingsError that says what is wrong with the class or its arguments."""
    module, _, name = named.path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except Exception as error:
        raise SettingsError(
            f"the class {named.path} cannot be imported ({as_text(str(error), _MAX_CAUSE)}); correct its path, or "
            "install its provider on every host that runs tasks"
        ) from error
    if not isinstance(found, type) or not issubclass(found, BaseNotifier):
        raise SettingsError(
            f"{named.path} is not one of Airflow's notifiers, a subclass of airflow.sdk.BaseNotifier; write one such "
            "as airflow.providers.smtp.notifications.smtp.SmtpNotifier"
        )
    try:
        return found(**named.arguments)
    except Exception as error:
        raise SettingsError(
            f"{named.path} refuses its arguments ({as_text(str(error), _MAX_CAUSE)}); correct them"
        ) from error
