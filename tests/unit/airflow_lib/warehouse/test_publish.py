"""Which statements a load consists of, in which order, and what keeps it from being committed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from airflow_lib.errors import ConnectionLost, ResourceError, StatementRefused, WarehouseError
from airflow_lib.pipeline import (
    Append,
    Check,
    Complete,
    Holds,
    NotNull,
    OnEmpty,
    Pipeline,
    References,
    ReplaceWindow,
    Severity,
    SparkJob,
    Table,
)
from airflow_lib.warehouse.publish import Loaded, WindowLoad, load_window, read_verdicts
from airflow_lib.warehouse.quality import Verdict, hash_check
from airflow_lib.warehouse.sql_hash import hash_sql
from tests.unit.airflow_lib.warehouse.recording_connection import RecordingConnection
from tests.unit.airflow_lib.warehouse.shop import APRIL, SCHEMA, SHOP, first_lines, write_templates
from tests.world.sqlite_redshift import refused

CHEAP = Holds("cheap", "dimItem", "price < 5")
KNOWN = NotNull("factSale", ("item",))
DEAR = Holds("dear", "dimItem", "price > 1", severity=Severity.WARN)
NOON = datetime(2016, 5, 1, 12, tzinfo=UTC)
COMPLETE = Complete("factSale", staging="staging_sales")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_templates(tmp_path)


def load(conn: RecordingConnection, root: Path, pipeline: Pipeline = SHOP) -> Loaded:
    pinned_at = {"sales": NOON}
    this = WindowLoad(pipeline, "run 1", APRIL, SCHEMA, {"sales": "abc"}, {"sales": 7}, pinned_at, "b1")
    return load_window(conn, this, root=root, sleep=lambda _: None)  # type: ignore[arg-type]


def counting(**failing: int) -> Callable[[str], Any]:
    """7 rows in every table, and so many that fail a check whose SELECT holds the word."""

    def answer(sql: str) -> Any:
        if "AS failing" not in sql:
            return [(7,)] if "COUNT(*)" in sql else None
        found = next((rows for word, rows in failing.items() if word in sql), 0)
        return [(found,)] if sql.startswith("SELECT COUNT(*)") else [("a row",)] * found

    return answer


def loading(before: dict[str, int], after: dict[str, int]) -> RecordingConnection:
    """A warehouse in which so many rows fail a check whose SELECT holds the word, before and after the changes."""
    conn = RecordingConnection()
    conn._answer = lambda sql: counting(**(after if is_loaded(conn, "dimItem") else before))(sql)
    return conn


def this_try(conn: RecordingConnection) -> list[str]:
    """The statements since the last rollback."""
    return conn.log[len(conn.log) - [*conn.log[::-1], "ROLLBACK"].index("ROLLBACK") :]


def is_loaded(conn: RecordingConnection, table: str) -> bool:
    """Whether the table's SELECT was run since the last rollback."""
    return any(f"'load {table}'" in sql for sql in this_try(conn))


def emptied(*, on_empty: OnEmpty, rows: int = 7) -> tuple[RecordingConnection, Pipeline]:
    """A warehouse that holds rows of the window and is given none."""
    conn = RecordingConnection()

    def answer(sql: str) -> Any:
        """The DELETE of this transaction empties the window; a rollback undoes that."""
        deleted = any(statement.startswith('DELETE FROM "factsale"') for statement in this_try(conn))
        return [(0 if deleted else rows,)] if "COUNT(*)" in sql else None

    conn._answer = answer
    sales = Table("factSale", ReplaceWindow("day", on_empty))
    return conn, replace(SHOP, tables=(*SHOP.tables[:-1], sales))


