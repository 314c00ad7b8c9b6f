"""Writing what a job keeps and what it rejects, and counting both.

A tagged row carries REASON: why it is rejected, or null where it is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as fn

from sparkjobs.reading import CORRUPT, explain_read_errors, refuse_corrupt, refuse_empty

REASON = "reason"

# What a job returns: {"read": rows, "written": rows, "rejected": {reason: rows}}, and "notes" where it has any.
# The rejects are judged as a share of "read"; those of a reason in "judged_over": {reason: rows}, of these rows.
Counts = dict[str, Any]


def fit(column: Column, size: int) -> Column:
    """`column` cut to `size` bytes of UTF-8, never within a character: Redshift's VARCHAR(n) counts bytes.

    Text that fits, as nearly all does, costs no more than reading its length.
    """
    return fn.when(fn.octet_length(column) <= size, column).otherwise(_head(column, size))


def fit_text(text: Column, size: int, blank: Column) -> Column:
    """`text`, which is trimmed, cut to `size` bytes; `blank` where it is null or empty."""
    length = fn.octet_length(text)
    return fn.when(length.between(1, size), text).when(length > size, _head(text, size)).otherwise(blank)


def _head(text: Column, size: int) -> Column:
    """The first `size` bytes of text. A character cut in two decodes as U+FFFD, which is removed."""
    head = fn.decode(fn.substring(text.cast("binary"), 1, size), "UTF-8")
    return fn.call_function("rtrim", fn.lit("\ufffd"), head)


def first_reason(*reasons: tuple[str, Column]) -> Column:
    """REASON: the name of the first of `(name, condition)` that is true; a null condition is not."""
    chosen = fn.lit(None).cast("string")
    for name, condition in reversed(reasons):
        chosen = fn.when(condition, fn.lit(name)).otherwise(chosen)
    return chosen.alias(REASON)


def write_output(
    uri: str, tagged: DataFrame, kept: Callable[[DataFrame], DataFrame], target: str, rejected: str
) -> Counts:
    """Write a small dataset: what `kept` makes of its kept rows, and the rejected rows as they came.

    Returns the job's counts. `tagged` is read once, and held for the second write. Raises BadInput where
    the file behind it is empty, cut off or damaged.
    """
    tagged = tagged.persist()
    try:
        with explain_read_errors(uri):
            counted = tagged.groupBy(REASON).agg(
                fn.count(fn.lit(1)).alias("rows"), fn.min(CORRUPT).alias(CORRUPT)
            )
            by_reason = {row[REASON]: row for row in counted.collect()}
        for row in by_reason.values():
            refuse_corrupt(uri, row[CORRUPT])
        rejects = {reason: row["rows"] for reason, row in by_reason.items() if reason is not None}
        read = sum(row["rows"] for row in by_reason.values())
        refuse_empty(uri, read)
        written = write_counted(kept(tagged.where(fn.col(REASON).isNull()).drop(REASON, CORRUPT)), target)
        if rejects:
            write(tagged.where(fn.col(REASON).isNotNull()).drop(CORRUPT).coalesce(1), rejected)
    finally:
        tagged.unpersist()
    return {"read": read, "written": written, "rejected": dict(sorted(rejects.items()))}


def write(rows: DataFrame, folder: str) -> None:
    """Write `rows` as Parquet into `folder`, replacing what a failed attempt may have left there."""
    rows.write.mode("overwrite").option("compression", "snappy").parquet(folder)


def write_counted(rows: DataFrame, folder: str) -> int:
    """Write a small dataset as one file, and return its number of rows, counted during the write."""
    counting = Observation()
    write(rows.coalesce(1).observe(counting, fn.count(fn.lit(1)).alias("rows")), folder)
    return int(counting.get["rows"])


def write_partitioned(spark: SparkSession, rows: DataFrame, folder: str, *columns: str) -> None:
    """Write many rows as Parquet into `folder`, in one sub-folder for each value of `columns`.

    - Spark would sort all rows by `columns` first; with concurrent writers it does so only where a task meets
      more values than that.
    - The JVM never compiles a method over 8,000 bytes of bytecode, and Spark makes one of a wide projection
      unless its limit is set to that: interpreted, the method takes several times the CPU.
    - A writer buffers a row group in memory, so it is smaller than Parquet's default of 128 MiB.
    """
    spark.conf.set("spark.sql.maxConcurrentOutputFileWriters", "8")
    spark.conf.set("spark.sql.codegen.hugeMethodLimit", "8000")
    writer = (
        rows.write.mode("overwrite").option("compression", "snappy").option("parquet.block.size", 32 << 20)
    )
    writer.partitionBy(*columns).parquet(folder)
