from __future__ import annotations

import pytest

from sparkjobs.immigration.ports import ACCENTED, CURATED, PLAIN, areas, places, plain
from tests.sparkjobs.port_airports import AIRPORTS


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("WA", ("US-WA",)),
        ("CANADA", ("CA",)),
        ("TURK & CAIMAN", ("TC",)),
        ("GU", ("US-GU", "US-U-A")),
        ("SPN", ("US-MP", "US-U-A")),
        ("Nil", ()),
    ],
)
def test_a_ports_state_says_where_to_look_for_its_airport(state, expected):
    assert areas(state) == expected


@pytest.mark.parametrize(
    ("city", "label", "expected"),
    [
        ("seattle", "SEATTLE, WA           ", ("seattle",)),
        ("washington", "WASHINGTON DC         ", ("washington",)),
        ("newark/teterboro", "NEWARK/TETERBORO, NJ ", ("newark", "teterboro")),
        ("", "CANNON INTL - RENO/TAHOE, NV", ("cannon", "reno", "tahoe")),
        ("", "HULL FIELD, SUGAR LAND ARPT, TX", ("hull field", "sugar land")),
        ("", "OAKLAND COUNTY - PONTIAC, MI", ("oakland", "pontiac")),
        ("", "REGIONAL ARPT - HORSEHEAD, NY", ("horsehead",)),
        ("", "Halifax, NS, Canada", ("halifax",)),
        ("", "INT'L FALLS, MN", ("int l falls",)),
    ],
)
def test_a_label_is_cut_into_the_names_of_its_places(city, label, expected):
    assert places(city, label) == expected


def test_text_is_compared_without_case_accents_and_punctuation():
    assert plain("  Montréal-Pierre Elliott  Trudeau (Intl) ") == "montreal pierre elliott trudeau intl"
    assert len(ACCENTED) == len(PLAIN)


def test_the_curated_airports_are_those_written_down_apart_from_them():
    assert CURATED.items() <= AIRPORTS.items()
