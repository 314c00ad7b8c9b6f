"""Takes setup_backend.md apart: its sections, and the blocks of code in them, as they stand."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "setup_backend.md"

_BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# (?P<path>/\S+)\n")


@dataclass(frozen=True)
class Block:
    """A block of code; `path` is the file that its first line names, if it is one."""

    section: str
    language: str
    text: str

    @property
    def path(self) -> str:
        found = _FILE.match(self.text)
        return found["path"] if found else ""

    @property
    def first_line(self) -> str:
        return self.text.splitlines()[0]


def blocks_of(section: str) -> list[Block]:
    """The blocks of the section with this number, in their order."""
    text = DOCUMENT.read_text().split(f"\n## {section}. ", 1)[1].split("\n## ", 1)[0]
    return [Block(section, found["language"], found["text"]) for found in _BLOCK.finditer(text)]


def block(section: str, beginning: str) -> Block:
    """The one block of a section whose text, or whose file, begins so."""
    found = [one for one in blocks_of(section) if one.text.startswith((beginning, f"# {beginning}"))]
    assert len(found) == 1, f"section {section} has {len(found)} blocks that begin with {beginning!r}"
    return found[0]


def read_environment_file(text: str) -> dict[str, str]:
    """The variables of a file that a unit names as EnvironmentFile, as systemd.exec(5) says."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(("#", ";"))]
    pairs = [line.partition("=") for line in lines]
    return {name: "".join(shlex.split(value)) for name, _, value in pairs}


def read_unit(path: Path) -> dict[str, list[str]]:
    """The values of each key of a unit, whatever its section."""
    values: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        name, found, value = line.partition("=")
        if found and not line.startswith("#"):
            values.setdefault(name, []).append(value)
    return values
