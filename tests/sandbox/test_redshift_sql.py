"""Redshift's SQL on the simulator, as a client sees it."""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import psycopg2
import psycopg2.errors
import pytest

from tests.sandbox.redshift_fakes import Warehouse, running_warehouse

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    yield from running_warehouse(tmp_path_factory.mktemp("redshift") / "data")


@pytest.fixture
def schema(warehouse: Warehouse) -> Iterator[str]:
    warehouse.ask("CREATE SCHEMA work")
    yield "work"
    warehouse.ask("SET statement_timeout TO 10000; DROP SCHEMA work CASCADE")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("nvl(null, 'x')", "x"),
        ("nvl2(null, 1, 2)", 2),
        ("decode(2, 1, 'one', 2, 'two', 'many')", "two"),
        ("len('día')", 3),
        ("dateadd(month, 1, '2016-01-31'::date)", datetime(2016, 2, 29)),
        ("dateadd(day, -1, '2016-03-01 10:00'::timestamp)", datetime(2016, 2, 29, 10)),
        ("dateadd('quarter', 1, '2016-01-31'::date)", datetime(2016, 4, 30)),
        ("datediff(day, '2016-04-01 23:00'::timestamp, '2016-04-02 01:00'::timestamp)", 1),
        ("datediff(year, '2015-12-31'::date, '2016-01-01'::date)", 1),
        ("datediff(month, '2016-04-30'::date, '2016-03-01'::date)", -1),
        ("datediff(quarter, '2016-03-31'::date, '2016-04-01'::date)", 1),
        ("datediff(hour, '2016-04-01 00:59'::timestamp, '2016-04-01 01:00'::timestamp)", 1),
        ("datediff(seconds, '2016-04-01'::date, '2016-04-01 00:01'::timestamp)", 60),
        ("date_part(dow, '2016-04-03'::date)", 0.0),
        ("date_part('month', '2016-04-03'::date)", 4.0),
        ("extract(week from '2016-04-03'::date)", 13),
        ("extract(dayofweek from '2016-04-03'::date)", 0),
        ("date_trunc('month', '2016-04-03'::date)", datetime(2016, 4, 1)),
        ("trunc('2016-04-03 10:00'::timestamp)", date(2016, 4, 3)),
        ("trunc(2.78, 1)", Decimal("2.7")),
        ("round(2.456::double precision, 2)", 2.46),
        ("last_day('2016-02-03'::date)", date(2016, 2, 29)),
        ("add_months('2016-01-31'::date, 1)", datetime(2016, 2, 29)),
        ("to_char('2016-04-03'::date, 'YYYY-MM-DD')", "2016-04-03"),
        ("cast('2016-04-03' as date) - date '2016-04-01'", 2),
        ("'Nil' ilike 'nil'", True),
        ("charindex('b', 'abc')", 2),
        ("lower('ÉTÉ')", "été"),
        (
            "convert_timezone('UTC', 'America/New_York', '2016-04-01 12:00'::timestamp)",
            datetime(2016, 4, 1, 8),
        ),
        ("sysdate - sysdate = interval '0'", True),
        ("getdate() <= sysdate + interval '1 minute'", True),
        ("7 / 2", 3),
        (r"'a\'b'", "a'b"),
    ],
)
def test_expressions_have_the_values_and_types_of_redshift(
    warehouse: Warehouse, expression: str, value: Any
) -> None:
    ((found,),) = warehouse.ask(f"SELECT {expression}")
    assert found == value
    assert type(found) is type(value)


def test_redshifts_aggregates_and_clauses_work(warehouse: Warehouse, schema: str) -> None:
    warehouse.ask("CREATE TABLE work.t (g VARCHAR(2), n INT, b BIGINT, d DECIMAL(6,2), f FLOAT)")
    warehouse.ask(
        "INSERT INTO work.t VALUES ('a', 1, 1, 1, 1), ('a', 2, 2, 2, 2), ('b', 4, null, null, null)"
    )
    assert warehouse.ask("SELECT avg(n), avg(b), avg(d), avg(f), median(n) FROM work.t WHERE g = 'a'") == [
        (1, 1, Decimal("1.5"), 1.5, 1.5)
    ]
    assert warehouse.ask("SELECT avg(n) FROM work.t WHERE g = 'z'") == [(None,)]
    assert warehouse.ask("SELECT sum(n), sum(b), count(*) FROM work.t") == [(7, Decimal(3), 3)]
    listed = "SELECT g, listagg(n, '-') WITHIN GROUP (ORDER BY n DESC) FROM work.t GROUP BY g ORDER BY g"
    assert warehouse.ask(listed) == [("a", "2-1"), ("b", "4")]
    assert warehouse.ask("SELECT listagg(DISTINCT g, ',') WITHIN GROUP (ORDER BY g) FROM work.t") == [
        ("a,b",)
    ]
    assert warehouse.ask("SELECT TOP 1 n FROM work.t ORDER BY n DESC") == [(4,)]
    newest = (
        "SELECT g, n FROM work.t QUALIFY row_number() OVER (PARTITION BY g ORDER BY n DESC) = 1 ORDER BY g"
    )
    assert warehouse.ask(newest) == [("a", 2), ("b", 4)]
    assert warehouse.ask("SELECT n FROM work.t MINUS SELECT 4 ORDER BY 1") == [(1,), (2,)]


