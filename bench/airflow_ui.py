"""Airflow's UI in a headless Chromium, as a person uses it: for the pictures of the documentation, and for tests.

    with opened(url, user, password) as ui:
        ui.open("/dags/immigration")
        ui.picture(Path("dag.png"))

It needs a Chromium of the machine's own (`find_chromium`), and of Python the package playwright.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Page, sync_playwright

SIZE = (1280, 800)  # of the page in pixels
MAX_PICTURE = 150_000  # bytes
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_WAIT_MS = 120_000  # a machine that is busy with tests is slow
_SETTLED_MS = 1_500  # for animations and the pictures of a graph
_ARGUMENTS = (
    "--headless",
    "--no-sandbox",  # root's Chromium refuses to start with it; it opens nothing but our own Airflow
    "--no-proxy-server",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_chromium() -> str | None:
    """The machine's Chromium, or None where it has none."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


class AirflowUi:
    """A page of a browser in which somebody has logged in. What does not come up in time raises playwright's errors."""

    def __init__(self, page: Page, url: str) -> None:
        self._page, self._url = page, url

    def log_in(self, user: str, password: str) -> None:
        self._page.goto(self._url)
        self._page.fill("input[name=username]", user)
        self._page.fill("input[name=password]", password)
        self._page.click("button[type=submit]")
        self._page.wait_for_url(lambda at: "/login" not in at)

    def open(self, path: str, *texts: str) -> None:
        """Open a page and wait until it shows each of these texts."""
        self._page.goto(f"{self._url}{path}")
        for text in texts:
            self._page.get_by_text(text).first.wait_for()

    def open_task(self, run: tuple[str, str], task_id: str, *texts: str, tab: str = "") -> None:
        """Open a task of the run (DAG and run id): its log, or the tab of that name in the address."""
        dag_id, run_id = run
        self.open(f"/dags/{dag_id}/runs/{quote(run_id, safe='')}/tasks/{task_id}{tab and '/'}{tab}", *texts)

    def open_trigger_form(self, dag_id: str) -> None:
        self.open(f"/dags/{dag_id}", dag_id)
        self._page.get_by_test_id("trigger-dag-button").first.dispatch_event("click")
        self._page.locator("#element_window_start").wait_for()

    def trigger(self, start: str, end: str) -> None:
        """Fill the form that is open with a window, and send it."""
        self._page.fill("#element_window_start", start)
        self._page.fill("#element_window_end", end)
        self._page.get_by_test_id("trigger-dag-submit").dispatch_event("click")

    def wait_for_text(self, text: str) -> None:
        self._page.get_by_text(text).first.wait_for()

    def click(self, label: str) -> None:
        """Click the button with this label."""
        self._page.get_by_role("button", name=label).first.dispatch_event("click")

    def input_type(self, name: str) -> str:
        """The type of a param's input in the form that is open: `date` has a date picker of the browser's own."""
        return self._page.locator(f"#element_{name}").get_attribute("type") or ""

    def links(self) -> dict[str, str]:
        """The links of the page that lead elsewhere, by what they are called."""
        found = self._page.eval_on_selector_all(
            "a[href]", "all => all.map(a => [a.innerText.trim(), a.href])"
        )
        return {name: href for name, href in found if name and not href.startswith(self._url)}

    def text(self) -> str:
        """What the page shows."""
        return self._page.inner_text("body")

    def resize(self, width: int, height: int) -> None:
        """Make the page that large, in pixels, before it is opened."""
        self._page.set_viewport_size({"width": width, "height": height})

    def picture(self, path: Path) -> None:
        """Write the page as it is seen, at most MAX_PICTURE bytes. Raises ValueError where it is more."""
        self._page.wait_for_timeout(_SETTLED_MS)
        content = self._page.screenshot()
        if len(content) > MAX_PICTURE:
            raise ValueError(f"{path.name} has {len(content)} bytes; at most {MAX_PICTURE} were expected")
        path.write_bytes(content)


@contextmanager
def opened(url: str, user: str, password: str) -> Iterator[AirflowUi]:
    """A browser of its own, without a past, in which the user has logged in. Raises RuntimeError without a Chromium."""
    chromium = find_chromium()
    if chromium is None:
        raise RuntimeError(f"None of {', '.join(_NAMES)} is installed. On Debian: apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="mayfly-ui-") as profile, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=chromium,
            args=_ARGUMENTS,
            viewport={"width": SIZE[0], "height": SIZE[1]},
            reduced_motion="reduce",
        )
        try:
            context.set_default_timeout(_WAIT_MS)
            ui = AirflowUi(context.pages[0], url.rstrip("/"))
            ui.log_in(user, password)
            yield ui
        finally:
            context.close()
