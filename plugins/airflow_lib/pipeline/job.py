"""Spark jobs and what they read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A file or folder (a trailing `/`) below the pipeline's source folder.

    Of several names, for a source that is published in more than one form, the first that has content is read.
    `columns` are what the job reads of it, in any order and case; what a CSV's header or a Parquet file's schema lacks
    of them is told before a cluster is made. `delimiter` separates a CSV's fields.
    """

    names: tuple[str, ...]
    columns: tuple[str, ...] = ()
    delimiter: str = ","

    def __init__(self, *names: str, columns: tuple[str, ...] = (), delimiter: str = ",") -> None:
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "delimiter", delimiter)


@dataclass(frozen=True)
class SparkJob:
    """One dataset's Spark job, run in a Livy session of its own.

    Its code is `sparkjobs/<pipeline>/<name>.py:run(spark, inputs, target, rejected, window)`.
    A source that is text is short for a `Source` of that one name.
    The output of a `windowed` job depends on the run's window, so it is computed for each window; the output of the
    others serves every run until a source or the code changes.
    `partitioned_by` is a column with a day: such a job reads its whole source once, whatever the window, and writes a
    folder for each day; a run loads the days of its window.
    Where more than `max_rejected` of the rows read are rejected (a share, 0 to 1), or of a column's values unreadable,
    the job fails before anything of it is loaded; so it does where rows are rejected and none is written, unless
    `max_rejected` is 1, and where nothing of a column can be read.
    """

    name: str
    sources: tuple[str | Source, ...]
    windowed: bool = False
    max_rejected: float = 0.5
    outputs: tuple[str, ...] = ()
    partitioned_by: str | None = None

    @property
    def output_names(self) -> tuple[str, ...]:
        """The datasets that the job writes: one of the job's own name, unless `outputs` says otherwise."""
        return self.outputs or (self.name,)
