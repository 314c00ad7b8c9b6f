"""Checks."""

from dataclasses import replace

import pytest

from airflow_lib.pipeline import (
    AcceptedValues,
    Between,
    Complete,
    Fresh,
    Holds,
    NotNull,
    References,
    RowCount,
    Severity,
    Unique,
)


@pytest.mark.parametrize(
    ("check", "name"),
    [
        (NotNull("dimBird", ("a", "b")), "not_null_dimBird"),
        (Unique("dimBird", ("a", "b")), "unique_dimBird_a_b"),
        (References("factSighting", "bird", "dimBird", "bird_id"), "references_factSighting_bird_dimBird"),
        (Complete("factSighting", "staging_sightings"), "complete_factSighting"),
        (AcceptedValues("dimBird", "size", ("S",)), "accepted_values_dimBird_size"),
        (Holds("cheap", "dimBird", "price < 5"), "cheap"),
        (Between("dimBird", "wings", 0, 2), "between_dimBird_wings"),
        (Fresh("factSighting", "seen_on", 24), "fresh_factSighting_seen_on"),
        (RowCount("dimBird", at_least=1), "row_count_dimBird"),
    ],
)
def test_a_check_is_named_by_what_it_checks(check, name):
    """The name is its task's id."""
    assert check.name == name


@pytest.mark.parametrize(
    "check",
    [
        NotNull("dimBird", ("a",), name="mine"),
        Unique("dimBird", ("a",), name="mine"),
        References("factSighting", "bird", "dimBird", "bird_id", name="mine"),
        AcceptedValues("dimBird", "size", ("S",), name="mine"),
        Between("dimBird", "wings", 0, 2, name="mine"),
        Fresh("factSighting", "seen_on", 24, name="mine"),
        RowCount("dimBird", at_least=1, name="mine"),
    ],
)
def test_a_check_may_be_given_a_name(check):
    """So that a table may have two of one kind, of different severities."""
    assert check.name == "mine"
    assert replace(check, severity=Severity.WARN).name == "mine"
