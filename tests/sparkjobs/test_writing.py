from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as fn

from sparkjobs.reading import read_csv, read_output
from sparkjobs.writing import REASON, first_reason, write_by_day, write_counted, write_output, write_rejects
from tests.sparkjobs.conftest import uris_of


def test_rejected_rows_are_one_file_but_are_looked_for_by_as_many_tasks_as_the_source_has(spark, tmp_path):
    context, folder = spark.sparkContext, tmp_path / "rejected"
    context.setJobGroup("rejects", "rejects")
    rows = spark.range(0, 1000, numPartitions=5).where("id % 100 = 0")
    write_rejects(rows, {"age": 10}, folder.as_uri())
    tracker = context.statusTracker()
    stages = [
        stage for job in tracker.getJobIdsForGroup("rejects") for stage in tracker.getJobInfo(job).stageIds
    ]
    assert max(tracker.getStageInfo(stage).numTasks for stage in stages) == 5
    assert len(list(folder.glob("*.parquet"))) == 1
    assert spark.read.parquet(folder.as_uri()).count() == 10


def by_day(spark, tmp_path, rows, schema="id bigint, at timestamp", column="at"):
    """(The number of rows that is told, the rows of each folder)"""
    target = tmp_path / "out"
    text = f"array<struct<{schema}>>"
    frame = spark.range(1).select(fn.inline(fn.from_json(fn.lit(rows), text)))
    written = write_by_day(frame, column, f"{target.as_uri()}/")
    folders = {
        folder.name: [
            row for path in folder.glob("*.parquet") for row in pq.ParquetFile(path).read().to_pylist()
        ]
        for folder in target.glob("day=*")
    }
    return written, folders


def test_rows_are_written_in_a_folder_for_each_day_with_the_column_in_the_files(spark, tmp_path):
    times = ("2016-04-01 23:59:59", "2016-04-02 00:00:00", "1700-01-01 00:00:00")
    rows = json.dumps([{"id": number, "at": time} for number, time in enumerate(times, 1)])
    written, folders = by_day(spark, tmp_path, rows)
    assert written == 3
    assert {day: [row["id"] for row in found] for day, found in folders.items()} == {
        "day=1700-01-01": [3],
        "day=2016-04-01": [1],
        "day=2016-04-02": [2],
    }
    assert {str(row["at"]) for row in folders["day=2016-04-01"]} == {"2016-04-01 23:59:59"}
    assert {name for row in folders["day=2016-04-02"] for name in row} == {"id", "at"}
    assert (tmp_path / "out" / "_SUCCESS").exists()


def test_many_days_have_one_file_each_of_a_task(spark, tmp_path):
    rows = spark.range(0, 900, numPartitions=1).select(
        "id", fn.date_from_unix_date((fn.col("id") % 90).cast("int")).alias("at")
    )
    assert write_by_day(rows, "at", f"{tmp_path.as_uri()}/out/") == 900
    files = list((tmp_path / "out").rglob("*.parquet"))
    assert len(files) == 90
    assert {pq.ParquetFile(path).metadata.num_rows for path in files} == {10}


def test_an_output_without_rows_says_what_columns_it_has(spark, tmp_path):
    written, folders = by_day(spark, tmp_path, "[]")
    assert (written, folders) == (0, {})
    read = read_output(spark, [f"{tmp_path.as_uri()}/out/"])
    assert (read.dtypes, read.count()) == ([("id", "bigint"), ("at", "timestamp")], 0)
    assert (tmp_path / "out" / "_SUCCESS").exists()


def test_an_output_without_rows_that_is_not_partitioned_is_read_with_its_columns(spark, tmp_path):
    folder = f"{tmp_path.as_uri()}/out/"
    assert write_counted(spark.range(9).where("id > 99"), folder) == 0
    read = read_output(spark, [folder])
    assert (read.dtypes, read.count()) == ([("id", "bigint")], 0)


def test_a_row_without_a_day_is_an_error_of_the_job(spark, tmp_path):
    with pytest.raises(RuntimeError, match=r"1 of 2 rows have no day in 'at': reject these rows"):
        by_day(spark, tmp_path, '[{"id": 1, "at": "2016-04-01 00:00:00"}, {"id": 2}]')


def test_a_column_that_would_be_left_out_of_the_files_is_an_error_of_the_job(spark, tmp_path):
    with pytest.raises(RuntimeError, match=r"has a column 'day'.*another name"):
        by_day(spark, tmp_path, '[{"Day": "2016-04-01"}]', "Day date", "Day")


def test_a_job_may_write_several_outputs_of_its_kept_rows(spark, tmp_path):
    (tmp_path / "books.csv").write_text("id,author,price\n1,Ann,3\n2,Bob,x\n3,Ann,\n,Bob,9\n")
    source = uris_of(tmp_path / "books.csv")
    rows = read_csv(spark, source, ("id", "author", "price"))
    price = fn.col("price").cast("int")
    counts = write_output(
        source,
        rows.withColumn(REASON, first_reason(("no_id", fn.col("id").isNull()))),
        {
            "books": lambda kept: kept.select("id", price.alias("price")).sort("id"),
            "authors": lambda kept: kept.select("author").distinct().sort("author"),
        },
        {"authors": f"{tmp_path.as_uri()}/authors/", "books": f"{tmp_path.as_uri()}/books/"},
        f"{tmp_path.as_uri()}/rejected/",
        parsed={"bad_price": (fn.col("price"), price)},
    )
    assert counts == {
        "read": 4,
        "written": {"books": 3, "authors": 2},
        "rejected": {"no_id": 1},
        "judged_over": {"bad_price": 2},
        "notes": {"bad_price": 1},
    }
    assert [tuple(row.values()) for row in pq.read_table(tmp_path / "books").to_pylist()] == [
        ("1", 3),
        ("2", None),
        ("3", None),
    ]
    assert pq.read_table(tmp_path / "authors").to_pylist() == [{"author": "Ann"}, {"author": "Bob"}]
    assert [row["author"] for row in pq.read_table(tmp_path / "rejected").to_pylist()] == ["Bob"]


def test_a_job_that_counts_nothing_else_writes_its_kept_rows(spark, tmp_path):
    (tmp_path / "books.csv").write_text("id,author\n1,Ann\n,Bob\n")
    source = uris_of(tmp_path / "books.csv")
    reason = first_reason(("no_id", fn.col("id").isNull()))
    counts = write_output(
        source,
        read_csv(spark, source, ("id", "author")).withColumn(REASON, reason),
        lambda kept: kept.select("id"),
        {"books": f"{tmp_path.as_uri()}/books/"},
        f"{tmp_path.as_uri()}/rejected/",
    )
    assert counts == {"read": 2, "written": 1, "rejected": {"no_id": 1}}
    assert pq.read_table(tmp_path / "books").to_pylist() == [{"id": "1"}]


def test_outputs_that_are_not_those_declared_are_an_error_before_anything_is_read(spark, tmp_path):
    with pytest.raises(RuntimeError, match=r"writes the outputs books, but authors, books are declared"):
        write_output(
            ["file:///nowhere"],
            spark.range(1),
            {"books": lambda kept: kept},
            {"authors": "file:///nowhere/", "books": "file:///nowhere/"},
            "file:///nowhere/",
        )
