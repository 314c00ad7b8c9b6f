"""UNLOAD to S3 on the Redshift simulator: what is written, and what is refused."""

import io
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import psycopg2
import psycopg2.errors
import pyarrow.parquet
import pytest
from botocore.exceptions import ClientError

from tests.sandbox.redshift_fakes import BUCKET, ROLE, UNATTACHED_ROLE, Warehouse, running_warehouse

pytestmark = pytest.mark.sandbox

MOMENT = datetime(2016, 4, 1, 12, 30, 15, 123456)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    yield from running_warehouse(tmp_path_factory.mktemp("redshift") / "data")


@pytest.fixture
def warehouse(started: Warehouse) -> Iterator[Warehouse]:
    started.ask("CREATE SCHEMA told; CREATE TABLE told.t (id BIGINT, name VARCHAR(20), born DATE)")
    started.ask(
        "INSERT INTO told.t VALUES (2, '', NULL), (1, 'a \"quoted\", name', '2016-04-01'), (3, NULL, '1743-11-01')"
    )
    yield started
    started.ask("SET statement_timeout TO 10000; DROP SCHEMA told CASCADE")
    started.control.denied.clear()
    for item in started.s3.list_objects_v2(Bucket=BUCKET, Prefix="out/").get("Contents", ()):
        started.s3.delete_object(Bucket=BUCKET, Key=item["Key"])


def unload(query: str, options: str, prefix: str = f"s3://{BUCKET}/out/t_", role: str = ROLE) -> str:
    doubled = query.replace("'", "''")
    return f"UNLOAD ('{doubled}') TO '{prefix}' IAM_ROLE '{role}' {options}"


def csv(query: str, **more: str) -> str:
    return unload(query, "FORMAT AS CSV HEADER EXTENSION 'csv' PARALLEL OFF ALLOWOVERWRITE", **more)


def parquet(query: str, **more: str) -> str:
    return unload(query, "FORMAT AS PARQUET PARALLEL OFF ALLOWOVERWRITE", **more)


def read(warehouse: Warehouse, key: str) -> bytes:
    return bytes(warehouse.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())


def keys(warehouse: Warehouse) -> list[str]:
    found = warehouse.s3.list_objects_v2(Bucket=BUCKET, Prefix="out/").get("Contents", ())
    return [item["Key"] for item in found]


def refused(warehouse: Warehouse, sql: str) -> str:
    with pytest.raises(psycopg2.Error) as caught:
        warehouse.ask(sql)
    return f"{caught.value.pgcode} {caught.value.diag.message_primary} {caught.value.diag.message_detail}"


def test_a_csv_has_a_header_quotes_where_it_must_and_the_querys_order(warehouse: Warehouse) -> None:
    connection = warehouse.connect()
    with connection, connection.cursor() as cursor:
        cursor.execute(csv("SELECT id, name, born, id > 1 AS more FROM told.t WHERE id < 9 ORDER BY id"))
        assert cursor.statusmessage == "UNLOAD"
        assert "UNLOAD completed, 3 record(s) unloaded successfully." in connection.notices[-1]
    connection.close()
    assert read(warehouse, "out/t_000.csv").decode() == (
        'id,name,born,more\n1,"a ""quoted"", name",2016-04-01,f\n2,,,t\n3,,1743-11-01,t\n'
    )


def test_every_column_type_is_written_exactly_to_parquet(warehouse: Warehouse) -> None:
    warehouse.ask(
        "CREATE TABLE told.types (a SMALLINT, b INT, c DOUBLE PRECISION, d REAL, e BOOLEAN, f DECIMAL(6,2),"
        " g TIMESTAMP, h TIMESTAMPTZ, i DATE, j CHAR(2), k BIGINT)"
    )
    warehouse.ask(
        "INSERT INTO told.types VALUES (1, -2, 0.1, 0.5, TRUE, 12.30, %s, %s, '2016-04-01', 'ab', 3)",
        (MOMENT, MOMENT.replace(tzinfo=UTC)),
    )
    warehouse.ask("INSERT INTO told.types (a) VALUES (NULL)")
    warehouse.ask(parquet("SELECT * FROM told.types ORDER BY k"))
    table = pyarrow.parquet.read_table(io.BytesIO(read(warehouse, "out/t_000.parquet")))
    first, second = table.to_pylist()
    values: list[Any] = [1, -2, 0.1, 0.5, True, Decimal("12.30"), MOMENT, MOMENT, date(2016, 4, 1), "ab", 3]
    assert list(first.values()) == values
    assert set(second.values()) == {None}
    assert str(table.schema.field("f").type) == "decimal128(6, 2)"


