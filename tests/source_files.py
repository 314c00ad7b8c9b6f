"""Files as people have them, with the verdict that the preflight and the jobs' reading must come to, each by itself.

The preflight sees a few bytes of a few files, so it may accept what a job refuses; it never refuses what a job reads.
Driven through both by `tests/unit/airflow_lib/spark/test_source_files.py` and `tests/sparkjobs/test_source_files.py`.
"""

from __future__ import annotations

import bz2
import gzip
import io
import random
import zlib
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

HEAD = 64 * 1024
COLUMNS = ("id", "Straße")
GOOD = "id,Straße,extra\n1,2,3\n"


@dataclass(frozen=True)
class Files:
    """The files of one source, by name; of a folder where there are several, or the name has a folder in it."""

    case: str
    files: dict[str, bytes]
    job_reads: bool
    preflight_accepts: bool
    columns: tuple[str, ...] = COLUMNS
    delimiter: str = ","

    @property
    def is_folder(self) -> bool:
        return len(self.files) > 1 or any("/" in name for name in self.files)


def _parquet(**columns: list[object]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def _columns(*names: str) -> dict[str, list[object]]:
    return {name: [1, 2] for name in names}


def _as_bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _one(case: str, body: str | bytes, *, name: str = "a.csv", **more: object) -> Files:
    return Files(case, {name: _as_bytes(body)}, True, True, **more)  # type: ignore[arg-type]


def _refused(case: str, body: str | bytes, *, name: str = "a.csv", **more: object) -> Files:
    return Files(case, {name: _as_bytes(body)}, False, False, **more)  # type: ignore[arg-type]


def _only_by_the_job(case: str, body: str | bytes, *, name: str = "a.csv", **more: object) -> Files:
    """A file that the preflight lets pass, since it sees too little of it."""
    return Files(case, {name: _as_bytes(body)}, False, True, **more)  # type: ignore[arg-type]


def _several(
    case: str, files: dict[str, str | bytes], *, reads: bool, accepts: bool, **more: object
) -> Files:
    return Files(case, {name: _as_bytes(body) for name, body in files.items()}, reads, accepts, **more)  # type: ignore[arg-type]


def _rows(length: int) -> str:
    """Rows that hardly any codec makes smaller."""
    chance = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-"
    return "".join(f"{number},{''.join(chance.choices(letters, k=60))},x\n" for number in range(length // 66))


_ROWS = GOOD + _rows(200_000)
# The first bytes that are looked at end within the two bytes of an é (or of a UTF-16 character).
_CUT = {
    f"a character {shift} bytes over the edge": GOOD
    + ",".join(("1", "x" * (HEAD - len(GOOD.encode()) - 5 + shift) + "é" * 9, "3\n"))
    for shift in range(3)
}

CSV = (
    _one("plain", GOOD),
    _one("quoted", '"Straße","id"\n1,2\n'),
    _one("quoted line break in the header", '"a\nb",id,Straße\n1,2,3\n'),
    _one("quoted and padded", '"id ", Straße \n1,2\n'),
    *[
        _one(f"padded with U+{ord(blank):04X}", f"{blank}id{blank},Straße{blank}\n1,2\n")
        for blank in "\u00a0\u200b\u3000\ufeff\u2060\t\x1a"
    ],
    _one("BOM", b"\xef\xbb\xbf" + GOOD.encode()),
    _one("CRLF", GOOD.replace("\n", "\r\n")),
    _one("UTF-16, little end first", b"\xff\xfe" + GOOD.encode("utf-16-le")),
    _one("UTF-16, big end first", b"\xfe\xff" + GOOD.encode("utf-16-be")),
    _one("UTF-16 over the edge", b"\xff\xfe" + (GOOD + "1,\U0001f600" * 20_000 + ",3\n").encode("utf-16-le")),
    _only_by_the_job(
        "UTF-16 without a byte order mark", "id,name\n1,2\n".encode("utf-16-le"), columns=("id", "name")
    ),
    _one("another case", "ID,STRAßE\n1,2\n"),
    _one("another order and further columns", "x,Straße,,id\n1,2,3,4\n"),
    _one("Windows-1252 in a row", "id,name\n1,Straße\n".encode("cp1252"), columns=("id", "name")),
    _one("Windows-1252 in the header", GOOD.encode("cp1252")),
    _one("U+0000 in the header", "i\0d,Straße\n1,2\n"),
    _one("the declared delimiter", GOOD.replace(",", ";"), delimiter=";"),
    _refused("another delimiter", GOOD.replace(",", ";")),
    _refused("a column missing", "id,extra\n1,2\n"),
    _refused("all columns missing", "1,2,3\n4,5,6\n"),
    _refused("a column twice", "id,Straße,ID\n1,2,3\n"),
    _one("another column twice", "id,Straße,x,x\n1,2,3,4\n"),
    _one("blank lines first", "\n  \n\u00a0\n" + GOOD),
    _one("header only", "id,Straße\n"),
    _one("header without a line break", "id,Straße"),
    _refused("blank lines only", "\n \n"),
    _refused("no byte", b""),
    *[_one(case, body) for case, body in _CUT.items()],
    _one("a header that ends near the edge", "id,Straße," + "x" * (HEAD - 30) + "\n1,2,3\n"),
    _refused("a header over the edge", "id," + "x" * HEAD + ",Straße\n1,2,3\n"),
    _one("a name that is Parquet's in a row", "id,Straße\nPAR1,2\n"),
)
PACKED = (
    _one("gzip", gzip.compress(GOOD.encode()), name="a.csv.gz"),
    _one("large gzip", gzip.compress(_ROWS.encode()), name="a.csv.gz"),
    _one("gzip that hardly packs", gzip.compress(_ROWS.encode(), 0), name="a.csv.gz"),
    _one(
        "gzip in two members",
        gzip.compress(GOOD.encode()[:9]) + gzip.compress(GOOD.encode()[9:]),
        name="a.csv.gz",
    ),
    _one(
        "gzip whose first member is empty", gzip.compress(b"") + gzip.compress(GOOD.encode()), name="a.csv.gz"
    ),
    _one("bzip2", bz2.compress(GOOD.encode()), name="a.csv.bz2"),
    _one("large bzip2", bz2.compress((GOOD + _rows(1_500_000)).encode()), name="a.csv.bz2"),
    _one(
        "bzip2 in two streams",
        bz2.compress(GOOD.encode()[:9]) + bz2.compress(GOOD.encode()[9:]),
        name="a.csv.bz2",
    ),
    _one("deflate", zlib.compress(GOOD.encode()), name="a.csv.deflate"),
    _refused("gzip that lacks a column", gzip.compress(b"id\n1\n"), name="a.csv.gz"),
    _refused("bzip2 that lacks a column", bz2.compress(b"id\n1\n"), name="a.csv.bz2"),
    _refused("gzip that its name does not say", gzip.compress(GOOD.encode())),
    _refused("bzip2 that its name does not say", bz2.compress(GOOD.encode())),
    _refused("no gzip, which its name says", GOOD, name="a.csv.gz"),
    _refused("damaged bzip2", b"BZh9" + b"\xff" * 50, name="a.csv.bz2"),
    _only_by_the_job("gzip that was cut off", gzip.compress(_ROWS.encode())[:-200], name="a.csv.gz"),
)
FOLDERS = (
    _several("two headers", {"a.csv": GOOD, "b.csv": "Straße,id\n1,2\n"}, reads=True, accepts=True),
    _several("in folders below", {"x/a.csv": GOOD, "y/b.csv": GOOD}, reads=True, accepts=True),
    _several("a part lacks a column", {"a.csv": GOOD, "b.csv": "id\n1\n"}, reads=False, accepts=False),
    _several("a part of no byte", {"a.csv": GOOD, "b.csv": b""}, reads=False, accepts=False),
    _several(
        "documents beside", {"a.csv": GOOD, "README.md": "about\n", "a.md5": "0f\n"}, reads=True, accepts=True
    ),
    _several("an empty document", {"a.csv": GOOD, "LICENSE": b""}, reads=True, accepts=True),
    _several("text beside a note", {"data.txt": GOOD, "readme.txt": "about\n"}, reads=True, accepts=True),
    _several("a note beside text", {"a_readme.txt": "about\n", "z.txt": GOOD}, reads=True, accepts=True),
    _several("text beside CSV", {"data.txt": GOOD, "more.csv": GOOD}, reads=True, accepts=True),
    _several("notes only", {"a.txt": "about\n", "readme.txt": "about\n"}, reads=False, accepts=False),
    _several(
        "many notes", {f"{n:02}.txt": GOOD if n == 5 else "x\n" for n in range(20)}, reads=True, accepts=True
    ),
    _several("something else beside", {"a.csv": GOOD, "b.bin": b"\0\1\2\3"}, reads=False, accepts=False),
    _several(
        "packed and not", {"a.csv": GOOD, "b.csv.gz": gzip.compress(GOOD.encode())}, reads=True, accepts=True
    ),
    _several("folders that name a column of CSV", {"Straße=1/a.csv": "id\n1\n"}, reads=False, accepts=False),
    _several(
        "hidden",
        {"a.csv": GOOD, "_SUCCESS": b"", "_temporary/b": b"x", ".a.crc": b"x"},
        reads=True,
        accepts=True,
    ),
)
PARQUET = (
    _one("Parquet", _parquet(**_columns("extra", "STRASSE", "ID")), columns=("id", "strasse")),
    _one("Parquet whose names have blanks around them", _parquet(**_columns(" id", "Straße\u00a0"))),
    _refused("Parquet that lacks a column", _parquet(**_columns("id", "x")), name="a.parquet"),
    _refused("Parquet that was cut off", _parquet(**_columns(*COLUMNS))[:-20], name="a.parquet"),
    _refused("Parquet by name alone", GOOD, name="a.parquet"),
    _several(
        "Parquet in folders that name a column",
        {"b=1/a.parquet": _parquet(**_columns("id")), "b=2/a.parquet": _parquet(**_columns("id"))},
        columns=("id", "B"),
        reads=True,
        accepts=True,
    ),
    _several(
        "Parquet in folders that name another",
        {"b=1/a.parquet": _parquet(**_columns("id"))},
        columns=("id", "c"),
        reads=False,
        accepts=False,
    ),
    _several(
        "a part of Parquet lacks a column",
        {"a.parquet": _parquet(**_columns("id", "b")), "b.parquet": _parquet(**_columns("id"))},
        columns=("id", "b"),
        reads=False,
        accepts=False,
    ),
    _several(
        "Parquet beside documents",
        {"a.parquet": _parquet(**_columns("id", "b")), "README.txt": b"about"},
        columns=("id", "b"),
        reads=True,
        accepts=True,
    ),
    _several(
        "Parquet whose names differ in a point",
        {"a.parquet": _parquet(**_columns("b.c", "B", "id"))},
        columns=("id", "b"),
        reads=True,
        accepts=True,
    ),
)
SOURCE_FILES = CSV + PACKED + FOLDERS + PARQUET
