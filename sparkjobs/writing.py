"""Writing what a job keeps and what it rejects, and counting both.

A tagged row carries REASON: why it is rejected, or null where it is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as fn

from sparkjobs.reading import CORRUPT, explain_read_errors, name_source, refuse_empty
from sparkjobs.values import is_filled

REASON = "reason"
# Names the folders of a day's rows: `day=2016-04-01`.
DAY = "day"
_ROW_GROUP_BYTES = 32 << 20
# The reason of a row whose fields do not match its header. Its text is told with the rejected rows, in CORRUPT.
MALFORMED = "malformed_row"

# What a job returns: {"read": rows, "written": rows, "rejected": {reason: rows}}, and "notes" where it has any.
# "written" is {output: rows} where the job has several outputs.
# The rejects are judged as a share of "read"; those of a reason in "judged_over": {reason: rows}, of these rows. A note
# there, {note: values}, is judged as well: how many of these, which are not blank, could not be read.
Counts = dict[str, Any]
# What a job makes of its kept rows.
Kept = Callable[[DataFrame], DataFrame]


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
    """REASON: MALFORMED, or the name of the first of `(name, condition)` that is true; a null condition is not.

    A filter on it is not to be pushed below it: Spark would copy into that filter all that the conditions are made of,
    down to the cleaning of a CSV's texts, and take seconds to compile it. It leaves alone what is not deterministic.
    """
    never = fn.monotonically_increasing_id() < 0
    chosen = fn.when(never, "").otherwise(fn.lit(None).cast("string"))
    for name, condition in reversed([(MALFORMED, fn.col(CORRUPT).isNotNull()), *reasons]):
        chosen = fn.when(condition, fn.lit(name)).otherwise(chosen)
    return chosen.alias(REASON)


def write_output(
    uris: Sequence[str],
    tagged: DataFrame,
    kept: Kept | Mapping[str, Kept],
    targets: Mapping[str, str],
    rejected: str,
    *,
    notes: Mapping[str, int] | None = None,
    parsed: Mapping[str, tuple[Column, Column]] | None = None,
) -> Counts:
    """Write a small dataset: what `kept` makes of its kept rows, and the rejected rows as they came.

    Returns the job's counts, with `notes`. Of a job with several outputs, `kept` has one by name for each of `targets`.
    `parsed` has (text, what is read from it, null where it cannot be) by note: where texts of kept rows are unreadable,
    the note counts them, and `judged_over` the filled ones. `tagged` is read once, and held for the other writes.
    Raises BadInput where a file behind it, at `uris`, is empty, cut off or damaged; RuntimeError where `kept` and
    `targets` are of other outputs.
    """
    if not callable(kept) and kept.keys() != targets.keys():
        raise RuntimeError(
            f"The job writes the outputs {', '.join(sorted(kept))}, but {', '.join(sorted(targets))} are declared."
        )
    parsed = parsed or {}
    tagged = tagged.persist()
    try:
        with explain_read_errors(name_source(uris)):
            readings = [_readings(*pair).alias(note) for note, pair in parsed.items()]
            # Spark refuses a struct of nothing.
            told_parsed = fn.struct(*readings) if readings else fn.lit(None)
            counted = tagged.groupBy(REASON).agg(
                fn.count(fn.lit(1)).alias("rows"), told_parsed.alias("parsed")
            )
            by_reason = {row[REASON]: row for row in counted.collect()}
        rejects = {reason: row["rows"] for reason, row in by_reason.items() if reason is not None}
        read = sum(row["rows"] for row in by_reason.values())
        refuse_empty(uris, read)
        written = _write_kept(tagged.where(fn.col(REASON).isNull()).drop(REASON, CORRUPT), kept, targets)
        if rejects:
            write_rejects(tagged.where(fn.col(REASON).isNotNull()), rejects, rejected)
    finally:
        tagged.unpersist()
    counts = {"read": read, "written": written, "rejected": dict(sorted(rejects.items()))}
    found = by_reason[None]["parsed"].asDict() if parsed and None in by_reason else {}
    bad = {note: texts for note, texts in found.items() if texts["unreadable"]}
    told = {**(notes or {}), **{note: texts["unreadable"] for note, texts in bad.items()}}
    judged = {note: texts["filled"] for note, texts in bad.items()}
    return counts | ({"judged_over": judged} if judged else {}) | ({"notes": told} if told else {})


def _write_kept(
    rows: DataFrame, kept: Kept | Mapping[str, Kept], targets: Mapping[str, str]
) -> int | dict[str, int]:
    """The rows written; by output where the job has several."""
    if callable(kept):
        return write_counted(kept(rows), only(targets))
    return {output: write_counted(of_output(rows), targets[output]) for output, of_output in kept.items()}


def only(targets: Mapping[str, str]) -> str:
    """The folder of a job that has one output, whatever that is called."""
    (target,) = targets.values()
    return target


def _readings(text: Column, value: Column) -> Column:
    """How many texts are filled, and how many of these unreadable."""
    filled = is_filled(text)
    return fn.struct(
        fn.count_if(filled).alias("filled"), fn.count_if(filled & value.isNull()).alias("unreadable")
    )


def write(rows: DataFrame, folder: str) -> None:
    """Write `rows` as Parquet into `folder`, replacing what a failed attempt may have left there."""
    _count_days_as_today(rows.sparkSession)
    rows.write.mode("overwrite").option("compression", "snappy").parquet(folder)


def write_rejects(rows: DataFrame, rejects: Mapping[str, int], folder: str) -> None:
    """Write rejected rows as they came, as one file; with the text of malformed ones where `rejects` has any.

    They are few, and moved to the one task that writes: `coalesce` would let that one read the whole source.
    """
    write((rows if MALFORMED in rejects else rows.drop(CORRUPT)).repartition(1), folder)


def _count_days_as_today(spark: SparkSession) -> None:
    """Let Spark write a day before 1582-10-15 by today's calendar, as Redshift's DATE has it.

    By default it refuses to, and the whole job dies of one such row: programs before Spark 3 used another one.
    """
    spark.conf.set("spark.sql.parquet.datetimeRebaseModeInWrite", "CORRECTED")
    spark.conf.set("spark.sql.parquet.int96RebaseModeInWrite", "CORRECTED")


def write_counted(rows: DataFrame, folder: str) -> int:
    """Write a small dataset as one file, and return its number of rows, counted during the write."""
    counting = Observation()
    write(rows.coalesce(1).observe(counting, fn.count(fn.lit(1)).alias("rows")), folder)
    return int(counting.get["rows"])


def write_by_day(rows: DataFrame, column: str, target: str) -> int:
    """Write many rows as Parquet, those of each day of `column` into `<target>day=2016-04-01/`, and count them.

    `column` is a date or a time (in UTC), and stays in the files. A task writes a file a day; where no row is left,
    one file without rows says what columns there are. Raises RuntimeError where a row has no day, or where there is a
    column `day`, which Spark would leave out of the files.

    - Each task sorts its rows by day, so that it has one file open, however many days it meets. Files open side by
      side (`maxConcurrentOutputFileWriters`) cost a tenth more CPU, and each buffers a row group; a shuffle to have one
      file a day costs as much.
    - The JVM never compiles a method over 8,000 bytes of bytecode, and Spark makes one of a wide projection
      unless its limit is set to that: interpreted, the method takes several times the CPU.
    - A writer buffers a row group in memory, so it is smaller than Parquet's default of 128 MiB.
    """
    if DAY in map(str.lower, rows.columns):
        raise RuntimeError(f"The output has a column {DAY!r}, which names its folders: give it another name.")
    spark, counting = rows.sparkSession, Observation()
    _count_days_as_today(spark)
    spark.conf.set("spark.sql.codegen.hugeMethodLimit", "8000")
    counted = rows.withColumn(DAY, fn.col(column).cast("date")).observe(
        counting, fn.count(fn.lit(1)).alias("rows"), fn.count(DAY).alias("dated")
    )
    writer = counted.write.mode("overwrite").option("compression", "snappy")
    writer.option("parquet.block.size", _ROW_GROUP_BYTES).partitionBy(DAY).parquet(target)
    counts = counting.get
    if counts["dated"] < counts["rows"]:
        raise RuntimeError(
            f"{counts['rows'] - counts['dated']} of {counts['rows']} rows have no day in {column!r}: reject these rows."
        )
    if not counts["rows"]:
        write(rows.limit(0).coalesce(1), target)
    return int(counts["rows"])
