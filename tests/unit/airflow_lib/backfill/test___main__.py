"""The command: what it tells, what it starts, how it ends; and that a plan changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_lib.backfill import __main__ as backfill
from airflow_lib.backfill.airflow_api import PASSWORD, TOKEN, URL, USER
from airflow_lib.errors import ResourceError, SettingsError
from airflow_lib.pipeline import Window, WindowUnit
from airflow_lib.steps import Run
from tests.unit.airflow_lib.settings_file import use_settings_file
from tests.world import World
from tests.world.pipeline import PIPELINE
from tests.world.walk import walk

Command = Callable[..., tuple[int, list[str], list[str]]]
APRIL = ("--from", "2016-04-01", "--to", "2016-04-30")
READS = ("Get", "Head", "List", "Describe")


class FakeApi:
    """An Airflow that knows its runs; `paused` and `refuses` are for the test to set."""

    def __init__(self) -> None:
        self.runs: dict[str, Any] = {}
        self.paused = False
        self.refuses = ""

    def is_paused(self, dag_id: str) -> bool:
        assert dag_id == "immigration"
        return self.paused

    def start_run(self, dag_id: str, run_id: str, conf: Any) -> tuple[str, bool]:
        if self.refuses in conf.values():
            raise ResourceError("Airflow refused")
        is_new = run_id not in self.runs
        self.runs[run_id] = conf
        return run_id, is_new


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    api = FakeApi()
    monkeypatch.setattr(backfill, "AirflowApi", lambda _: api)
    monkeypatch.setenv(URL, "https://airflow.example.com")
    monkeypatch.setenv(TOKEN, "the-token")
    return api


@pytest.fixture
def command(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs the command: its exit code, and the lines on stdout and stderr."""
    use_settings_file(tmp_path, monkeypatch)
    monkeypatch.setattr(backfill, "open_aws", lambda _: world.aws)
    monkeypatch.setattr(backfill, "read_declaration", lambda *_: PIPELINE)

    def run(*arguments: str) -> tuple[int, list[str], list[str]]:
        code = backfill.main(arguments)
        told = capsys.readouterr()
        return code, told.out.splitlines(), told.err.splitlines()

    return run


@pytest.fixture
def first(world: World, run: Run) -> Run:
    """A run that has loaded two days, and is over."""
    loaded = replace(run, window=Window(date(2016, 4, 5), date(2016, 4, 7)))
    walked = walk(world, loaded)
    assert not walked.red, walked.errors
    world.wire.calls.clear()
    return loaded


def test_a_plan_tells_what_is_loaded_what_is_not_and_the_clusters_and_changes_nothing(
    world: World, first: Run, command: Command
) -> None:
    code, told, err = command("plan", "immigration", *APRIL)
    assert (code, err) == (backfill.FOUND, [])
    assert told[0] == "2016-04-01 to 2016-04-04 (4 days): not loaded as it would be now: never loaded"
    assert told[1].startswith("2016-04-05 to 2016-04-06 (2 days): loaded: loaded by run run1 at 2")
    assert told[2:] == [
        "2016-04-07 to 2016-04-30 (24 days): not loaded as it would be now: never loaded",
        "to load: 2016-04-01 to 2016-04-04 (4 days)",
        "to load: 2016-04-07 to 2016-04-30 (24 days)",
        "EMR: a cluster of 1 m5.xlarge + 1 m5.xlarge, to compute arrivals",
        "Redshift: a cluster of 1 x ra3.large, restored from snapshot mayfly-dev-immigration-warehouse-final-g1",
        "these are for all 2 runs, where these overlap or `keep_alive_s` keeps them",
    ]
    assert world.wire.calls
    assert [str(call) for call in world.wire.calls if not call.operation.startswith(READS)] == []


def test_days_that_are_loaded_leave_nothing_to_do(first: Run, command: Command, api: FakeApi) -> None:
    days = ("--from", "2016-04-05", "--to", "2016-04-06")
    code, told, _ = command("plan", "immigration", *days)
    assert (code, told[-1]) == (backfill.CLEAN, "nothing to do")
    assert command("run", "immigration", *days)[0] == backfill.CLEAN
    assert api.runs == {}


