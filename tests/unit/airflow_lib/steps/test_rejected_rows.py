"""What the runs wrote down tells which rows they left out, and where these lie."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from airflow_lib.errors import OutputError, SettingsError
from airflow_lib.naming import run_key
from airflow_lib.pipeline import Pipeline, SparkJob, Window
from airflow_lib.steps import Run
from airflow_lib.steps import rejected_rows as module
from airflow_lib.steps.rejected_rows import Note, find_rejected, list_notes, parse_note, without_superseded
from airflow_lib.steps.serialization import to_json
from airflow_lib.steps.transform import RunJob
from tests.unit.airflow_lib.steps.emr_of_a_run import use_emr
from tests.world import World
from tests.world.account import BUCKET
from tests.world.pipeline import PIPELINE
from tests.world.spark import put, write_rows
from tests.world.walk import drive

NOW = datetime(2026, 11, 28, tzinfo=UTC)
ADDRESS = "0a" * 16
JOBS = (SparkJob("arrivals", ("arrivals.csv",), windowed=True), SparkJob("airports", ("airports.csv",)))


def day(number: int, days: int = 1) -> Window:
    return Window(date(2016, 4, number), date(2016, 4, number) + timedelta(days=days))


def ran(world: World, run_id: str, window: Window) -> Run:
    """A run that has transformed its window."""
    run = use_emr(world, world.run(run_id, pipeline=PIPELINE, window=window))
    for job in PIPELINE.jobs:
        drive(RunJob(job.name), run, world)
    world.advance(60)
    return run


@pytest.fixture
def asked(world: World) -> Run:
    """The settings and AWS of who asks; no jobs are known."""
    return world.run("replay", pipeline=Pipeline(PIPELINE.name, PIPELINE.start, (), ()))


def quiet(line: str) -> None:
    raise AssertionError(line)


def test_rejected_rows_are_told_by_run_and_job_with_where_they_lie(world: World, asked: Run) -> None:
    ran(world, "run1", day(1))
    ran(world, "run2", day(2))
    notes = list_notes(asked, quiet)
    assert [(note.run_id, note.job) for note in notes[:2]] == [("run2", "airports"), ("run2", "arrivals")]
    assert notes[1].window == day(2)
    assert notes[1].jobs == PIPELINE.jobs
    found = list(find_rejected(asked, notes, quiet))
    assert [one.reasons for one in found] == [{"age below 0": 1}] * 4
    (arrivals,) = (one for one in found if (one.note.run_id, one.note.job) == ("run1", "arrivals"))
    attempt = arrivals.uri.removeprefix(
        f"s3://{BUCKET}/processed/immigration/arrivals/{arrivals.note.address}/"
    )
    assert attempt.endswith("-rejected/")
    assert (
        f"{arrivals.uri.removeprefix(f's3://{BUCKET}/').removesuffix('-rejected/')}/arrivals/_SUCCESS"
        in world.objects()
    )


def test_where_nothing_was_rejected_nothing_is_told(world: World, asked: Run) -> None:
    def clean(**given: Any) -> dict[str, Any]:
        return {**write_rows(**given), "rejected": {"age below 0": 0}}

    world.jobs.by_name.update(arrivals=clean, airports=clean)
    ran(world, "run1", day(1))
    assert list(find_rejected(asked, list_notes(asked, quiet), quiet)) == []


def test_of_one_run_only_its_notes_are_read(world: World, asked: Run) -> None:
    ran(world, "run1", day(1))
    ran(world, "run2", day(2))
    assert {note.run_id for note in list_notes(asked, quiet, "run1")} == {"run1"}
    assert list_notes(asked, quiet, "run3") == []


def test_what_is_no_note_is_skipped_and_named(world: World, asked: Run) -> None:
    ran(world, "run1", day(1))
    root = f"s3://{BUCKET}/logs/immigration/runs/{run_key('run1')}"
    put(f"{root}/outputs/airports.json", b"{")
    put(f"{root}/outputs/large.json", b" " * (1024 * 1024 + 1))
    put(f"{root}/inventory.json", b"{}")
    put(f"{root}/outputs/no-job.json", b"{}")
    told: list[str] = []
    assert [note.job for note in list_notes(asked, told.append)] == ["arrivals"]
    assert sorted(line.split(" is ")[0] for line in told) == [
        f"{root}/outputs/airports.json",
        f"{root}/outputs/large.json",
    ]


def test_an_output_that_is_gone_is_named_and_skipped(world: World, asked: Run) -> None:
    run = ran(world, "run1", day(1))
    for key in world.objects("processed/immigration/arrivals/"):
        world.others.s3.delete_object(Bucket=BUCKET, Key=key)
    told: list[str] = []
    found = list(find_rejected(asked, list_notes(asked, quiet), told.append))
    assert [one.note.job for one in found] == ["airports"]
    assert len(told) == 1
    assert "has no manifest any more" in told[0]
    assert run.run_id == "run1"


def test_more_than_can_be_looked_at_is_refused(
    world: World, asked: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(world, "run1", day(1))
    monkeypatch.setattr(module, "MAX_LISTED", 1)
    with pytest.raises(SettingsError, match=r"more than 1 objects.*Name a run \(--run\)"):
        list_notes(asked, quiet)


def body(**changes: Any) -> bytes:
    content = {
        "run_id": "run1",
        "address": ADDRESS,
        "window": ["2016-04-01", "2016-04-02"],
        "jobs": to_json(JOBS),
        **changes,
    }
    return json.dumps({key: value for key, value in content.items() if value != "absent"}).encode()


def parse(content: bytes) -> Note:
    return parse_note(content, run_key("run1"), "arrivals", NOW)


def test_a_note_of_an_earlier_version_has_no_window() -> None:
    assert parse(body(window="absent", jobs="absent")) == Note("run1", "arrivals", ADDRESS, NOW)


def test_a_window_of_instants_comes_back() -> None:
    window = Window(datetime(2016, 4, 1, 10, tzinfo=UTC), datetime(2016, 4, 1, 11, tzinfo=UTC))
    note = parse(body(window=[window.start.isoformat(), window.end.isoformat()]))
    assert note.window == window
    assert note.is_windowed


@pytest.mark.parametrize(
    "change",
    [
        {"run_id": "run2"},
        {"run_id": None},
        {"run_id": "x" * 300},
        {"address": "../x"},
        {"window": None},
        {"window": []},
        {"window": ["2016-04-01"]},
        {"window": ["2016-04-02", "2016-04-01"]},
        {"window": ["2016-04-01", "2016-04-02T00:00:00+00:00"]},
        {"window": ["2016-04-01T00:00:00", "2016-04-02T00:00:00"]},
        {"window": [1, 2]},
        {"window": {"start": 1}},
        {"jobs": "absent"},
        {"jobs": None},
        {"jobs": []},
        {"jobs": [7]},
        {"jobs": [{"__kind__": "os:system"}]},
        {"jobs": [{"__kind__": "airflow_lib.pipeline.job:SparkJob", "name": "arrivals"}]},
        {"jobs": to_json(JOBS[1:])},
    ],
)
def test_what_mayfly_did_not_write_is_no_note(change: dict[str, Any]) -> None:
    with pytest.raises(OutputError):
        parse(body(**change))


def note(number: int, window: Window | None, job: str = "arrivals", **given: Any) -> Note:
    """The notes' numbers are their order in time."""
    at = NOW + timedelta(minutes=number)
    return Note(f"run{number}", job, f"{number:032x}", at, window, JOBS if window else (), **given)


@pytest.mark.parametrize(
    ("notes", "kept"),
    [
        ([note(1, day(1)), note(2, day(2))], [2, 1]),
        ([note(1, day(1)), note(2, day(1))], [2]),
        ([note(1, day(1)), note(2, day(1, days=5)), note(3, day(2))], [3, 2]),
        ([note(1, day(1, days=5)), note(2, day(1))], [2, 1]),
        ([note(1, day(1), "airports"), note(2, day(2), "airports")], [2]),
        ([note(1, day(1)), note(2, day(1), "airports")], [2, 1]),
        ([note(1, None), note(2, day(1))], [2, 1]),
        ([note(1, None, "airports"), note(2, day(1), "airports")], [2]),
        ([replace(note(1, None), address=ADDRESS), replace(note(2, None), address=ADDRESS)], [2]),
    ],
)
def test_what_was_loaded_again_since_counts_no_more(notes: list[Note], kept: list[int]) -> None:
    newest_first: Callable[[Note], datetime] = lambda one: one.at  # noqa: E731
    left = without_superseded(sorted(notes, key=newest_first, reverse=True))
    assert [int(one.run_id.removeprefix("run")) for one in left] == kept
