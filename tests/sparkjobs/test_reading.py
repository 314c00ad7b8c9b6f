"""Files as people have them: read right where the meaning is clear, else refused by name, cause and remedy."""

from __future__ import annotations

import gzip
from datetime import date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparkjobs.errors import BadInput
from sparkjobs.reading import CORRUPT, explain_read_errors, read_csv, read_output, read_table
from tests.sparkjobs.conftest import uris_of

COLUMNS = ("id", "name")


@pytest.fixture
def read(spark, tmp_path):
    """`read(content)`: writes a file, or files by name, and returns (its rows, the malformed lines, notes)."""

    def run(content, *, name="a.csv", columns=COLUMNS, by=read_csv, delimiter=","):
        source = tmp_path / "source"
        source.mkdir()
        for file, data in (content if isinstance(content, dict) else {name: content}).items():
            path = source / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data.encode() if isinstance(data, str) else data)
        notes = {}
        rows = by(spark, uris_of(source), columns, delimiter, notes).collect()
        good = sorted((tuple(row[name] for name in columns) for row in rows if not row[CORRUPT]), key=repr)
        return good, [row[CORRUPT] for row in rows if row[CORRUPT]], notes

    return run


def parquet(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


@pytest.fixture
def parts(spark, tmp_path):
    """`parts({name: columns})`: writes Parquet files into a folder, and returns the rows (or reads `columns`)."""

    def run(files, columns=COLUMNS, others=()):
        folder = tmp_path / "sas_data"
        for name, table in files.items():
            parquet(folder / name, **table)
        folder.mkdir(exist_ok=True)
        for name, content in others:
            (folder / name).write_bytes(content)
        notes = {}
        rows = read_table(spark, uris_of(folder), columns, notes=notes).collect()
        return sorted((tuple(row[name] for name in columns) for row in rows), key=repr), notes

    return run


# -- CSV ---------------------------------------------------------------------------------------------


def test_a_line_whose_fields_do_not_match_the_header_is_told_and_the_others_are_read(read):
    rows, malformed, _ = read("id,name\n1,a\n2,b,c\n3\n4,d\n")
    assert rows == [("1", "a"), ("4", "d")]
    assert sorted(malformed) == ["2,b,c", "3"]


def test_the_last_line_may_lack_its_line_break_but_not_its_fields(read):
    assert read("id,name\n1,a\n2,b")[0] == [("1", "a"), ("2", "b")]


@pytest.mark.parametrize("end", ["2", '2,"b\nc', '"2\n3"'], ids=["fields", "quote", "quoted fields"])
def test_a_file_that_was_cut_off_is_refused(read, end):
    with pytest.raises(BadInput, match=r"a\.csv (was cut off|ends within quotes).* Upload the whole file"):
        read(f"id,name\n1,a\n{end}")


def test_a_line_break_within_quotes_is_part_of_its_field(read):
    rows, malformed, _ = read('id,name\n1,"a\nb"\n2,"say ""c""\r\n, d"\n3,e\n')
    assert [(key, text.replace("\r", "")) for key, text in rows] == [
        ("1", "a\nb"),
        ("2", 'say "c"\n, d'),
        ("3", "e"),
    ]
    assert malformed == []


def test_a_quote_within_an_unquoted_field_is_part_of_it(read):
    assert read('id,name\n1,5" of snow\n2,b\n')[0] == [("1", '5" of snow'), ("2", "b")]


def test_blanks_of_every_kind_around_a_value_and_nul_within_it_are_left_out(read):
    content = "id,name\n1,\u00a0New\u00a0York\u202f\n2,\u3000\n\t3,a\0b\x1a\n"
    rows, _, notes = read(content)
    assert rows == [("1", "New\u00a0York"), ("2", None), ("3", "ab")]
    assert notes == {"nul_removed": 1}


def test_windows_1252_and_latin_1_are_read_and_counted(read):
    rows, _, notes = read("id,name\n1,Mayagüez €\n2,b\n".encode("cp1252"))
    assert rows == [("1", "Mayagüez €"), ("2", "b")]
    assert notes == {"read_as_windows_1252": 1}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_byte_order_mark_tells_the_encoding(read, encoding):
    assert read("id,name\n1,Bogotá\n2,b\n".encode(encoding))[0] == [("1", "Bogotá"), ("2", "b")]


def test_a_file_of_two_encodings_is_refused(read):
    with pytest.raises(BadInput, match=r"a\.csv is UTF-8 in some lines and not in others .*Save .* as UTF-8"):
        read("id,name\n1,é\n".encode() + "2,é\n".encode("latin-1"))


def test_each_file_of_a_folder_is_read_by_its_own_header(read):
    rows, malformed, notes = read(
        {
            "a.csv": "id,name\n1,a\n",
            "b.csv": "Name,x,ID\nb,-,2\n",
            "sub/c.csv": "id,name\n3,c\n",
            "README.md": "# x",
        }
    )
    assert (rows, malformed) == ([("1", "a"), ("2", "b"), ("3", "c")], [])
    assert notes == {"files_ignored": 1}


def test_a_folder_with_a_file_that_lacks_a_column_names_that_file(read):
    with pytest.raises(BadInput, match=r"source/b\.csv lacks the column name \(it has: id, other\)"):
        read({"a.csv": "id,name\n1,a\n", "b.csv": "id,other\n2,b\n"})


@pytest.mark.parametrize("name", ["a*.csv", "a[1]?.csv", "a{b,c}.csv", "a b%20 é.csv"])
def test_a_name_is_taken_as_it_stands(read, tmp_path, name):
    other = tmp_path / "source"
    assert read("id,name\n1,a\n", name=name)[0] == [("1", "a")]
    assert other.joinpath(name).exists()


PATTERNS = ("a[1]", "b[2]", "c{3,4}", "d*", "e?", "f\\5", "a1", "plain")


@pytest.mark.parametrize("number", [2, 3, len(PATTERNS)])
def test_each_of_several_csvs_whose_names_look_like_patterns_is_read_once(read, number):
    names = PATTERNS[:number]
    rows, _, _ = read({f"{name}/{name}.csv": f'id,name\n"{name}",a\n' for name in names})
    assert sorted(row[0] for row in rows) == sorted(names)


def test_a_compressed_csv_is_read(read):
    assert read(gzip.compress(b"id,name\n1,a\n"), name="a.csv.gz")[0] == [("1", "a")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty: it has not even a header"),
        (b"id,name,Name\n1,a,b\n", r"more than one column name.*each published column once"),
        (b"id;name\n1;a\n", r"split at ';', it has them.*delimiter=';'"),
        (
            b"1,a\n2,b\n",
            r"begins with a row of values.*Put the line with the columns' names in front: id,name",
        ),
        (b"PK\x03\x04....", r"is a ZIP archive or an Excel workbook: unpack it"),
        (b"PAR1....", r"is Parquet where CSV was expected"),
        (gzip.compress(b"id,name\n1,a\n"), r"compressed by gzip, which its name does not say"),
    ],
    ids=["empty", "twice", "delimiter", "no header", "zip", "parquet", "gzip"],
)
def test_a_file_that_is_no_such_csv_is_refused_with_its_cause_and_remedy(read, content, message):
    with pytest.raises(BadInput, match=rf"source/a\.csv .*{message}"):
        read(content)


