"""Airflow's UI in a real browser: a headless Chromium of this machine, driven by playwright. For tests and pictures."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.errors import NoBrowser

if TYPE_CHECKING:
    from playwright.sync_api import Page

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
# It asks nobody but the sandbox for anything.
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


@contextlib.contextmanager
def open_ui(url: str, user: str, password: str, profile: Path) -> Iterator[Page]:
    """A page of Airflow's UI in which the user is logged in; `profile` is a new directory for the browser's own files.

    Raises NoBrowser that says what to install.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise NoBrowser(
            "playwright is not installed: it is one of the packages of requirements.txt"
        ) from None
    executable = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if executable is None:
        raise NoBrowser("there is no Chromium on this machine: `apt-get install chromium`")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=executable,
            headless=True,
            args=list(_ARGUMENTS),
            viewport=_SIZE,  # type: ignore[arg-type]
            locale="en-US",
        )
        try:
            context.set_default_timeout(_TIMEOUT_MS)
            page = context.new_page()
            page.goto(f"{url}/auth/login")
            page.fill("input[name=username]", user)
            page.fill("input[name=password]", password)
            page.locator("button[type=submit]").click()
            page.wait_for_url(lambda there: "login" not in there)
            yield page
        finally:
            context.close()
