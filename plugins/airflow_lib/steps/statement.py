"""What a session is given to run, and what it answers: a job's contract.

A job's `run` is called with everything that it needs to know, and returns its counts; the statement prints them, and
which output of which attempt they are of, as one line of JSON. What comes back is data from outside.
"""

from __future__ import annotations

from typing import Any

from airflow_lib.bounded_json import load_json
from airflow_lib.errors import JobFault, LivyError, OutputError
from airflow_lib.pipeline import SparkJob
from airflow_lib.spark.counts import Counts
from airflow_lib.spark.outputs import Output
from airflow_lib.steps import Json, Run
from airflow_lib.steps.pinned_output import HEX


def render_statement(run: Run, job: SparkJob, output: Output, inputs: list[list[str]], attempt: str) -> str:
    """The Python that the session runs; it prints the job's counts as one JSON line, and who wrote them.

    A session that an earlier version made has code that tells no progress.
    """
    window = (run.window.start.isoformat(), run.window.end.isoformat())
    arguments: dict[str, Any] = {
        "inputs": inputs,
        "targets": {name: output.target_uri(attempt, name) for name in job.output_names},
        "rejected": output.rejected_uri(attempt),
        "window": window if job.windowed else None,
    }
    about = {"mayfly": 1, "attempt": attempt, "address": output.address}
    return (
        "import contextlib, json\n"
        f"from sparkjobs.{run.pipeline.name} import {job.name} as job\n"
        "try:\n"
        "    from sparkjobs.progress import progress\n"
        "except ImportError:\n"
        "    progress = lambda *_: contextlib.nullcontext()\n"
        f"with progress(spark, {output.progress_uri!r}):\n"
        f"    counts = job.run(spark, **{arguments!r})\n"
        f"print(json.dumps({{**counts, **{about!r}}}))\n"
    )


def parse_answer(text: str, job: str) -> Json:
    """The JSON line that the statement printed last. Raises LivyError where there is none."""
    for line in reversed(text.splitlines()):
        try:
            answer = load_json(line, LivyError)
        except LivyError:
            continue
        if isinstance(answer, dict) and answer.get("mayfly") == 1:
            if all(
                isinstance(answer.get(key), str) and HEX.match(answer[key]) for key in ("address", "attempt")
            ):
                return answer
            raise LivyError(
                f"Job {job!r} printed a result without the address and attempt that its statement names, of 32 hex "
                f"digits each: {line[-500:]!r}. Let `run` return nothing but counts, then clear the task."
            )
    raise LivyError(
        f"Job {job!r} printed no result; one JSON line was expected. The end of what it printed: {text[-500:]!r}"
    )


def parse_counts(answer: Json, job: SparkJob) -> Counts:
    """The counts in a job's answer. Raises JobFault where they are malformed: the same code returns the same again."""
    try:
        return Counts.parse(answer, job.output_names)
    except OutputError as error:
        raise JobFault(
            f"What `run` of job {job.name!r} returned cannot be used: {error} These are `read` and `written`, and by "
            "name `rejected`, `judged_over` and `notes`. Correct the job, then clear the task."
        ) from error