# -- Parquet -----------------------------------------------------------------------------------------


def test_parts_at_the_top_and_in_folders_below_are_all_read(parts):
    files = {"a.parquet": {"id": [1], "name": ["a"]}, "may/b.parquet": {"id": [2], "name": [" b\u00a0"]}}
    assert parts(files)[0] == [(1, "a"), (2, "b")]


@pytest.mark.parametrize("number", [2, 3, len(PATTERNS)])
def test_each_of_several_parts_whose_names_look_like_patterns_is_read_once(parts, number):
    names = PATTERNS[:number]
    files = {f"{name}/{name}.parquet": {"id": [name], "name": ["a"]} for name in names}
    assert sorted(row[0] for row in parts(files)[0]) == sorted(names)


def test_parts_are_read_by_name_whatever_their_order_case_and_further_columns(parts):
    files = {
        "a.parquet": {"id": [1], "name": ["a"]},
        "b.parquet": {"Name": ["b"], "x": [None], "ID": [2]},
    }
    assert parts(files)[0] == [(1, "a"), (2, "b")]


def test_parts_whose_numbers_have_other_types_are_read_as_one(parts):
    files = {"a.parquet": {"id": [1.0]}, "b.parquet": {"id": [2]}, "c.parquet": {"id": ["3"]}}
    assert {float(key) for (key,) in parts(files, ("id",))[0]} == {1.0, 2.0, 3.0}


def test_parts_whose_types_have_nothing_in_common_are_refused_by_name(parts):
    files = {"a.parquet": {"id": [1]}, "b.parquet": {"id": [datetime(2016, 4, 1)]}}
    with pytest.raises(BadInput, match=r"(?s)[ab]\.parquet has column id of type .*cannot be read as one"):
        parts(files, ("id",))


