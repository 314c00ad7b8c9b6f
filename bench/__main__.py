"""`python -m bench [arrivals] [backfill] [overlap] [run] [slots] [--rows N] [--source DIR] [--json FILE]`.

All of these by default. `backfill_days --source DIR` is measured by name alone, for it takes half an hour, and writes
docs/backfill-report.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import arrivals, backfill, backfill_days, overlap, run, slots

ON_REQUEST = ("backfill_days",)
MEASURES = ("arrivals", "backfill", "overlap", "run", "slots")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("measures", nargs="*", metavar="measure", help=f"any of {', '.join(MEASURES)}")
    parser.add_argument(
        "--rows", type=int, default=2_000_000, help="rows to generate for arrivals and backfill"
    )
    parser.add_argument(
        "--run-rows", type=int, default=20_000, help="rows to generate for overlap, run and slots"
    )
    parser.add_argument(
        "--source", type=Path, help="input files for run, instead of generated ones, and for backfill_days"
    )
    parser.add_argument("--days", type=int, default=30, help="days of April for backfill_days")
    parser.add_argument("--days-alone", type=int, default=3, help="days with clusters of their own")
    parser.add_argument(
        "--json", type=Path, default=Path(".sandbox") / "bench.json", help="file for the figures"
    )
    options = parser.parse_args()
    known = (*MEASURES, *ON_REQUEST)
    unknown = set(options.measures) - set(known)
    if unknown:
        parser.error(f"unknown measures {', '.join(sorted(unknown))}: use any of {', '.join(known)}")
    if "backfill_days" in options.measures and options.source is None:
        parser.error("backfill_days needs --source DIR")
    figures: dict[str, Any] = {"machine": _machine()}
    for name in options.measures or MEASURES:
        figures[name] = _measure(name, options)
        _print_figures(name, figures[name])
    if "backfill_days" in figures:
        told = {**figures["backfill_days"], "machine": figures["machine"]}
        backfill_days.REPORT.write_text(backfill_days.render(told, f"{datetime.now(UTC):%Y-%m-%d}"))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(figures, indent=2) + "\n")


def _measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    if name == "arrivals":
        return arrivals.measure(options.rows)
    if name == "backfill":
        return backfill.measure(options.rows)
    if name == "backfill_days":
        return backfill_days.measure(options.source.resolve(), options.days, options.days_alone)
    if name == "overlap":
        return overlap.measure(options.run_rows)
    if name == "slots":
        return slots.measure(options.run_rows)
    return run.measure(options.run_rows, options.source)


def _machine() -> dict[str, Any]:
    """What the figures depend on; another load on the machine before the start makes them unreliable."""
    return {
        "cpus": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
    }


def _print_figures(name: str, figures: dict[str, Any]) -> None:
    table = Table(title=name, title_justify="left", show_header=False)
    for key, value in _flat(figures):
        table.add_row(key, str(value))
    Console().print(table)


def _flat(figures: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in figures.items():
        rows += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return rows


if __name__ == "__main__":
    main()
