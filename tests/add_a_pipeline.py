"""The pipeline of docs/add-a-pipeline.md, as the page has it: its files, by their paths."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/add-a-pipeline.md"

_FILE = re.compile(
    r"^`((?:dags|sparkjobs|sql_templates)/[^`\n]+)`\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
_EMPTY = re.compile(r"^`((?:dags|sparkjobs|sql_templates)/[^`\n]+)` is empty\.$", re.MULTILINE)


def files_of_the_page() -> dict[str, str]:
    """The text of each file that the page has, by its path in a checkout."""
    text = PAGE.read_text()
    return dict.fromkeys(_EMPTY.findall(text), "") | dict(_FILE.findall(text))


def write_pipeline(checkout: Path) -> None:
    """Add the page's pipeline to a checkout. Raises AssertionError where it would take the place of a file."""
    for name, text in files_of_the_page().items():
        path = checkout / name
        assert not path.exists(), f"the page's {name} is there already"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