def test_a_part_without_a_column_that_others_have_is_refused_by_name(parts):
    files = {"a.parquet": {"id": [1], "name": ["a"]}, "b.parquet": {"id": [2]}}
    with pytest.raises(BadInput, match=r"b\.parquet lacks the column name \(it has: id\)"):
        parts(files)


def test_a_document_among_the_parts_is_ignored_and_counted(parts):
    files = {"a.parquet": {"id": [1], "name": ["a"]}}
    assert parts(files, others=[("README.txt", b"hello")]) == ([(1, "a")], {"files_ignored": 1})


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("z.parquet", b"", r"z\.parquet is empty"),
        ("z.parquet", b"garbage", r"z\.parquet is damaged.*Replace it"),
        ("z.csv", b"id,name\n2,b\n", r"z\.csv lies among them.*move it elsewhere"),
        ("z.parquet", b"PAR1garbage", r"z\.parquet cannot be read .*cut off.*Upload the whole file again"),
    ],
    ids=["no byte", "garbage", "csv", "cut off"],
)
def test_a_part_that_is_no_parquet_is_refused_by_name(parts, name, content, message):
    with pytest.raises(BadInput, match=message):
        parts({"a.parquet": {"id": [1], "name": ["a"]}}, others=[(name, content)])


def test_timestamps_in_nanoseconds_are_read(parts):
    stamps = pa.array([1459500000123456789], pa.timestamp("ns"))
    ((moment,),) = parts({"a.parquet": {"id": stamps}}, ("id",))[0]
    assert moment.replace(tzinfo=None) == datetime(2016, 4, 1, 8, 40, 0, 123456)


UNREAD = [pa.time32("ms"), pa.time64("us"), pa.time64("ns"), pa.decimal256(50, 2)]


@pytest.mark.parametrize("kind", UNREAD, ids=str)
def test_a_column_of_a_type_that_spark_cannot_read_is_refused_by_name_and_type(parts, kind):
    with pytest.raises(
        BadInput, match=r"a\.parquet has column id of type \w+ \((TIME|DECIMAL).*Write it as text"
    ):
        parts({"a.parquet": {"id": pa.array([1], kind), "name": ["a"]}})


@pytest.mark.parametrize("kind", [*UNREAD, pa.timestamp("ns")], ids=str)
def test_a_further_column_may_have_any_type(parts, kind):
    files = {"a.parquet": {"id": [1], "name": ["a"], "x": pa.array([1], kind), "l": [[{"y": 1}]]}}
    assert parts(files)[0] == [(1, "a")]


def test_further_columns_may_share_a_name(parts):
    assert parts({"a.parquet": {"id": [1], "name": ["a"], "x": [1], "X": [2]}})[0] == [(1, "a")]


def test_a_type_that_keeps_the_whole_file_from_being_read_is_told(parts):
    half = pa.array([1.0], pa.float32()).cast(pa.float16())
    with pytest.raises(BadInput, match=r"a\.parquet has a column of a type .*float16.*Write the file again"):
        parts({"a.parquet": {"id": [1], "name": ["a"], "x": half}})


def test_a_file_without_columns_is_told(parts):
    with pytest.raises(BadInput, match=r"a\.parquet has no column"):
        parts({"a.parquet": {}})


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"compression": {"id": "snappy", "name": "brotli"}}, "name compressed by BROTLI"),
        (
            {"use_dictionary": False, "column_encoding": {"id": "BYTE_STREAM_SPLIT"}},
            "id encoded by BYTE_STREAM_SPLIT",
        ),
    ],
    ids=["codec", "encoding"],
)
def test_a_codec_or_encoding_that_spark_cannot_read_is_told_by_column(parts, tmp_path, how, message):
    pq.write_table(pa.table({"id": [1.5], "name": ["a"]}), tmp_path / "b.parquet", **how)
    with pytest.raises(
        BadInput, match=rf"b\.parquet has column {message}, which Spark cannot read.*Write the file again"
    ):
        parts(
            {"a.parquet": {"id": [1.5], "name": ["a"]}},
            others=[("b.parquet", (tmp_path / "b.parquet").read_bytes())],
        )