def test_what_unload_writes_copy_reads(warehouse: Warehouse) -> None:
    warehouse.ask(parquet("SELECT * FROM told.t"))
    warehouse.ask("CREATE TABLE told.back (id BIGINT, name VARCHAR(20), born DATE)")
    warehouse.ask(f"COPY told.back FROM 's3://{BUCKET}/out/t_' IAM_ROLE '{ROLE}' FORMAT AS PARQUET")
    rows = "SELECT * FROM told.{} ORDER BY id"
    assert warehouse.ask(rows.format("back")) == warehouse.ask(rows.format("t"))


def test_quotes_in_the_query_are_doubled_and_its_dialect_is_redshifts(warehouse: Warehouse) -> None:
    warehouse.ask(csv("SELECT NVL(name, 'it''s null') AS name FROM told.t WHERE id = 3"))
    assert read(warehouse, "out/t_000.csv") == b"name\nit's null\n"


def test_no_row_makes_no_file_and_the_old_one_stays(warehouse: Warehouse) -> None:
    warehouse.ask(csv("SELECT id FROM told.t WHERE id = 1"))
    warehouse.ask(csv("SELECT id FROM told.t WHERE id = 99"))
    warehouse.ask(parquet("SELECT id FROM told.t WHERE id = 99"))
    assert keys(warehouse) == ["out/t_000.csv"]
    assert read(warehouse, "out/t_000.csv") == b"id\n1\n"


def test_it_sees_what_the_transaction_does_and_what_it_wrote_outlives_its_rollback(
    warehouse: Warehouse,
) -> None:
    connection = warehouse.connect()
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE mine AS SELECT id + 10 AS id FROM told.t WHERE id = 1")
        cursor.execute(csv("SELECT id FROM mine"))
    connection.rollback()
    connection.close()
    assert read(warehouse, "out/t_000.csv") == b"id\n11\n"


def test_a_table_is_built_beside_another_and_takes_its_place_or_not(warehouse: Warehouse) -> None:
    connection = warehouse.connect()
    for end, expected in ((connection.rollback, 3), (connection.commit, 1)):
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE told.new AS SELECT 'x' AS code, COUNT(*) AS n FROM told.t")
            cursor.execute("DROP TABLE IF EXISTS told.t")
            cursor.execute("ALTER TABLE told.new RENAME TO t")
        end()
        assert warehouse.ask("SELECT COUNT(*) FROM told.t") == [(expected,)]
    connection.close()
    warehouse.ask(parquet("SELECT * FROM told.t"))
    assert keys(warehouse) == ["out/t_000.parquet"]


def test_files_that_are_there_are_overwritten_only_where_that_is_allowed(warehouse: Warehouse) -> None:
    warehouse.ask(csv("SELECT 1 AS id"))
    never = unload("SELECT 2 AS id", "FORMAT AS CSV HEADER EXTENSION 'csv' PARALLEL OFF")
    assert "Specified unload destination on S3 is not empty" in refused(warehouse, never)
    assert read(warehouse, "out/t_000.csv") == b"id\n1\n"
    warehouse.ask(csv("SELECT 2 AS id"))
    assert read(warehouse, "out/t_000.csv") == b"id\n2\n"


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id FROM told.t LIMIT 1",
        "SELECT id FROM told.t ORDER BY id LIMIT 1",
        "SELECT TOP 1 id FROM told.t",
        "WITH a AS (SELECT id FROM told.t LIMIT 2) SELECT id FROM a LIMIT 1",
    ],
)
def test_a_limit_of_the_outer_select_is_refused(warehouse: Warehouse, query: str) -> None:
    assert "0A000 Limit clause is not supported" in refused(warehouse, parquet(query))
    assert keys(warehouse) == []


