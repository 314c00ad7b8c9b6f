"""Any notifier of Airflow's is told, by choice; one that fails hides nothing and keeps no other from its work."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from email import message_from_bytes, policy
from types import SimpleNamespace
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP
from airflow.sdk import BaseNotifier

from airflow_lib.aws.clients import Aws
from airflow_lib.errors import MayflyError, SettingsError
from airflow_lib.lifecycle.holder import Holder
from airflow_lib.lifecycle.notify import Notice
from airflow_lib.naming import Environment
from airflow_lib.polling import SystemClock
from airflow_lib.settings import Occasion, Settings, parse_settings
from operators.notifiers import check_notifiers, list_mistakes, tell
from tests.unit.operators.context import VARIABLES

HERE = __name__
SMTP_PATH = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
sent: list[tuple[str, str]] = []


class Keeping(BaseNotifier):
    """Keeps what it was told, rendered as any notifier's arguments are."""

    template_fields = ("text",)

    def __init__(self, name: str = "first", text: str = "{{ mayfly.message }}") -> None:
        super().__init__()
        self.name, self.text = name, text

    def notify(self, context: Any) -> None:
        sent.append((self.name, self.text))


class Failing(BaseNotifier):
    def notify(self, context: Any) -> None:
        raise ConnectionRefusedError("nobody listens")


class NotANotifier:
    pass


@pytest.fixture(autouse=True)
def _nothing_was_sent() -> None:
    sent.clear()


def settings_with(*notifiers: dict[str, Any], topic: str | None = None) -> Settings:
    mayfly = json.loads(VARIABLES["mayfly"])
    mayfly["notify"] = {"notifiers": list(notifiers), "sns_topic_arn": topic}
    return parse_settings({**VARIABLES, "mayfly": json.dumps(mayfly)})


def holder_of(settings: Settings) -> Holder:
    return Holder(Environment("dev", "immigration"), "run1", settings, Aws(None), SystemClock(), 60)  # type: ignore[arg-type]


def notice(message: str = "it failed", *about: Occasion) -> Notice:
    return Notice(message, frozenset(about or ("red",)))


def keeping(name: str = "first", **more: Any) -> dict[str, Any]:
    return {"class": f"{HERE}.Keeping", "arguments": {"name": name}, **more}


def test_a_notifier_is_told_by_its_arguments_which_are_templates() -> None:
    arguments = {
        "text": "{{ mayfly.subject }}: {{ mayfly.message }} ({{ mayfly.about | join }}, {{ run_id }})"
    }
    settings = settings_with({"class": f"{HERE}.Keeping", "arguments": arguments})
    tell({"run_id": "run1"}, holder_of(settings), notice())
    assert sent == [("first", "Mayfly: dev-immigration: it failed (red, run1)")]


def test_what_a_message_quotes_is_not_rendered() -> None:
    tell({}, holder_of(settings_with(keeping())), notice("{{ 6 * 7 }}"))
    assert sent == [("first", "{{ 6 * 7 }}")]


def test_as_html_a_message_is_escaped() -> None:
    settings = settings_with({"class": f"{HERE}.Keeping", "arguments": {"text": "{{ mayfly.html }}"}})
    tell({}, holder_of(settings), notice("<script>&"))
    assert sent == [("first", "<pre>&lt;script&gt;&amp;</pre>")]


@pytest.mark.parametrize(
    ("on", "about", "told"),
    [
        (None, "red", True),
        (None, "leftovers", True),
        (None, "late", True),
        (None, "warnings", False),
        (["warnings"], "warnings", True),
        (["warnings"], "red", False),
        (["late", "red"], "red", True),
    ],
)
def test_a_notifier_is_told_what_it_is_for(on: Any, about: Occasion, *, told: bool) -> None:
    settings = settings_with(keeping(**({} if on is None else {"on": on})))
    tell({}, holder_of(settings), notice("it failed", about))
    assert bool(sent) is told


def test_a_notifier_that_is_for_two_things_is_told_once_of_what_is_both() -> None:
    settings = settings_with(keeping(on=["red", "leftovers"]))
    tell({}, holder_of(settings), notice("it failed", "red", "leftovers"))
    assert len(sent) == 1


