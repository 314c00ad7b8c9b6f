"""What of a stretch of time the warehouse holds as it would be loaded now, what it does not, and why. Only reads.

The stretch is cut wherever a load that the exported ledger tells begins or ends, so each part was loaded as a whole or
not at all. A part is as it would be loaded now where the loads that wrote it are. Each is compared with what a run of
its own window would load now, for the output of a windowed job is of one window alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from functools import cached_property
from itertools import pairwise

from airflow_lib.aws.errors import AWS_ERRORS
from airflow_lib.backfill.changes import Changes
from airflow_lib.errors import DeclarationError, MayflyError, OutputError, SourceError
from airflow_lib.lifecycle.document import Document, Phase
from airflow_lib.naming import generation_of
from airflow_lib.pipeline import Window, WindowUnit
from airflow_lib.spark.batch import Batch, describe_missing
from airflow_lib.spark.manifest import read_manifest
from airflow_lib.spark.rejects import refuse_rejects
from airflow_lib.steps import Run
from airflow_lib.steps.batch import look_at_sources
from airflow_lib.steps.held import is_there, read_loads
from airflow_lib.steps.transform import resolve_job
from airflow_lib.warehouse.held import RecordedLoad, Wanted, holds, wanted_of
from airflow_lib.warehouse.sql_hash import hash_sql

_AS_NOW, _OTHER = "as now", "other"


@dataclass(frozen=True)
class Part:
    """A stretch, and how it stands: `why` it is to be loaded; `is_known`: False where that is for want of knowledge."""

    window: Window
    is_loaded: bool
    why: str
    is_known: bool = True


@dataclass(frozen=True)
class _Told:
    """What is told of the warehouse: its loads, or why they are not known."""

    loads: tuple[RecordedLoad, ...] = ()
    unknown: str = ""


class Judge:
    """How the parts of `run`'s window stand. `run` gives the pipeline, the settings and AWS: it is none.

    Raises SourceError where a source is missing, RegisterError and ResourceError where S3 cannot be asked.
    """

    def __init__(self, run: Run) -> None:
        self._run, self._pipeline = run, run.pipeline
        self.batch: Batch = look_at_sources(run)
        lacking = (describe_missing(run.aws.s3, run.source, job, self.batch) for job in self._pipeline.jobs)
        if missing := next(filter(None, lacking), ""):
            raise SourceError(missing)
        self.document: Document = run.register.read()
        self._told = _find_told(run, self.document)
        self._loaded = {self._pipeline.job_of(table.output).name for table in self._pipeline.staging}
        self._outputs: dict[str, str | None] = {}

    def judge(self) -> list[Part]:
        """The parts in order, those that stand alike for the same reason as one."""
        window = self._run.window
        if self._told.unknown:
            return [Part(window, is_loaded=False, why=self._told.unknown, is_known=False)]
        parts: list[Part] = []
        for piece in self._cut(window):
            part = self._judge(piece)
            last = parts[-1] if parts else None
            if last is not None and last == replace(part, window=last.window):
                parts[-1] = replace(last, window=Window(last.window.start, piece.end))
            else:
                parts.append(part)
        return parts

    def _cut(self, window: Window) -> Iterator[Window]:
        bounds = {window.start, window.end}
        for load in self._told.loads:
            own = self._window_of(load)
            bounds |= (
                {bound for bound in (own.start, own.end) if window.start < bound < window.end}
                if own
                else set()
            )
        ordered = sorted(bounds)
        yield from (Window(start, end) for start, end in pairwise(ordered))

    def _judge(self, piece: Window) -> Part:
        load = holds(self._compared, piece, self._wanted)
        if load is not None:
            return Part(piece, is_loaded=True, why=_tell(load, "loaded"))
        return Part(piece, is_loaded=False, why=self._why(piece))

    @cached_property
    def _wanted(self) -> Wanted:
        """What a run would load now, of the windowed jobs by the word for it."""
        wanted = wanted_of(self._pipeline, dict.fromkeys(self._loaded, _AS_NOW), self._code)
        now = self._outputs_now(self._run.window, wanted.everywhere & self._loaded)
        return replace(wanted, outputs={**wanted.outputs, **{job: sha or _OTHER for job, sha in now.items()}})

    @cached_property
    def _compared(self) -> list[RecordedLoad]:
        """The loads, with whether each output of a windowed job is what a run of the load's window would load now."""
        return [replace(load, outputs=self._compare(load)) for load in self._told.loads]

    def _compare(self, load: RecordedLoad) -> dict[str, str]:
        """An output that could not be had now is never that of a load, whose hashes are of 64 digits."""
        outputs = dict(load.outputs)
        windowed = (self._loaded - self._wanted.everywhere) & outputs.keys()
        own = self._window_of(load)
        now = self._outputs_now(own, windowed) if own and _overlaps(load, self._run.window) else {}
        return {**outputs, **{job: _AS_NOW if now.get(job) == outputs[job] else _OTHER for job in windowed}}

    def _outputs_now(self, window: Window, jobs: AbstractSet[str]) -> dict[str, str | None]:
        """By job, the hash of the manifest of what it makes of the sources as they are; None where it has yet to."""
        of_window = replace(self._run, window=window)
        found = {}
        for name in jobs:
            job = self._pipeline.job(name)
            output = resolve_job(of_window, job, self.batch).output
            if output.address not in self._outputs:
                try:
                    manifest = read_manifest(self._run.aws.s3, output)
                    if manifest is not None:
                        refuse_rejects(job, output, manifest)
                except (OutputError, SourceError):  # a run would fail, or compute it anew
                    manifest = None
                self._outputs[output.address] = None if manifest is None else manifest.sha256
            found[name] = self._outputs[output.address]
        return found

    def _why(self, piece: Window) -> str:
        """Why a run would load the piece: the first thing that differs, from the latest load of it on."""
        pairs = list(zip(self._told.loads, self._compared, strict=True))
        touching = [pair for pair in pairs if _overlaps(pair[0], piece)]
        if not touching:
            return "never loaded"
        for load, compared in sorted(touching, key=_when, reverse=True):
            if changed := self._differs(load, compared, self._loaded):
                return changed
        newest = max(pairs, key=_when)
        for load, compared in (pair for pair in pairs if _when(pair) == _when(newest)):
            if changed := self._differs(load, compared, self._wanted.everywhere & self._loaded):
                return f"the latest load is not of what serves every window now: {changed}"
        return "loaded in part alone"

    def _differs(self, load: RecordedLoad, compared: RecordedLoad, jobs: AbstractSet[str]) -> str:
        """What is not as it would be loaded now, of these jobs' outputs and the SQL; empty where all is."""
        if not load.code:
            return f"its checks or answers did not come through, or its run did not end, {_tell(load, 'when loaded')}"
        reasons = ["the SQL, tables or checks changed"] if load.code != self._code else []
        if load.outputs.keys() != self._loaded:
            reasons.append("other jobs are declared")
        own = self._window_of(load)
        if own is None:
            reasons.append("its window is none of this pipeline's")
        else:
            changes = Changes(replace(self._run, run_id=load.run_id, window=own), self.batch)
            changed = [
                job for job in sorted(jobs & load.outputs.keys()) if compared.outputs[job] != self._now(job)
            ]
            reasons += [changes.describe(self._pipeline.job(job)) for job in changed]
        return f"{'; '.join(reasons)} {_tell(load, 'since it was loaded')}" if reasons else ""

    def _now(self, job: str) -> str:
        return self._wanted.outputs[job]

    @cached_property
    def _code(self) -> str:
        return hash_sql(self._pipeline)

    def _window_of(self, load: RecordedLoad) -> Window | None:
        """The load's window, in the pipeline's unit; None where it is none of it."""
        start, end = load.window_start, load.window_end
        try:
            if self._pipeline.window_unit is WindowUnit.INSTANT:
                return Window(start, end)
            if start.time() == end.time() == time():
                return Window(start.date(), end.date())
        except DeclarationError:
            pass
        return None