def test_names_fold_to_lower_case(warehouse: Warehouse, schema: str) -> None:
    warehouse.ask('CREATE TABLE Work.FactArrive ("Tourist_id" BIGINT, AddressTo VARCHAR(4))')
    warehouse.ask("INSERT INTO work.factarrive (tourist_ID, \"ADDRESSTO\") VALUES (1, 'x')")
    assert warehouse.ask('SELECT F.TOURIST_ID FROM "Work"."factARRIVE" F') == [(1,)]
    columns = "SELECT column_name FROM information_schema.columns WHERE table_name = 'factarrive' ORDER BY 1"
    assert warehouse.ask(columns) == [("addressto",), ("tourist_id",)]


def test_keys_are_not_enforced_and_a_primary_key_is_not_null(warehouse: Warehouse, schema: str) -> None:
    warehouse.ask("CREATE TABLE work.u (a INT PRIMARY KEY)")
    warehouse.ask("CREATE TABLE work.t (a INT REFERENCES work.u (a), b INT UNIQUE, PRIMARY KEY (a, b))")
    warehouse.ask("INSERT INTO work.t VALUES (1, 1), (1, 1)")
    assert warehouse.ask("SELECT count(*) FROM work.t") == [(2,)]
    with pytest.raises(psycopg2.errors.NotNullViolation):
        warehouse.ask("INSERT INTO work.t VALUES (1, null)")


def test_an_identity_column_is_generated_and_cannot_be_set(warehouse: Warehouse, schema: str) -> None:
    warehouse.ask("CREATE TABLE work.t (id BIGINT IDENTITY(0, 2), a INT)")
    warehouse.ask("INSERT INTO work.t (a) SELECT 5 UNION ALL SELECT 6")
    assert warehouse.ask("SELECT id FROM work.t ORDER BY id") == [(0,), (2,)]
    with pytest.raises(psycopg2.errors.FeatureNotSupported, match="cannot set an identity column to a value"):
        warehouse.ask("INSERT INTO work.t VALUES (7, 7)")


@pytest.mark.parametrize(
    "make",
    [
        "CREATE TABLE work.t (a VARCHAR(3))",
        "CREATE TABLE work.u (a VARCHAR(3)); CREATE TABLE work.t (LIKE work.u)",
        "CREATE TABLE work.u (a VARCHAR(3)); CREATE TABLE work.t AS SELECT a FROM work.u",
        "CREATE TABLE work.t (b INT); ALTER TABLE work.t ADD COLUMN a VARCHAR(3)",
    ],
)
def test_a_strings_length_is_limited_in_bytes(warehouse: Warehouse, schema: str, make: str) -> None:
    warehouse.ask(make)
    warehouse.ask("INSERT INTO work.t (a) VALUES ('abc'), ('é')")
    for text in ("abcd", "éé"):
        with pytest.raises(
            psycopg2.errors.StringDataRightTruncation, match=r"value too long for type character varying\(3\)"
        ):
            warehouse.ask("INSERT INTO work.t (a) VALUES (%s)", (text,))


def test_a_tables_layout_is_in_the_catalog(warehouse: Warehouse, schema: str) -> None:
    warehouse.ask("CREATE TABLE work.t (a INT ENCODE az64, b DATE) DISTKEY (a) SORTKEY (b, a)")
    warehouse.ask("CREATE TABLE work.all_of_it (a INT) DISTSTYLE ALL")
    info = "SELECT \"table\", diststyle, sortkey1 FROM svv_table_info WHERE schema = 'work' ORDER BY 1"
    assert warehouse.ask(info) == [("all_of_it", "ALL", "AUTO(SORTKEY)"), ("t", "KEY(a)", "b")]
    definition = (
        'SET search_path TO work; SELECT "column", encoding, distkey, sortkey FROM pg_table_def'
        " WHERE tablename = 't' ORDER BY 1"
    )
    assert warehouse.ask(definition) == [("a", "az64", True, 2), ("b", "none", False, 1)]


