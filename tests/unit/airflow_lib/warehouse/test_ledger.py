"""The ledger's loads as they are told outside the warehouse: in order, bounded, and whatever is read is data."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_lib.errors import WarehouseError
from airflow_lib.steps import Run
from airflow_lib.steps.batch import read_batch
from airflow_lib.steps.clusters import find_warehouse
from airflow_lib.steps.load import CreateTables, LoadWindow
from airflow_lib.steps.transform import RunJob
from airflow_lib.warehouse import ledger
from airflow_lib.warehouse.connection import Connection
from airflow_lib.warehouse.held import RecordedLoad
from airflow_lib.warehouse.ledger import decode_loads, export_loads, finish_load
from tests.world import World
from tests.world.walk import drive, walk

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
DAY = datetime(2016, 4, 1, tzinfo=UTC)


@pytest.fixture
def loaded(world: World, run: Run) -> Run:
    """A run that has loaded April."""
    assert walk(world, run, only="provision").errors == {}
    for step in (*(RunJob(job.name) for job in run.pipeline.jobs), CreateTables(), LoadWindow()):
        drive(step, run, world)
    return run


@pytest.fixture
def connection(loaded: Run) -> Iterator[Connection]:
    with contextlib.closing(find_warehouse(loaded).connect()) as connection:
        yield connection


def exported(connection: Connection, **limits: Any) -> tuple[RecordedLoad, ...]:
    stored: list[bytes] = []
    told = export_loads(connection, "immigration", 1, stored.append, **limits)
    (body,) = stored
    loads = decode_loads(body, "immigration", 1)
    assert len(loads) == told
    return loads


def add_load(
    connection: Connection, at: str, *, run_id: str = "other", manifests: str = '{"arrivals": "a"}'
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO mayfly_loads (pipeline, run_id, window_start, window_end, manifests, pinned_at, table_rows,"
            f" verdicts, code, loaded_at) VALUES ('immigration', '{run_id}', '2016-04-01', '2016-04-02',"
            f" '{manifests}', '{{}}', '{{}}', '{{}}', 'c0de', '{at}')"
        )
    connection.commit()


def test_what_was_loaded_is_told_with_its_outputs_and_once_its_run_came_through_with_its_sql(
    connection: Connection, loaded: Run
) -> None:
    assert [load.code for load in exported(connection)] == [""]
    for run_id, batch in (("run1", "another batch"), ("another run", read_batch(loaded).hash)):
        finish_load(connection, "immigration", run_id, batch)
        assert [load.code for load in exported(connection)] == [""]
    finish_load(connection, "immigration", "run1", read_batch(loaded).hash)
    (load,) = exported(connection)
    assert (load.run_id, load.window_start, load.window_end) == (
        "run1",
        DAY,
        datetime(2016, 5, 1, tzinfo=UTC),
    )
    assert load.outputs.keys() == {"arrivals", "airports"}
    assert all(len(text) == 64 for text in (*load.outputs.values(), load.code))


def test_the_latest_loads_are_told_first_and_those_of_other_pipelines_are_not(connection: Connection) -> None:
    add_load(connection, "2016-01-01 00:00:00", run_id="early")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE mayfly_loads SET pipeline = 'birds' WHERE run_id = 'run1'")
    connection.commit()
    add_load(connection, "2017-01-01 00:00:00", run_id="late")
    assert [load.run_id for load in exported(connection)] == ["late", "early"]


def test_it_is_stored_under_the_loads_lock(connection: Connection) -> None:
    """A load that comes between reading and storing would not be told."""
    seen: list[str] = []
    run = type(connection).run

    def watch(self: Connection, statement: str) -> Any:
        seen.append(" ".join(statement.split()))
        return run(self, statement)

    type(connection).run = watch  # type: ignore[method-assign]
    try:
        export_loads(connection, "immigration", 1, lambda _: seen.append("stored"))
    finally:
        type(connection).run = run  # type: ignore[method-assign]
    lock = seen.index("LOCK TABLE mayfly_load_lock")
    assert (
        lock
        < next(index for index, one in enumerate(seen) if "FROM mayfly_loads" in one)
        < seen.index("stored")
    )


def test_of_more_loads_than_are_told_the_earliest_are_left_out_by_whole_seconds(
    connection: Connection,
) -> None:
    for second, name in (("01", "a"), ("01", "b"), ("02", "c")):
        add_load(connection, f"2016-01-01 00:00:{second}", run_id=name)
    assert [load.run_id for load in exported(connection, limit=3)] == ["run1", "c"]
    assert len(exported(connection, limit=5)) == 4


def test_no_more_is_stored_than_may_be_read(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    for second in range(10, 30):
        add_load(connection, f"2016-01-01 00:00:{second}", run_id=f"r{second}")
    monkeypatch.setattr(ledger, "MAX_BYTES", 2500)
    loads = exported(connection)
    assert 0 < len(loads) < 20
    assert loads[0].run_id == "run1"


@pytest.mark.parametrize("manifests", ["", "no JSON", "[]", '{"arrivals": 1}'])
def test_of_a_row_that_mayfly_did_not_write_so_no_output_is_told(
    connection: Connection, manifests: str
) -> None:
    add_load(connection, "2030-01-01 00:00:00", manifests=manifests)
    assert exported(connection)[0].outputs == {}


def test_a_row_without_the_hash_of_its_sql_has_none(connection: Connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE mayfly_loads SET code = NULL")
    connection.commit()
    assert exported(connection)[0].code == ""


def test_what_is_told_of_another_generation_or_pipeline_is_refused(connection: Connection) -> None:
    stored: list[bytes] = []
    export_loads(connection, "immigration", 1, stored.append)
    for told in (("immigration", 2), ("birds", 1)):
        with pytest.raises(WarehouseError, match="it is of"):
            decode_loads(stored[0], *told)


VALID: dict[str, Any] = {
    "version": 1,
    "pipeline": "immigration",
    "generation": 1,
    "loads": [
        {
            "run_id": "r",
            "window_start": DAY.isoformat(),
            "window_end": (DAY + timedelta(days=1)).isoformat(),
            "manifests": {"arrivals": "a"},
            "code": "c",
            "loaded_at": NOW.isoformat(),
        }
    ],
}
ODD = st.sampled_from(
    [None, True, -1, 2**70, "", "\ud800", "2026-01-01", "0001-01-01T00:00:00+14:00", [], {}, [[]], {"a": 1}]
)


def test_what_was_written_is_read() -> None:
    (load,) = decode_loads(json.dumps(VALID).encode(), "immigration", 1)
    assert load == RecordedLoad("r", DAY, DAY + timedelta(days=1), {"arrivals": "a"}, "c", NOW)
    assert replace(load, run_id="s") != load


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(st.sampled_from([*VALID, *VALID["loads"][0], "whole", "bytes"]), ODD | st.text(max_size=5))
def test_whatever_is_read_it_ends_in_loads_or_in_an_error_of_ours(place: str, put: Any) -> None:
    content: Any = json.loads(json.dumps(VALID))
    if place in VALID:
        content[place] = put
    elif place in VALID["loads"][0]:
        content["loads"][0][place] = put
    body = (
        str(put).encode(errors="replace")
        if place == "bytes"
        else json.dumps(put if place == "whole" else content).encode()
    )
    with contextlib.suppress(WarehouseError):
        for load in decode_loads(body, "immigration", 1):
            assert load.window_start < datetime.combine(date.max, datetime.max.time(), UTC)