def test_a_load_is_one_transaction_that_begins_with_the_loads_lock(root: Path) -> None:
    conn = RecordingConnection(counting())

    loaded = load(conn, root)

    assert loaded.tables == {
        "dimItem": {"total": 7},
        "dimDay": {"total": 7},
        "factSale": {"before": 7, "rows": 7, "total": 7},
    }
    assert (loaded.refused, loaded.kept) == ("", ())
    assert first_lines(conn.log) == [
        "LOCK TABLE mayfly_load_lock",
        "SELECT run_id, manifests, pinned_at",
        "SELECT run_id, manifests, pinned_at",
        "SELECT COUNT(*)",
        f'CREATE TABLE "{SCHEMA}".mayfly_incoming AS',
        f'INSERT INTO "{SCHEMA}".mayfly_incoming ("item", "price", mayfly_came_in)',
        f'INSERT INTO "{SCHEMA}".mayfly_incoming ("item", "price", mayfly_came_in)',
        f'CREATE TABLE "{SCHEMA}".mayfly_newest AS',
        'DELETE FROM "dimitem"',
        'INSERT INTO "dimitem" ("item", "price")',
        f'DROP TABLE "{SCHEMA}".mayfly_newest',
        f'DROP TABLE "{SCHEMA}".mayfly_incoming',
        'DELETE FROM "dimday"',
        'INSERT INTO "dimday" ("day")',
        f'CREATE TABLE "{SCHEMA}".mayfly_incoming AS',
        f'INSERT INTO "{SCHEMA}".mayfly_incoming ("sale", "day", "item", mayfly_came_in)',
        'DELETE FROM "factsale"',
        'INSERT INTO "factsale" ("sale", "day", "item")',
        f'DROP TABLE "{SCHEMA}".mayfly_incoming',
        'SELECT COUNT(*) FROM "dimitem"',
        'SELECT COUNT(*) FROM "dimday"',
        "SELECT COUNT(*)",
        'SELECT COUNT(*) FROM "factsale"',
        "DELETE FROM mayfly_loads",
        "INSERT INTO mayfly_loads",
        "COMMIT",
    ]


def test_a_load_replaces_and_counts_its_window_alone(root: Path) -> None:
    conn = RecordingConnection()
    load(conn, root)

    touching = [sql for sql in conn.log if '"factsale"' in sql and "CREATE" not in sql]
    touching.remove('SELECT COUNT(*) FROM "factsale"')
    assert len(touching) == 4
    for statement in touching:
        assert "\"day\" >= '2016-04-01' AND \"day\" < '2016-05-01'" in statement


def test_the_ledger_records_run_window_manifests_rows_and_verdicts(root: Path) -> None:
    conn = RecordingConnection(counting())
    load(conn, root, replace(SHOP, checks=(CHEAP, DEAR)))

    entry = conn.log[-2]
    for value in (
        "'shop'",
        "'run 1'",
        "'2016-04-01'",
        "'2016-05-01'",
        '\'{"sales": "abc"}\'',
        '\'{"sales": "2016-05-01T12:00:00Z"}\'',
        '"factSale": {"before": 7, "rows": 7, "total": 7}',
        f'{{"cheap": {{"before": 0, "check": "{hash_check(CHEAP)}", "failing": 0}}}}',
    ):
        assert value in entry


def test_a_load_that_fails_midway_leaves_nothing(root: Path) -> None:
    def fail(sql: str) -> None:
        if 'INSERT INTO "factsale"' in sql:
            raise psycopg2.DatabaseError("out of disk")

    conn = RecordingConnection(fail)

    with pytest.raises(
        WarehouseError, match=r"Loading shop for 2016-04-01 to 2016-05-01 \(run run 1\) failed"
    ):
        load(conn, root)
    assert conn.log[-1] == "ROLLBACK"
    assert "COMMIT" not in conn.log


@pytest.mark.parametrize(("before", "now", "warned"), [(30, 1, True), (30, 30, False), (0, 7, False)])
def test_a_window_that_has_fewer_rows_than_before_is_told(
    root: Path, caplog: pytest.LogCaptureFixture, before: int, now: int, warned: bool
) -> None:
    conn = RecordingConnection()
    conn._answer = lambda sql: (
        [(now if is_loaded(conn, "factSale") else before,)] if "COUNT(*)" in sql else None
    )

    loaded = load(conn, root)

    assert (loaded.tables["factSale"]["before"], loaded.tables["factSale"]["rows"]) == (before, now)
    told = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    words = "table factSale had 30 rows of the window and has 1 now"
    assert [words in message for message in told] == ([True] if warned else [])


def test_a_load_names_the_file_and_the_statement_that_fails(root: Path) -> None:
    (root / "shop" / "load" / "dimDay.sql").write_text("SELECT prize AS day\nFROM item;\n")

    def fail(sql: str) -> None:
        if "prize" in sql:
            raise refused("42703", 'column "prize" does not exist')

    with pytest.raises(StatementRefused) as raised:
        load(RecordingConnection(fail), root)

    assert 'SQLSTATE 42703: column "prize" does not exist' in str(raised.value)
    assert 'INSERT INTO "dimday" ("day") SELECT "day" FROM ( SELECT prize AS day FROM item' in str(
        raised.value
    )
    assert f"In {root.name}/shop/load/dimDay.sql: " in str(raised.value)


