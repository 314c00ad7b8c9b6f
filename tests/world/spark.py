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

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(_DATE.pattern + r" \d\d:\d\d:\d\d(\.\d+)?")


class Jobs:
    """The stand-ins, by name; one that is not there writes the rows of `pipeline.rows_of`.

    A job is `(inputs, target, rejected, window) -> counts`, as sparkjobs' `run` without its first argument.
    """

    def __init__(self) -> None:
        self.by_name: dict[str, Callable[..., dict[str, Any]]] = {}
        self.ran: list[str] = []

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
        (job,) = args[2]
        return SimpleNamespace(**{job: SimpleNamespace(run=lambda spark, **given: self._run(job, given))})

    def _run(self, job: str, given: dict[str, Any]) -> dict[str, Any]:
        self.ran.append(job)
        return self.by_name.get(job, write_rows)(**given)


def write_rows(
    inputs: list[str],
    target: str,
    rejected: str,
    window: tuple[str, str],
    rows: Sequence[Row] | None = None,
) -> dict[str, Any]:
    """The job's rows, or those given, in one file of Parquet, and the marker that Spark's committer writes last."""
    job = target.split("/")[-4]
    start, end = (date.fromisoformat(day) for day in window)
    written = rows_of(job, Window(start, end)) if rows is None else rows
    put(target + "part-00000.parquet", parquet_of(written))
    put(target + "_SUCCESS", b"")
    return {
        "read": len(written) + 1,
        "written": len(written),
        "rejected": {"age below 0": 1},
        "notes": {"unknown port": 2},
    }


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
