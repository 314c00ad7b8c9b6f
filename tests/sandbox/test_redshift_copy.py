"""COPY from S3 on the Redshift simulator: what is loaded, what is refused, and which errors are recorded."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal

import psycopg2
import psycopg2.errors
import pyarrow as pa
import pytest

from tests.sandbox.redshift_fakes import BUCKET, ROLE, UNATTACHED_ROLE, Warehouse, running_warehouse

pytestmark = pytest.mark.sandbox

ROWS = pa.table(
    {
        "id": pa.array([1, 2, None], pa.int64()),
        "name": pa.array(['a "quoted", name', "", None]),
        "born": pa.array([date(2016, 4, 1), None, date(1743, 11, 1)]),
    }
)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    yield from running_warehouse(tmp_path_factory.mktemp("redshift") / "data")


@pytest.fixture
def table(warehouse: Warehouse) -> Iterator[str]:
    warehouse.ask(
        "CREATE SCHEMA stage; CREATE TABLE stage.t (id BIGINT, name VARCHAR(20), born DATE NOT NULL)"
    )
    warehouse.ask("CREATE TABLE stage.nullable (id BIGINT, name VARCHAR(20), born DATE)")
    yield "stage.nullable"
    warehouse.ask("SET statement_timeout TO 10000; DROP SCHEMA stage CASCADE")
    warehouse.control.denied.clear()


def copy(source: str, table: str = "stage.nullable", role: str = ROLE, options: str = "MANIFEST") -> str:
    return f"COPY {table} FROM '{source}' IAM_ROLE '{role}' FORMAT AS PARQUET {options}"


def refused(warehouse: Warehouse, sql: str) -> psycopg2.Error:
    with pytest.raises(psycopg2.Error) as caught:
        warehouse.ask(sql)
    return caught.value


def text_of(error: psycopg2.Error) -> str:
    return f"{error.diag.message_primary} {error.diag.message_detail}"


def test_every_row_of_a_manifests_files_is_loaded_unchanged(warehouse: Warehouse, table: str) -> None:
    manifest = warehouse.put_manifest(
        "ok/manifest.json",
        [
            warehouse.put_parquet("ok/1.parquet", ROWS),
            warehouse.put_parquet("ok/2.parquet", ROWS.slice(0, 1)),
        ],
    )
    connection = warehouse.connect()
    with connection, connection.cursor() as cursor:
        cursor.execute(copy(manifest))
        assert cursor.statusmessage == "COPY"
        assert (
            "Load into table 'nullable' completed, 4 record(s) loaded successfully." in connection.notices[-1]
        )
        cursor.execute("SELECT pg_last_copy_count(), pg_last_copy_id() > 0")
        assert cursor.fetchall() == [(4, True)]
    connection.close()
    first = (1, 'a "quoted", name', date(2016, 4, 1))
    assert warehouse.ask("SELECT * FROM stage.nullable ORDER BY id NULLS LAST, born") == [
        first,
        first,
        (2, "", None),
        (None, None, date(1743, 11, 1)),
    ]


def test_every_column_type_is_loaded_exactly(warehouse: Warehouse, table: str) -> None:
    moment = datetime(2016, 4, 1, 12, 30, 15, 123456)
    rows = pa.table(
        {
            "a": pa.array([1], pa.int16()),
            "b": pa.array([-2], pa.int32()),
            "c": pa.array([0.1], pa.float64()),
            "d": pa.array([0.5], pa.float32()),
            "e": pa.array([True]),
            "f": pa.array([Decimal("12.30")], pa.decimal128(6, 2)),
            "g": pa.array([moment], pa.timestamp("us")),
            "h": pa.array([moment.replace(tzinfo=UTC)], pa.timestamp("us", "UTC")),
        }
    )
    warehouse.ask(
        "CREATE TABLE stage.types (a SMALLINT, b INT, c DOUBLE PRECISION, d REAL, e BOOLEAN,"
        " f DECIMAL(6,2), g TIMESTAMP, h TIMESTAMP)"
    )
    manifest = warehouse.put_manifest("types.json", [warehouse.put_parquet("types.parquet", rows)])
    warehouse.ask(copy(manifest, "stage.types"))
    assert warehouse.ask("SELECT * FROM stage.types") == [
        (1, -2, 0.1, 0.5, True, Decimal("12.30"), moment, moment)
    ]


def test_a_time_in_96_bits_as_spark_writes_it_is_loaded_exactly_in_any_century(
    warehouse: Warehouse, table: str
) -> None:
    moments = [
        datetime(1743, 11, 1, 23, 59),
        datetime(2016, 4, 1, 12, 30, 15, 123456),
        datetime(9999, 12, 31, 1),
    ]
    rows = pa.table({"moment": pa.array(moments, pa.timestamp("us"))})
    warehouse.ask("CREATE TABLE stage.moments (moment TIMESTAMP)")
    entry = warehouse.put_parquet("int96.parquet", rows, use_deprecated_int96_timestamps=True)
    warehouse.ask(copy(warehouse.put_manifest("int96.json", [entry]), "stage.moments"))
    assert warehouse.ask("SELECT * FROM stage.moments ORDER BY moment") == [(moment,) for moment in moments]


def test_an_identity_column_is_generated(warehouse: Warehouse, table: str) -> None:
    warehouse.ask("CREATE TABLE stage.i (n BIGINT IDENTITY(1, 1), id BIGINT, name VARCHAR(20), born DATE)")
    warehouse.ask(
        copy(warehouse.put_manifest("i.json", [warehouse.put_parquet("i.parquet", ROWS)]), "stage.i")
    )
    assert warehouse.ask("SELECT n FROM stage.i ORDER BY n") == [(1,), (2,), (3,)]
    error = refused(warehouse, copy(f"s3://{BUCKET}/i.json", "stage.i (n, id)"))
    assert "cannot set an identity column" in text_of(error)


def test_columns_can_be_named(warehouse: Warehouse, table: str) -> None:
    rows = ROWS.select(["born", "id"])
    manifest = warehouse.put_manifest("named.json", [warehouse.put_parquet("named.parquet", rows)])
    warehouse.ask(copy(manifest, "stage.nullable (born, id)"))
    assert warehouse.ask("SELECT count(born), count(name) FROM stage.nullable") == [(2, 0)]
    assert 'column "nix" of relation' in text_of(
        refused(warehouse, copy(manifest, "stage.nullable (born, nix)"))
    )


def test_a_prefix_loads_the_objects_below_it(warehouse: Warehouse, table: str) -> None:
    warehouse.put_parquet("folder/part-1.parquet", ROWS)
    warehouse.s3.put_object(Bucket=BUCKET, Key="folder/_SUCCESS", Body=b"")
    warehouse.ask(copy(f"s3://{BUCKET}/folder/", options=""))
    assert warehouse.ask("SELECT count(*) FROM stage.nullable") == [(3,)]
    error = refused(warehouse, copy(f"s3://{BUCKET}/nowhere/", options=""))
    assert "The specified S3 prefix 'nowhere/' does not exist" in text_of(error)


def test_copy_is_part_of_the_clients_transaction(warehouse: Warehouse, table: str) -> None:
    manifest = warehouse.put_manifest("tx.json", [warehouse.put_parquet("tx.parquet", ROWS)])
    connection = warehouse.connect()
    with connection.cursor() as cursor:
        cursor.execute(copy(manifest))
        cursor.execute("SELECT count(*) FROM stage.nullable")
        assert cursor.fetchone() == (3,)
    connection.rollback()
    connection.close()
    assert warehouse.ask("SELECT count(*) FROM stage.nullable") == [(0,)]


def test_a_file_with_many_row_groups_is_loaded_completely(warehouse: Warehouse, table: str) -> None:
    rows = pa.table(
        {
            "id": range(200_000),
            "name": ["x"] * 200_000,
            "born": pa.array([1] * 200_000, pa.int32()).cast(pa.date32()),
        }
    )
    entry = warehouse.put_parquet("groups.parquet", rows, row_group_size=30_000)
    warehouse.ask(copy(warehouse.put_manifest("groups.json", [entry])))
    assert warehouse.ask("SELECT count(*), sum(id) FROM stage.nullable") == [(200_000, 199_999 * 100_000)]


def test_a_role_that_is_not_attached_is_refused(warehouse: Warehouse, table: str) -> None:
    manifest = warehouse.put_manifest("role.json", [warehouse.put_parquet("role.parquet", ROWS)])
    error = refused(warehouse, copy(manifest, role=UNATTACHED_ROLE))
    assert f"is not authorized to assume IAM Role {UNATTACHED_ROLE}" in text_of(error)
    assert "dbuser:wh-1/owner" in text_of(error)


@pytest.mark.parametrize("key", ["acl.json", "acl.parquet"])
def test_a_role_without_permission_to_read_is_refused(warehouse: Warehouse, table: str, key: str) -> None:
    manifest = warehouse.put_manifest("acl.json", [warehouse.put_parquet("acl.parquet", ROWS)])
    warehouse.control.denied.add(("s3:GetObject", f"arn:aws:s3:::{BUCKET}/{key}"))
    error = refused(warehouse, copy(manifest))
    assert "Access Denied,Status 403" in text_of(error)
    assert f"s3:GetObject on arn:aws:s3:::{BUCKET}/{key}" in text_of(error)
    assert warehouse.ask("SELECT count(*) FROM stage.nullable") == [(0,)]


def test_a_prefix_needs_permission_to_list(warehouse: Warehouse, table: str) -> None:
    warehouse.control.denied.add(("s3:ListBucket", f"arn:aws:s3:::{BUCKET}"))
    assert "s3:ListBucket" in text_of(refused(warehouse, copy(f"s3://{BUCKET}/folder/", options="")))


def test_a_mandatory_file_that_is_missing_fails_the_load(warehouse: Warehouse, table: str) -> None:
    there = warehouse.put_parquet("there.parquet", ROWS)
    gone = {"url": f"s3://{BUCKET}/gone.parquet", "mandatory": True, "meta": {"content_length": 9}}
    error = refused(warehouse, copy(warehouse.put_manifest("gone.json", [there, gone])))
    assert "Status 404" in text_of(error)
    assert "gone.parquet" in text_of(error)
    assert warehouse.ask("SELECT count(*) FROM stage.nullable") == [(0,)]
    optional = {**gone, "mandatory": False}
    warehouse.ask(copy(warehouse.put_manifest("optional.json", [optional, there])))
    assert warehouse.ask("SELECT count(*) FROM stage.nullable") == [(3,)]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (None, "NoSuchKey"),
        ("not json", "Invalid JSON format in manifest file"),
        ('{"files": []}', "Invalid JSON format in manifest file"),
        ('{"entries": []}', "Manifest file contains no entries"),
        (f'{{"entries": [{{"url": "s3://{BUCKET}/x"}}]}}', "requires meta.content_length for every entry"),
        ('{"entries": [{"url": "file:///x", "meta": {"content_length": 1}}]}', "Invalid S3 path: file:///x"),
    ],
)
def test_an_invalid_manifest_is_an_error(
    warehouse: Warehouse, table: str, body: str | None, reason: str
) -> None:
    warehouse.s3.delete_object(Bucket=BUCKET, Key="wrong.json")
    if body is not None:
        warehouse.s3.put_object(Bucket=BUCKET, Key="wrong.json", Body=body)
    assert reason in text_of(refused(warehouse, copy(f"s3://{BUCKET}/wrong.json")))


def test_a_wrong_content_length_is_an_error(warehouse: Warehouse, table: str) -> None:
    entry = warehouse.put_parquet("length.parquet", ROWS)
    entry["meta"]["content_length"] += 1
    error = refused(warehouse, copy(warehouse.put_manifest("length.json", [entry])))
    assert "Spectrum Scan Error" in text_of(error)
    assert "meta.content_length" in text_of(error)


def test_a_file_that_is_not_parquet_is_an_error(warehouse: Warehouse, table: str) -> None:
    warehouse.s3.put_object(Bucket=BUCKET, Key="text.parquet", Body=b"hello")
    entry = {"url": f"s3://{BUCKET}/text.parquet", "mandatory": True, "meta": {"content_length": 5}}
    error = refused(warehouse, copy(warehouse.put_manifest("text.json", [entry])))
    assert "has an invalid version number or is not a Parquet file" in text_of(error)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (ROWS.select(["id", "name"]), "Table columns: 3, Data columns: 2"),
        (
            ROWS.set_column(0, "id", pa.array([1, 2, 3], pa.int32())),
            (
                "incompatible Parquet schema for column 's3://lake/schema.parquet.id'. "
                "Column type: BIGINT, Parquet schema: optional int32 id"
            ),
        ),
        (ROWS.set_column(1, "name", pa.array([1, 2, 3])), "Column type: CHARACTER VARYING(20)"),
        (ROWS.select(["id", "born", "name"]), "incompatible Parquet schema"),
    ],
)
def test_columns_must_match_in_number_order_and_type(
    warehouse: Warehouse, table: str, rows: pa.Table, reason: str
) -> None:
    manifest = warehouse.put_manifest("schema.json", [warehouse.put_parquet("schema.parquet", rows)])
    error = refused(warehouse, copy(manifest))
    assert error.diag.message_primary == "Spectrum Scan Error"
    assert reason in text_of(error)
    assert "code:      15007" in text_of(error)


def test_columns_of_one_type_that_changed_places_are_loaded_swapped_without_a_word(
    warehouse: Warehouse, table: str
) -> None:
    """That is why Mayfly compares the columns before COPY."""
    warehouse.ask("CREATE TABLE stage.places (code VARCHAR(8), city VARCHAR(8))")
    rows = pa.table({"city": ["Boston"], "code": ["BOS"]})
    manifest = warehouse.put_manifest("places.json", [warehouse.put_parquet("places.parquet", rows)])
    warehouse.ask(copy(manifest, "stage.places"))
    assert warehouse.ask("SELECT code, city FROM stage.places") == [("Boston", "BOS")]


def test_a_string_with_too_many_bytes_is_recorded_in_stl_load_errors_despite_the_rollback(
    warehouse: Warehouse, table: str
) -> None:
    good = warehouse.put_parquet("long/1.parquet", ROWS)
    bad = warehouse.put_parquet("long/2.parquet", ROWS.set_column(1, "name", pa.array(["x", "é" * 11, "y"])))
    error = refused(warehouse, copy(warehouse.put_manifest("long.json", [good, bad])))
    assert "The length of the data column name is longer than the length defined in the table" in text_of(
        error
    )
    assert "Table: 20" in text_of(error)
    recorded = warehouse.ask(
        "SELECT filename, line_number, colname, err_code, err_reason FROM stl_load_errors"
        " WHERE filename LIKE '%long/2.parquet'"
    )
    assert recorded == [
        (f"s3://{BUCKET}/long/2.parquet", 2, "name", 1204, "String length exceeds DDL length")
    ]
    assert warehouse.ask("SELECT count(*) FROM stage.nullable") == [(0,)]


def test_a_null_in_a_not_null_column_is_an_error(warehouse: Warehouse, table: str) -> None:
    manifest = warehouse.put_manifest("null.json", [warehouse.put_parquet("null.parquet", ROWS)])
    error = refused(warehouse, copy(manifest, "stage.t"))
    assert "Missing data for not-null field: column born, row 2" in text_of(error)


def test_a_failed_copy_fails_the_transaction_but_not_the_session(warehouse: Warehouse, table: str) -> None:
    connection = warehouse.connect()
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO stage.nullable (id) VALUES (1)")
        with pytest.raises(psycopg2.InternalError, match="Status 404"):
            cursor.execute(copy(f"s3://{BUCKET}/missing.json"))
        with pytest.raises(psycopg2.errors.InFailedSqlTransaction):
            cursor.execute("SELECT 1")
        connection.rollback()
        cursor.execute("SELECT count(*) FROM stage.nullable")
        assert cursor.fetchone() == (0,)
    connection.close()


def test_a_missing_table_is_an_error(warehouse: Warehouse) -> None:
    error = refused(warehouse, copy(f"s3://{BUCKET}/any.json", "stage_x.t"))
    assert error.pgcode in {"42P01", "3F000"}


def test_several_copies_in_one_string_load_all_or_nothing(warehouse: Warehouse, table: str) -> None:
    manifest = warehouse.put_manifest("both.json", [warehouse.put_parquet("both.parquet", ROWS)])
    refused(warehouse, f"{copy(manifest)}; {copy(f's3://{BUCKET}/missing.json')}")
    assert warehouse.ask("SELECT count(*) FROM stage.nullable") == [(0,)]
    assert warehouse.ask(f"{copy(manifest)}; {copy(manifest)}; SELECT count(*) FROM stage.nullable") == [(6,)]
