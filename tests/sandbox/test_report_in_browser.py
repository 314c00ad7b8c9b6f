"""The report's page in a real browser: light and dark, on a desk and on a phone.

REPORT_PICTURES=FOLDER keeps the screenshots there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from airflow_lib.report.facts import ReportFacts
from airflow_lib.report.render import render_report
from tests.report_sample import green, hostile, idle, red

pytestmark = pytest.mark.sandbox

_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_DESK, _PHONE = (1160, 900), (390, 844)
RUNS = {"green": green(), "red": red(), "idle": idle(), "hostile": hostile("<b>x</b>&" * 40, many=8)}

# Of each element with text of its own: its colour, and the colour behind it; as the browser has computed them.
_COLOURS = """() => {
  const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const behind = element => {
    for (let one = element; one; one = one.parentElement) {
      const [red, green, blue, alpha] = parse(getComputedStyle(one).backgroundColor);
      if (alpha === undefined || alpha > 0) return [red, green, blue];
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll('main *')) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!own || element.tagName === 'title') continue;
    const style = getComputedStyle(element);
    const colour = element instanceof SVGElement ? style.fill : style.color;
    found.push([element.tagName + '.' + element.getAttribute('class'), parse(colour).slice(0, 3), behind(element)]);
  }
  return found;
}"""

# What reaches beyond the right edge of the page, outside of boxes that scroll by themselves.
_BEYOND = """() => [...document.querySelectorAll('main *')]
  .filter(one => !one.closest('.scroll') && one.getBoundingClientRect().right > innerWidth + 0.5)
  .map(one => one.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("left out: there is no Chromium here; apt-get install chromium")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"), executable_path=chromium, args=_ARGUMENTS, offline=True
        )
        yield context
        context.close()


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Opens a run's report, and has seen no complaint of the browser when the test is over."""
    page: Page = browser.new_page()
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith("file:") else told.append(request.url))

    def open_report(run: ReportFacts, size: tuple[int, int] = _DESK, scheme: Any = "light") -> Page:
        path = tmp_path / "report.html"
        path.write_text(render_report(run), encoding="utf-8")
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": size[0], "height": size[1]})
        page.goto(path.as_uri())
        return page

    yield open_report
    page.close()
    assert told == []


def keep(page: Page, name: str) -> None:
    folder = os.environ.get("REPORT_PICTURES")
    if folder:
        page.screenshot(path=Path(folder) / f"report-{name}.png", full_page=True)


def luminance(colour: list[float]) -> float:
    """https://www.w3.org/TR/WCAG21/#dfn-relative-luminance"""
    parts = [part / 255 for part in colour]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: list[float], other: list[float]) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("run", ["green", "red", "idle"])
def test_all_text_can_be_read_on_what_is_behind_it(show: Any, run: str, scheme: str) -> None:
    """WCAG's AA: 4.5 to 1."""
    page = show(RUNS[run], scheme=scheme)
    keep(page, f"{run}-{scheme}")
    colours = page.evaluate(_COLOURS)
    assert len(colours) > 10
    poor = [
        (name, round(contrast(text, back), 2)) for name, text, back in colours if contrast(text, back) < 4.5
    ]
    assert poor == []


def test_dark_is_dark_and_light_is_light(show: Any) -> None:
    backgrounds = [
        show(RUNS["green"], scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    ]
    light, dark = (
        [float(part) for part in one.removeprefix("rgb(").rstrip(")").split(",")] for one in backgrounds
    )
    assert luminance(light) > 0.8
    assert luminance(dark) < 0.05


@pytest.mark.parametrize("size", [_PHONE, _DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("run", RUNS)
def test_nothing_scrolls_sideways_but_tables_and_the_timeline(
    show: Any, run: str, size: tuple[int, int]
) -> None:
    page = show(RUNS[run], size)
    if size == _PHONE:
        keep(page, f"{run}-phone")
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    assert page.evaluate(_BEYOND) == []


def test_on_a_phone_text_has_a_size_that_can_be_read(show: Any) -> None:
    page = show(RUNS["red"], _PHONE)
    small = page.evaluate(
        "() => [...document.querySelectorAll('main p, main td, main li, main dd, main pre, main h3')]"
        ".filter(one => parseFloat(getComputedStyle(one).fontSize) < 12).length"
    )
    assert small == 0
    label = page.locator(".timeline .label").first
    assert label.evaluate("one => one.getBoundingClientRect().height") >= 11, (
        "the picture scrolls, and is not shrunk"
    )


def test_all_that_a_green_run_tells_is_seen(show: Any) -> None:
    page = show(RUNS["green"])
    for section in ("figures", "timeline", "jobs", "tables", "checks", "answers", "resources"):
        assert page.locator(f"#{section}").is_visible(), section
        assert page.locator(f"#{section}").bounding_box()["height"] > 50
    drawn = page.locator(".timeline rect.critical").first.evaluate("one => getComputedStyle(one).fill")
    plain = page.locator(".timeline rect.task").first.evaluate("one => getComputedStyle(one).fill")
    assert drawn != plain, "the critical path is marked, so the style sheet applies"
    bars = [
        page.locator("#answers .bar rect").nth(n).evaluate("one => one.getBoundingClientRect().width")
        for n in (0, 4)
    ]
    assert bars[1] / bars[0] == pytest.approx(96 / 144, abs=0.01)


def test_a_red_runs_failures_are_what_is_seen_first(show: Any) -> None:
    page = show(RUNS["red"])
    failures, timeline = page.locator("#failures").bounding_box(), page.locator("#timeline").bounding_box()
    assert failures["y"] < timeline["y"]
    assert failures["y"] < _DESK[1]
    assert "load.load_window" in page.locator("#failures article").first.inner_text()


def test_what_comes_from_outside_is_shown_as_text(show: Any) -> None:
    page = show(RUNS["hostile"])
    assert page.locator("main b", has_text="x").filter(has_not_text="<b>").count() == 0
    assert "<b>x</b>&" in page.locator(".kicker").inner_text()
