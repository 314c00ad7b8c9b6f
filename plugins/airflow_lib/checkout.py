"""Where the folders are that travel with the code: `sparkjobs/`, `sql_templates/`, `docs/`.

In a checkout they are beside `plugins/`. Where `plugins/` alone is deployed (Amazon MWAA), they are in it.
"""

from __future__ import annotations

from pathlib import Path

_PLUGINS = Path(__file__).resolve().parents[1]


def find_in_checkout(name: str, plugins: Path = _PLUGINS) -> Path:
    """The folder or file `name` of the checkout that `plugins` is of; where there is none, where it should be."""
    packaged = plugins / name
    beside = plugins.parent / name
    return packaged if packaged.exists() and not beside.exists() else beside
