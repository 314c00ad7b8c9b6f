"""What a Spark driver does with a statement: it runs the very code that Mayfly renders, on stand-in jobs."""

from __future__ import annotations

import builtins
import contextlib
import io
import re
import traceback
from collections.abc import Callable, Sequence
from datetime import date, datetime
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_lib.aws.s3_location import S3Location
from airflow_lib.pipeline import Window
from tests.world.pipeline import Row, rows_of
from tests.world.wired_s3 import MotoObjects

JobRunner = Callable[[str], dict[str, Any]]
Inputs = list[list[str]]
Targets = dict[str, str]
Days = tuple[str, str]

ALL_DAYS = Window(date(2016, 3, 1), date(2016, 7, 1))  # of the source of a job that is not windowed

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(_DATE.pattern + r" \d\d:\d\d:\d\d(\.\d+)?")


class Jobs:
    """The stand-ins, by name; one that is not there writes the rows of `pipeline.rows_of`.

    A job is `(inputs, targets, rejected, window) -> counts`, as sparkjobs' `run` without its first argument.
    """

    def __init__(self) -> None:
        self.by_name: dict[str, Callable[..., dict[str, Any]]] = {}
        self.ran: list[str] = []
        self.tells_progress = True

    def run_code(self, code: str) -> dict[str, Any]:
        """A statement's output as Livy shows it."""
        printed = io.StringIO()
        scope = {"spark": None, "__builtins__": {**vars(builtins), "__import__": self._import}}
        try:
            with contextlib.redirect_stdout(printed):
                exec(code, scope)
        except Exception as error:  # noqa: BLE001  a driver reports whatever the job raised
            trace = traceback.format_exception(error)
            return {
                "status": "error",
                "ename": type(error).__name__,
                "evalue": str(error),
                "traceback": trace,
            }
        return {"status": "ok", "execution_count": 0, "data": {"text/plain": printed.getvalue().rstrip()}}

    def _import(self, name: str, *args: Any) -> Any:
        """The package `sparkjobs.<pipeline>` holds the stand-ins here; every other import is Python's."""
        if not name.startswith("sparkjobs."):
            return builtins.__import__(name, *args)
        if name == "sparkjobs.progress":  # what a driver tells, a test `put`s
            if not self.tells_progress:
                raise ImportError(name)
            return SimpleNamespace(progress=lambda *_: contextlib.nullcontext())
        (job,) = args[2]
        return SimpleNamespace(**{job: SimpleNamespace(run=lambda spark, **given: self._run(job, given))})

    def _run(self, job: str, given: dict[str, Any]) -> dict[str, Any]:
        self.ran.append(job)
        return self.by_name.get(job, write_rows)(**given)


def write_rows(
    inputs: Inputs,
    targets: Targets,
    rejected: str,
    window: Days | None,
    rows: Sequence[Row] | None = None,
) -> dict[str, Any]:
    """Of each output the rows of its name, or those given, each in one file."""
    written = {}
    for name, target in targets.items():
        # Outputs that are no table's are of the arrivals.
        source = name if name in ("arrivals", "airports") else "arrivals"
        mine = rows_of(source, window_of(window)) if rows is None else rows
        write_dataset(target, mine)
        written[name] = len(mine)
    return counts_of(written)


def write_days(
    inputs: Inputs, targets: Targets, rejected: str, window: None, rows: Sequence[Row] | None = None
) -> dict[str, Any]:
    """A partitioned job: the rows of all days, or those given, in a folder for each `day`."""
    (name,) = targets
    every = rows_of(name, ALL_DAYS) if rows is None else rows
    for day in sorted({row["day"] for row in every}):
        body = parquet_of([row for row in every if row["day"] == day])
        put(f"{targets[name]}day={day}/part-00000.parquet", body)
    put(targets[name] + "_SUCCESS", b"")
    return counts_of({name: len(every)})


def write_dataset(target: str, rows: Sequence[Row]) -> None:
    """One file of Parquet, and the marker that Spark's committer writes last."""
    put(target + "part-00000.parquet", parquet_of(rows))
    put(target + "_SUCCESS", b"")


def counts_of(written: dict[str, int]) -> dict[str, Any]:
    """What a job answers that wrote so many rows of each output: the number alone where there is one."""
    total = sum(written.values())
    return {
        "read": total + 1,
        "written": written if len(written) > 1 else total,
        "rejected": {"age below 0": 1},
        "notes": {"unknown port": 2},
    }


def window_of(window: Days | None) -> Window:
    """What a job's rows are of: all days, where it is not told a window."""
    return ALL_DAYS if window is None else Window(*(date.fromisoformat(day) for day in window))


def parquet_of(rows: Sequence[Row]) -> bytes:
    """The rows as Spark writes them: text that is a day or a time has that type, and a time is of 96 bits."""
    columns = {name: [_as_spark_has_it(row[name]) for row in rows] for name in (rows[0] if rows else {})}
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression="none", use_deprecated_int96_timestamps=True)
    return sink.getvalue()


def _as_spark_has_it(value: Any) -> Any:
    if isinstance(value, str) and _DATE.fullmatch(value):
        return date.fromisoformat(value)
    if isinstance(value, str) and _TIME.fullmatch(value):
        return datetime.fromisoformat(value)
    return value


def put(uri: str, body: bytes) -> None:
    """Put an object into the account without a call."""
    MotoObjects()[_where(uri)] = body


def get(uri: str) -> bytes | None:
    """An object of the account, read without a call; None where it is not there."""
    return MotoObjects().get(_where(uri))


def _where(uri: str) -> tuple[str, str]:
    """Bucket and key; `S3Location` would take the slash off the end of a folder's key."""
    bucket = S3Location.parse(uri).bucket
    return bucket, uri.removeprefix(f"s3://{bucket}/")
