"""Tells how far a job is while it runs, in a small file beside its output.

Livy tells of a statement that runs one share alone, which drops whenever Spark begins another job, and no session's log
has the driver's lines where the driver runs in the cluster (YARN's cluster mode): so the driver writes the file.
A job's output does not depend on it, and nothing that happens here fails a job.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from pyspark.sql import SparkSession

EVERY_S = 2.0

_BEGUN = frozenset({"ACTIVE", "COMPLETE", "FAILED"})


class _Stage(NamedTuple):
    status: str
    tasks_done: int = 0
    tasks: int = 0
    read: int = 0
    written: int = 0


@contextmanager
def progress(spark: SparkSession, uri: str, every_s: float = EVERY_S) -> Iterator[None]:
    """While the body runs, let the file at `uri` say how far Spark is: written where that changed, every `every_s`.

    What it says first is that the job has begun. Raises nothing.
    """
    over = threading.Event()

    def report(stages: Stages) -> None:
        told = None
        while not over.is_set():
            with suppress(Exception):  # such as S3 that is busy, or a JVM that is ending
                text = stages.describe() if told else "begun"
                if text != told:
                    _write(spark, uri, text)
                    told = text
            over.wait(every_s)

    with suppress(Exception):  # such as no thread that can be had
        threading.Thread(target=report, args=(Stages(spark),), name="progress", daemon=True).start()
    try:
        yield
    finally:
        over.set()


class Stages:
    """Spark's own record of its stages (`AppStatusStore`, which its UI shows), read from the driver.

    Only Spark jobs that begin after it was made count. A stage that is through is asked for once: there may be many.
    """

    def __init__(self, spark: SparkSession) -> None:
        self._store: Any = spark._jsc.sc().statusStore()  # noqa: SLF001 - PySpark has no public way to it
        self._over: dict[int, _Stage] = {}
        self._earlier = {int(job.jobId()) for job in self._list_jobs()}

    def describe(self) -> str:
        """How far Spark is, for people: `stage 3 of 4 so far (2 of 8 tasks), 1,200,000 rows read, 0 written`.

        How many stages are to come is known of the Spark jobs that have begun alone. The rows read are those of the
        stage that has read most: a job may read its source several times, or hold rows and read them again.
        """
        begun: dict[int, _Stage] = {}
        ahead: set[int] = set()
        for job in self._list_jobs():
            if int(job.jobId()) in self._earlier:
                continue
            text = job.stageIds().mkString(",")
            looked = {number: self._look(number) for number in map(int, filter(None, text.split(",")))}
            started = {number: seen for number, seen in looked.items() if seen.status in _BEGUN}
            begun.update(started)
            if job.status().toString() == "RUNNING":
                ahead |= _to_come(looked, started)
        ahead -= begun.keys()
        active = [stage for stage in begun.values() if stage.status == "ACTIVE"]
        done, tasks = sum(stage.tasks_done for stage in active), sum(stage.tasks for stage in active)
        share = f" ({done:,} of {tasks:,} tasks)" if active else ""
        read = max((stage.read for stage in begun.values()), default=0)
        written = sum(stage.written for stage in begun.values())
        number, known = len(begun), len(begun) + len(ahead)
        return f"stage {number:,} of {known:,} so far{share}, {read:,} rows read, {written:,} written"

    def _list_jobs(self) -> Iterator[Any]:
        jobs = self._store.jobsList(None)
        return (jobs.apply(index) for index in range(jobs.size()))

    def _look(self, number: int) -> _Stage:
        if number in self._over:
            return self._over[number]
        try:
            stage = self._store.lastStageAttempt(number)
        except Exception:  # noqa: BLE001 - Java's NoSuchElementException: Spark keeps the last 1,000 alone
            return _Stage("UNKNOWN")
        seen = _Stage(
            str(stage.status().toString()),
            int(stage.numCompleteTasks()),
            int(stage.numTasks()),
            int(stage.inputRecords()),
            int(stage.outputRecords()),
        )
        if seen.status in ("COMPLETE", "SKIPPED"):
            self._over[number] = seen
        return seen


def _to_come(looked: dict[int, _Stage], started: dict[int, _Stage]) -> set[int]:
    """The stages of a job that are still to begin.

    A stage is numbered after those that it reads. One that waits below another that has begun is mostly one whose
    output is there already, which Spark calls skipped only at the job's end.
    """
    waiting = {number for number, seen in looked.items() if seen.status == "PENDING"}
    if started:
        return {number for number in waiting if number > max(started)}
    return {max(waiting)} if waiting else set()


def _write(spark: SparkSession, uri: str, text: str) -> None:
    path = spark._jvm.org.apache.hadoop.fs.Path(uri)  # type: ignore[union-attr]  # noqa: SLF001
    stream = path.getFileSystem(spark._jsc.hadoopConfiguration()).create(path, True)  # noqa: SLF001
    try:
        stream.write(bytearray(text.encode()))
    finally:
        stream.close()
