"""Quotes that are never closed, and lines before the header: no row is lost, and none becomes another."""

from __future__ import annotations

import bz2
import gzip

import pytest

from sparkjobs.errors import BadInput
from sparkjobs.reading import CORRUPT, read_csv
from tests.sparkjobs.conftest import uris_of


@pytest.fixture
def read(spark, tmp_path):
    """`read(content)`: writes a file and returns (its rows, the malformed lines)."""

    def run(content, *, name="a.csv", columns=("id", "name"), encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        rows = read_csv(spark, uris_of(path), columns).collect()
        good = sorted(tuple(row[column] for column in columns) for row in rows if not row[CORRUPT])
        return good, sorted(row[CORRUPT] for row in rows if row[CORRUPT])

    return run


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16"])
def test_a_quote_that_is_never_closed_costs_its_own_line_and_no_other(read, encoding):
    rows = "".join(f"{number},é\n" for number in range(5, 105))
    good, malformed = read(f'id,name\n1,"a\n2,b\n3,c\n4\n{rows}', encoding=encoding)
    assert malformed == ['1,"a', "4"]
    assert len(good) == 102
    assert {("2", "b"), ("3", "c"), ("5", "é"), ("104", "é")} <= set(good)


def test_a_quote_that_a_later_row_closes_costs_its_own_line_and_no_other(read):
    assert read('id,name\n1,"a\n2,b\n3,"c"\n4,d\n') == ([("2", "b"), ("3", "c"), ("4", "d")], ['1,"a'])


def test_a_stray_quote_in_a_file_of_quoted_fields_costs_its_own_line_and_no_other(read):
    rows = "".join(f'"{number}","x, y"\n' for number in range(3, 9))
    good, malformed = read(f'"id","name"\n"1","a\n"2","b"\n{rows}')
    assert malformed == ['"1","a']
    assert [key for key, _ in good] == ["2", "3", "4", "5", "6", "7", "8"]


def test_a_repeated_header_behind_a_stray_quote_is_still_a_row(read):
    assert read('id,name\n1,"a\nid,name\n2,b\n') == ([("2", "b"), ("id", "name")], ['1,"a'])


def test_rows_that_span_lines_are_read_wherever_their_quotes_begin_and_end(read):
    content = 'id,name,x\n"1\n1",a,b\n2,"c\n\nd\n, ""e""",f\n3,"g\nh","i\nj"\n4,k,"l\n"\n5,m,n\n'
    good, malformed = read(content, columns=("id", "name", "x"))
    assert malformed == []
    assert [(key, name) for key, name, _ in good] == [
        ("1\n1", "a"),
        ("2", 'c\n\nd\n, "e"'),
        ("3", "g\nh"),
        ("4", "k"),
        ("5", "m"),
    ]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('id,name\n1,"roses\nred, blue\nend"\n2,b\n', 2),
        ('id,name\n1,"a\nb"\n2,"c\n3,d\n4,e\n', 4),
    ],
    ids=["text like a row", "both kinds"],
)
def test_a_quote_that_can_be_read_in_two_ways_is_refused_with_its_line(read, content, line):
    with pytest.raises(BadInput, match=rf"a\.csv has a quote in line {line} that is not closed there"):
        read(content)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_an_end_within_quotes_is_refused_with_its_line(read, name):
    content = b'id,name\n1,a\n2,"b\nc'
    with pytest.raises(BadInput, match=r"opened in line 3 and never closed"):
        read(gzip.compress(content) if name.endswith(".gz") else content, name=name)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("before", [",,\n", '\n"","",\n\u00a0\n', "\r\n,\r\n"])
def test_lines_without_a_value_before_the_header_are_no_header(read, before, encoding):
    assert read(f"{before}id,name\n1,a\n2,b\n", encoding=encoding) == ([("1", "a"), ("2", "b")], [])


def test_lines_without_a_value_before_rows_that_span_lines_are_refused(read):
    with pytest.raises(BadInput, match=r"a\.csv has lines without a value before its header: delete them"):
        read(',\nid,name\n1,"a\nb"\n')


@pytest.mark.parametrize("end", ["a\u2028b", "a\x0cb"])
def test_a_last_field_with_a_separator_of_another_kind_is_not_cut_off(read, end):
    good, _ = read(f'id,name\n1,"x\ny"\n2,{end}')
    assert good[1] == ("2", end)


def test_a_large_file_of_utf_16_big_endian_is_not_cut_off(read):
    content = "\ufeffid,name\n" + "".join(f"{number},a\n" for number in range(9000)) + "9000,b"
    assert len(read(content.encode("utf-16-be"))[0]) == 9001


PACKED = gzip.compress("".join(f"{number},{number * 7919 % 10007}\n" for number in range(40000)).encode())
BZ2 = bz2.compress("".join(f"{number},{number * 7919 % 10007}\n" for number in range(40000)).encode())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv.gz", gzip.compress(b"id,name\n1,a\n")[:-4]),
        ("a.csv.gz", gzip.compress(b"id,name\n") + PACKED[: len(PACKED) // 2]),
        ("a.csv.gz", gzip.compress(b"id,name\n1,a\n")[:-8] + b"\0" * 8),
        ("a.csv.gz", gzip.compress(b"id,name\n1,a\n") + b"xyz"),
        ("a.csv.bz2", bz2.compress(b"id,name\n") + BZ2[: len(BZ2) // 2]),
    ],
    ids=["end", "half", "checksum", "more behind", "bzip2 half"],
)
def test_a_damaged_compressed_file_is_refused_by_name(read, name, content):
    with pytest.raises(BadInput, match=rf"{name} cannot be read .*: it (was cut off|is damaged)"):
        read(content, name=name)


def test_of_many_columns_a_message_names_some(read):
    with pytest.raises(BadInput, match=r"lacks the column name .*, and 8961 more") as refused:
        read("id," + ",".join(f"x{number}" for number in range(9000)) + "\n")
    assert len(str(refused.value)) < 2000


def test_of_several_compressed_files_the_damaged_one_is_named(spark, tmp_path):
    good = gzip.compress(b"id,name\n1,a\n")
    large = b"".join(b"%d,%d\n" % (number, number * 7919 % 10007) for number in range(40000))
    damaged = gzip.compress(b"id,name\n" + large)
    for name, content in {"a": good, "b": damaged[: len(damaged) // 2], "c": good}.items():
        (tmp_path / f"{name}.csv.gz").write_bytes(content)
    with pytest.raises(BadInput, match=r"b\.csv\.gz cannot be read .*cut off"):
        read_csv(spark, uris_of(tmp_path), ("id", "name"))


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"\0" * 12 + bytes.fromhex("c2ea8160b31411cf"), r"is a SAS data set \(sas7bdat\): export it as CSV"),
        (b"\0" * 64, r"holds zeros where text was expected"),
        (b"\xfd7zXZ\0", r"is compressed by xz: unpack it"),
        (b"Obj\x01", r"is Avro where CSV was expected"),
    ],
)
def test_a_file_of_another_kind_is_told_for_what_it_is(read, head, message):
    with pytest.raises(BadInput, match=rf"a\.csv {message}"):
        read(head + b"\0\x01\x02" * 40)


def test_utf_16_that_was_cut_within_a_letter_is_refused(read):
    with pytest.raises(BadInput, match=r"a\.csv was cut off within its last letter"):
        read("id,name\n1,a\n2,bc".encode("utf-16")[:-1])