def test_a_codec_that_spark_cannot_read_does_not_matter_in_a_further_column(parts, tmp_path):
    table = pa.table({"id": [1], "name": ["a"], "x": [1]})
    pq.write_table(
        table, tmp_path / "b.parquet", compression={"id": "snappy", "name": "snappy", "x": "brotli"}
    )
    files = {"a.parquet": {"id": [2], "name": ["b"]}}
    rows, _ = parts(files, others=[("b.parquet", (tmp_path / "b.parquet").read_bytes())])
    assert rows == [(1, "a"), (2, "b")]


@pytest.mark.parametrize("name", ["id (x)", "id = 1", "id;", "i`d", "i.d", "x\n  optional int64 id;"])
def test_a_name_that_only_looks_like_a_wanted_one_is_not_it(parts, name):
    with pytest.raises(BadInput, match=r"(?s)a\.parquet lacks the column id \(it has: .*name\)"):
        parts({"a.parquet": {name: [1], "name": ["a"]}})


@pytest.mark.parametrize("name", ["id (x)", "id = 1", "id;", "i.d", "ID ", "\u00a0id"])
def test_a_column_is_found_by_any_name_without_the_blanks_around_it(parts, name):
    wanted = name.strip("\u00a0 ").lower()
    assert parts({"a.parquet": {name: [1], "n`a": ["a"]}}, (wanted,))[0] == [(1,)]


def test_a_value_in_a_folders_name_keeps_its_zeros(parts):
    files = {"id=01/a.parquet": {"name": ["a"]}, "id=10/b.parquet": {"name": ["b"]}}
    assert parts(files)[0] == [("01", "a"), ("10", "b")]


MOMENT = datetime(2016, 4, 1, 8, 40)
MOMENTS = {
    "day": pa.array([date(2016, 4, 1)]),
    "ns": pa.array([MOMENT], pa.timestamp("ns")),
    "us": pa.array([MOMENT], pa.timestamp("us")),
    "ms": pa.array([MOMENT], pa.timestamp("ms")),
    "utc": pa.array([MOMENT], pa.timestamp("us", "UTC")),
}


@pytest.mark.parametrize("kinds", [("ns", "us"), ("utc", "ms"), ("day", "us"), ("day", "utc", "ns")], ids=str)
def test_dates_and_timestamps_of_other_kinds_are_read_as_one(parts, kinds):
    rows, _ = parts({f"{kind}.parquet": {"id": MOMENTS[kind]} for kind in kinds}, ("id",))
    expected = [datetime(2016, 4, 1) if kind == "day" else MOMENT for kind in kinds]
    assert sorted(row[0] for row in rows) == sorted(expected)


@pytest.mark.parametrize("nothing", [pa.nulls(2), pa.nulls(2, pa.float64())], ids=["null", "double"])
def test_a_part_that_has_no_value_in_a_column_is_read_in_the_type_of_the_others(parts, nothing):
    rows, _ = parts({"a.parquet": {"id": nothing}, "b.parquet": {"id": MOMENTS["day"]}}, ("id",))
    assert rows == [(None,), (None,), (date(2016, 4, 1),)]


@pytest.mark.parametrize("name", ["a.parquet.gz", "a.parquet.snappy"])
def test_parquet_may_have_any_name(parts, tmp_path, name):
    pq.write_table(pa.table({"id": [1], "name": ["a"]}), tmp_path / "x")
    assert parts({"b.parquet": {"id": [2], "name": ["b"]}}, others=[(name, (tmp_path / "x").read_bytes())])[
        0
    ] == [(1, "a"), (2, "b")]


def test_parquet_that_is_compressed_as_a_whole_is_told(parts, tmp_path):
    pq.write_table(pa.table({"id": [1], "name": ["a"]}), tmp_path / "x")
    packed = gzip.compress((tmp_path / "x").read_bytes())
    with pytest.raises(BadInput, match=r"a\.parquet\.gz is compressed as a whole.*Unpack it"):
        parts({"b.parquet": {"id": [2], "name": ["b"]}}, others=[("a.parquet.gz", packed)])


def test_bytes_behind_the_end_of_parquet_are_not_told_as_its_end_cut_off(parts, tmp_path):
    pq.write_table(pa.table({"id": [1], "name": ["a"]}), tmp_path / "x")
    with pytest.raises(BadInput, match=r"a\.parquet cannot be read: 4 bytes follow its end.*undamaged copy"):
        parts({}, others=[("a.parquet", (tmp_path / "x").read_bytes() + b"junk")])


