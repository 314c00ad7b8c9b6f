"""Arrivals: the I94 rows of a window, one per cicid, with their codes in words.

How one row per cicid is found without shuffling whole rows: a first, narrow pass reads four columns and sets,
for every 64 neighbouring cicids, one bit each. Where they have more rows than bits, a cicid is repeated;
only the rows of such neighbours (there are none in the real files) are gathered and compared whole. All
others flow straight from the source to the output.

The two forms of the source and what disqualifies a row are in `i94`, the output's columns in `arrival_columns`.
"""

from datetime import date

from pyspark.sql import Observation, Window
from pyspark.sql import functions as fn

from sparkjobs.immigration import i94
from sparkjobs.immigration.arrival_columns import in_words, noteworthy, with_labels
from sparkjobs.immigration.labels import read_labels
from sparkjobs.reading import CORRUPT, refuse_corrupt, refuse_empty, small_table, told_plainly
from sparkjobs.writing import REASON, first_reason, write, write_partitioned

DUPLICATE = "duplicate_cicid"
NEIGHBOURS = "neighbours"
NEIGHBOURS_TOGETHER = 64
ROWS_PER_PARTITION = 1_000_000


def run(spark, inputs, target, rejected, window):
    """Write staging_immigration's Parquet, by year and month, and return the counts.

    `read` counts the rows whose arrival lies in the window, and those without a readable date of arrival,
    which lie in none; `notes` counts the others as `outside_window`, and of the rows written the codes
    without a label and the departures, ages and years of birth that are unreadable.
    A row is rejected for one of `i94.reasons()`, or as `duplicate_cicid`: of the good rows of the whole
    source that share a cicid, all but one. Raises ValueError naming the file where a source cannot be read.
    """
    source, label_file = inputs
    labels = read_labels(spark, label_file)
    tagged = i94.read_i94(spark, source).withColumn(REASON, first_reason(*i94.reasons()))
    inside = _inside(window)
    with told_plainly(source):
        fates, crowded = _survey(source, tagged, inside)
        rejects = {reason: fate["inside"] for reason, fate in fates.items() if reason and fate["inside"]}
        good, bad, held = _compare(spark, tagged, crowded)
        if crowded:
            repeated = bad.where(inside & (fn.col(REASON) == DUPLICATE)).count()
            rejects.update({DUPLICATE: repeated} if repeated else {})
        if rejects:
            write(bad.where(inside).drop(CORRUPT).coalesce(1), rejected)
        written, notes = _write_kept(spark, good.where(inside), labels, target)
        held.unpersist()
    read = sum(fate["inside"] for fate in fates.values())
    outside = sum(fate["rows"] for fate in fates.values()) - read
    if read != written + sum(rejects.values()):
        raise RuntimeError(
            f"{source}: {read} rows read, but {written} written and {rejects} rejected. "
            "The source changed while it was read; run the job again."
        )
    return {
        "read": read,
        "written": written,
        "rejected": dict(sorted(rejects.items())),
        "notes": {"outside_window": outside, **notes},
    }


def _inside(window):
    """Whether a row's arrival lies in the window; a row without a readable arrival is inside every window."""
    start, end = ((date.fromisoformat(day) - date(1960, 1, 1)).days for day in window)
    days = i94.number("arrdate")
    readable = fn.coalesce(days.between(0, i94.LAST_SAS_DAY), fn.lit(False))
    return ~readable | ((days >= start) & (days < end))


def _survey(source, tagged, inside):
    """One narrow pass over the source: ({reason: rows and those inside}, neighbours with a repeated cicid)."""
    place = i94.whole_number("cicid").bitwiseAND(NEIGHBOURS_TOGETHER - 1).cast("int")
    bit = fn.call_function("shiftleft", fn.lit(1).cast("bigint"), place)
    good = fn.col(REASON).isNull()
    by_neighbours = tagged.groupBy(REASON, fn.when(good, _neighbours()).alias(NEIGHBOURS)).agg(
        fn.count(fn.lit(1)).alias("rows"),
        fn.count_if(inside).alias("inside"),
        fn.bit_or(bit).alias("ids"),
        fn.min(CORRUPT).alias(CORRUPT),
    )
    is_crowded = fn.col(NEIGHBOURS).isNotNull() & (fn.col("rows") > fn.bit_count("ids"))
    fates = by_neighbours.groupBy(REASON).agg(
        fn.sum("rows").alias("rows"),
        fn.sum("inside").alias("inside"),
        fn.collect_list(fn.when(is_crowded, fn.col(NEIGHBOURS))).alias("crowded"),
        fn.min(CORRUPT).alias(CORRUPT),
    )
    fates = {row[REASON]: row.asDict() for row in fates.collect()}
    for fate in fates.values():
        refuse_corrupt(source, fate[CORRUPT])
    refuse_empty(source, sum(fate["rows"] for fate in fates.values()))
    return fates, [number for fate in fates.values() for number in fate["crowded"]]


def _neighbours():
    """The number of the 64 neighbouring cicids that a row's is one of."""
    return fn.shiftright(i94.whole_number("cicid"), 6)


def _compare(spark, tagged, crowded):
    """(Good rows, one per cicid; rejected rows; what is held in memory meanwhile).

    Of good rows that share a cicid the one stays that was filed last, of those the one with the latest
    departure, of those the first by its columns as published: an order of the rows alone, so that every
    window and every partitioning agrees. The others are rejected as DUPLICATE.
    """
    is_good = fn.col(REASON).isNull()
    if not crowded:
        return tagged.where(is_good), tagged.where(~is_good), tagged
    numbers = small_table(spark, [(number,) for number in crowded], "crowded bigint")
    is_crowded = fn.col("crowded").isNotNull()
    marked = tagged.join(fn.broadcast(numbers), (_neighbours() == fn.col("crowded")) & is_good, "left")
    aside = marked.where(is_crowded | ~is_good).persist()
    best_first = Window.partitionBy(i94.whole_number("cicid")).orderBy(
        fn.desc_nulls_last("dtadfile"), i94.number("depdate").desc_nulls_last(), *i94.COLUMNS
    )
    # Few rows, so few partitions: each becomes a file of the output.
    partitions = 1 + len(crowded) * NEIGHBOURS_TOGETHER // ROWS_PER_PARTITION
    compared = (
        aside.where(is_crowded)
        .repartition(partitions, i94.whole_number("cicid"))
        .withColumn(REASON, fn.when(fn.row_number().over(best_first) > 1, fn.lit(DUPLICATE)))
    )
    good = marked.where(~is_crowded & is_good).unionByName(compared.where(is_good))
    bad = aside.where(~is_good).unionByName(compared.where(~is_good))
    return good.drop("crowded"), bad.drop("crowded"), aside


def _write_kept(spark, kept, labels, target):
    """Write the kept rows in words; returns how many, and what is noteworthy of them."""
    counting = Observation()
    noted = noteworthy(labels)
    labelled = with_labels(spark, kept, labels).observe(
        counting, fn.count(fn.lit(1)).alias("rows"), *[count.alias(note) for note, count in noted.items()]
    )
    write_partitioned(spark, in_words(labelled, labels), target, "year", "month")
    counts = counting.get
    return counts["rows"], {note: counts[note] for note in noted if counts[note]}
