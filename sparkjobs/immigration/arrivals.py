"""Arrivals: the I94 rows of a window, one per record, with labels in place of codes.

How one row per record is found without shuffling whole rows: a first, narrow pass reads a few columns and sets, for
every block of 64 consecutive keys, one bit each. Where a block has more rows than bits, a key is repeated; only the
rows of such blocks (there are none in the real files) are shuffled and compared whole. All others are written
straight from the source.

The two forms of the source, a record's key and what disqualifies a row are in `i94`, the output's columns in
`arrival_columns`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from pyspark.sql import Column, DataFrame, Observation, SparkSession, Window
from pyspark.sql import functions as fn

from sparkjobs.immigration import i94
from sparkjobs.immigration.arrival_columns import UNREADABLE, in_words, noteworthy, with_labels
from sparkjobs.immigration.i94 import ARRIVED, TOURIST_ID
from sparkjobs.immigration.labels import Labels, read_labels
from sparkjobs.reading import CORRUPT, explain_read_errors, refuse_empty, small_table
from sparkjobs.writing import MALFORMED, REASON, Counts, first_reason, write_partitioned, write_rejects

DUPLICATE = "duplicate_tourist_id"
BLOCK = "block"
BLOCK_SIZE = 64
ROWS_PER_PARTITION = 1_000_000


def run(
    spark: SparkSession, inputs: Sequence[str], target: str, rejected: str, window: tuple[str, str]
) -> Counts:
    """Write staging_immigration's Parquet, by year and month, and return the counts.

    `read` counts the rows whose arrival lies in the window, and those without a readable date of arrival,
    which lie in none; `notes` counts the others as `outside_window`, and of the rows written the codes
    without a label and the departures, ages, years of birth and visas that are unreadable.
    A row is rejected for one of `i94.reasons`, or as `duplicate_tourist_id`: of the good rows of the whole source
    that share a key, all but one. `judged_over` has the source's rows, of which those without a readable date are a
    share: every window rejects them; and of a note of unreadable values, those that are filled. Raises
    BadInput naming the file where a source cannot be read.
    """
    source, label_file = inputs
    notes: dict[str, int] = {}
    labels = read_labels(spark, label_file, notes)
    rows = i94.read_i94(spark, source, notes)
    tagged = i94.with_values(rows).withColumn(REASON, first_reason(*i94.reasons()))
    inside = _inside(window)
    with explain_read_errors(source):
        by_reason, repeating = _survey(source, tagged, inside)
        rejects = {
            reason: group["inside"] for reason, group in by_reason.items() if reason and group["inside"]
        }
        good, bad, held = _compare(spark, tagged, repeating)
        if repeating:
            repeated = bad.where(inside & (fn.col(REASON) == DUPLICATE)).count()
            rejects.update({DUPLICATE: repeated} if repeated else {})
        if rejects:
            write_rejects(bad.where(inside).drop(*i94.ADDED), rejects, rejected)
        written, noted, filled = _write_kept(spark, good.where(inside), labels, target)
        held.unpersist()
    read = sum(group["inside"] for group in by_reason.values())
    of_source = sum(group["rows"] for group in by_reason.values())
    if read != written + sum(rejects.values()):
        raise RuntimeError(
            f"{source}: {read} rows read, but {written} written and {rejects} rejected. "
            "The source changed during the job: run the job again."
        )
    return {
        "read": read,
        "written": written,
        "rejected": dict(sorted(rejects.items())),
        "judged_over": {reason: of_source for reason in (MALFORMED, i94.UNDATED) if reason in rejects}
        | filled,
        "notes": {"outside_window": of_source - read, **notes, **noted},
    }


def _inside(window: tuple[str, str]) -> Column:
    """Whether a row's arrival lies in the window; a row without a readable one, or malformed, is in every window."""
    start, end = ((date.fromisoformat(day) - date(1960, 1, 1)).days for day in window)
    days = fn.col(ARRIVED)
    return fn.col(CORRUPT).isNotNull() | days.isNull() | ((days >= start) & (days < end))