def test_checks_of_severity_error_are_asked_after_the_changes_and_before_the_ledger(root: Path) -> None:
    conn = RecordingConnection(counting())

    loaded = load(conn, root, replace(SHOP, checks=(CHEAP, DEAR, KNOWN)))

    asked = [number for number, statement in enumerate(conn.log) if "AS failing" in statement]
    assert len(asked) == 2
    assert first_lines(conn.log).index('INSERT INTO "factsale" ("sale", "day", "item")') < min(asked)
    assert max(asked) < first_lines(conn.log).index("INSERT INTO mayfly_loads")
    assert [(one.name, one.passed) for one in loaded.verdicts] == [
        ("cheap", True),
        ("not_null_factSale", True),
    ]


def test_a_failing_check_rolls_the_load_back_and_every_failing_one_is_told(root: Path) -> None:
    conn = loading({}, {"price": 3, "IS": 2})

    loaded = load(conn, root, replace(SHOP, checks=(CHEAP, KNOWN)))

    assert conn.log[-1] == "ROLLBACK"
    assert not {"COMMIT", "INSERT INTO mayfly_loads"} & set(first_lines(conn.log))
    assert loaded.tables == {}
    assert [one.failing_rows for one in loaded.verdicts] == [3, 2]
    for words in (
        "nothing was loaded, the tables are as they were",
        "Check cheap found 3 failing rows, none was expected.",
        "{'n': 'a row'}",
        'SELECT *\nFROM "dimitem"\nWHERE NOT (price < 5)',
        "Check not_null_factSale found 2 failing rows, none was expected.",
    ):
        assert words in loaded.refused


def test_failing_rows_that_were_there_before_do_not_keep_a_window_from_being_loaded(root: Path) -> None:
    """Checks ask whole tables: what another window holds must not block this one, which brings none of it."""
    conn = loading({"price": 3}, {"price": 3})
    pipeline = replace(SHOP, checks=(CHEAP, KNOWN))

    loaded = load(conn, root, pipeline)

    assert (loaded.refused, conn.log[-1]) == ("", "COMMIT")
    assert [(one.failing_rows, one.before) for one in loaded.verdicts] == [(3, 3), (0, 0)]
    entry = conn.log[-2]
    assert f'"cheap": {{"before": 3, "check": "{hash_check(CHEAP)}", "failing": 3}}' in entry
    told = this_try(conn)
    asked = [number for number, sql in enumerate(told) if "NOT (price < 5)" in sql]
    loaded_at = next(number for number, sql in enumerate(told) if "load dimItem" in sql)
    assert told.index("LOCK TABLE mayfly_load_lock") < asked[0]
    assert asked[0] < loaded_at < asked[1]
    assert not any("LIMIT 5" in sql for sql in told), "a sample that cannot be read would spoil the commit"


def test_failing_rows_that_became_fewer_are_loaded(root: Path) -> None:
    loaded = load(loading({"price": 3}, {"price": 1}), root, replace(SHOP, checks=(CHEAP,)))
    assert (loaded.refused, loaded.verdicts[0].was_there) == ("", True)


def test_a_load_that_brings_more_failing_rows_is_refused_and_says_how_many_there_were(root: Path) -> None:
    conn = loading({"price": 3, "IS": 2}, {"price": 4, "IS": 2})

    loaded = load(conn, root, replace(SHOP, checks=(KNOWN, CHEAP)))

    assert conn.log[-1] == "ROLLBACK"
    assert (
        "Check cheap found 4 failing rows, none was expected; 3 of them were there before" in loaded.refused
    )
    assert (
        "Check not_null_factSale found 2 failing rows, none was expected; they were there" in loaded.refused
    )
    assert loaded.refused.index("cheap") < loaded.refused.index("not_null_factSale")


@pytest.mark.parametrize(
    "check",
    [
        COMPLETE,
        NotNull("staging_sales", ("sale",)),
        References("factSale", "item", "staging_sales", "item"),
    ],
    ids=lambda check: type(check).__name__,
)
def test_a_check_of_staging_is_about_this_load_whatever_there_was_before(root: Path, check: Check) -> None:
    """Staging holds before the changes what it holds after them."""
    conn = loading({"staging_sales": 3}, {"staging_sales": 3})

    loaded = load(conn, root, replace(SHOP, checks=(check,)))

    assert f"Check {check.name} found 3 failing rows, none was expected." in loaded.refused
    assert first_lines(conn.log).count("LOCK TABLE mayfly_load_lock") == 1


