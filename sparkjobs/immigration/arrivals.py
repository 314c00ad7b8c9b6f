"""Arrivals: the I94 rows of the whole source, one per record, by day of arrival, with labels in place of codes.

How one row per record is found without shuffling whole rows: a first, narrow pass reads a few columns and sets, for
every block of 64 consecutive keys, one bit each. Where a block has more rows than bits, a key is repeated; only the
rows of such blocks (there are none in the real files) are shuffled and compared whole. All others are written
straight from the source.

The two forms of the source, a record's key and what disqualifies a row are in `i94`, the output's columns in
`arrival_columns`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame, Observation, SparkSession, Window
from pyspark.sql import functions as fn

from sparkjobs.immigration import i94
from sparkjobs.immigration.arrival_columns import UNREADABLE, in_words, noteworthy, with_labels
from sparkjobs.immigration.i94 import TOURIST_ID
from sparkjobs.immigration.labels import Labels, read_labels
from sparkjobs.reading import explain_read_errors, name_source, refuse_empty, small_table
from sparkjobs.writing import REASON, Counts, first_reason, only, write_by_day, write_rejects

DUPLICATE = "duplicate_tourist_id"
BLOCK = "block"
BLOCK_SIZE = 64
ROWS_PER_PARTITION = 1_000_000


def run(
    spark: SparkSession,
    inputs: Sequence[Sequence[str]],
    targets: Mapping[str, str],
    rejected: str,
    window: None,
) -> Counts:
    """Write staging_immigration's Parquet, by day of arrival, and return the counts.

    `read` counts the rows of the whole source; `notes` counts, of the rows written, the codes without a label and the
    departures, ages, years of birth and visas that are unreadable, and `judged_over` the filled ones of these.
    A row is rejected for one of `i94.reasons`, or as `duplicate_tourist_id`: of the good rows of the whole source
    that share a key, all but one. Raises BadInput naming the file where a source cannot be read.
    """
    source, (label_file,) = inputs
    notes: dict[str, int] = {}
    labels = read_labels(spark, label_file, notes)
    rows = i94.read_i94(spark, source, notes)
    tagged = i94.with_values(rows).withColumn(REASON, first_reason(*i94.reasons()))
    with explain_read_errors(name_source(source)):
        by_reason, repeating = _survey(source, tagged)
        rejects = {reason: count for reason, count in by_reason.items() if reason is not None}
        good, bad, held = _compare(spark, tagged, repeating)
        if repeating:
            repeated = bad.where(fn.col(REASON) == DUPLICATE).count()
            rejects.update({DUPLICATE: repeated} if repeated else {})
        if rejects:
            write_rejects(bad.drop(*i94.ADDED), rejects, rejected)
        written, noted, filled = _write_kept(spark, good, labels, only(targets))
        held.unpersist()
    read = sum(by_reason.values())
    if read != written + sum(rejects.values()):
        raise RuntimeError(
            f"{name_source(source)}: {read} rows read, but {written} written and {rejects} rejected. "
            "The source changed during the job: run the job again."
        )
    return {
        "read": read,
        "written": written,
        "rejected": dict(sorted(rejects.items())),
        "judged_over": filled,
        "notes": {**notes, **noted},
    }


def _survey(source: Sequence[str], tagged: DataFrame) -> tuple[dict[str | None, int], list[int]]:
    """One narrow pass over the source: (rows by reason, blocks with a repeated key)."""
    index = fn.col(TOURIST_ID).bitwiseAND(BLOCK_SIZE - 1).cast("int")
    bit = fn.call_function("shiftleft", fn.lit(1).cast("bigint"), index)
    good = fn.col(REASON).isNull()
    by_block = tagged.groupBy(REASON, fn.when(good, _block()).alias(BLOCK)).agg(
        fn.count(fn.lit(1)).alias("rows"), fn.bit_or(bit).alias("ids")
    )
    is_repeating = fn.col(BLOCK).isNotNull() & (fn.col("rows") > fn.bit_count("ids"))
    grouped = by_block.groupBy(REASON).agg(
        fn.sum("rows").alias("rows"),
        fn.collect_list(fn.when(is_repeating, fn.col(BLOCK))).alias("repeating"),
    )
    found = grouped.collect()
    refuse_empty(source, sum(row["rows"] for row in found))
    return {row[REASON]: row["rows"] for row in found}, [block for row in found for block in row["repeating"]]


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
        counting, *[count.alias(note) for note, count in noted.items()]
    )
    written = write_by_day(in_words(labelled, labels), "arrivedate", target)
    counts = counting.get
    notes = {note: counts[note] for note in noted if counts[note] and note not in UNREADABLE.values()}
    filled = {note: notes[note] + counts[column] for note, column in UNREADABLE.items() if note in notes}
    return written, notes, filled
