"""How much of what a job read it may reject: asked of its counts before anything that it wrote is loaded.

A rejected row is in no table, for whatever reason. Where most of a source is not what the tables are about, the job's
declaration says so by its `max_rejected`; where more is rejected than that, the source or the job's code is not what
was meant, and a load would replace good rows by next to none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from airflow_lib.errors import SourceError
from airflow_lib.pipeline import SparkJob
from airflow_lib.spark.outputs import Counts, Manifest, Output


def refuse_rejects(job: SparkJob, output: Output, manifest: Manifest) -> None:
    """Raise SourceError where the job rejected more than `max_rejected` of what it read, or all of it.

    The share is of the rows read; of a reason in `judged_over`, of the rows named there. It says which reasons, and
    where the rejected rows are.
    """
    findings = list(_findings(manifest.counts, job.max_rejected))
    if findings:
        raise SourceError(
            f"Job {job.name!r} rejected {'; and '.join(findings)}. At most {_percent(job.max_rejected)} of them may be "
            f"rejected (max_rejected), and never all, so nothing of it is loaded. "
            f"The rejected rows, each with its reason, are in {output.rejected_uri(manifest.attempt)}. "
            "Correct the source, or the job's code; or, if these rows are rightly left out, raise max_rejected of the "
            "job in the pipeline's declaration. Then clear the run."
        )


def _findings(counts: Counts, limit: float) -> Iterator[str]:
    """What was rejected too often, in words."""
    apart = {
        reason: rows for reason, rows in counts.rejected.items() if rows and reason in counts.judged_over
    }
    others = {reason: rows for reason, rows in counts.rejected.items() if rows and reason not in apart}
    read = counts.read - sum(apart.values())
    if _is_too_much(sum(others.values()), read, limit) or (others and counts.written == 0):
        yield _describe(others, read)
    for reason, rows in apart.items():
        whole = counts.judged_over[reason]
        if _is_too_much(rows, whole, limit) or rows >= whole:
            yield _describe({reason: rows}, whole)


def _is_too_much(rejected: int, read: int, limit: float) -> bool:
    return rejected > limit * max(read, 0)


def _describe(rejected: Mapping[str, int], read: int) -> str:
    """`17 of 20 rows (85 %: bad_arrival_date 15, no_cicid 2)`, the most frequent reason first."""
    total = sum(rejected.values())
    share = _percent(total / read) if read > 0 else "all"
    reasons = sorted(rejected.items(), key=lambda item: (-item[1], item[0]))
    return f"{total} of {read} rows ({share}: {', '.join(f'{reason} {rows}' for reason, rows in reasons)})"


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"