def test_a_sample_that_cannot_be_read_loses_no_verdict(root: Path) -> None:
    """Redshift has no savepoint: the first statement that fails spoils the transaction for all after it."""
    conn = loading({}, {"price": 3, "IS": 2})
    whole = conn._answer

    def answer(sql: str) -> Any:
        if any("LIMIT 5" in earlier for earlier in this_try(conn)[:-1]):
            raise refused("25P02", "current transaction is aborted")
        if "LIMIT 5" in sql:
            raise refused("22012", "division by zero")
        return whole(sql)

    conn._answer = answer
    loaded = load(conn, root, replace(SHOP, checks=(CHEAP, KNOWN)))

    assert [one.failing_rows for one in loaded.verdicts] == [3, 2]
    assert "division by zero" in loaded.verdicts[0].samples[0]["unreadable"]
    assert conn.log[-1] == "ROLLBACK"


def test_a_check_whose_own_sql_fails_is_named_with_its_file_and_statement(root: Path) -> None:
    def fail(sql: str) -> Any:
        if "price <" in sql:
            raise refused("42703", 'column "price" does not exist')

    conn = RecordingConnection(fail)

    with pytest.raises(StatementRefused) as raised:
        load(conn, root, replace(SHOP, checks=(CHEAP,)))

    assert "sql_templates/shared/checks/holds.sql" in str(raised.value)
    assert "WHERE NOT (price < 5)" in str(raised.value)
    assert "That is check cheap." in str(raised.value)
    assert conn.log[-1] == "ROLLBACK"


def test_where_the_connection_is_lost_at_the_commit_it_is_unknown_what_became_of_it(root: Path) -> None:
    class Lost(RecordingConnection):
        def commit(self) -> None:
            self.closed = 2
            raise psycopg2.OperationalError("server closed the connection unexpectedly")

    with pytest.raises(ConnectionLost, match="Clear the task"):
        load(Lost(counting()), root, replace(SHOP, checks=(CHEAP,)))


def test_a_window_that_had_rows_and_would_have_none_is_refused(root: Path) -> None:
    conn, pipeline = emptied(on_empty=OnEmpty.FAIL)

    loaded = load(conn, root, pipeline)

    assert conn.log[-1] == "ROLLBACK"
    assert "COMMIT" not in conn.log
    for words in (
        "Loading shop for 2016-04-01 to 2016-05-01",
        "7 rows of table factSale",
        "the source holds no row of 2016-04-01 to 2016-05-01 any more",
        "Put the window's rows back into the source",
        "OnEmpty.KEEP",
        "OnEmpty.REPLACE",
    ):
        assert words in loaded.refused


def test_a_fact_that_is_to_keep_its_rows_is_not_touched_while_the_rest_is_loaded(root: Path) -> None:
    conn, pipeline = emptied(on_empty=OnEmpty.KEEP)

    loaded = load(conn, root, pipeline)

    committed = conn.log[conn.log.index("ROLLBACK") + 1 :]
    assert not any(line.startswith('DELETE FROM "factsale"') for line in committed)
    assert not any("load factSale" in sql for sql in committed)
    assert any("load dimItem" in sql for sql in committed)
    assert committed[-1] == "COMMIT"
    assert (loaded.kept, loaded.tables["factSale"]["rows"], loaded.refused) == (("factSale",), 7, "")


def test_a_fact_that_is_kept_and_emptied_by_another_tables_sql_refuses_the_load(root: Path) -> None:
    conn, pipeline = emptied(on_empty=OnEmpty.KEEP)

    def answer(sql: str) -> Any:
        emptied_by_it = any("load dimItem" in statement for statement in this_try(conn))
        return [(0 if emptied_by_it else 7,)] if "COUNT(*)" in sql else None

    conn._answer = answer
    assert "7 rows of table factSale" in load(conn, root, pipeline).refused
    assert conn.log.count("ROLLBACK") == 2


def test_completeness_expects_of_a_kept_fact_what_it_held(root: Path) -> None:
    conn, pipeline = emptied(on_empty=OnEmpty.KEEP, rows=9)

    load(conn, root, replace(pipeline, checks=(COMPLETE,)))

    asked = next(sql for sql in conn.log if "AS failing" in sql)
    assert "staged.staged <> 7 OR loaded.loaded <> 9" in asked