def test_rows_can_be_replaced_in_one_transaction(warehouse: Warehouse, schema: str) -> None:
    warehouse.ask("CREATE TABLE work.t (a INT, b INT); INSERT INTO work.t VALUES (1, 1), (2, 2)")
    warehouse.ask("CREATE TABLE work.ledger (a INT)")
    connection = warehouse.connect()
    with connection, connection.cursor() as cursor:
        cursor.execute("LOCK work.ledger")
        cursor.execute("CREATE TEMP TABLE fresh (LIKE work.t)")
        cursor.execute("INSERT INTO fresh WITH n AS (SELECT 2 AS a, 20 AS b) SELECT a, b FROM n")
        cursor.execute("UPDATE work.t SET b = fresh.b FROM fresh WHERE work.t.a = fresh.a")
        cursor.execute("DELETE FROM work.t USING fresh WHERE work.t.a < fresh.a")
        assert warehouse.ask("SELECT a, b FROM work.t ORDER BY a") == [(1, 1), (2, 2)]
    connection.close()
    assert warehouse.ask("SELECT a, b FROM work.t") == [(2, 20)]


def test_truncate_commits(warehouse: Warehouse, schema: str) -> None:
    warehouse.ask("CREATE TABLE work.t (a INT); INSERT INTO work.t VALUES (1)")
    connection = warehouse.connect()
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO work.t VALUES (2)")
        cursor.execute("TRUNCATE work.t")
    connection.rollback()
    connection.close()
    assert warehouse.ask("SELECT count(*) FROM work.t") == [(0,)]


def test_vacuum_is_allowed_only_outside_a_transaction(warehouse: Warehouse, schema: str) -> None:
    warehouse.ask("CREATE TABLE work.t (a INT)")
    warehouse.ask("VACUUM FULL work.t")
    connection = warehouse.connect()
    with connection.cursor() as cursor, pytest.raises(psycopg2.errors.ActiveSqlTransaction):
        cursor.execute("VACUUM work.t")
    connection.close()


def test_a_write_conflict_is_redshifts_error_1023(warehouse: Warehouse, schema: str) -> None:
    warehouse.ask("CREATE TABLE work.t (a INT); INSERT INTO work.t VALUES (1)")
    late = warehouse.connect()
    with late.cursor() as cursor:
        cursor.execute("SELECT a FROM work.t")
        warehouse.ask("UPDATE work.t SET a = 2")
        with pytest.raises(psycopg2.errors.SerializationFailure, match="1023(.|\n)*Serializable isolation"):
            cursor.execute("UPDATE work.t SET a = 3")
    late.close()


def test_a_locked_table_can_be_read_by_its_locker_and_not_locked_by_another(
    warehouse: Warehouse, schema: str
) -> None:
    warehouse.ask("CREATE TABLE work.ledger (a INT)")
    connection = warehouse.connect()
    with connection.cursor() as cursor:
        cursor.execute("LOCK work.ledger")
        cursor.execute("SELECT count(*) FROM work.ledger")
        with pytest.raises(psycopg2.errors.QueryCanceled):
            warehouse.ask("SET statement_timeout TO 200; BEGIN; LOCK work.ledger")
    connection.close()


@pytest.mark.parametrize("refused", ["CREATE INDEX i ON work.t (a)", "SELECT 'a", "COPY work.t FROM STDIN"])
def test_a_refused_statement_fails_the_transaction(warehouse: Warehouse, schema: str, refused: str) -> None:
    warehouse.ask("CREATE TABLE work.t (a INT)")
    connection = warehouse.connect()
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO work.t VALUES (1)")
        with pytest.raises((psycopg2.errors.FeatureNotSupported, psycopg2.errors.SyntaxError)):
            cursor.execute(refused)
        with pytest.raises(psycopg2.errors.InFailedSqlTransaction):
            cursor.execute("SELECT 1")
    connection.rollback()
    connection.close()
    assert warehouse.ask("SELECT count(*) FROM work.t") == [(0,)]


def test_several_statements_in_one_string_take_effect_together_or_not_at_all(
    warehouse: Warehouse, schema: str
) -> None:
    with pytest.raises(psycopg2.errors.UndefinedTable):
        warehouse.ask("CREATE TABLE work.t (a INT); INSERT INTO work.missing VALUES (1)")
    assert warehouse.ask("SELECT count(*) FROM svv_table_info WHERE schema = 'work'") == [(0,)]
    rows = warehouse.ask("CREATE TABLE work.t (a INT); INSERT INTO work.t VALUES (5); SELECT a FROM work.t")
    assert rows == [(5,)]


def test_an_empty_query_does_not_fail_the_session(warehouse: Warehouse) -> None:
    connection = warehouse.connect()
    connection.autocommit = True
    with connection.cursor() as cursor, pytest.raises(psycopg2.ProgrammingError, match="empty query"):
        cursor.execute("-- nothing")
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    connection.close()


def test_many_rows_are_returned_completely(warehouse: Warehouse, schema: str) -> None:
    warehouse.ask("CREATE TABLE work.t (a BIGINT, b VARCHAR(20))")
    warehouse.ask("INSERT INTO work.t SELECT 1, 'x'")
    for _ in range(14):
        warehouse.ask("INSERT INTO work.t SELECT a, b FROM work.t")
    assert len(warehouse.ask("SELECT a, b FROM work.t")) == 2**14
