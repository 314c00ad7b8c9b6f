"""A run's input, the caller's files or generated ones, and the window that it loads by default."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from sandbox.account import Account, source_files
from sandbox.errors import SandboxError

# The dates of the published data, [start, end).
_DEFAULT_WINDOWS = {"immigration": (date(2016, 4, 1), date(2016, 5, 1))}
_SEED = 2016
_NOT_PIPELINES = frozenset({"janitor"})


@dataclass(frozen=True)
class Window:
    """The dates, or instants in UTC, to load: `start` is included, `end` is not."""

    start: date
    end: date

    @property
    def conf(self) -> dict[str, str]:
        """The window as params of the DAG."""
        return {"window_start": self.start.isoformat(), "window_end": self.end.isoformat()}


def check_pipeline(name: str, dags: Path) -> None:
    """Raise SandboxError, with the names that exist, if no DAG file has this name."""
    known = sorted(path.stem for path in dags.glob("*.py") if path.stem not in _NOT_PIPELINES)
    if name not in known:
        raise SandboxError(f"There is no pipeline {name!r}; {dags} has: {', '.join(known) or 'none'}")


def choose_window(pipeline: str, start: date | None, end: date | None) -> Window:
    """The requested window, by default the pipeline's own. Raises SandboxError if they are no window."""
    if start is None and end is None:
        if pipeline not in _DEFAULT_WINDOWS:
            raise SandboxError(f"{pipeline} has no default window: give --window-start and --window-end")
        return Window(*_DEFAULT_WINDOWS[pipeline])
    if start is None or end is None:
        raise SandboxError("Give both --window-start and --window-end, or neither")
    if isinstance(start, datetime) != isinstance(end, datetime):
        raise SandboxError("Give --window-start and --window-end both as dates, or both with a time")
    if end < start:
        raise SandboxError(f"The window ends ({end}) before it starts ({start}): swap the two")
    if end == start:
        raise SandboxError(
            f"The window is empty: --window-end is the first that is not loaded, so not {start}"
        )
    return Window(start, end)


def check_source(pipeline: str, directory: Path | None) -> None:
    """Raise SandboxError if a run would have no input: no file in `directory`, or no generator if that is None."""
    if directory is None:
        _generator(pipeline)
    else:
        source_files(directory)


def upload_source(account: Account, pipeline: str, directory: Path) -> str:
    """Upload the caller's files; returns a line for the log."""
    size = account.replace_source(pipeline, directory)
    return f"{len(source_files(directory))} files of {directory} ({size / 1e6:.1f} MB) are in S3"


def upload_generated(account: Account, pipeline: str, rows: int | None, scratch: Path) -> str:
    """Generate input in `scratch` and upload it; returns a line for the log."""
    generate = _generator(pipeline)
    directory = scratch / pipeline
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    try:
        generate(directory, **({"rows": rows} if rows is not None else {}), seed=_SEED)
        size = account.replace_source(pipeline, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return f"Generated input ({size / 1e6:.1f} MB) is in S3"


def _generator(pipeline: str) -> Callable[..., object]:
    module = f"sandbox.data.{pipeline}"
    try:
        generate: Callable[..., object] = importlib.import_module(module).generate
        return generate
    except ModuleNotFoundError as error:
        if error.name not in (module, "sandbox.data"):
            raise
        raise SandboxError(f"There is no generator for {pipeline}: give --source DIR") from None