def test_completeness_as_a_warning_is_judged_by_the_load_which_it_does_not_refuse(root: Path) -> None:
    """After the load nobody knows any more that a fact was kept."""
    conn = RecordingConnection(counting(staged=1))
    warns = replace(COMPLETE, severity=Severity.WARN)

    loaded = load(conn, root, replace(SHOP, checks=(warns,)))

    assert [(one.name, one.passed) for one in loaded.verdicts] == [("complete_factSale", False)]
    assert (loaded.refused, conn.log[-1]) == ("", "COMMIT")
    assert '"failing": 1' in conn.log[-2]


@pytest.mark.parametrize("by_window", [{"windowed": True}, {"windowed": False, "partitioned_by": "day"}])
def test_where_a_fact_was_kept_the_ledger_does_not_name_the_output_that_was_not_loaded(
    root: Path, by_window: dict[str, Any]
) -> None:
    """Or the run whose rows they are would count as older than this one."""
    conn, pipeline = emptied(on_empty=OnEmpty.KEEP)
    ports = SparkJob("ports", sources=("ports.csv",))
    pipeline = replace(pipeline, jobs=(*(replace(job, **by_window) for job in pipeline.jobs), ports))
    manifests = {"sales": "abc", "ports": "def"}
    this = WindowLoad(pipeline, "run 1", APRIL, SCHEMA, manifests, {"sales": 0, "ports": 2}, {}, "b1")

    load_window(conn, this, root=root, sleep=lambda _: None)  # type: ignore[arg-type]

    assert '\'{"ports": "def"}\'' in conn.log[-2]


@pytest.mark.parametrize("on_empty", ["keep", "replace", None])
def test_what_is_no_rule_for_an_emptied_window_refuses_the_load(root: Path, on_empty: Any) -> None:
    conn, pipeline = emptied(on_empty=on_empty)
    assert "7 rows of table factSale" in load(conn, root, pipeline).refused
    assert "COMMIT" not in conn.log


def test_a_window_is_emptied_where_the_declaration_says_so(root: Path) -> None:
    conn, pipeline = emptied(on_empty=OnEmpty.REPLACE)

    loaded = load(conn, root, pipeline)

    assert conn.log[-1] == "COMMIT"
    assert (loaded.tables["factSale"]["rows"], loaded.kept) == (0, ())


@pytest.mark.parametrize("on_empty", OnEmpty)
def test_a_window_that_never_had_rows_is_loaded_without_any(root: Path, on_empty: OnEmpty) -> None:
    conn, pipeline = emptied(on_empty=on_empty, rows=0)

    loaded = load(conn, root, pipeline)

    assert conn.log.count("COMMIT") == 1
    assert "ROLLBACK" not in conn.log
    assert (loaded.tables["factSale"]["rows"], loaded.refused) == (0, "")


def test_a_load_that_its_warehouse_rolled_back_is_repeated_whole(root: Path) -> None:
    conn = RecordingConnection()

    def answer(sql: str) -> Any:
        if sql.startswith("INSERT INTO mayfly_loads") and conn.log.count("ROLLBACK") == 0:
            raise refused("40001", "could not serialize access")
        return counting()(sql)

    conn._answer = answer
    assert load(conn, root).refused == ""
    assert first_lines(conn.log).count("LOCK TABLE mayfly_load_lock") == 2
    assert conn.log.count("COMMIT") == 1


def loaded_before(manifests: str, pinned_at: str) -> RecordingConnection:
    """A warehouse whose ledger names another run's load of the window."""
    row = ("other", manifests, pinned_at)
    return RecordingConnection(lambda sql: [row] if sql.startswith("SELECT run_id") else counting()(sql))


def test_an_output_that_is_older_than_what_another_run_has_loaded_is_refused(root: Path) -> None:
    conn = loaded_before('{"sales": "new"}', '{"sales": "2016-05-01T12:00:01Z"}')

    loaded = load(conn, root)

    assert first_lines(conn.log) == [
        "LOCK TABLE mayfly_load_lock",
        "SELECT run_id, manifests, pinned_at",
        "ROLLBACK",
    ]
    for words in (
        "bring back what a newer load replaced",
        "job 'sales' was chosen at 2016-05-01T12:00:00Z",
        "run other has loaded another one, chosen at 2016-05-01T12:00:01Z",
        "Clear the run from provision.preflight on",
        "put the old file back first if its rows are to be loaded again",
    ):
        assert words in loaded.refused


