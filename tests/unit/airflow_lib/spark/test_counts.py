"""What a job says of its rows: whole numbers, and of each of its outputs."""

from __future__ import annotations

import pytest

from airflow_lib.errors import OutputError
from airflow_lib.spark.counts import Counts


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "found None"),
        ({"read": 1}, "'written'.*found None"),
        ({"read": "1", "written": 1}, "'read'.*found '1'"),
        ({"read": True, "written": 1}, "'read'.*found True"),
        ({"read": 1, "written": 1, "rejected": {"age": -1}}, "'age'.*found -1"),
        ({"read": 1, "written": 1, "rejected": 3}, "'rejected'.*found 3"),
        ({"read": 1, "written": 1, "notes": ["x"]}, r"'notes'.*found \['x'\].*must return them"),
    ],
)
def test_what_is_not_a_count_is_refused(value: object, message: str) -> None:
    with pytest.raises(OutputError, match=message):
        Counts.parse(value, ["arrivals"])


def test_counts_are_parsed_from_a_jobs_answer() -> None:
    assert Counts.parse({"mayfly": 1, "read": 2, "written": 1, "rejected": {"age": 1}}, ["a"]) == Counts(
        read=2, written={"a": 1}, rejected={"age": 1}
    )


def test_the_rows_of_each_output_are_read_in_the_order_of_declaration() -> None:
    counts = Counts.parse({"read": 9, "written": {"seen": 0, "arrivals": 7}}, ["arrivals", "seen"])
    assert list(counts.written.items()) == [("arrivals", 7), ("seen", 0)]
    assert counts.rows_written == 7


def test_a_job_with_one_output_may_name_it() -> None:
    assert Counts.parse({"read": 1, "written": {"a": 1}}, ["a"]) == Counts.parse(
        {"read": 1, "written": 1}, ["a"]
    )


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (7, "must say the rows of each of its outputs arrivals, seen; found 7"),
        (None, "must say the rows of each of its outputs arrivals, seen; found None"),
        (
            {"arrivals": 7},
            "lack its output 'seen': a number for each of arrivals, seen was expected, 0 where",
        ),
        ({}, "lack its output 'arrivals'"),
        (
            {"arrivals": 7, "sean": 1, "seen": 0},
            r"name 'sean', which is no output of it: .*; did you mean 'seen'\?\. Declare it",
        ),
        ({"arrivals": 7, "seen": -1}, "'seen' must be a whole number ≥ 0; found -1"),
        ({"arrivals": 7, "seen": True}, "'seen' must be a whole number ≥ 0; found True"),
    ],
)
def test_counts_that_do_not_name_just_the_outputs_are_refused(written: object, message: str) -> None:
    with pytest.raises(OutputError, match=message):
        Counts.parse({"read": 9, "written": written}, ["arrivals", "seen"])