def test_a_run_starts_the_windows_of_the_plan_and_no_other(
    first: Run, command: Command, api: FakeApi
) -> None:
    code, told, err = command("run", "immigration", *APRIL)
    assert (code, err) == (backfill.CLEAN, [])
    assert list(api.runs.values()) == [
        {"window_start": "2016-04-01", "window_end": "2016-04-05"},
        {"window_start": "2016-04-07", "window_end": "2016-05-01"},
    ]
    assert told[-2:] == [f"started: run {name}" for name in api.runs]
    assert all(name.startswith("backfill-2016-04-0") for name in api.runs)


def test_a_run_that_is_repeated_starts_nothing_twice(first: Run, command: Command, api: FakeApi) -> None:
    command("run", "immigration", *APRIL)
    code, told, _ = command("run", "immigration", *APRIL)
    assert code == backfill.CLEAN
    assert told[-2:] == [f"under way already: run {name}" for name in api.runs]


def test_what_a_run_was_started_with_names_it(
    first: Run, command: Command, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("run", "immigration", *APRIL)
    monkeypatch.setattr(backfill, "hash_code", lambda _: "0dd1" * 16)
    command("run", "immigration", *APRIL)
    assert len(api.runs) == 4


def test_no_run_of_a_paused_dag_is_started(command: Command, api: FakeApi) -> None:
    api.paused = True
    code, _, err = command("run", "immigration", *APRIL)
    assert code == backfill.ERROR
    assert "is paused" in err[0]
    assert api.runs == {}


def test_a_start_that_airflow_refuses_is_an_error_after_those_that_it_did_not(
    first: Run, command: Command, api: FakeApi
) -> None:
    api.refuses = "2016-05-01"
    code, told, err = command("run", "immigration", *APRIL)
    assert (code, err) == (backfill.ERROR, ["Airflow refused"])
    assert told[-1].startswith("started: run backfill-2016-04-01-2016-04-05-")


def test_without_an_airflow_nothing_is_started_and_a_plan_needs_none(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (URL, TOKEN, USER, PASSWORD):
        monkeypatch.delenv(name, raising=False)
    code, told, err = command("run", "immigration", *APRIL)
    assert (code, told) == (backfill.ERROR, [])
    assert f"set {URL}" in err[0]
    assert command("plan", "immigration", *APRIL)[0] == backfill.FOUND


def test_what_nobody_foresaw_is_an_error_and_not_taken_for_something_to_do(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("odd")

    monkeypatch.setattr(backfill, "make_plan", broken)
    code, _, err = command("plan", "immigration", *APRIL)
    assert (code, err) == (backfill.ERROR, ["unexpected RuntimeError: odd"])


DAY, INSTANT = WindowUnit.DAY, WindowUnit.INSTANT


@pytest.mark.parametrize(
    ("first", "last", "unit", "window"),
    [
        ("2016-04-01", "2016-04-30", DAY, Window(date(2016, 4, 1), date(2016, 5, 1))),
        ("2016-04-01", "2016-04-01", DAY, Window(date(2016, 4, 1), date(2016, 4, 2))),
        (
            "2016-04-01",
            "2016-04-01",
            INSTANT,
            Window(datetime(2016, 4, 1, tzinfo=UTC), datetime(2016, 4, 2, tzinfo=UTC)),
        ),
        (
            "2016-04-01T10:00:00+02:00",
            "2016-04-01T09:00:00",
            INSTANT,
            Window(datetime(2016, 4, 1, 8, tzinfo=UTC), datetime(2016, 4, 1, 9, tzinfo=UTC)),
        ),
    ],
)
def test_both_days_are_included_and_an_instants_end_is_not(
    first: str, last: str, unit: WindowUnit, window: Window
) -> None:
    assert backfill.parse_span(first, last, unit) == window


@pytest.mark.parametrize(
    ("first", "last", "unit"),
    [
        ("2016-04-02", "2016-04-01", DAY),
        ("2016-04-01T10:00:00", "2016-04-02", DAY),
        ("April", "2016-04-02", DAY),
        ("2016-04-01", "9999-12-31", DAY),
        ("2016-04-01", "soon", INSTANT),
        ("2016-04-01T10:00:00", "2016-04-01T10:00:00", INSTANT),
    ],
)
def test_what_is_no_window_is_refused(first: str, last: str, unit: WindowUnit) -> None:
    with pytest.raises(SettingsError, match="--from"):
        backfill.parse_span(first, last, unit)