@pytest.mark.parametrize(
    ("manifests", "pinned_at"),
    [
        ('{"sales": "abc"}', '{"sales": "2016-05-01T12:00:01Z"}'),
        ('{"sales": "old"}', '{"sales": "2016-05-01T11:59:59Z"}'),
        ('{"sales": "new"}', '{"sales": "2016-05-01T12:00:00Z"}'),
        ('{"other job": "new"}', '{"other job": "2016-05-02T00:00:00Z"}'),
        ('{"sales": "new"}', "{}"),
        ("no JSON", "[]"),
    ],
    ids=["same output", "older", "at the same time", "another job", "unknown when", "unreadable"],
)
def test_an_output_that_is_not_older_is_loaded(root: Path, manifests: str, pinned_at: str) -> None:
    assert load(loaded_before(manifests, pinned_at), root).refused == ""


def test_older_is_told_by_the_loads_that_other_runs_of_the_pipeline_made_of_the_same_window(
    root: Path,
) -> None:
    conn = RecordingConnection(counting())
    load(conn, root)
    first = next(sql for sql in conn.log if sql.startswith("SELECT run_id"))
    asked = " ".join(first.split())
    assert "pipeline = 'shop' AND run_id <> 'run 1'" in asked
    assert "window_start = '2016-04-01' AND window_end = '2016-05-01'" in asked


PORTS = SparkJob("ports", sources=("ports.csv",))


@pytest.mark.parametrize(
    ("job", "refused"),
    [(PORTS, True), (replace(PORTS, windowed=True), False)],
    ids=["not windowed", "windowed"],
)
def test_an_output_that_has_no_window_may_not_be_older_than_what_was_loaded_with_any_window(
    root: Path, job: SparkJob, refused: bool
) -> None:
    """Dimensions are replaced whole: week 1 loaded again would bring week 1's ports back over week 2's."""
    row = ("week 2", '{"ports": "new"}', '{"ports": "2016-05-01T12:00:01Z"}')

    def answer(sql: str) -> Any:
        if sql.startswith("SELECT run_id"):
            return [] if "window_start" in sql else [row]
        return counting()(sql)

    conn = RecordingConnection(answer)
    this = WindowLoad(
        replace(SHOP, jobs=(*SHOP.jobs, job)),
        "week 1",
        APRIL,
        SCHEMA,
        {"sales": "abc", "ports": "old"},
        {"sales": 7, "ports": 7},
        {"sales": NOON, "ports": NOON},
        "b1",
    )

    loaded = load_window(conn, this, root=root, sleep=lambda _: None)  # type: ignore[arg-type]

    assert ("job 'ports' was chosen at 2016-05-01T12:00:00Z, and run week 2" in loaded.refused) == refused
    assert conn.log[-1] == ("ROLLBACK" if refused else "COMMIT")


@pytest.mark.parametrize(
    ("job", "refused"),
    [(replace(PORTS, partitioned_by="day"), True), (replace(PORTS, windowed=True), False)],
    ids=["partitioned", "windowed"],
)
def test_a_partitioned_output_may_not_be_older_than_what_was_loaded_with_a_window_that_overlaps(
    root: Path, job: SparkJob, refused: bool
) -> None:
    """It is the same for all windows; a windowed job's outputs of other windows are never the same."""
    row = ("all of spring", '{"ports": "new"}', '{"ports": "2016-05-01T12:00:01Z"}')
    overlaps = "window_start < '2016-05-01' AND window_end > '2016-04-01'"

    def answer(sql: str) -> Any:
        if sql.startswith("SELECT run_id"):
            asked = " ".join(sql.split())
            return [row] if overlaps in asked and "batch <>" not in asked else []
        return counting()(sql)

    conn = RecordingConnection(answer)
    pipeline = replace(SHOP, jobs=(*SHOP.jobs, job))
    manifests, pinned = {"sales": "abc", "ports": "old"}, {"sales": NOON, "ports": NOON}
    this = WindowLoad(pipeline, "april", APRIL, SCHEMA, manifests, {"sales": 7, "ports": 7}, pinned, "b1")

    loaded = load_window(conn, this, root=root, sleep=lambda _: None)  # type: ignore[arg-type]

    assert (
        "job 'ports' was chosen at 2016-05-01T12:00:00Z, and run all of spring" in loaded.refused
    ) == refused
    assert conn.log[-1] == ("ROLLBACK" if refused else "COMMIT")
    mine = [sql for sql in conn.log if "window_start <" in sql]
    assert all("pipeline = 'shop'" in sql and "run_id <> 'april'" in sql for sql in mine)


