"""The columns of a Parquet file are read from its end, whatever wrote it and whatever it holds."""

from __future__ import annotations

import contextlib
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_lib.aws.s3 import probe_object
from airflow_lib.errors import SourceError
from airflow_lib.spark.parquet_schema import NESTED, ParquetColumn, list_columns, read_schema
from tests.world.memory_s3 import MemoryS3


def to_error(cause: str, remedy: str) -> SourceError:
    return SourceError(f"it {cause}. {remedy}")


def read(body: bytes) -> tuple[list[tuple[str, str]], int]:
    """The columns, and how many requests it took."""
    s3 = MemoryS3()
    s3.put("lake", "a", body)
    listed = probe_object(s3, "lake", "a")
    assert listed is not None
    columns = list_columns(read_schema(s3, "lake", listed, to_error))
    return [(one.name, one.type) for one in columns], len(s3.calls) - 1  # the HEAD


def parquet(table: pa.Table, **options: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


WHOLE = parquet(pa.table({"a": [1], "b": ["x"]}))


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (pa.int64(), "INT64"),
        (pa.int32(), "INT32"),
        (pa.int16(), "INT32 INT(16)"),
        (pa.int8(), "INT32 INT(8)"),
        (pa.uint32(), "INT32 UINT(32)"),
        (pa.float64(), "DOUBLE"),
        (pa.float32(), "FLOAT"),
        (pa.bool_(), "BOOLEAN"),
        (pa.string(), "BYTE_ARRAY STRING"),
        (pa.binary(), "BYTE_ARRAY"),
        (pa.date32(), "INT32 DATE"),
        (pa.decimal128(10, 2), "FIXED_LEN_BYTE_ARRAY DECIMAL(10, 2)"),
        (pa.timestamp("us", tz="UTC"), "INT64 TIMESTAMP microseconds UTC"),
        (pa.timestamp("ms"), "INT64 TIMESTAMP milliseconds without time zone"),
        (pa.time64("us"), "INT64 TIME"),
        (pa.list_(pa.int64()), NESTED),
        (pa.struct({"x": pa.int64(), "y": pa.string()}), NESTED),
        (pa.map_(pa.string(), pa.int64()), NESTED),
    ],
)
def test_a_type_is_told_in_parquets_words(kind: pa.DataType, told: str) -> None:
    columns = {"before": pa.nulls(1, pa.int64()), "it": pa.nulls(1, kind), "after": pa.nulls(1, pa.int64())}
    assert read(parquet(pa.table(columns)))[0] == [("before", "INT64"), ("it", told), ("after", "INT64")]


def test_a_time_as_spark_writes_it_has_96_bits() -> None:
    table = pa.table({"at": pa.nulls(1, pa.timestamp("us"))})
    assert read(parquet(table, use_deprecated_int96_timestamps=True))[0] == [("at", "INT96")]


def test_names_are_told_as_they_are_in_the_files_order() -> None:
    table = pa.Table.from_arrays([[1], [2], [3]], names=["b.c", "A", "a"])
    assert [name for name, _ in read(parquet(table))[0]] == ["b.c", "A", "a"]


def test_a_footer_that_is_longer_than_most_takes_a_second_request() -> None:
    wide = {f"column_{number}_{'x' * 60}": [number] for number in range(1600)}
    columns, requests = read(parquet(pa.table(wide)))
    assert (len(columns), requests) == (1600, 2)
    assert read(WHOLE)[1] == 1


def test_a_column_is_shown_with_its_type() -> None:
    assert str(ParquetColumn("day", "INT32 DATE")) == "'day' (INT32 DATE)"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"x", r"cut off: its end is missing\. Upload it again whole"),
        (b"PAR1", "cut off"),
        (WHOLE[:-1], "cut off"),
        (b"PAR1" + (2**31).to_bytes(4, "little") + b"PAR1", "cut off"),
        (
            b"PAR1" + b"\xff" * 40 + (40).to_bytes(4, "little") + b"PAR1",
            r"damaged Parquet file \(.*undamaged",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_what_helps(body: bytes, told: str) -> None:
    with pytest.raises(SourceError, match=told):
        read(body)


def test_a_footer_beyond_all_measure_is_not_read() -> None:
    length = 17 * 1024 * 1024
    with pytest.raises(SourceError, match=f"a footer of {length} bytes, .* at most were expected"):
        read(b"PAR1" + bytes(length) + length.to_bytes(4, "little") + b"PAR1")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_the_footer_holds_it_ends_in_columns_or_in_an_error_of_ours(data: st.DataObject) -> None:
    body = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(4, len(body) - 9))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(SourceError):
        read(bytes(body))
