"""The one transaction that loads a window: write, audit, publish.

Whatever a load changes is checked before the commit. Where a check of severity error finds more rows than before, or a
window that had rows would have none, the transaction is rolled back: readers, and the next snapshot, never see what it
wrote.
Staging is filled before it (`load`), how rows get into each table is in `table_loads`, the checks' SQL in `quality`.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow_lib.bounded_json import load_json
from airflow_lib.errors import WarehouseError
from airflow_lib.pipeline import Append, Complete, OnEmpty, Pipeline, Severity, Table, Window
from airflow_lib.warehouse.connection import Connection, Cursor, transact
from airflow_lib.warehouse.cursor import fetch_count, fetch_rows, run_script
from airflow_lib.warehouse.quality import (
    CheckContext,
    Verdict,
    count_failing,
    describe_failing,
    hash_check,
    judge,
    render_check,
    tables_of,
)
from airflow_lib.warehouse.select_template import read_select
from airflow_lib.warehouse.sql import ROOT, Script, render
from airflow_lib.warehouse.sql_hash import hash_sql
from airflow_lib.warehouse.table_loads import TableLoads

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WindowLoad:
    """What is to be loaded: `run_id`'s staging `schema`, for `window`.

    By job: `manifests` are the hashes of the jobs' manifests, `pinned_at` is when the run's batch was fixed, which is
    when it looked at the source. By output: `written` is how many rows of the window they say. `batch` is the hash of
    the run's batch, by which Append knows it.
    """

    pipeline: Pipeline
    run_id: str
    window: Window
    schema: str
    manifests: Mapping[str, str]
    written: Mapping[str, int]
    pinned_at: Mapping[str, datetime]
    batch: str

    def __str__(self) -> str:
        return (
            f"Loading {self.pipeline.name} for {self.window.start} to {self.window.end} (run {self.run_id})"
        )


@dataclass(frozen=True)
class Loaded:
    """What a load came to.

    `tables` holds for each table `total`, all its rows, and where it is loaded by windows also `rows`, those of the
    window, and `before`, those of the window before the load. `verdicts` are those of the checks that the load asked,
    `kept` the tables that were left as they were (OnEmpty.KEEP), `held` those that had the batch's rows already
    (Append).
    `refused` says why nothing was committed; it is empty where all was.
    """

    tables: Mapping[str, Mapping[str, int]]
    verdicts: tuple[Verdict, ...] = ()
    kept: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    refused: str = ""


def load_window(
    conn: Connection,
    load: WindowLoad,
    *,
    locked: Callable[[], None] = lambda: None,
    root: Path = ROOT,
    sleep: Callable[[float], None] = time.sleep,
) -> Loaded:
    """Load the window from staging, if it brings no rows that fail a check of severity error.

    One transaction under the loads' lock: the tables are loaded as each is declared, whichever run wrote what they
    hold, rows that nothing references are deleted where that is declared, the checks are asked, and the ledger records
    it. Repeating it, or loading a window's days one by one in any order, ends in the same tables.
    `locked` is called once the loads' lock is held, before anything is changed; where it raises, nothing is.
    Failing rows that were there before, and are not more now, do not refuse the load: their verdicts tell of them.
    Raises WarehouseError; after ConnectionLost it is unknown whether the load was committed: repeat it, nothing is
    loaded twice.
    """
    started = time.monotonic()
    keep: frozenset[str] = frozenset()
    suspect: frozenset[str] = frozenset()
    while True:  # once more where something turns out, at most as often as there are tables and checks
        try:
            run = _Transaction(load, root, keep, suspect, locked).run
            loaded = transact(conn, run, what=str(load), sleep=sleep)
        except _Again as found:
            keep, suspect = keep | found.keep, suspect | found.suspect
            continue
        except _Refused as refused:
            logger.warning("%s: rolled back", load)
            return refused.loaded
        break
    logger.info("%s: committed after %.1f s, rows %s", load, time.monotonic() - started, loaded.tables)
    for table in loaded.kept:
        logger.warning("%s: the source has no row of the window; table %s keeps its rows", load, table)
    for table in loaded.held:
        logger.info("%s: table %s holds the rows of this batch already; none was added", load, table)
    for table, rows in loaded.tables.items():
        if rows.get("rows", 0) < rows.get("before", 0):
            logger.warning(
                "%s: table %s had %s rows of the window and has %s now; was the source replaced by a poorer one?",
                load,
                table,
                rows["before"],
                rows["rows"],
            )
    for verdict in loaded.verdicts:
        if verdict.was_there:
            logger.warning("%s: what fails check %s was there before, and stays", load, verdict.name)
    return loaded


def read_verdicts(conn: Connection, pipeline: Pipeline, run_id: str) -> dict[str, Verdict]:
    """By name, what the checks found before the run's load was committed; without samples and SQL.

    A check is not among them where the ledger does not say it, not so that it can be read, or of a check that was
    declared otherwise then. Raises WarehouseError.
    """
    script = render("shared/read_verdicts", pipeline=pipeline.name, run_id=run_id)
    what = f"Reading the verdicts of run {run_id}"
    rows = transact(conn, lambda cursor: fetch_rows(cursor, script), what=what)
    recorded = _parse_recorded(rows[0][0]) if rows else {}
    verdicts = {}
    for check in pipeline.checks:
        match recorded.get(check.name):
            case {"check": declared, "failing": int(failing), "before": int(before)} if (
                declared == hash_check(check)
            ):
                verdicts[check.name] = Verdict(check.name, check.severity, failing, before=before)
    return verdicts


class _Again(Exception):
    """Roll back, and load once more: without the tables `keep`, and asking the checks `suspect` before the changes."""

    def __init__(self, *, keep: Collection[str] = (), suspect: Collection[str] = ()) -> None:
        super().__init__()
        self.keep, self.suspect = frozenset(keep), frozenset(suspect)


class _Refused(Exception):
    """Roll back, and say what was found."""

    def __init__(self, loaded: Loaded) -> None:
        super().__init__()
        self.loaded = loaded


class _Transaction:
    """One try of a load.

    `keep` are the tables that it must not change, `suspect` the checks to ask before the changes, too.
    """

    def __init__(
        self,
        load: WindowLoad,
        root: Path,
        keep: frozenset[str],
        suspect: frozenset[str],
        locked: Callable[[], None],
    ) -> None:
        self._load, self._root, self._keep, self._suspect = load, root, keep, suspect
        self._locked = locked
        self._pipeline = load.pipeline
        self._named = {"pipeline": self._pipeline.name, "run_id": load.run_id}
        self._values = {
            "schema": load.schema,
            "window_start": load.window.start,
            "window_end": load.window.end,
        }
        self._loads = TableLoads(self._pipeline, self._values, root)

    def run(self, cursor: Cursor) -> Loaded:
        run_script(cursor, self._render("shared/lock_loads"))
        self._locked()
        self._refuse_older(cursor)
        before = {table: self._count_window(cursor, table) for table in self._pipeline.windows}
        context = self._tell_context(before)
        failing_before = self._ask_suspect(cursor, context)
        held = self._list_held(cursor)
        for script in self._loads.list_changes(self._keep | held):
            run_script(cursor, script)
        tables = {table.name: self._count(cursor, table, before) for table in self._pipeline.warehouse_tables}
        self._refuse_emptied(before, tables)
        verdicts = self._audit(cursor, context, failing_before)
        loaded = Loaded(tables, verdicts, kept=tuple(sorted(self._keep)), held=tuple(sorted(held)))
        self._write_ledger(cursor, loaded)
        return loaded

    def _refuse_older(self, cursor: Cursor) -> None:
        """Raise where another run has loaded other output of a job, which it chose later than this run its own.

        That is told by the loads of the very window, of a partitioned job by those that overlap it, and of a job that
        is neither by the latest of any window. Where both have the same output, which of them loads it does not matter.
        The outputs of a windowed job for two windows are never the same: there the loads of windows that overlap tell
        it whose batch is another one.
        """
        everywhere = {job.name for job in self._pipeline.jobs if not job.loads_window}
        partitioned = {job.name for job in self._pipeline.jobs if job.partitioned_by is not None}
        windowed = {job.name for job in self._pipeline.jobs if job.windowed}
        self._refuse_older_than(cursor, "shared/list_loads_of_window", set(self._load.manifests))
        if windowed:
            self._refuse_older_than(cursor, "shared/list_overlapping_batches", windowed)
        if partitioned:
            self._refuse_older_than(cursor, "shared/list_overlapping_loads", partitioned)
        if everywhere:
            self._refuse_older_than(cursor, "shared/list_latest_loads", everywhere)

    def _refuse_older_than(self, cursor: Cursor, template: str, jobs: Collection[str]) -> None:
        mine = _as_text(self._load.pinned_at)
        script = self._render(template, **self._named, batch=self._load.batch)
        for run_id, manifests, pinned_at in fetch_rows(cursor, script):
            theirs, pinned = _parse_recorded(manifests), _parse_recorded(pinned_at)
            for job, manifest in self._load.manifests.items():
                is_other = job in jobs and theirs.get(job) not in (None, manifest)
                if is_other and job in mine and str(pinned.get(job, "")) > mine[job]:
                    raise _Refused(Loaded({}, refused=self._say_older(job, mine[job], run_id, pinned[job])))

    def _say_older(self, job: str, at: str, run_id: str, later: str) -> str:
        return (
            f"{self._load}: nothing was loaded, because it would bring back what a newer load replaced: its output of "
            f"job {job!r} was chosen at {at}, and run {run_id} has loaded another one, chosen at {later}. The tables "
            "are as they were. Clear the run from provision.preflight on: it then loads the source as it is now, so "
            "put the old file back first if its rows are to be loaded again. Or leave the tables as they are."
        )

    def _list_held(self, cursor: Cursor) -> frozenset[str]:
        """The tables of Append that hold the batch's rows already, because a load of whichever run has added them.

        So they are where the batch was loaded, and where the very outputs were that the table's SELECT reads: then the
        batch is another one by the files of other jobs alone.
        """
        tables = [table for table in self._pipeline.warehouse_tables if isinstance(table.load, Append)]
        if not tables:
            return frozenset()
        appended = {table.name for table in tables}
        named = {"pipeline": self._pipeline.name, "batch": self._load.batch}
        loads = fetch_rows(cursor, self._render("shared/list_loads_of_batch", **named))
        # A load from before the table was declared has not added them; of what cannot be read, suppose that it has.
        added = [_parse_recorded(table_rows) or dict.fromkeys(appended) for (table_rows,) in loads]
        held = {name for name in appended if any(name in rows for rows in added)}
        return frozenset(held | {one.name for one in tables if self._has_appended(cursor, one)})

    def _has_appended(self, cursor: Cursor, table: Table) -> bool:
        """Whether a load, of whatever batch, has added the outputs that the table's SELECT reads."""
        read = read_select(self._pipeline, table, root=self._root).staging
        mine = {
            job: self._load.manifests[job]
            for staging in self._pipeline.staging
            if staging.name.lower() in read
            for job in [self._pipeline.job_of(staging.output).name]
        }
        if not mine:
            return False
        named = {"pipeline": self._pipeline.name, "containing": f"%{min(mine.values())}%"}
        loads = fetch_rows(cursor, self._render("shared/list_loads_of_output", **named))
        return any(
            mine.items() <= _parse_recorded(manifests).items() and table.name in _parse_recorded(table_rows)
            for manifests, table_rows in loads
        )

    def _refuse_emptied(self, before: Mapping[str, int], tables: Mapping[str, Mapping[str, int]]) -> None:
        """Raise where a table had rows of the window and has none now, and its declaration does not want that."""
        windows = self._pipeline.windows
        emptied = [
            name
            for name, window in windows.items()
            if before[name] and not tables[name]["rows"] and window.on_empty is not OnEmpty.REPLACE
        ]
        # A table that is kept, and empty all the same, was emptied by pruning.
        failing = [
            name for name in emptied if windows[name].on_empty is not OnEmpty.KEEP or name in self._keep
        ]
        if failing:
            raise _Refused(Loaded({}, refused=self._say_emptied(failing, before)))
        if emptied:
            raise _Again(keep=emptied)

    def _say_emptied(self, tables: Collection[str], before: Mapping[str, int]) -> str:
        window = f"{self._load.window.start} to {self._load.window.end}"
        held = ", ".join(f"{before[name]} rows of table {name}" for name in tables)
        return (
            f"{self._load}: nothing was loaded, because it would delete {held} and put none in their place: the "
            f"source holds no row of {window} any more, as where its file was replaced by that of another window. "
            "The tables are as they were. Put the window's rows back into the source and clear the run; or declare "
            "ReplaceWindow(…, on_empty=OnEmpty.KEEP) to keep the rows in such a case, OnEmpty.REPLACE to delete them."
        )

    def _tell_context(self, before: Mapping[str, int]) -> CheckContext:
        kept = {name: before[name] for name in self._keep}
        load = self._load
        return CheckContext(self._pipeline, load.window, load.schema, load.written, kept)

    def _ask_suspect(self, cursor: Cursor, context: CheckContext) -> dict[str, int]:
        """How many rows fail each suspect check before anything is changed, by the check's name."""
        suspect = [check for check in self._pipeline.checks if check.name in self._suspect]
        return {check.name: count_failing(cursor, render_check(check, context)) for check in suspect}

    def _audit(self, cursor: Cursor, context: CheckContext, before: Mapping[str, int]) -> tuple[Verdict, ...]:
        """The verdicts of the checks of severity error, and of every Complete, which only the load can ask rightly.

        Raises _Refused where one of severity error finds rows, unless there were as many before: whole tables are
        checked, and what another load brought, or a person, must not keep every other window from being loaded.
        Raises _Again where it is not known yet how many there were.
        """
        checks = [
            check
            for check in self._pipeline.checks
            if check.severity == Severity.ERROR or isinstance(check, Complete)
        ]
        verdicts = judge(cursor, [render_check(check, context) for check in checks], before=before)
        failing = [one for one in verdicts if not one.passed and one.severity == Severity.ERROR]
        suspect = {one.name for one in failing} & self._list_of_whole_tables() - self._suspect
        if suspect:
            raise _Again(suspect=suspect)
        mine = [one for one in failing if not one.was_there]
        if mine:
            others = [one for one in failing if one.was_there]
            found = describe_failing([*mine, *others])
            refused = f"{self._load}: nothing was loaded, the tables are as they were. {found}"
            raise _Refused(Loaded({}, verdicts, refused=refused))
        return verdicts

    def _list_of_whole_tables(self) -> set[str]:
        """The checks that read no staging. What does is about this load alone, as Complete is: nothing was before."""
        staging = {table.name for table in self._pipeline.staging}
        return {check.name for check in self._pipeline.checks if not tables_of(check) & staging}

    def _write_ledger(self, cursor: Cursor, loaded: Loaded) -> None:
        ledger = {
            "manifests": _json(self._list_loaded_manifests()),
            "pinned_at": _json(_as_text(self._load.pinned_at)),
            "table_rows": _json(loaded.tables),
            "verdicts": _json(self._describe_verdicts(loaded.verdicts)),
            "batch": self._load.batch,
            "code": hash_sql(self._pipeline, self._root),
        }
        run_script(cursor, self._render("shared/write_ledger", **self._named, **ledger))

    def _list_loaded_manifests(self) -> dict[str, str]:
        """Without those loaded by window where a table kept its rows: they are still those of the run before."""
        by_window = {job.name for job in self._pipeline.jobs if job.loads_window} if self._keep else set()
        return {job: manifest for job, manifest in self._load.manifests.items() if job not in by_window}

    def _describe_verdicts(self, verdicts: Collection[Verdict]) -> dict[str, Any]:
        """As `read_verdicts` reads them."""
        hashes = {check.name: hash_check(check) for check in self._pipeline.checks}
        return {
            one.name: {"check": hashes[one.name], "failing": one.failing_rows, "before": one.before}
            for one in verdicts
        }

    def _count(self, cursor: Cursor, table: Table, before: Mapping[str, int]) -> dict[str, int]:
        counts = {}
        if table.window is not None:
            counts = {"before": before[table.name], "rows": self._count_window(cursor, table.name)}
        return {**counts, "total": fetch_count(cursor, self._render("shared/count", table=table.name))}

    def _count_window(self, cursor: Cursor, table: str) -> int:
        column = self._pipeline.windows[table].column
        return fetch_count(cursor, self._render("shared/count_window", table=table, column=column))

    def _render(self, template: str, **values: Any) -> Script:
        return render(template, root=self._root, **self._values, **values)


def _parse_recorded(text: str) -> dict[str, Any]:
    """A JSON object of the ledger; an empty one where it is none that Mayfly wrote."""
    try:
        recorded = load_json(text, WarehouseError)
    except WarehouseError as error:
        logger.warning("The ledger holds what is %s", error)
        return {}
    return recorded if isinstance(recorded, dict) else {}


def _as_text(times: Mapping[str, datetime]) -> dict[str, str]:
    """In UTC and in one form, so that the later one is the greater one."""
    return {name: time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for name, time in times.items()}


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