@pytest.mark.parametrize(
    ("job", "pinned_at", "refused"),
    [
        (replace(PORTS, windowed=True), "2016-05-01T12:00:01Z", True),
        (replace(PORTS, windowed=True), "2016-05-01T12:00:00Z", False),
        (replace(PORTS, windowed=True), "2016-05-01T11:59:59Z", False),
        (replace(PORTS, partitioned_by="day"), "2016-05-01T12:00:01Z", False),
        (PORTS, "2016-05-01T12:00:01Z", False),
    ],
    ids=["chosen later", "at the same time", "earlier", "partitioned", "not windowed"],
)
def test_a_windowed_output_may_not_be_of_an_older_batch_than_what_was_loaded_with_a_window_that_overlaps(
    root: Path, job: SparkJob, pinned_at: str, refused: bool
) -> None:
    """Its outputs of two windows are never the same: that they are of two versions of the source, the batch tells."""
    row = ("first half", '{"ports": "of the first half"}', json.dumps({"ports": pinned_at}))
    other_batch = "batch <> 'b1' AND window_start < '2016-05-01' AND window_end > '2016-04-01'"
    other_window = "(window_start <> '2016-04-01' OR window_end <> '2016-05-01')"

    def answer(sql: str) -> Any:
        if sql.startswith("SELECT run_id"):
            asked = " ".join(sql.split())
            return [row] if other_batch in asked and other_window in asked else []
        return counting()(sql)

    conn = RecordingConnection(answer)
    pipeline = replace(SHOP, jobs=(*SHOP.jobs, job))
    manifests, pinned = {"sales": "abc", "ports": "of april"}, {"sales": NOON, "ports": NOON}
    this = WindowLoad(pipeline, "april", APRIL, SCHEMA, manifests, {"sales": 7, "ports": 7}, pinned, "b1")

    loaded = load_window(conn, this, root=root, sleep=lambda _: None)  # type: ignore[arg-type]

    assert ("job 'ports' was chosen at 2016-05-01T12:00:00Z, and run first half" in loaded.refused) == refused
    assert conn.log[-1] == ("ROLLBACK" if refused else "COMMIT")
    (asked,) = [sql for sql in conn.log if "batch <> 'b1'" in sql]
    assert "pipeline = 'shop'" in asked
    assert "run_id <> 'april'" in asked


LOGGED = replace(SHOP, tables=(*SHOP.tables[:2], Table("dimDay", Append()), SHOP.tables[-1]))


def of_batch(*table_rows: str) -> RecordingConnection:
    """A warehouse whose ledger has loads of the batch, with these tables."""
    rows = [(one,) for one in table_rows]
    return RecordingConnection(lambda sql: rows if sql.startswith("SELECT table_rows") else counting()(sql))


@pytest.mark.parametrize(
    ("ledger", "held"),
    [
        ([], ()),
        (['{"dimDay": {"total": 7}}'], ("dimDay",)),
        (['{"factSale": {"total": 7}}'], ()),
        (['{"factSale": {"total": 7}}', '{"dimDay": {"total": 7}}'], ("dimDay",)),
        (["no JSON"], ("dimDay",)),
    ],
    ids=["a new batch", "loaded", "loaded before the table was declared", "loaded twice", "unreadable"],
)
def test_a_batch_is_appended_unless_a_committed_load_has_added_it(
    root: Path, ledger: list[str], held: tuple[str, ...]
) -> None:
    conn = of_batch(*ledger)

    loaded = load(conn, root, LOGGED)

    assert (loaded.held, loaded.refused) == (held, "")
    assert is_loaded(conn, "dimDay") == (not held)
    assert is_loaded(conn, "dimItem")
    (asked,) = [" ".join(sql.split()) for sql in conn.log if sql.startswith("SELECT table_rows")]
    assert asked.endswith("WHERE pipeline = 'shop' AND batch = 'b1'")


