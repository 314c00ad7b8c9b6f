"""Whether the warehouse holds what a run would load: told by its loads, and never where the tables would differ."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_lib.pipeline import Window
from airflow_lib.warehouse.held import RecordedLoad, Wanted, holds, wanted_of
from tests.world.pipeline import PIPELINE

FIRST = datetime(2016, 4, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 28, tzinfo=UTC)


def day(number: int) -> datetime:
    return FIRST + timedelta(days=number)


def days(start: int, end: int) -> Window:
    return Window(day(start).date(), day(end).date())


def a_load(
    start: int, end: int, at: int, *, arrivals: str = "a1", airports: str = "p1", code: str = "c1"
) -> RecordedLoad:
    outputs = {"arrivals": arrivals, "airports": airports}
    return RecordedLoad(f"run{at}", day(start), day(end), outputs, code, NOW + timedelta(seconds=at))


WANTED = Wanted({"arrivals": "a1", "airports": "p1"}, "c1", frozenset({"airports"}), by_window=True)


TWO_DAYS = days(0, 2)


def is_held(loads: list[RecordedLoad], window: Window = TWO_DAYS, wanted: Wanted = WANTED) -> bool:
    return holds(loads, window, wanted) is not None


def test_nothing_is_held_where_no_load_is_known() -> None:
    assert not is_held([])


def test_a_window_that_the_latest_load_loaded_is_held_since_that_load() -> None:
    load = a_load(0, 2, 1)
    assert holds([load], days(0, 2), WANTED) == load


@pytest.mark.parametrize(
    "changed", [{"arrivals": "a2"}, {"airports": "p2"}, {"code": "c2"}], ids=["windowed", "everywhere", "SQL"]
)
def test_a_window_is_not_held_where_an_output_or_the_sql_is_another_one(changed: dict[str, str]) -> None:
    assert not is_held([a_load(0, 2, 1, **changed)])


def test_a_job_that_the_load_did_not_know_is_not_held() -> None:
    assert not is_held([replace(a_load(0, 2, 1), outputs={"arrivals": "a1"})])


@pytest.mark.parametrize(
    ("loads", "held"),
    [
        ([a_load(0, 1, 1), a_load(1, 2, 2)], True),
        ([a_load(0, 1, 1), a_load(1, 3, 2)], True),
        ([a_load(0, 1, 1)], False),
        ([a_load(0, 1, 1), a_load(2, 3, 2)], False),
    ],
    ids=["in two parts", "and more than it", "a part", "a part and another one"],
)
def test_a_window_is_held_where_loads_cover_it(loads: list[RecordedLoad], *, held: bool) -> None:
    assert is_held(loads) is held


def test_a_later_load_of_a_part_from_another_output_makes_the_window_another_one() -> None:
    assert not is_held([a_load(0, 2, 1), a_load(1, 2, 2, arrivals="a2")])


def test_what_was_loaded_before_the_window_was_covered_does_not_matter() -> None:
    assert is_held([a_load(0, 2, 1, arrivals="a0", airports="p0", code="c0"), a_load(0, 2, 2)])


def test_a_later_load_of_another_window_does_not_matter_to_a_windows_rows() -> None:
    assert is_held([a_load(0, 2, 1), a_load(2, 3, 2, arrivals="a2")])


@pytest.mark.parametrize("changed", [{"airports": "p2"}, {"code": "c2"}])
def test_a_later_load_of_another_window_matters_to_the_tables_that_depend_on_none(
    changed: dict[str, str],
) -> None:
    assert not is_held([a_load(0, 2, 1), a_load(2, 3, 2, arrivals="a2", **changed)])


def test_rows_that_were_loaded_with_another_output_of_a_job_for_every_window_are_not_held() -> None:
    """A row of the window may be joined from it."""
    assert not is_held([a_load(0, 2, 1, airports="p0"), a_load(2, 3, 2)])


def test_a_load_that_kept_a_table_names_no_windowed_output_and_holds_nothing() -> None:
    assert not is_held([a_load(0, 2, 1), replace(a_load(0, 2, 2), outputs={"airports": "p1"})])


def test_of_two_loads_in_one_second_the_order_is_not_known() -> None:
    other = replace(a_load(0, 2, 1), run_id="run0", outputs={"arrivals": "a2", "airports": "p1"})
    assert not is_held([other, a_load(0, 2, 1)])
    assert not is_held([a_load(0, 2, 1), other])


def test_of_two_latest_loads_in_one_second_each_may_have_left_the_tables_that_depend_on_no_window() -> None:
    other = replace(a_load(2, 3, 1, airports="p2"), run_id="run0")
    assert not is_held([a_load(0, 2, 1), other])
    assert not is_held([other, a_load(0, 2, 1)])


def test_the_loads_may_come_in_any_order() -> None:
    loads = [a_load(0, 2, 1, arrivals="a2"), a_load(0, 2, 2), a_load(2, 3, 3)]
    assert is_held(loads)
    assert is_held(loads[::-1])


def test_a_pipeline_whose_tables_depend_on_no_window_needs_the_latest_load_alone() -> None:
    wanted = replace(WANTED, everywhere=frozenset({"arrivals", "airports"}), by_window=False)
    assert is_held([a_load(5, 6, 2), a_load(0, 2, 1, arrivals="a2")], wanted=wanted)
    assert not is_held([a_load(0, 2, 1), a_load(5, 6, 2, arrivals="a2")], wanted=wanted)


def test_windows_of_instants_are_compared_to_the_second() -> None:
    noon, one = FIRST + timedelta(hours=12), FIRST + timedelta(hours=13)
    load = replace(a_load(0, 1, 1), window_start=noon, window_end=one)
    assert is_held([load], Window(noon, one))
    assert not is_held([load], Window(noon, one + timedelta(seconds=1)))


def test_what_is_wanted_follows_from_the_declaration() -> None:
    wanted = wanted_of(PIPELINE, {"arrivals": "a", "airports": "p"}, "c")
    assert (wanted.everywhere, wanted.by_window) == ({"airports"}, True)
    everywhere = tuple(replace(job, windowed=False) for job in PIPELINE.jobs)
    assert wanted_of(replace(PIPELINE, jobs=everywhere), {}, "c").by_window, "its fact is replaced by window"
    without_fact = tuple(table for table in PIPELINE.tables if table.name not in PIPELINE.windows)
    assert not wanted_of(replace(PIPELINE, jobs=everywhere, tables=without_fact), {}, "c").by_window


# The same against a model of the tables.

DAYS = 3


@dataclass(frozen=True)
class Event:
    """A load: its days, the versions of its two sources and of the SQL, and how long after the one before."""

    start: int
    length: int
    arrivals: int
    airports: int
    code: int
    after_s: int

    @property
    def end(self) -> int:
        return min(self.start + self.length, DAYS)

    def outputs(self, *, partitioned: bool) -> dict[str, str]:
        """A windowed job's output is another one for each window; a partitioned one serves them all."""
        window = "" if partitioned else f" of {self.start} to {self.end}"
        return {"arrivals": f"{self.arrivals}{window}", "airports": str(self.airports)}


