"""The page: what it tells, that it needs nothing else, and that nothing from outside gets through."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from airflow_lib.report import render as module
from airflow_lib.report.facts import ReportFacts, Verdict
from airflow_lib.report.render import BOUNDS, MAX_BYTES, console_url, render_report
from tests.report_sample import at, facts, green, hostile, idle, red, task

_VOID = {"meta", "br"}


class Page(HTMLParser):
    """The elements of a page, their text, and whether each is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += f" {data} "

    def ids(self) -> list[str]:
        return [attrs["id"] or "" for _, attrs in self.elements if "id" in attrs]


def read(run: ReportFacts) -> Page:
    page = Page(render_report(run))
    page.text = re.sub(r"\s+", " ", page.text.replace("\u202f", " "))
    assert page.open == []
    return page


def test_a_green_run_tells_all_that_it_did() -> None:
    page = read(green())
    assert page.ids() == ["figures", "timeline", "jobs", "tables", "checks", "answers", "resources"]
    for told in (
        "Green",
        "2026-11-27 to 2026-11-28",
        "Nothing is left behind.",
        "10 min 47 s",
        "185 345 rows read",
        "2 325 rows rejected",
        "no_station 1 904",
        "computed by an earlier run",
        "factReading 0 181 977 61 204 118",
        "every_station_reports warns",
        "6 / 7",
        "Zugspitze 144",
        "The first 5 rows",
        "mayfly-prod-weather-emr-g41 06:00:12 06:04:14 06:07:12 06:08:39",
        "created by this run, torn down by this run",
        "The critical path: 10 min 47 s",
    ):
        assert told in page.text, told


def test_a_red_run_tells_its_failures_first() -> None:
    page = read(red())
    assert page.ids()[0] == "failures"
    assert "2 tasks failed, 2 never started. 1 thing is left behind." in page.text
    assert re.search(
        r"load\.load_window failed first at 06:07:46 UTC, in try 2 The load of .* rolled back", page.text
    )
    assert page.text.index("load.load_window failed first") < page.text.index("release.inventory failed")
    assert "Left behind 1 security group mayfly-prod-weather-emr-master-g41" in page.text
    assert "measured_in_range_factReading fails 3 rows" in page.text
    assert "WHERE celsius NOT BETWEEN -60 AND 60" in page.text
    assert "Never started: verify.factReading, answers.by_station" in page.text


def test_a_run_that_is_red_though_no_task_failed_says_why() -> None:
    page = read(facts(task("plan", 0, 1), verdict=Verdict.RED, message="somebody marked it"))
    assert "somebody marked it" in page.text


def test_a_killed_task_is_told_without_a_cause() -> None:
    page = read(facts(task("plan", None, None, state="failed"), verdict=Verdict.RED))
    assert "It left no cause, as when its process is killed" in page.text
    assert "No task noted when it began and ended." in page.text


def test_an_idle_run_says_why_and_nothing_more() -> None:
    page = read(idle())
    assert page.ids() == ["timeline"]
    assert "Nothing to do" in page.text
    assert "The warehouse holds this window of the same files already." in page.text
    assert "No cluster was made." in page.text
    assert "Never started" not in page.text


def test_an_empty_run_has_a_page() -> None:
    page = read(facts())
    assert "What is left behind was not listed." in page.text


@pytest.mark.parametrize("run", [green(), red(), idle()], ids=["green", "red", "idle"])
def test_the_page_needs_nothing_else_and_runs_nothing(run: ReportFacts) -> None:
    html = render_report(run)
    page = Page(html)
    assert {tag for tag, _ in page.elements}.isdisjoint(
        {
            "script",
            "link",
            "img",
            "iframe",
            "object",
            "embed",
            "base",
            "form",
            "audio",
            "video",
            "foreignobject",
        }
    )
    for tag, attrs in page.elements:
        assert not [name for name in attrs if name.startswith("on") or name in {"src", "style", "srcset"}]
        if "href" in attrs:
            assert tag == "a"
            assert (attrs["href"] or "").startswith("https://eu-central-1.console.aws.amazon.com/") or (
                attrs["href"] or ""
            ).startswith("https://console.aws.amazon.com/s3/")
            assert attrs["rel"] == "noopener noreferrer"
    assert "@import" not in html
    assert "url(" not in html


def test_a_browser_is_told_to_load_nothing_and_to_apply_this_style_alone() -> None:
    import base64
    import hashlib

    html = render_report(green())
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = [
        attrs["content"] or ""
        for _, attrs in Page(html).elements
        if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_a_phone_and_a_dark_screen_are_provided_for() -> None:
    html = render_report(green())
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html
    assert "prefers-color-scheme: dark" in html


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><style>*{display:none}</style>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "--></title>\x00\u202e\ud800<svg/onload=alert(1)>",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_comes_from_outside_is_text(text: str) -> None:
    harmless, page = read(hostile("harmless", many=3)), read(hostile(text, many=3))
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in harmless.elements]
    for (tag, attrs), (_, plain) in zip(page.elements, harmless.elements, strict=True):
        assert set(attrs) == set(plain), tag
        assert (attrs.get("href") or "https://console.aws.amazon.com/").startswith(
            "https://console.aws.amazon.com/"
        )
    assert "\x00" not in page.text
    assert "\u202e" not in page.text
    assert "{{ 7 * 7 }}" in page.text or "{{" not in text


@pytest.mark.parametrize("text", ["x", "<&\"'>\U0001f600" * 900], ids=["short", "long and escaped"])
def test_a_page_has_at_most_two_mebibytes_whatever_it_is_given(text: str) -> None:
    run = hostile(text, many=150)
    html = render_report(run)
    assert len(html.encode()) <= MAX_BYTES
    assert "that this page has no room for" in html
    assert Page(html).open == []


def test_a_page_that_would_be_too_long_shows_less_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Any] = []

    def render(run: ReportFacts, bounds: Any) -> str | None:
        tried.append(bounds)
        return None if bounds is BOUNDS[0] else "xxxxx"

    monkeypatch.setattr(module, "_render", render)
    assert render_report(green()) == "xxxxx"
    assert tried == [*BOUNDS[:2]]


def test_the_longest_page_of_the_last_bounds_is_short_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a page is at most has no other bounds to fall back on."""
    monkeypatch.setattr(module, "BOUNDS", BOUNDS[-1:])
    html = render_report(hostile("<&\"'>\U0001f600" * 900, many=60))
    assert len(html.encode()) <= MAX_BYTES


@pytest.mark.parametrize(
    ("uri", "region", "url"),
    [
        (
            "s3://b/a/c d.csv",
            "eu-west-1",
            "https://console.aws.amazon.com/s3/object/b?region=eu-west-1&prefix=a/c%20d.csv",
        ),
        ("s3://b/a/", "cn-north-1", "https://console.amazonaws.cn/s3/buckets/b?region=cn-north-1&prefix=a/"),
        (
            "s3://b",
            "us-gov-west-1",
            "https://console.amazonaws-us-gov.com/s3/buckets/b?region=us-gov-west-1&prefix=",
        ),
        ('s3://a"b/x', "r", "https://console.aws.amazon.com/s3/object/a%22b?region=r&prefix=x"),
        ("javascript:alert(1)", "r", ""),
        ("s3:///x", "r", ""),
        ("s3://b/x", "", ""),
    ],
)
def test_an_s3_uri_is_linked_to_the_console_of_its_partition(uri: str, region: str, url: str) -> None:
    assert console_url(uri, region) == url


def test_the_page_says_when_it_was_written() -> None:
    assert "Written by Mayfly at 2026-11-28 06:15:00" in read(replace(green(), at=at(900))).text
