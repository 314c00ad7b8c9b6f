"""What the plan of a backfill says of each day: the same as a run would find, and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import pytest

from airflow_lib.backfill.judge import Judge, Part, list_to_load
from airflow_lib.errors import SourceError
from airflow_lib.lifecycle.document import Phase
from airflow_lib.pipeline import Window
from airflow_lib.steps import Run
from tests.world import World
from tests.world.account import BUCKET
from tests.world.pipeline import PIPELINE
from tests.world.spark import get, put
from tests.world.walk import walk

MakeRun = Callable[..., Run]
TOLD = f"s3://{BUCKET}/state/immigration/loads/g1.json"


def days(first: int, last: int) -> Window:
    """Days of April, both included."""
    return Window(date(2016, 4, first), date(2016, 4, last) + timedelta(days=1))


def read_told() -> bytes:
    found = get(TOLD)
    assert found
    return found


@pytest.fixture
def loaded(world: World, make_run: MakeRun) -> Callable[..., None]:
    """`loaded(run_id, window)`: a run that has loaded it, and is over."""

    def load(run_id: str, window: Window) -> None:
        walked = walk(world, replace(make_run(run_id), window=window))
        assert not walked.red, walked.errors
        world.advance(60)

    return load


@pytest.fixture
def judge(make_run: MakeRun) -> Callable[..., list[Part]]:
    return lambda window: Judge(replace(make_run("plan"), window=window)).judge()


Load = Callable[..., None]
Judged = Callable[..., list[Part]]


def test_where_nothing_was_ever_loaded_all_is_missing(world: World, judge: Judged) -> None:
    (part,) = judge(days(1, 30))
    assert (part.window, part.is_loaded, part.why) == (days(1, 30), False, "never loaded")


def test_days_that_were_loaded_are_and_those_between_are_not(
    world: World, loaded: Load, judge: Judged
) -> None:
    loaded("a", days(1, 2))
    loaded("b", days(5, 6))
    parts = judge(days(1, 30))
    assert [(part.window, part.is_loaded) for part in parts] == [
        (days(1, 2), True),
        (days(3, 4), False),
        (days(5, 6), True),
        (days(7, 30), False),
    ]
    assert parts[0].why.startswith("loaded by run a at 2")
    assert list_to_load(parts) == [days(3, 4), days(7, 30)]


def test_a_day_within_a_month_that_was_loaded_as_one_is_loaded(
    world: World, loaded: Load, judge: Judged
) -> None:
    """Although a run of that day alone would compute its own output of a windowed job."""
    loaded("a", days(1, 30))
    assert [part.is_loaded for part in judge(days(9, 9))] == [True]


def test_a_day_that_was_loaded_again_since_leaves_its_month_loaded(
    world: World, loaded: Load, judge: Judged
) -> None:
    loaded("a", days(1, 30))
    loaded("b", days(9, 9))
    parts = judge(days(1, 30))
    assert all(part.is_loaded for part in parts)
    assert [part.window for part in parts] == [days(1, 8), days(9, 9), days(10, 30)]


def test_a_file_that_changed_is_told_with_its_job_and_all_its_days_are_to_be_loaded(
    world: World, loaded: Load, judge: Judged
) -> None:
    loaded("a", days(1, 30))
    put(f"s3://{BUCKET}/source/immigration/labels.sas", b"other")
    (part,) = judge(days(1, 30))
    assert not part.is_loaded
    assert part.why.startswith(
        "the source of arrivals changed (files: 1 changed) since it was loaded by run a at 2"
    )


def test_a_file_of_a_job_that_serves_every_window_counts_for_every_day(
    world: World, loaded: Load, judge: Judged
) -> None:
    loaded("a", days(1, 30))
    put(f"s3://{BUCKET}/source/immigration/airports.csv", b"other")
    loaded("b", days(9, 9))
    parts = judge(days(1, 30))
    assert [(part.window, part.is_loaded) for part in parts] == [
        (days(1, 8), False),
        (days(9, 9), True),
        (days(10, 30), False),
    ]
    assert parts[0].why.startswith(
        "the source of airports changed (files: 1 changed) since it was loaded by run a"
    )


def test_sql_that_changed_is_told(
    world: World, loaded: Load, judge: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded("a", days(1, 2))
    monkeypatch.setattr("airflow_lib.backfill.judge.hash_sql", lambda _: "0dd1" * 16)
    (part,) = judge(days(1, 2))
    assert part.why.startswith("the SQL, tables or checks changed since it was loaded by run a")


def test_a_load_whose_checks_did_not_come_through_does_not_count(
    world: World, make_run: MakeRun, loaded: Load, judge: Judged
) -> None:
    loaded("a", days(1, 2))
    told = json.loads(read_told())
    told["loads"][0]["code"] = ""
    put(TOLD, json.dumps(told).encode())
    (part,) = judge(days(1, 2))
    assert not part.is_loaded
    assert part.why.startswith("its checks or answers did not come through, or its run did not end")


@pytest.mark.parametrize("told", [b"", b"{", b'{"version": 1}', b'{"version": 1, "pipeline": "other"}'])
def test_a_ledger_that_tells_nothing_or_is_damaged_is_not_known(
    world: World, loaded: Load, judge: Judged, told: bytes
) -> None:
    loaded("a", days(1, 2))
    put(TOLD, told)
    (part,) = judge(days(1, 30))
    assert (part.window, part.is_loaded, part.is_known) == (days(1, 30), False, False)
    assert part.why.startswith("not known")
    assert "a run would find out" in part.why


def test_a_ledger_of_another_generation_than_the_registers_is_not_known(
    world: World, loaded: Load, judge: Judged
) -> None:
    loaded("a", days(1, 2))
    put(TOLD, read_told().replace(b'"generation": 1', b'"generation": 2'))
    assert not judge(days(1, 2))[0].is_known


def test_while_there_is_a_warehouse_it_is_not_known_what_it_holds(
    world: World, make_run: MakeRun, judge: Judged
) -> None:
    kept = replace(make_run("a", keep_alive_s=600), window=days(1, 2), expects_more=True)
    assert not walk(world, kept).red
    assert world.register(PIPELINE).warehouse.phase is Phase.READY
    (part,) = judge(days(1, 2))
    assert not part.is_known
    assert part.why == "not known while there is a warehouse (generation 1, ready); a run would find out"


def test_a_snapshot_that_is_gone_is_not_known(world: World, loaded: Load, judge: Judged) -> None:
    loaded("a", days(1, 2))
    (snapshot,) = world.others.redshift.describe_cluster_snapshots()["Snapshots"]
    world.others.redshift.delete_cluster_snapshot(SnapshotIdentifier=snapshot["SnapshotIdentifier"])
    (part,) = judge(days(1, 2))
    assert not part.is_known
    assert "is not available" in part.why


def test_a_source_that_is_missing_is_an_error(world: World, loaded: Load, judge: Judged) -> None:
    put(f"s3://{BUCKET}/source/immigration/labels.sas", b"")
    with pytest.raises(SourceError, match=r"labels\.sas: missing or empty"):
        judge(days(1, 2))
