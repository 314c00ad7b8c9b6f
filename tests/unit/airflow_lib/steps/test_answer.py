"""Questions and their answers: tables that are rebuilt and checked, and the files that are published."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_lib.errors import StatementRefused, WarehouseError
from airflow_lib.pipeline import Answer, Check, Holds, RowCount, Severity
from airflow_lib.steps import Done, Failed, Outcome, Run
from airflow_lib.steps.answer import PublishAnswer
from airflow_lib.warehouse.sql import Script
from tests.world import World
from tests.world.account import BUCKET
from tests.world.spark import get, put
from tests.world.sqlite_redshift import Database
from tests.world.walk import drive
from tests.world.wire import Kind

QUERY, TABLE = PublishAnswer("arrivals_by_airport"), PublishAnswer("airports_by_use")
FOLDER = "published/immigration"
NAMES = {step: step.name for step in (QUERY, TABLE)}


def publish(step: PublishAnswer, run: Run, world: World) -> Outcome:
    return drive(step, run, world)


def parquet(name: str) -> list[dict[str, Any]]:
    body = get(f"s3://{BUCKET}/{FOLDER}/{name}/parquet/{name}_000.parquet")
    return [] if body is None else pq.read_table(io.BytesIO(body)).to_pylist()


def text(name: str) -> list[list[str]]:
    body = get(f"s3://{BUCKET}/{FOLDER}/{name}/csv/{name}_000.csv")
    return [] if body is None else list(csv.reader(io.StringIO(body.decode())))


def table_in(world: World, name: str = "airports_by_use") -> list[tuple[Any, ...]]:
    (content,) = world.warehouses.contents.values()
    return Database(content).content_of(f"answers.{name}")


def with_answer(run: Run, *checks: Check, table: bool = True) -> Run:
    answer = Answer("airports_by_use", table=table, checks=checks)
    return replace(run, pipeline=replace(run.pipeline, answers=(answer,)))


def change(world: World, statement: str) -> None:
    """As a person does, in the run's warehouse."""
    ((name, content),) = world.warehouses.contents.items()
    database = Database(content)
    database.execute(statement)
    world.warehouses.contents[name] = database.content()


@pytest.mark.parametrize("step", [QUERY, TABLE])
def test_an_answer_is_published_as_parquet_and_as_csv(world: World, loaded: Run, step: PublishAnswer) -> None:
    result = publish(step, loaded, world).result
    name = step.name
    assert result["published"] == {
        "parquet": f"s3://{BUCKET}/{FOLDER}/{name}/parquet/{name}_000.parquet",
        "csv": f"s3://{BUCKET}/{FOLDER}/{name}/csv/{name}_000.csv",
    }
    rows = [list(row.values()) for row in parquet(name)]
    assert rows == result["rows"]
    assert text(name) == [result["columns"], *([str(value) for value in row] for row in rows)]
    assert sum(row[-1] for row in rows) == 30