def test_where_some_fail_the_others_are_told_and_all_that_failed_are_named() -> None:
    settings = settings_with(
        {"class": f"{HERE}.Failing"},
        keeping("second"),
        {"class": "no.such.Module"},
        keeping("last"),
        topic="arn:aws:sns:us-east-1:123456789012:t",
    )
    with pytest.raises(MayflyError) as caught:
        tell({}, holder_of(settings), notice())
    assert sent == [("second", "it failed"), ("last", "it failed")]
    told = str(caught.value)
    assert "notify.sns_topic_arn: " in told
    assert f"notify.notifiers.0 ({HERE}.Failing): " in told
    assert "nobody listens" in told
    assert "notify.notifiers.2 (no.such.Module): the class no.such.Module cannot be imported" in told


def test_a_topic_is_told_besides() -> None:
    published: list[Any] = []
    settings = settings_with(keeping(), topic="arn:aws:sns:us-east-1:123456789012:t")
    sns = SimpleNamespace(publish=lambda **message: published.append(message["Message"]))
    holder = Holder(
        Environment("dev", "immigration"),
        "run1",
        settings,
        SimpleNamespace(sns=sns),
        SystemClock(),
        60,  # type: ignore[arg-type]
    )
    tell({}, holder, notice())
    assert (published, sent) == (["it failed"], [("first", "it failed")])


@pytest.mark.parametrize(
    ("notifier", "told"),
    [
        ({"class": "no.such.Module"}, "the class no.such.Module cannot be imported (No module named 'no')"),
        (
            {"class": f"{HERE}.Absent"},
            "has no attribute 'Absent'); correct its path, or install its provider",
        ),
        ({"class": f"{HERE}.NotANotifier"}, "NotANotifier is not one of Airflow's notifiers, a subclass of"),
        ({"class": f"{HERE}.settings_with"}, "settings_with is not one of Airflow's notifiers"),
        ({"class": SMTP_PATH}, "refuses its arguments (SmtpNotifier.__init__() missing 1 required"),
        (
            {"class": f"{HERE}.Keeping", "arguments": {"colour": 1}},
            "unexpected keyword argument 'colour'); correct them",
        ),
    ],
)
def test_a_notifier_that_cannot_be_made_is_named(notifier: dict[str, Any], told: str) -> None:
    (mistake,) = list_mistakes(settings_with(notifier))
    assert mistake.startswith("mayfly: notify.notifiers.0: ")
    assert told in mistake


def test_every_notifier_that_cannot_be_made_is_told_at_once() -> None:
    settings = settings_with({"class": "no.such.Module"}, keeping(), {"class": f"{HERE}.NotANotifier"})
    with pytest.raises(SettingsError, match=r"(?s)notifiers\.0: .*notifiers\.2: "):
        check_notifiers(settings)
    check_notifiers(settings_with(keeping()))


class Mailbox:
    """A mail server on a port of its own, in a thread, and what it was sent."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._ready.wait(30)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        made = self._loop.create_server(lambda: SMTP(self, loop=self._loop, hostname="mail"), "127.0.0.1", 0)
        server = self._loop.run_until_complete(made)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(server.wait_closed())
        self._loop.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    box = Mailbox()
    connection = {
        "conn_type": "smtp",
        "host": "127.0.0.1",
        "port": box.port,
        "extra": {"disable_ssl": True, "disable_tls": True, "from_email": "mayfly@example.org"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_TEST", json.dumps(connection))
    yield box
    box.close()


def test_a_red_run_is_told_by_e_mail(mailbox: Mailbox) -> None:
    """By Airflow's own SMTP notifier, as setup_backend.md has it, to a mail server."""
    arguments = {
        "smtp_conn_id": "smtp_test",
        "to": "people@example.org",
        "subject": "{{ mayfly.subject }}",
        "html_content": "{{ mayfly.html }}",
    }
    settings = settings_with({"class": SMTP_PATH, "arguments": arguments})
    tell({}, holder_of(settings), notice("Run run1 failed first in load.a: <b> & \u20ac"))
    (mail,) = mailbox.mails
    assert (mail["From"], mail["To"]) == ("mayfly@example.org", "people@example.org")
    assert mail["Subject"] == "Mayfly: dev-immigration"
    body = mail.get_body(("html",)).get_content()
    assert body.strip() == "<pre>Run run1 failed first in load.a: &lt;b&gt; &amp; \u20ac</pre>"