def _find_told(run: Run, document: Document) -> _Told:
    state = document.warehouse
    if state.phase is not Phase.EMPTY:
        return _Told(
            unknown=f"not known while there is a warehouse (generation {state.generation}, "
            f"{state.phase.replace('_', ' ')}); a run would find out"
        )
    if state.snapshot is None:
        return _Told()
    generation = generation_of(run.environment, state.snapshot)
    if generation is None:
        return _Told(
            unknown=f"not known, for snapshot {state.snapshot} has no generation; a run would find out"
        )
    try:
        loads = read_loads(run, generation)
        there = is_there(run, state.snapshot)
    except (MayflyError, *AWS_ERRORS) as error:
        return _Told(unknown=f"not known; a run would find out: {error}")
    if not there:
        return _Told(
            unknown=f"not known, for snapshot {state.snapshot} is not available: a run would find out"
        )
    if loads is None:
        return _Told(
            unknown=f"not known, for nobody told what snapshot {state.snapshot} holds: the last run was ended, or its "
            "warehouse was torn down by the janitor; a run would find out"
        )
    return _Told(loads)


def _overlaps(load: RecordedLoad, piece: Window) -> bool:
    start, end = (
        bound if isinstance(bound, datetime) else datetime.combine(bound, time(), UTC)
        for bound in (piece.start, piece.end)
    )
    return load.window_start < end and start < load.window_end


def _when(pair: tuple[RecordedLoad, RecordedLoad]) -> datetime:
    return pair[0].loaded_at


def _tell(load: RecordedLoad, what: str) -> str:
    return f"{what} by run {load.run_id:.250} at {load.loaded_at:%Y-%m-%d %H:%M:%S} UTC"


def list_to_load(parts: Sequence[Part]) -> list[Window]:
    """The windows of what is not loaded, in order."""
    return [part.window for part in parts if not part.is_loaded]