@pytest.mark.parametrize("bad", [b"caf\xe9", b"it\x92s", b"cut off \xc3"], ids=str)
@pytest.mark.parametrize("kind", [pa.binary(), pa.string()], ids=str)
def test_a_row_whose_text_is_no_utf_8_is_malformed_and_told(spark, tmp_path, kind, bad):
    stored = pa.array([bad, "Bogotá".encode(), None], pa.binary())
    names = pa.Array.from_buffers(kind, 3, stored.buffers())
    parquet(tmp_path / "a.parquet", id=[1, 2, 3], name=names, other=["x", "y", "z"])
    columns = (*COLUMNS, "other")
    rows = read_table(spark, uris_of(tmp_path / "a.parquet"), columns).sort("id").collect()
    assert [row[CORRUPT] for row in rows] == [f"{bad.decode('cp1252')} | x", None, None]
    assert [row["name"] for row in rows[1:]] == ["Bogotá", None]


def test_a_timestamp_out_of_range_is_told_as_such(parts):
    stamps = pa.array([2**62], pa.timestamp("ms"))
    with (
        pytest.raises(BadInput, match=r"a\.parquet .*timestamp.*out of range.*Correct it"),
        explain_read_errors("folder"),
    ):
        parts({"a.parquet": {"id": stamps}}, ("id",))


def test_a_column_of_lists_is_refused_by_name_and_type(parts):
    with pytest.raises(BadInput, match=r"a\.parquet has column id of type array<bigint>.*one value a row"):
        parts({"a.parquet": {"id": [[1, 2]]}}, ("id",))


# -- which files --------------------------------------------------------------------------------------


def test_only_the_named_files_are_read_whatever_lies_beside_them(spark, tmp_path):
    for number, name in enumerate(("a.csv", "b.csv", "late.csv"), 1):
        (tmp_path / name).write_text(f"id,name\n{number},x\n")
    rows = read_csv(spark, uris_of(tmp_path)[:2], COLUMNS).collect()
    assert sorted(row["id"] for row in rows) == ["1", "2"]
    parquet(tmp_path / "p" / "a.parquet", id=[1], name=["a"])
    parquet(tmp_path / "p" / "late.parquet", id=[2], name=["b"])
    rows = read_table(spark, uris_of(tmp_path / "p" / "a.parquet"), COLUMNS).collect()
    assert [row["id"] for row in rows] == [1]


@pytest.mark.parametrize("files", [1, 2])
def test_a_value_in_a_folders_name_is_read_of_one_file_as_of_several(spark, tmp_path, files):
    for number in range(1, files + 1):
        parquet(tmp_path / "in" / f"id=0{number}" / "sub" / "a.parquet", name=["a"])
    rows = read_table(spark, uris_of(tmp_path / "in"), COLUMNS).collect()
    assert sorted(row["id"] for row in rows) == ["01", "02"][:files]


@pytest.mark.parametrize("by", [read_csv, read_table])
def test_a_file_that_is_gone_is_told_by_name(spark, tmp_path, by):
    (tmp_path / "a.csv").write_text("id,name\n1,x\n")
    with pytest.raises(BadInput, match=r"gone\.csv does not exist"):
        by(spark, [*uris_of(tmp_path), f"file://{tmp_path}/gone.csv"], COLUMNS)


def test_hidden_files_are_not_read_and_where_there_are_no_others_it_is_said(spark, tmp_path):
    hidden = f"file://{tmp_path}/_a.csv"
    (tmp_path / "_a.csv").write_text("id,name\n1,x\n")
    with pytest.raises(BadInput, match=r"holds no file but hidden ones, such as _a\.csv"):
        read_csv(spark, [hidden], COLUMNS)
    (tmp_path / "b.csv").write_text("id,name\n2,x\n")
    assert [row["id"] for row in read_csv(spark, uris_of(tmp_path), COLUMNS).collect()] == ["2"]


def test_a_folder_that_another_job_wrote_is_read_whole_and_its_days_come_once(spark, tmp_path):
    folder = f"file://{tmp_path}/out/"
    days = [date(2016, 4, 1), date(2016, 4, 2)]
    for day in days:
        parquet(
            tmp_path / "out" / f"day={day}" / "part-0.snappy.parquet", id=[day.day], arrived=[day], day=[7]
        )
    (tmp_path / "out" / "_SUCCESS").touch()
    whole = read_output(spark, [folder])
    assert whole.columns == ["id", "arrived", "day"]
    assert sorted(map(tuple, whole.collect())) == [(1, days[0], 7), (2, days[1], 7)]
    some = read_table(spark, [folder], ("day", "id"))
    assert sorted(map(tuple, some.select("day", "id").collect())) == [(7, 1), (7, 2)]