def test_a_limit_within_is_not(warehouse: Warehouse) -> None:
    warehouse.ask(csv("SELECT id FROM (SELECT id FROM told.t ORDER BY id LIMIT 1) AS first"))
    assert read(warehouse, "out/t_000.csv") == b"id\n1\n"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("FORMAT AS PARQUET HEADER PARALLEL OFF", "HEADER is not supported for UNLOAD to PARQUET"),
        ("FORMAT AS PARQUET GZIP PARALLEL OFF", "not supported"),
        ("FORMAT AS CSV HEADER", "UNLOAD without PARALLEL OFF"),
        ("HEADER PARALLEL OFF", "a format other than CSV and PARQUET"),
        ("FORMAT AS CSV CLEANPATH PARALLEL OFF", "UNLOAD's option CLEANPATH"),
        ("FORMAT AS CSV EXTENSION csv PARALLEL OFF", "not in quotes"),
    ],
)
def test_options_that_do_not_go_together_or_are_not_known_are_refused(
    warehouse: Warehouse, options: str, told: str
) -> None:
    assert told in refused(warehouse, unload("SELECT 1 AS id", options))


@pytest.mark.parametrize(
    "sql",
    [
        f"UNLOAD 'SELECT 1' TO 's3://{BUCKET}/x' IAM_ROLE '{ROLE}' FORMAT CSV PARALLEL OFF",
        f"UNLOAD ('SELECT 1; SELECT 2') TO 's3://{BUCKET}/x' IAM_ROLE '{ROLE}' FORMAT CSV PARALLEL OFF",
        f"UNLOAD ('DELETE FROM told.t') TO 's3://{BUCKET}/x' IAM_ROLE '{ROLE}' FORMAT CSV PARALLEL OFF",
    ],
)
def test_what_is_no_query_in_quotes_is_a_syntax_error(warehouse: Warehouse, sql: str) -> None:
    assert refused(warehouse, sql).startswith("42601")


def test_without_a_role_or_with_one_that_is_not_attached_nothing_is_written(warehouse: Warehouse) -> None:
    without = f"UNLOAD ('SELECT 1') TO 's3://{BUCKET}/out/t_' FORMAT CSV PARALLEL OFF"
    assert "Invalid credentials" in refused(warehouse, without)
    assert "is not authorized to assume IAM Role" in refused(
        warehouse, csv("SELECT 1 AS id", role=UNATTACHED_ROLE)
    )
    assert keys(warehouse) == []


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("s3:PutObject", f"arn:aws:s3:::{BUCKET}/out/t_000.csv"),
        ("s3:GetObject", f"arn:aws:s3:::{BUCKET}/out/t_000.csv"),
        ("s3:ListBucket", f"arn:aws:s3:::{BUCKET}"),
    ],
)
def test_a_right_that_the_role_lacks_is_named(warehouse: Warehouse, action: str, resource: str) -> None:
    warehouse.control.denied.add((action, resource))
    told = refused(warehouse, csv("SELECT 1 AS id"))
    assert "S3ServiceException:Access Denied,Status 403" in told
    assert f"may not {action} on {resource}" in told
    assert keys(warehouse) == []


def test_a_bucket_that_is_not_there_is_named(warehouse: Warehouse) -> None:
    told = refused(warehouse, csv("SELECT 1 AS id", prefix="s3://none-such/out/t_"))
    assert "Status 404,Error NoSuchBucket" in told
    with pytest.raises(ClientError):
        warehouse.s3.head_bucket(Bucket="none-such")


def test_a_query_that_fails_fails_the_transaction(warehouse: Warehouse) -> None:
    connection = warehouse.connect()
    with connection.cursor() as cursor:
        with pytest.raises(psycopg2.errors.UndefinedTable):
            cursor.execute(csv("SELECT 1 AS id FROM told.missing"))
        with pytest.raises(psycopg2.errors.InFailedSqlTransaction):
            cursor.execute("SELECT 1")
    connection.close()


def test_a_type_that_parquet_does_not_take_is_named_and_csv_takes_it(warehouse: Warehouse) -> None:
    query = "SELECT CAST('10:20:00' AS TIME) AS at"
    assert "column at: its type is not supported for UNLOAD to PARQUET" in refused(warehouse, parquet(query))
    warehouse.ask(csv(query))
    assert read(warehouse, "out/t_000.csv") == b"at\n10:20:00\n"
