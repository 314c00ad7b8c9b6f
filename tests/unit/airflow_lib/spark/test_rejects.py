"""What share of its rows a job may reject, and what is said where it rejects more."""

from __future__ import annotations

import pytest

from airflow_lib.aws.s3_location import S3Location
from airflow_lib.errors import SourceError
from airflow_lib.pipeline import SparkJob
from airflow_lib.spark.counts import Counts
from airflow_lib.spark.manifest import Manifest
from airflow_lib.spark.outputs import Output
from airflow_lib.spark.rejects import refuse_rejects

OUTPUT = Output(S3Location("lake", "out/immigration"), "arrivals", "a1")


A = "arrivals"


def judge(counts: Counts, limit: float = 0.5) -> None:
    refuse_rejects(
        SparkJob("arrivals", ("arrivals.csv",), max_rejected=limit),
        OUTPUT,
        Manifest("s3://lake/m", "t1", {}, counts, "0"),
    )


@pytest.mark.parametrize(
    ("counts", "limit"),
    [
        (Counts(read=0, written={A: 0}), 0.5),
        (Counts(read=10, written={A: 0}), 0.5),  # rows were read, and make no group: no row is bad
        (Counts(read=10, written={A: 5}, rejected={"age": 5}), 0.5),
        (Counts(read=10, written={A: 10}, rejected={"age": 0}), 0.0),
        (Counts(read=100, written={A: 5}, rejected={"country": 90, "age": 5}), 0.95),
        (
            Counts(read=2891, written={A: 49}, rejected={"no_city": 3}),
            0.5,
        ),  # written are groups of what was read
        (Counts(read=3, written={A: 0}, rejected={"date": 1, "age": 2}), 1.0),
        (Counts(read=9, written={A: 0}, rejected={"undated": 9}, judged_over={"undated": 9}), 1.0),
    ],
)
def test_rejects_up_to_the_limit_are_no_error(counts: Counts, limit: float) -> None:
    judge(counts, limit)


@pytest.mark.parametrize(
    ("counts", "limit", "told"),
    [
        (
            Counts(read=10, written={A: 4}, rejected={"age": 6}),
            0.5,
            r"6 of 10 rows \(60 %: age 6\)\. At most 50 %",
        ),
        (
            Counts(read=10, written={A: 9}, rejected={"age": 1}),
            0.0,
            r"1 of 10 rows \(10 %: age 1\)\. At most 0 %",
        ),
        (
            Counts(read=3, written={A: 0}, rejected={"date": 1, "age": 2}),
            0.99,
            r"3 of 3 rows \(100 %: age 2, date 1\)",
        ),
        (
            Counts(read=10, written={A: 0}, rejected={"age": 1}),
            0.5,
            r"1 of 10 rows \(10 %: age 1\) and wrote none\..* all of them only where it is 1",
        ),
        (Counts(read=0, written={A: 0}, rejected={"age": 1}), 1.0, r"1 of 0 rows \(all: age 1\)"),
    ],
)
def test_more_than_the_limit_or_nothing_written_is_an_error_that_says_what_to_do(
    counts: Counts, limit: float, told: str
) -> None:
    with pytest.raises(SourceError, match=told) as caught:
        judge(counts, limit)
    assert "s3://lake/out/immigration/arrivals/a1/t1-rejected/" in str(caught.value)
    assert "raise max_rejected" in str(caught.value)


def test_a_window_of_few_rows_is_not_judged_by_rows_that_lie_in_none() -> None:
    undated = {"rejected": {"undated": 3}, "judged_over": {"undated": 1000}}
    judge(Counts(read=3, written={A: 0}, **undated))
    judge(Counts(read=4, written={A: 1}, **undated))


@pytest.mark.parametrize(("undated", "whole", "limit"), [(501, 1000, 0.5), (1000, 1000, 0.99), (3, 0, 1.0)])
def test_rows_that_lie_in_no_window_are_judged_over_the_whole_source(
    undated: int, whole: int, limit: float
) -> None:
    counts = Counts(
        read=undated + 9,
        written={A: 9},
        rejected={"undated": undated},
        judged_over={"undated": whole},
    )
    with pytest.raises(SourceError, match=rf"{undated} of {whole} rows"):
        judge(counts, limit)


def test_the_rows_of_a_window_are_judged_apart_from_those_that_lie_in_none() -> None:
    counts = Counts(
        read=8,
        written={A: 1},
        rejected={"undated": 3, "age": 4},
        judged_over={"undated": 1000, "other": 0},
    )
    with pytest.raises(SourceError, match=r"rejected 4 of 5 rows \(80 %: age 4\)\. "):
        judge(counts)


def test_reasons_that_are_a_share_of_the_same_rows_are_judged_together() -> None:
    counts = Counts(
        read=100,
        written={A: 2},
        rejected={"malformed": 49, "undated": 49},
        judged_over={"malformed": 100, "undated": 100},
    )
    with pytest.raises(SourceError, match=r"rejected 98 of 100 rows \(98 %: malformed 49, undated 49\)\. "):
        judge(counts)


def test_all_that_is_rejected_is_judged_over_the_whole_source_as_well() -> None:
    counts = Counts(
        read=100,
        written={A: 27},
        rejected={"undated": 49, "age": 24},
        judged_over={"undated": 100, "other": 0},
    )
    with pytest.raises(SourceError, match=r"rejected 73 of 100 rows \(73 %: undated 49, age 24\)\. "):
        judge(counts)


@pytest.mark.parametrize(
    ("unreadable", "filled", "limit"), [(0, 0, 0.5), (0, 9, 0.0), (5, 10, 0.5), (9, 10, 1.0)]
)
def test_a_column_of_which_enough_can_be_read_is_no_error(unreadable: int, filled: int, limit: float) -> None:
    notes = {"bad_age": unreadable, "outside_window": 1000}
    judge(Counts(read=10, written={A: 10}, notes=notes, judged_over={"bad_age": filled}), limit)


@pytest.mark.parametrize(
    ("unreadable", "filled", "limit", "told"),
    [
        (6, 10, 0.5, r"could not read 6 of 10 values \(60 %: bad_age 6\)\. At most 50 %"),
        (5, 5, 1.0, r"could not read 5 of 5 values \(100 %: bad_age 5\)\. At most 100 %.* never all"),
        (1, 0, 1.0, r"could not read 1 of 0 values \(all: bad_age 1\)"),
    ],
)
def test_a_column_that_could_not_be_read_is_an_error_though_no_row_was_rejected(
    unreadable: int, filled: int, limit: float, told: str
) -> None:
    counts = Counts(read=10, written={A: 10}, notes={"bad_age": unreadable}, judged_over={"bad_age": filled})
    with pytest.raises(SourceError, match=told) as caught:
        judge(counts, limit)
    assert "-rejected/" not in str(caught.value)


def test_rejected_rows_and_unreadable_columns_are_told_at_once() -> None:
    notes = {"bad_age": 4, "bad_birthyear": 3}
    counts = Counts(
        read=10,
        written={A: 4},
        rejected={"undated": 6},
        notes=notes,
        judged_over={"bad_age": 4, "bad_birthyear": 4},
    )
    with pytest.raises(SourceError) as caught:
        judge(counts)
    assert "rejected 6 of 10 rows (60 %: undated 6)." in str(caught.value)
    assert "4 of 4 values (100 %: bad_age 4); and 3 of 4 values (75 %: bad_birthyear 3)." in str(caught.value)