def _survey(
    source: str, tagged: DataFrame, inside: Column
) -> tuple[dict[str | None, dict[str, Any]], list[int]]:
    """One narrow pass over the source: ({reason: its rows, and those inside}, blocks with a repeated key)."""
    index = fn.col(TOURIST_ID).bitwiseAND(BLOCK_SIZE - 1).cast("int")
    bit = fn.call_function("shiftleft", fn.lit(1).cast("bigint"), index)
    good = fn.col(REASON).isNull()
    by_block = tagged.groupBy(REASON, fn.when(good, _block()).alias(BLOCK)).agg(
        fn.count(fn.lit(1)).alias("rows"),
        fn.count_if(inside).alias("inside"),
        fn.bit_or(bit).alias("ids"),
    )
    is_repeating = fn.col(BLOCK).isNotNull() & (fn.col("rows") > fn.bit_count("ids"))
    grouped = by_block.groupBy(REASON).agg(
        fn.sum("rows").alias("rows"),
        fn.sum("inside").alias("inside"),
        fn.collect_list(fn.when(is_repeating, fn.col(BLOCK))).alias("repeating"),
    )
    by_reason = {row[REASON]: row.asDict() for row in grouped.collect()}
    refuse_empty(source, sum(group["rows"] for group in by_reason.values()))
    return by_reason, [block for group in by_reason.values() for block in group["repeating"]]


def _block() -> Column:
    """The number of the block of 64 consecutive keys that a row belongs to."""
    return fn.shiftright(TOURIST_ID, 6)


def _compare(
    spark: SparkSession, tagged: DataFrame, repeating: list[int]
) -> tuple[DataFrame, DataFrame, DataFrame]:
    """(Good rows, one per key; rejected rows; the rows that Spark holds in memory until both are written).

    Of good rows that share a key the first by `i94.with_order` is kept, the others are rejected as DUPLICATE.
    """
    is_good = fn.col(REASON).isNull()
    if not repeating:
        return tagged.where(is_good), tagged.where(~is_good), tagged
    blocks = small_table(spark, [(block,) for block in repeating], "repeating bigint")
    is_repeating = fn.col("repeating").isNotNull()
    marked = tagged.join(fn.broadcast(blocks), (_block() == fn.col("repeating")) & is_good, "left")
    rejects = marked.where(is_repeating | ~is_good).persist()
    # Few rows, so few partitions: each becomes a file of the output.
    partitions = 1 + len(repeating) * BLOCK_SIZE // ROWS_PER_PARTITION
    ordered, best_first = i94.with_order(rejects.where(is_repeating).repartition(partitions, TOURIST_ID))
    place = fn.row_number().over(Window.partitionBy(TOURIST_ID).orderBy(*best_first))
    compared = ordered.withColumn(REASON, fn.when(place > 1, fn.lit(DUPLICATE))).select(*rejects.columns)
    good = marked.where(~is_repeating & is_good).unionByName(compared.where(is_good))
    bad = rejects.where(~is_good).unionByName(compared.where(~is_good))
    return good.drop("repeating"), bad.drop("repeating"), rejects


def _write_kept(
    spark: SparkSession, kept: DataFrame, labels: Labels, target: str
) -> tuple[int, dict[str, int], dict[str, int]]:
    """Write the kept rows with labels; returns how many there are, the notes, and of UNREADABLE the filled values."""
    counting = Observation()
    noted = noteworthy(labels)
    labelled = with_labels(spark, kept, labels).observe(
        counting, fn.count(fn.lit(1)).alias("rows"), *[count.alias(note) for note, count in noted.items()]
    )
    write_partitioned(spark, in_words(labelled, labels), target, "year", "month")
    counts = counting.get
    notes = {note: counts[note] for note in noted if counts[note] and note not in UNREADABLE.values()}
    filled = {note: notes[note] + counts[column] for note, column in UNREADABLE.items() if note in notes}
    return counts["rows"], notes, filled
