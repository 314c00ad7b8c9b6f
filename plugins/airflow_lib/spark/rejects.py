"""How much of what a job read it may leave out: asked of its counts before anything that it wrote is loaded.

A rejected row is in no table, for whatever reason, and a value that could not be read is null there. Where most of a
source is not what the tables are about, the job's declaration says so by its `max_rejected`; where more is left out
than that, the source or the job's code is not what was meant, and a load would replace good rows or values by none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from airflow_lib.errors import SourceError
from airflow_lib.pipeline import SparkJob
from airflow_lib.spark.counts import Counts
from airflow_lib.spark.manifest import Manifest
from airflow_lib.spark.outputs import Output


def refuse_rejects(job: SparkJob, output: Output, manifest: Manifest) -> None:
    """Raise SourceError where the job left out more than `max_rejected` of the rows, or of a column's values.

    - Rejected rows are judged as a share of the rows read; those of a reason in `judged_over`, of the rows named there.
      That rows are rejected and none is written is too much as well, unless `max_rejected` is 1.
    - Values are those of a note in `judged_over`: how many were unreadable, of so many that were not blank. A column
      of which nothing could be read is always too much.

    It says which reasons and notes, and where the rejected rows are.
    """
    counts, limit = manifest.counts, job.max_rejected
    told = []
    if rejected := list(_rejected(counts, limit)):
        told.append(
            f"rejected {'; and '.join(rejected)}. At most {_percent(limit)} of them may be rejected (max_rejected), "
            f"all of them only where it is 1, so nothing of it is loaded. "
            f"The rejected rows, each with its reason, are in {output.rejected_uri(manifest.attempt)}."
        )
    if unreadable := list(_unreadable(counts, limit)):
        told.append(
            f"could not read {'; and '.join(unreadable)}. At most {_percent(limit)} of a column's values may be "
            "unreadable (max_rejected), and never all, so nothing of it is loaded."
        )
    if told:
        raise SourceError(
            f"Job {job.name!r} {' It '.join(told)} Correct the source, or the job's code; or, if this is rightly left "
            "out, raise max_rejected of the job in the pipeline's declaration. Then clear the run."
        )


def _rejected(counts: Counts, limit: float) -> Iterator[str]:
    """What was rejected too often, in words."""
    rejects = {reason: rows for reason, rows in counts.rejected.items() if rows}
    others = {reason: rows for reason, rows in rejects.items() if reason not in counts.judged_over}
    read = counts.read - sum(rejects.values()) + sum(others.values())
    nothing_written = bool(others) and counts.rows_written == 0 and limit < 1
    if nothing_written or _is_too_much(others, read, limit):
        yield _describe(others, read, "rows") + (" and wrote none" if nothing_written else "")
    for whole in sorted({counts.judged_over[reason] for reason in rejects if reason not in others}):
        shared = {reason: rows for reason, rows in rejects.items() if counts.judged_over.get(reason) == whole}
        # The other rejected rows are of the same source, and so may make too much of it together with these.
        for rejected in (shared, shared | others):
            if _is_too_much(rejected, whole, limit):
                yield _describe(rejected, whole, "rows")
                break


def _unreadable(counts: Counts, limit: float) -> Iterator[str]:
    """Which columns could not be read, in words."""
    for note, values in counts.notes.items():
        whole = counts.judged_over.get(note)
        if whole is not None and values and (_is_too_much({note: values}, whole, limit) or values >= whole):
            yield _describe({note: values}, whole, "values")


def _is_too_much(left_out: Mapping[str, int], whole: int, limit: float) -> bool:
    return sum(left_out.values()) > limit * max(whole, 0)


def _describe(left_out: Mapping[str, int], whole: int, what: str) -> str:
    """`17 of 20 rows (85 %: bad_arrival_date 15, no_cicid 2)`, the most frequent reason first."""
    total = sum(left_out.values())
    share = _percent(total / whole) if whole > 0 else "all"
    reasons = sorted(left_out.items(), key=lambda item: (-item[1], item[0]))
    return f"{total} of {whole} {what} ({share}: {', '.join(f'{reason} {rows}' for reason, rows in reasons)})"


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"