Tables = dict[Any, tuple[int, ...]]


def load_into(tables: Tables, event: Event) -> Tables:
    """The fact's rows of each day bear all that they are made of; the dimension is rebuilt by each load."""
    rows = dict.fromkeys(range(event.start, event.end), (event.arrivals, event.airports, event.code))
    return {**tables, **rows, "airports": (event.airports, event.code)}


EVENTS = st.builds(
    Event,
    start=st.integers(0, DAYS - 1),
    length=st.integers(1, DAYS),
    arrivals=st.sampled_from([0, 0, 0, 1]),
    airports=st.integers(0, 1),
    code=st.sampled_from([0, 0, 1]),
    after_s=st.sampled_from([0, 1, 1]),
)


@st.composite
def a_history_and_the_next(draw: st.DrawFn) -> tuple[list[Event], Event]:
    """Loads, and what is to be loaded next: mostly one of them again, with what serves every window as it is by now."""
    history = draw(st.lists(EVENTS, min_size=1, max_size=4))
    again = draw(st.sampled_from(history))
    by_now = replace(again, airports=history[-1].airports, code=history[-1].code)
    return history, draw(st.sampled_from([again, by_now, by_now, draw(EVENTS)]))


@settings(max_examples=1000, deadline=None, derandomize=True, database=None)
@given(
    events=a_history_and_the_next(),
    partitioned=st.booleans(),
    known=st.sampled_from([1, 2, 4, 4, 4]),
    data=st.data(),
)
def test_held_is_never_said_where_loading_would_change_a_table(
    events: tuple[list[Event], Event], partitioned: bool, known: int, data: st.DataObject
) -> None:
    history, next_one = events
    tables: Tables = {}
    loads: list[RecordedLoad] = []
    at = NOW
    for number, event in enumerate(history):
        tables = load_into(tables, event)
        at += timedelta(seconds=event.after_s)
        outputs = event.outputs(partitioned=partitioned)
        loads.append(
            RecordedLoad(f"run{number}", day(event.start), day(event.end), outputs, str(event.code), at)
        )
    seconds = sorted({load.loaded_at for load in loads}, reverse=True)[:known]
    told = data.draw(st.permutations([load for load in loads if load.loaded_at in seconds]))
    wanted = Wanted(
        next_one.outputs(partitioned=partitioned), str(next_one.code), frozenset({"airports"}), by_window=True
    )
    if holds(told, days(next_one.start, next_one.end), wanted) is not None:
        assert load_into(tables, next_one) == tables


@given(event=EVENTS, earlier=st.lists(EVENTS, max_size=4), partitioned=st.booleans())
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_what_was_loaded_last_is_always_held(event: Event, earlier: list[Event], partitioned: bool) -> None:
    loads = [
        RecordedLoad(
            f"run{number}",
            day(one.start),
            day(one.end),
            one.outputs(partitioned=partitioned),
            str(one.code),
            NOW + timedelta(seconds=number),
        )
        for number, one in enumerate([*earlier, event])
    ]
    wanted = Wanted(
        event.outputs(partitioned=partitioned), str(event.code), frozenset({"airports"}), by_window=True
    )
    assert holds(loads, days(event.start, event.end), wanted) == loads[-1]


def test_a_day_begins_at_midnight_in_utc() -> None:
    assert is_held([a_load(0, 1, 1)], Window(date(2016, 4, 1), date(2016, 4, 2)))
