"""Airflow's UI in a real browser: a headless Chromium of this machine, driven by playwright."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from live_runs import DAG, LiveRuns

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
# Nothing but the sandbox is asked for anything.
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
)
_TIMEOUT_MS = 120_000
_SIZE = {"width": 1400, "height": 900}


class Ui:
    """A page in which somebody is logged in."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self._url = page, url

    def log_in(self, user: str, password: str) -> None:
        self.page.goto(f"{self._url}/auth/login")
        self.page.fill("input[name=username]", user)
        self.page.fill("input[name=password]", password)
        self.page.locator("button[type=submit]").click()
        self.page.wait_for_url(lambda url: "login" not in url)

    def open_task(self, run_id: str, task_id: str) -> None:
        self.page.goto(f"{self._url}/dags/{DAG}/runs/{quote(run_id, safe='')}/tasks/{task_id}")
        self.page.get_by_role("heading", name=task_id).or_(self.page.get_by_text(task_id)).first.wait_for()

    def open_grid(self) -> None:
        self.page.goto(f"{self._url}/dags/{DAG}")

    def clear_task(self, run_id: str, task_id: str, *toggled: str) -> set[str]:
        """Clear the task in its dialog after clicking these of its options; returns the tasks that the dialog names."""
        self.open_task(run_id, task_id)
        button = self.page.get_by_role("button", name="Clear Task Instance")
        button.first.click()
        dialog = self.page.get_by_role("dialog")
        dialog.wait_for()
        for option in toggled:
            with self._another_dry_run():
                dialog.get_by_role("button", name=option, exact=True).click()
        affected = self._affected(dialog)
        dialog.get_by_role("button", name="Confirm").click()
        dialog.wait_for(state="hidden")
        return affected

    @contextlib.contextmanager
    def _another_dry_run(self) -> Iterator[None]:
        with self.page.expect_response(lambda answer: "clearTaskInstances" in answer.url):
            yield

    def _affected(self, dialog: Locator) -> set[str]:
        rows = dialog.locator("table tbody tr")
        rows.first.wait_for()
        return {row.locator("td").first.inner_text().strip() for row in rows.all()}


@contextlib.contextmanager
def ui_of(runs: LiveRuns, profile: Path) -> Iterator[Ui]:
    """Airflow's UI, logged in. Skips the test, in words, where there is no playwright or no Chromium."""
    sync_api = pytest.importorskip(
        "playwright.sync_api",
        reason="playwright is not installed, so no browser clicks: see requirements.txt",
    )
    executable = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if executable is None:
        pytest.skip("no Chromium on this machine, so no browser clicks: `apt-get install chromium`")
    with sync_api.sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=executable,
            headless=True,
            args=list(_ARGUMENTS),
            viewport=_SIZE,
            locale="en-US",
        )
        try:
            context.set_default_timeout(_TIMEOUT_MS)
            ui = Ui(context.new_page(), runs.airflow.url)
            ui.log_in(*runs.login)
            yield ui
        finally:
            context.close()
