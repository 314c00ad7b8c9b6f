"""What people click in Airflow's UI, in a real browser."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from live_runs import DAG, LiveRuns

from sandbox.airflow.browser import open_ui
from sandbox.errors import NoBrowser

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, Response

_PRESSES = 30
_PRESSED_MS = 3_000
_BUTTONS = {
    "include_downstream": "Downstream",
    "include_upstream": "Upstream",
    "only_failed": "Clear only failed tasks",
}


class Ui:
    """A page in which somebody is logged in."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self._url = page, url

    def clear_task(self, run_id: str, task_id: str, **options: bool) -> set[str]:
        """Clear the task in its dialog with these of its options; returns the tasks that the dialog names.

        The options are those of the request that the UI sends, as `include_downstream`, which is on unless said here.
        """
        dialog = self.open_dialog(run_id, task_id)
        named = self.named_after(dialog, **options)
        dialog.get_by_role("button", name="Confirm").click()
        dialog.wait_for(state="hidden")
        return named

    def open_dialog(self, run_id: str, task_id: str) -> Locator:
        """The dialog that asks what to clear."""
        self.page.goto(f"{self._url}/dags/{DAG}/runs/{quote(run_id, safe='')}/tasks/{task_id}")
        dialog = self.page.get_by_role("dialog")
        self._press_until("Shift+C", dialog)  # as the button's tooltip says
        return dialog

    def named_after(self, dialog: Locator, **options: bool) -> set[str]:
        """The tasks that the dialog says it clears with these options, each of which has the other value so far."""
        for option, wanted in options.items():
            # The dialog asks Airflow anew; what it asked when it opened may be answered later than the click.
            with self.page.expect_response(partial(_asks, option=option, wanted=wanted)) as tried:
                dialog.get_by_role("button", name=_BUTTONS[option], exact=True).click()
            affected = tried.value.json()["total_entries"]
            dialog.get_by_text(f"Affected Tasks: {affected}").wait_for()
        rows = dialog.locator("table tbody tr")
        rows.first.wait_for()
        return {row.locator("td").nth(1).inner_text().strip() for row in rows.all()}

    def _press_until(self, keys: str, appears: Locator) -> None:
        """The page takes no key before its scripts are loaded."""
        for _ in range(_PRESSES):
            self.page.keyboard.press(keys)
            with contextlib.suppress(playwright_timeout()):
                appears.wait_for(timeout=_PRESSED_MS)
                return
        appears.wait_for()


def _asks(answer: Response, *, option: str, wanted: bool) -> bool:
    return "clearTaskInstances" in answer.url and answer.request.post_data_json.get(option) is wanted


def playwright_timeout() -> type[Exception]:
    from playwright.sync_api import TimeoutError as TimedOut

    return TimedOut


@contextlib.contextmanager
def ui_of(runs: LiveRuns, profile: Path) -> Iterator[Ui]:
    """Airflow's UI, logged in. Skips the test, in words, where there is no playwright or no Chromium."""
    try:
        with open_ui(runs.airflow.url, *runs.login, profile) as page:
            yield Ui(page, runs.airflow.url)
    except NoBrowser as error:
        pytest.skip(f"nothing is clicked in the UI, for {error}")