def test_a_run_keeps_the_first_rows_of_an_answer_and_how_many_there_are(
    world: World, loaded: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(monkeypatch, "SELECT id, day FROM arrivals ORDER BY arrivals.id DESC, airport")
    result = publish(QUERY, loaded, world).result
    assert result["row_count"] == 30
    assert [row[0] for row in result["rows"]] == list(range(20160430, 20160420, -1))
    assert [row["id"] for row in parquet("arrivals_by_airport")] == list(range(20160430, 20160400, -1))


def ask(monkeypatch: pytest.MonkeyPatch, sql: str) -> None:
    """Let every answer's template hold that SELECT."""
    monkeypatch.setattr(
        "airflow_lib.warehouse.answers._query", lambda *_: Script(sql + "\n", "sql_templates/answer.sql")
    )


def test_an_answer_may_end_in_limit_which_unload_refuses(
    world: World, loaded: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(monkeypatch, "SELECT id, airport FROM arrivals WHERE airport <> 'it''s' ORDER BY 1 LIMIT 3;")
    result = publish(QUERY, loaded, world).result
    assert (result["row_count"], len(parquet("arrivals_by_airport"))) == (3, 3)


def test_a_table_answer_is_rebuilt_from_its_select(world: World, loaded: Run) -> None:
    publish(TABLE, loaded, world)
    assert table_in(world) == [("JFK", 10), ("LAX", 10), ("ORD", 10)]
    change(world, "DELETE FROM arrivals WHERE airport = 'LAX'")
    result = publish(TABLE, loaded, world).result
    assert table_in(world) == [("JFK", 10), ("ORD", 10)]
    assert parquet("airports_by_use") == [{"code": "JFK", "arrivals": 10}, {"code": "ORD", "arrivals": 10}]
    assert result["checks"] == [
        {"name": "row_count_airports_by_use", "severity": "error", "passed": True, "failing_rows": 0}
    ]


def test_a_table_answer_whose_columns_changed_is_rebuilt_with_the_new_ones(
    world: World, loaded: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(TABLE, loaded, world)
    ask(monkeypatch, "SELECT COUNT(*) AS all_of_them FROM arrivals")
    assert publish(TABLE, loaded, world).result["columns"] == ["all_of_them"]
    assert table_in(world) == [(30,)]


def test_a_check_of_severity_error_keeps_the_table_and_the_files_of_the_run_before(
    world: World, loaded: Run
) -> None:
    publish(TABLE, loaded, world)
    before = table_in(world), parquet("airports_by_use"), text("airports_by_use")
    change(world, "DELETE FROM arrivals WHERE airport = 'LAX'")
    outcome = publish(
        TABLE,
        with_answer(loaded, Holds("all_used", "airports_by_use", "arrivals > 10")),
        world,
    )
    assert isinstance(outcome, Failed)
    assert "its table and what is published of it are as they were" in outcome.message
    assert "Check all_used found 2 failing rows" in outcome.message
    assert "{'code': 'JFK', 'arrivals': 10}" in outcome.message
    assert outcome.result["checks"][0]["failing_rows"] == 2
    assert (table_in(world), parquet("airports_by_use"), text("airports_by_use")) == before


def test_a_check_of_severity_warn_is_reported_and_the_answer_published(world: World, loaded: Run) -> None:
    check = RowCount("airports_by_use", at_most=2, severity=Severity.WARN)
    outcome = publish(TABLE, with_answer(loaded, check), world)
    assert isinstance(outcome, Done)
    (told,) = outcome.result["checks"]
    assert (told["passed"], told["samples"]) == (False, [{"rows_found": 3}])
    assert len(parquet("airports_by_use")) == 3


def test_an_answer_that_has_no_rows_any_more_has_no_files_any_more(world: World, loaded: Run) -> None:
    """UNLOAD makes no file of no row, and leaves the old one: it would be taken for today's."""
    publish(QUERY, loaded, world)
    put(f"s3://{BUCKET}/{FOLDER}/arrivals_by_airport/README.txt", b"a person's")
    change(world, "DELETE FROM arrivals")
    result = publish(QUERY, loaded, world).result
    assert (result["row_count"], result["rows"], result["published"]) == (0, [], {})
    assert world.objects(FOLDER) == [f"{FOLDER}/arrivals_by_airport/README.txt"]


def test_a_second_file_of_an_answer_is_refused_by_name(world: World, loaded: Run) -> None:
    left = f"{FOLDER}/arrivals_by_airport/csv/arrivals_by_airport_001.csv"
    put(f"s3://{BUCKET}/{left}", b"of a run that had more than 6.2 GB")
    with pytest.raises(WarehouseError, match=r"lies beside it.*6\.2 GB.*delete what is in"):
        publish(QUERY, loaded, world)
    assert left in world.objects(FOLDER)


def test_a_file_that_unload_should_have_written_and_is_not_there_is_an_error(
    world: World, loaded: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.world.unload_command.put", lambda *_: None)
    with pytest.raises(WarehouseError, match="arrivals_by_airport_000.csv is not there"):
        publish(QUERY, loaded, world)


@pytest.mark.parametrize("step", [QUERY, TABLE])
@pytest.mark.parametrize("operation", ["Connect", "Unload", "Commit"])
@pytest.mark.parametrize("kind", [Kind.LOST, Kind.TIMEOUT])
def test_an_answer_whose_warehouse_did_not_reply_is_published_all_the_same(
    world: World, loaded: Run, step: PublishAnswer, operation: str, kind: Kind
) -> None:
    world.wire.inject(f"warehouse.{operation}", kind, times=1)
    assert isinstance(publish(step, loaded, world), Done)
    assert sum(row["arrivals"] for row in parquet(step.name)) == 30
    assert sum(int(row[-1]) for row in text(step.name)[1:]) == 30
    if step is TABLE:
        assert table_in(world) == [("JFK", 10), ("LAX", 10), ("ORD", 10)]


def test_an_answer_that_redshift_cannot_publish_names_its_file_and_what_parquet_lacks(
    world: World, loaded: Run
) -> None:
    world.wire.inject(
        "warehouse.Unload", Kind.REFUSED, times=1, code="0A000", message="not supported in PARQUET"
    )
    with pytest.raises(StatementRefused, match=r"(?s)unload_parquet\.sql.*GEOMETRY, HLLSKETCH or VARBYTE"):
        publish(QUERY, loaded, world)
