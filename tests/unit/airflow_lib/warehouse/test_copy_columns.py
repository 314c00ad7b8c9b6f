"""What a job wrote is compared with its staging table, column by column, before COPY takes it by position."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_lib.errors import OutputRefused, WarehouseError
from airflow_lib.pipeline import Staging
from airflow_lib.warehouse.copy_columns import refuse_other_columns

TABLE = Staging("staging_sales", output="sales")
SQL = """
-- Sales.
CREATE TABLE {{ schema | ident }}.staging_sales (
    row_id BIGINT IDENTITY(1, 1),
    sale BIGINT,
    City VARCHAR(8),
    shop VARCHAR(8),
    day DATE
)
DISTSTYLE EVEN;
"""
TEXT = "BYTE_ARRAY STRING"
WRITTEN = [("sale", "INT64"), ("city", TEXT), ("shop", TEXT), ("day", "INT32 DATE")]


def compare(root: Path, written: list[tuple[str, str]], sql: str = SQL) -> None:
    (root / "market" / "create").mkdir(parents=True)
    (root / "market" / "create" / "staging_sales.sql").write_text(sql)
    refuse_other_columns("market", TABLE, written, job="sales", root=root)


def refused(root: Path, written: list[tuple[str, str]]) -> str:
    with pytest.raises(OutputRefused) as caught:
        compare(root, written)
    message = str(caught.value)
    assert message.startswith(
        f"Output 'sales' does not have the columns that table staging_sales has by {root.name}/market/create/"
        "staging_sales.sql, and COPY takes them by position"
    )
    assert "Nothing was copied. Clear transform.sales" in message
    return message


def test_the_columns_of_the_template_in_its_order_pass_whatever_the_case_of_their_names(
    tmp_path: Path,
) -> None:
    compare(tmp_path, [(name.upper(), kind) for name, kind in WRITTEN])


def test_two_columns_of_one_type_that_changed_places_are_refused(tmp_path: Path) -> None:
    """COPY would load them swapped, and no check of types would find it."""
    sale, city, shop, day = WRITTEN
    message = refused(tmp_path, [sale, shop, city, day])
    assert "column 2: the job writes 'shop' (BYTE_ARRAY STRING), the table has 'City' (VARCHAR(8))" in message
    assert "column 3: the job writes 'city' (BYTE_ARRAY STRING), the table has 'shop' (VARCHAR(8))" in message
    assert "select the columns in the table's order" in message


def test_another_name_is_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, [*WRITTEN[:3], ("date", "INT32 DATE")])
    assert "column 4: the job writes 'date' (INT32 DATE), the table has 'day' (DATE)" in message
    assert message.count("column ") == 1


def test_another_type_is_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, [("sale", "INT32"), *WRITTEN[1:]])
    assert "column 1: the job writes 'sale' (INT32), the table has 'sale' (BIGINT)" in message
    assert "cast the column in the job, or correct its type in the template" in message


def test_a_missing_column_is_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, WRITTEN[:3])
    assert "column 4: the job writes none, the table has 'day' (DATE)" in message
    assert "`partitionBy` names are not in the files" in message


def test_an_additional_column_is_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, [*WRITTEN, ("more", TEXT)])
    assert "column 5: the job writes 'more' (BYTE_ARRAY STRING), the table has none" in message


def test_of_many_differences_a_few_are_shown_and_the_others_counted(tmp_path: Path) -> None:
    message = refused(tmp_path, [(f"{'x' * 500}{number}", TEXT) for number in range(40)])
    assert message.count("the job writes") == 5
    assert "- and 35 more" in message
    assert len(message) < 1500


@pytest.mark.parametrize(
    ("declared", "taken", "not_taken"),
    [
        ("SMALLINT", ["INT32", "INT32 INT(16)"], ["INT64", "INT32 DATE", "DOUBLE"]),
        ("INT", ["INT32", "INT32 INT(32)"], ["INT64", "INT32 UINT(32)", "INT32 DATE"]),
        ("INT8", ["INT64", "INT64 INT(64)"], ["INT32", "INT64 TIMESTAMP microseconds UTC", "DOUBLE"]),
        ("REAL", ["FLOAT"], ["DOUBLE", "INT32"]),
        ("FLOAT8", ["DOUBLE"], ["FLOAT", "INT64"]),
        ("BOOLEAN", ["BOOLEAN"], ["INT32"]),
        ("DATE", ["INT32 DATE"], ["INT32", "INT96", TEXT]),
        (
            "TIMESTAMP",
            ["INT96", "INT64 TIMESTAMP microseconds UTC", "INT64 TIMESTAMP milliseconds UTC"],
            [
                "INT64",
                "INT64 TIMESTAMP microseconds without time zone",
                "INT64 TIMESTAMP nanoseconds UTC",
                TEXT,
            ],
        ),
        ("TIMESTAMPTZ", ["INT96"], ["INT32 DATE"]),
        ("VARCHAR(8)", [TEXT], ["BYTE_ARRAY", "INT64", "nested"]),
        ("CHAR(8)", [TEXT], ["INT32 DATE"]),
        ("BPCHAR", [TEXT], ["INT64"]),
        ("TEXT", [TEXT], ["INT64"]),
        ("NVARCHAR(8)", [TEXT], ["INT64"]),
        ("NCHAR(8)", [TEXT], ["INT64"]),
        ("VARBYTE(8)", ["BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"], ["INT64"]),
        (
            "DECIMAL(10, 2)",
            ["INT64 DECIMAL(10, 2)", "FIXED_LEN_BYTE_ARRAY DECIMAL(10, 2)"],
            ["FIXED_LEN_BYTE_ARRAY DECIMAL(10, 3)", "DOUBLE", "INT64"],
        ),
        ("NUMERIC", ["INT64 DECIMAL(18, 0)"], ["INT64 DECIMAL(18, 2)", "INT64"]),
        ("NUMERIC(9)", ["INT32 DECIMAL(9, 0)"], ["INT32 DECIMAL(9, 2)"]),
        ("SUPER", ["nested", TEXT], []),
    ],
)
def test_a_type_takes_what_copy_takes(
    tmp_path: Path, declared: str, taken: list[str], not_taken: list[str]
) -> None:
    sql = f"CREATE TABLE {{{{ schema | ident }}}}.staging_sales (sale {declared});"
    compare(tmp_path, [("sale", taken[0])], sql)
    for kind in taken[1:]:
        refuse_other_columns("market", TABLE, [("sale", kind)], job="sales", root=tmp_path)
    for kind in not_taken:
        with pytest.raises(OutputRefused, match="column 1: the job writes 'sale'"):
            refuse_other_columns("market", TABLE, [("sale", kind)], job="sales", root=tmp_path)


def test_a_template_that_does_not_tell_its_columns_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="creates no table"):
        compare(tmp_path, WRITTEN, "SELECT 1;")
