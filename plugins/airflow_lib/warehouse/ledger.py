"""The ledger's latest loads as JSON, for whoever has to know what a warehouse holds while there is none.

They are read, and stored, under the loads' lock: no load can come between the two, or be forgotten by what is stored.
What is read back is data that may be anything: it ends in loads or in a WarehouseError.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow_lib.bounded_json import load_json
from airflow_lib.errors import WarehouseError
from airflow_lib.warehouse.connection import Connection, Cursor, transact
from airflow_lib.warehouse.cursor import fetch_rows, run_script
from airflow_lib.warehouse.held import RecordedLoad
from airflow_lib.warehouse.sql import ROOT, render

VERSION = 1
MAX_LOADS = 1000
MAX_BYTES = 2 * 1024 * 1024

# The lock is free, or held by a load whose run has lost its lease: that one is not waited for.
_PATIENCE_MS = 60_000


def export_loads(
    conn: Connection,
    pipeline: str,
    generation: int,
    store: Callable[[bytes], None],
    *,
    limit: int = MAX_LOADS,
    root: Path = ROOT,
) -> int:
    """Store the pipeline's latest loads; how many they are. `store` is called under the loads' lock.

    Raises WarehouseError, and what `store` raises.
    """
    session = render("shared/session", root=root, timeout_ms=_PATIENCE_MS)
    lock = render("shared/lock_loads", root=root)
    script = render("shared/list_loads", root=root, pipeline=pipeline, limit=limit)

    def work(cursor: Cursor) -> int:
        run_script(cursor, session)
        run_script(cursor, lock)
        rows = fetch_rows(cursor, script)
        loads = _without_a_half_second([_parse_row(row) for row in rows], is_cut=len(rows) >= limit)
        body, kept = _encode(pipeline, generation, loads)
        store(body)
        return kept

    return transact(conn, work, what=f"Exporting the loads of {pipeline}")


def finish_load(conn: Connection, pipeline: str, run_id: str, batch: str, *, root: Path = ROOT) -> None:
    """Let the ledger say that the run's checks and answers came through after its load of the batch.

    Raises WarehouseError, also where loads of other runs keep it waiting for a minute.
    """
    session = render("shared/session", root=root, timeout_ms=_PATIENCE_MS)
    script = render("shared/finish_load", root=root, pipeline=pipeline, run_id=run_id, batch=batch)

    def work(cursor: Cursor) -> None:
        run_script(cursor, session)
        run_script(cursor, script)

    transact(conn, work, what=f"Finishing the load of run {run_id}")


def decode_loads(body: bytes, pipeline: str, generation: int) -> tuple[RecordedLoad, ...]:
    """The loads that were stored. Raises WarehouseError where they are none of this pipeline and generation."""

    def unusable(cause: str) -> WarehouseError:
        return WarehouseError(f"The exported ledger is {cause}.")

    content = load_json(body, unusable, max_bytes=MAX_BYTES)
    try:
        told = content["version"], content["pipeline"], content["generation"]
        if told != (VERSION, pipeline, generation):
            raise ValueError(f"it is of {told!r:.100}, not of {(VERSION, pipeline, generation)}")
        return tuple(_parse_load(item) for item in content["loads"])
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise unusable(f"none that this version of Mayfly wrote ({error})") from error


def _without_a_half_second(loads: list[RecordedLoad], *, is_cut: bool) -> list[RecordedLoad]:
    """Without the loads of the earliest second, where others of that second may have been left out."""
    if not is_cut:
        return loads
    earliest = min(load.loaded_at for load in loads)
    return [load for load in loads if load.loaded_at != earliest]


def _encode(pipeline: str, generation: int, loads: list[RecordedLoad]) -> tuple[bytes, int]:
    """As many of the loads, which are the latest first, as may be stored, by whole seconds."""
    while True:
        content = {
            "version": VERSION,
            "pipeline": pipeline,
            "generation": generation,
            "loads": [_load_as_json(load) for load in loads],
        }
        body = json.dumps(content, indent=1).encode()
        if len(body) <= MAX_BYTES:
            return body, len(loads)
        half = loads[: len(loads) // 2]
        loads = _without_a_half_second(half, is_cut=bool(half))


def _load_as_json(load: RecordedLoad) -> dict[str, Any]:
    return {
        "run_id": load.run_id,
        "window_start": load.window_start.isoformat(),
        "window_end": load.window_end.isoformat(),
        "manifests": dict(load.outputs),
        "code": load.code,
        "loaded_at": load.loaded_at.isoformat(),
    }


def _parse_load(item: Any) -> RecordedLoad:
    outputs = item["manifests"]
    if not isinstance(outputs, dict):
        raise TypeError("manifests is no JSON object")
    start, end, loaded_at = (_parse_time(item[name]) for name in ("window_start", "window_end", "loaded_at"))
    return RecordedLoad(
        _text(item["run_id"]),
        start,
        end,
        {name: _text(output) for name, output in outputs.items()},
        _text(item["code"]),
        loaded_at,
    )


def _parse_time(text: Any) -> datetime:
    moment = datetime.fromisoformat(_text(text))
    if moment.utcoffset() is None:
        raise ValueError(f"{text!r:.40} has no time zone")
    return moment.astimezone(UTC)


def _parse_row(row: tuple[Any, ...]) -> RecordedLoad:
    """A row of `shared/list_loads`. Of what is no JSON of ours no output is known, and so it holds nothing."""
    run_id, start, end, manifests, code, loaded_at = row
    try:
        parsed = load_json(manifests or "", ValueError)
        outputs = {name: _text(output) for name, output in parsed.items()}
    except (ValueError, TypeError, AttributeError):
        outputs = {}
    return RecordedLoad(str(run_id), _utc(start), _utc(end), outputs, str(code or ""), _utc(loaded_at))


def _utc(value: Any) -> datetime:
    """A TIMESTAMP of the ledger, which is in UTC and has no zone. Raises WarehouseError."""
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError as error:
        raise WarehouseError(f"The ledger holds {str(value)[:40]!r}, which is no time.") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return value