def test_the_ledger_names_the_batch_and_the_sql_and_keeps_what_the_run_loaded_of_another_batch(
    root: Path,
) -> None:
    conn = RecordingConnection(counting())
    load(conn, root)
    deleted, written = (" ".join(sql.split()) for sql in conn.log[-3:-1])
    assert deleted.endswith("run_id = 'run 1' AND (batch IS NULL OR batch = 'b1')")
    assert written.endswith(f"GETDATE(), 'b1', '{hash_sql(SHOP, root)}' )")


def recorded(check: Check, failing: object) -> str:
    return json.dumps({check.name: {"check": hash_check(check), "failing": failing, "before": 3}})


@pytest.mark.parametrize(
    ("stored", "failing"),
    [
        ([], None),
        ([(recorded(CHEAP, 0),)], 0),
        ([(recorded(CHEAP, 3),)], 3),
        ([(recorded(replace(CHEAP, predicate="price < 4"), 0),)], None),
        ([(recorded(replace(CHEAP, severity=Severity.WARN), 0),)], None),
        ([(recorded(CHEAP, "x"),)], None),
        ([('{"cheap": 0}',)], None),
        ([('{"cheap": {"failing": 0}}',)], None),
        ([("no JSON",)], None),
        ([("[1]",)], None),
    ],
    ids=[
        "no load",
        "passed",
        "failed",
        "another predicate",
        "another severity",
        "no number",
        "as an older release wrote it",
        "of an unknown declaration",
        "no JSON",
        "no object",
    ],
)
def test_the_ledgers_verdicts_are_those_of_checks_as_they_are_declared_now(
    stored: Any, failing: int | None
) -> None:
    conn = RecordingConnection(lambda _: stored)
    verdicts = read_verdicts(conn, replace(SHOP, checks=(CHEAP, DEAR)), "run 1")  # type: ignore[arg-type]
    told = {} if failing is None else {"cheap": Verdict("cheap", Severity.ERROR, failing, before=3)}
    assert verdicts == told
    assert "run_id = 'run 1'" in conn.log[0]


def test_what_a_load_came_to_can_be_written_as_json(root: Path) -> None:
    loaded = load(loading({}, {"price": 3}), root, replace(SHOP, checks=(CHEAP, KNOWN)))
    failed, passed = (verdict.as_json() for verdict in loaded.verdicts)
    json.dumps([failed, passed])
    assert passed == {"name": "not_null_factSale", "severity": "error", "passed": True, "failing_rows": 0}
    assert failed["samples"] == [{"n": "a row"}] * 3
    assert failed["sql"].startswith("SELECT")


def test_who_has_to_know_of_the_load_is_told_under_the_lock_before_anything_is_changed(root: Path) -> None:
    conn = RecordingConnection(counting())
    this = WindowLoad(SHOP, "run 1", APRIL, SCHEMA, {"sales": "abc"}, {"sales": 7}, {"sales": NOON}, "b1")

    load_window(
        conn,  # type: ignore[arg-type]
        this,
        locked=lambda: conn.log.append("told"),
        root=root,
        sleep=lambda _: None,
    )

    assert first_lines(conn.log)[:3] == [
        "LOCK TABLE mayfly_load_lock",
        "told",
        "SELECT run_id, manifests, pinned_at",
    ]


def test_where_telling_fails_nothing_is_loaded(root: Path) -> None:
    def refuse() -> None:
        raise ResourceError("no S3")

    conn = RecordingConnection(counting())
    this = WindowLoad(SHOP, "run 1", APRIL, SCHEMA, {"sales": "abc"}, {"sales": 7}, {"sales": NOON}, "b1")
    with pytest.raises(ResourceError, match="no S3"):
        load_window(conn, this, locked=refuse, root=root, sleep=lambda _: None)  # type: ignore[arg-type]
    assert first_lines(conn.log) == ["LOCK TABLE mayfly_load_lock", "ROLLBACK"]


def test_the_ledger_bears_the_hash_of_the_batch_and_of_the_sql(root: Path) -> None:
    conn = RecordingConnection(counting())
    this = WindowLoad(
        SHOP, "run 1", APRIL, SCHEMA, {"sales": "abc"}, {"sales": 7}, {"sales": NOON}, batch="ba" * 32
    )
    load_window(conn, this, root=root, sleep=lambda _: None)  # type: ignore[arg-type]
    (insert,) = [one for one in conn.log if one.startswith("INSERT INTO mayfly_loads")]
    assert f"'{'ba' * 32}'" in insert
    assert f"'{hash_sql(SHOP, root)}'" in insert
