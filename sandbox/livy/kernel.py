"""The code inside a session's Jupyter kernel: it makes the SparkSession, and runs statements as Livy does.

It is loaded by file name, so that the user's code can import neither this package nor the checkout, and it
imports nothing else of the sandbox. `start` is called once, then `run` for each statement in the kernel's main
thread; `progress` and `cancel` are called in a subshell, that is in another thread.
"""

from __future__ import annotations

import ast
import contextlib
import io
import logging
import os
import struct
import sys
import time
import traceback
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any

Json = dict[str, Any]

_SOURCE = "<stdin>"
_SQL_ROWS = 1000  # livy.rsc.sql.num-rows
_names: Json = {"__name__": "__main__"}
_log = logging.getLogger("statement")


class Reply:
    """A value that Jupyter transmits as JSON instead of as Python's repr."""

    def __init__(self, value: Json) -> None:
        self.value = value

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Json:
        return {"application/json": self.value}


def start(connection: str) -> Reply:
    """Attach to the driver JVM, which writes the file `connection` when it listens, and make the SparkSession."""
    sys.stdout, sys.stderr = (
        sys.__stdout__,
        sys.__stderr__,
    )  # to the driver's log instead of Jupyter's messages
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    port, secret = _wait_for_gateway(Path(connection))
    os.environ["PYSPARK_GATEWAY_PORT"] = str(port)
    os.environ["PYSPARK_GATEWAY_SECRET"] = secret

    import pyspark
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.getOrCreate()
    _names.update({"spark": spark, "sc": spark.sparkContext, "pyspark": pyspark})
    return Reply({"version": spark.version})


def _wait_for_gateway(connection: Path) -> tuple[int, str]:
    """Port and secret of the JVM. Waits without a deadline: the server kills this kernel if the JVM dies."""
    while not connection.exists():
        time.sleep(0.02)
    raw = (
        connection.read_bytes()
    )  # Java's writeInt(port), writeInt(length), secret: PythonGatewayServer.scala
    port, length = struct.unpack(">ii", raw[:8])
    return port, raw[8 : 8 + length].decode()


def run(number: int, code: str, kind: str) -> Reply:
    """Run a statement in its own job group; returns Livy's `output` without `execution_count`."""
    context = _names["sc"]
    context.setJobGroup(str(number), f"Job group for statement {number}")
    return Reply(_run_sql(code) if kind == "sql" else _run_python(code))


def _run_python(code: str) -> Json:
    """Run Python; the output has Livy's order: printed text and the last expression's value, then stderr."""
    try:
        tree = compile(code, _SOURCE, "exec", ast.PyCF_ONLY_AST)
    except SyntaxError as error:  # nothing has run, so there is no traceback
        return _failure(type(error), error, None)
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _plain_echo():
            for node in tree.body[:-1]:
                exec(compile(ast.Module([node], []), _SOURCE, "exec"), _names)
            for node in tree.body[-1:]:
                exec(compile(ast.Interactive([node]), _SOURCE, "single"), _names)
    except BaseException:  # noqa: BLE001 - a statement that calls exit has failed, the session goes on
        return _failure(*sys.exc_info())
    return {"status": "ok", "data": {"text/plain": (out.getvalue() + err.getvalue()).rstrip()}}


@contextlib.contextmanager
def _plain_echo():
    """Print an expression's value as the Python interpreter does, instead of as IPython does."""
    previous, sys.displayhook = sys.displayhook, sys.__displayhook__
    try:
        yield
    finally:
        sys.displayhook = previous


def _failure(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> Json:
    """An error in Livy's format. The frames above the statement's top level belong to this module: left out."""
    _log.error("statement failed", exc_info=(kind, error, trace))
    lines = traceback.format_exception(kind, error, trace, chain=False)
    for position, line in enumerate(lines):
        if line.lstrip().startswith(f'File "{_SOURCE}"') and "in <module>" in line:
            lines = [*lines[:1], *lines[position + 1 :]]
            break
    return {"status": "error", "ename": kind.__name__, "evalue": str(error), "traceback": lines}


def _run_sql(code: str) -> Json:
    try:
        frame = _names["spark"].sql(code)
        rows = [[_plain(value) for value in row] for row in frame.take(_SQL_ROWS)]
    except Exception as error:  # noqa: BLE001 - whatever it raises, the statement has failed
        _log.error("statement failed", exc_info=True)
        return {"status": "error", "ename": "Error", "evalue": str(error), "traceback": []}
    return {
        "status": "ok",
        "data": {"application/json": {"schema": frame.schema.jsonValue(), "data": rows}},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def progress(number: int) -> Reply:
    """Finished tasks divided by all tasks of the statement's jobs so far; 0.0 before the first task is known."""
    tracker = _names["sc"]._jsc.statusTracker()
    jobs = filter(None, (tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(str(number))))
    stages = filter(None, (tracker.getStageInfo(stage) for job in jobs for stage in job.stageIds()))
    counts = [(stage.numCompletedTasks(), stage.numTasks()) for stage in stages]
    total = sum(tasks for _, tasks in counts)
    return Reply({"progress": sum(done for done, _ in counts) / total if total else 0.0})


def cancel(number: int) -> Reply:
    """Cancel the statement's Spark jobs; its Python code continues until it calls Spark again."""
    _names["sc"].cancelJobGroup(str(number))
    return Reply({})
