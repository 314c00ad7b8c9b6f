"""Checks."""

import pytest

from airflow_lib.pipeline import (
    AcceptedValues,
    Complete,
    Holds,
    NotNull,
    References,
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
    ],
)
def test_a_check_is_named_by_what_it_checks(check, name):
    """The name is its task's id."""
    assert check.name == name
