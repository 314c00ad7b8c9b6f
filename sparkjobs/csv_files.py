"""CSV files as rows: each by its own header, encoding and line breaks.

Spark reads many files by one header, replaces what is no UTF-8, and splits a file at every line break unless it
is told otherwise. So the files are looked at first, and those that are alike are read together.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as fn
from pyspark.sql.types import StringType, StructField, StructType

from sparkjobs.csv_lines import UTF16_MARKS, Layout, ends_within_quotes, read_lines, survey
from sparkjobs.errors import BadInput
from sparkjobs.files import HEAD_BYTES, File, read_tail, spark_paths
from sparkjobs.values import BLANKS, clean_text

CORRUPT = "_corrupt"

_LINE_BREAK = re.compile(r"\r\n|\r|\n")
# So many columns are told in a message, and so many letters of each.
_NAMED = 40
_DELIMITERS = (",", ";", "\t", "|")
# What a file is, by its first bytes, and what to do about it.
_FOREIGN = (
    (b"PAR1", "is Parquet where CSV was expected: save it as CSV"),
    (b"PK\x03\x04", "is a ZIP archive or an Excel workbook: unpack it, or save it as CSV"),
    (b"\xd0\xcf\x11\xe0", "is an old Excel workbook: save it as CSV"),
    (b"\x1f\x8b", "is compressed by gzip, which its name does not say: let it end in .csv.gz"),
    (b"BZh", "is compressed by bzip2, which its name does not say: let it end in .csv.bz2"),
    (b"\x28\xb5\x2f\xfd", "is compressed by zstd: unpack it"),
    (b"\0" * 12 + b"\xc2\xea\x81\x60", "is a SAS data set (sas7bdat): export it as CSV or Parquet"),
    (b"\0" * 16, "holds zeros where text was expected: it is damaged, replace it by an undamaged copy"),
    (b"\xfd7zXZ", "is compressed by xz: unpack it"),
    (b"7z\xbc\xaf", "is a 7z archive: unpack it"),
    (b"\x1f\x9d", "is compressed by compress (.Z): unpack it"),
    (b"Obj\x01", "is Avro where CSV was expected: save it as CSV"),
    (b"%PDF", "is a PDF: save the table in it as CSV"),
    (b"\xff\xfe\x00\x00", "is UTF-32: save it as UTF-8"),
    (b"<", "is a page of HTML or XML, such as a server's error message: download the file itself"),
)


@dataclass(frozen=True)
class _Form:
    """How a file has to be read. Files of one form are read as one. Before the header are `skipped` lines."""

    header: tuple[str, ...]
    layout: Layout
    skipped: int

    @property
    def schema(self) -> StructType:
        fields = [StructField(f"c{i}", StringType()) for i in range(len(self.header))]
        return StructType([*fields, StructField(CORRUPT, StringType())])


def read_csv_files(
    spark: SparkSession,
    files: Sequence[File],
    columns: Sequence[str],
    delimiter: str,
    notes: dict[str, int],
) -> DataFrame:
    """The named `columns` of CSV files, as `reading.read_csv` describes them."""
    headers = {file: _read_header(file, columns, delimiter) for file in files}
    widths = {file: len(header) for file, header in headers.items()}
    forms: dict[_Form, list[File]] = {}
    for file, surveyed in survey(spark, widths, delimiter, notes).items():
        skipped = _lines_before_header(file, delimiter)
        if skipped and surveyed.multiline:
            raise BadInput(
                f"{file.uri} has lines without a value before its header: delete them, and upload that."
            )
        # Spark takes the first line for the header, even where it has delimiters and nothing else.
        layout = replace(surveyed, by_line=surveyed.by_line or skipped > 0)
        form = _Form(headers[file], layout, skipped)
        _refuse_cut_off(spark, file, form, delimiter)
        forms.setdefault(form, []).append(file)
    rows: list[DataFrame] = []
    for form, alike in forms.items():
        if form.layout.by_line:
            # Each by itself: it is known of one file only which of its lines is the first.
            read = [_read_by_line(spark, form, file, delimiter) for file in alike]
        else:
            read = [_read_form(spark, form, alike, delimiter)]
        rows += [_select(part, form, columns) for part in read]
    return reduce(DataFrame.unionByName, rows)


def _select(rows: DataFrame, form: _Form, columns: Sequence[str]) -> DataFrame:
    indexes = {name: form.header.index(name.lower()) for name in columns}
    return rows.select(
        *[clean_text(fn.col(f"c{index}")).alias(name) for name, index in indexes.items()], CORRUPT
    )


def _options(delimiter: str) -> dict[str, str]:
    return {
        "sep": delimiter,
        "quote": '"',
        "escape": '"',  # a quote within quotes is doubled, as in RFC 4180
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": CORRUPT,
    }


def _read_form(spark: SparkSession, form: _Form, files: list[File], delimiter: str) -> DataFrame:
    reader = (
        spark.read.options(**_options(delimiter))
        .option("header", True)
        .option("columnPruning", False)  # with pruning, Spark does not notice a row's missing fields
        .option("encoding", form.layout.encoding)
        # One task then reads a whole file, however large. Line breaks of UTF-16 are found in no other way.
        .option("multiLine", form.layout.multiline or form.layout.encoding == "UTF-16")
    )
    return reader.schema(form.schema).csv(spark_paths(files))


def _read_by_line(spark: SparkSession, form: _Form, file: File, delimiter: str) -> DataFrame:
    """The rows of a file of which each line is one; a line that ends within quotes is malformed."""
    line = fn.col("value")
    lines = read_lines(spark, [file], form.layout.encoding, filled=True)
    rest = lines.where(~((fn.col("start") == 0) & (fn.col("line") <= form.skipped)))
    bad = ends_within_quotes(line, delimiter)
    schema = ", ".join(f"{name} string" for name in form.schema.names)
    parsed = fn.from_csv(fn.when(~bad, line), schema, _options(delimiter))
    fields = [fn.col(f"parsed.c{i}") for i in range(len(form.header))]
    corrupt = fn.when(fn.col("bad"), line).otherwise(fn.col(f"parsed.{CORRUPT}")).alias(CORRUPT)
    return rest.select("value", bad.alias("bad"), parsed.alias("parsed")).select(*fields, corrupt)


def _read_header(file: File, columns: Sequence[str], delimiter: str) -> tuple[str, ...]:
    """The header's names, trimmed and in lower case. Raises BadInput where it has not all of `columns`, once each."""
    for magic, remedy in _FOREIGN:
        if file.head.startswith(magic):
            raise BadInput(f"{file.uri} {remedy}, and upload that.")
    text = _decode_head(file)
    names = _first_record(file, text, delimiter)
    missing = [name for name in columns if name.lower() not in names]
    if len(missing) == len(columns):
        _refuse_no_header(file, text, columns, delimiter)
    if missing:
        raise BadInput(lacking(file.uri, missing, [name for name in names if name]))
    twice = [name for name in columns if names.count(name.lower()) > 1]
    if twice:
        raise BadInput(
            f"{file.uri} has more than one column {', '.join(twice)}, and nothing says which one is meant. "
            "Upload it with each published column once."
        )
    return names


def has_header(file: File, columns: Sequence[str], delimiter: str) -> bool:
    """Whether a file begins with a header that has all of `columns`."""
    try:
        _read_header(file, columns, delimiter)
    except BadInput:
        return False
    return True


def lacking(uri: str, missing: Sequence[str], present: Sequence[str]) -> str:
    """The message for a file that has the columns `present`, and not those that are `missing`."""
    more = f", and {len(present) - _NAMED} more" if len(present) > _NAMED else ""
    has = ", ".join(name[:_NAMED] for name in present[:_NAMED]) + more
    return (
        f"{uri} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)} "
        f"(it has: {has}). Upload the file with its published columns."
    )


def _decode_head(file: File) -> str:
    head = file.head
    if head.startswith(UTF16_MARKS):
        return head.decode("utf-16", errors="replace")
    if head[1:4:2] == b"\0\0" or head[0:3:2] == b"\0\0":
        raise BadInput(f"{file.uri} is UTF-16 without a byte order mark: save it as UTF-8, and upload that.")
    try:
        return codecs.getincrementaldecoder("utf-8-sig")().decode(head)  # `head` may end within a character
    except UnicodeDecodeError:
        return head.decode("windows-1252", errors="replace")


def _first_record(file: File, text: str, delimiter: str) -> tuple[str, ...]:
    """The fields of the first line that is not blank, trimmed and in lower case."""
    reader = csv.reader(io.StringIO(text.replace("\0", ""), newline=""), delimiter=delimiter)
    try:
        record = next((record for record in reader if "".join(record).strip(BLANKS)), None)
    except csv.Error:
        record = [text]
    if record is None:
        raise BadInput(f"{file.uri} is empty: it has not even a header. Upload the published file again.")
    if sum(map(len, record)) + len(record) >= len(text) and len(file.head) >= HEAD_BYTES:
        raise BadInput(
            f"{file.uri} has no line break in its first {HEAD_BYTES} bytes, so it is no CSV with a header. "
            "Upload the published file."
        )
    return tuple(name.strip(BLANKS).lower() for name in record)


def _refuse_no_header(file: File, text: str, columns: Sequence[str], delimiter: str) -> None:
    """Raise BadInput for a file whose first line, split by `delimiter`, has none of the columns."""
    wanted = {name.lower() for name in columns}
    for other in _DELIMITERS:
        if other != delimiter and wanted <= set(_first_record(file, text, other)):
            raise BadInput(
                f"{file.uri} lacks the columns {', '.join(columns)} where its lines are split at {delimiter!r}; "
                f"split at {other!r}, it has them. Save it with {delimiter!r} between the columns, or declare "
                f"delimiter={other!r} in the pipeline's Source and in the job."
            )
    names = _first_record(file, text, delimiter)
    if any(name.replace(".", "").lstrip("-").isdigit() for name in names):
        raise BadInput(
            f"{file.uri} begins with a row of values, not with a header: {','.join(names)[:120]!r}. "
            f"Put the line with the columns' names in front: {delimiter.join(columns)}"
        )
    raise BadInput(lacking(file.uri, columns, [name for name in names if name]))


def _lines_before_header(file: File, delimiter: str) -> int:
    """How many lines before the header have delimiters, quotes or blanks only. Of lines without any, none counts."""
    lines = [line for line in _LINE_BREAK.split(_decode_head(file)) if re.search(r"[^\x00-\x20]", line)]
    blank = [not line.replace(delimiter, "").replace('"', "").strip(BLANKS) for line in lines]
    return blank.index(False) if False in blank else 0


def _refuse_cut_off(spark: SparkSession, file: File, form: _Form, delimiter: str) -> None:
    """Raise BadInput where the last record of a file is incomplete: no line break, and fewer fields than the header.

    Such a file is no file with one malformed row: nobody knows how many rows follow. Of a compressed file, its
    decompression tells.
    """
    if file.is_compressed:
        return
    encoding = form.layout.encoding
    if encoding == "UTF-16":
        if file.size % 2:
            raise BadInput(
                f"{file.uri} was cut off within its last letter: it is UTF-16, which has two bytes a letter. "
                "Upload the whole file again."
            )
        # The mark at the file's beginning says so; its end has none.
        encoding = "utf-16-le" if file.head.startswith(b"\xff\xfe") else "utf-16-be"
    text = read_tail(spark, file).decode(encoding, errors="replace").replace("\0", "")
    record = _last_record(text) if form.layout.multiline else _LINE_BREAK.split(text)[-1]
    fields = len(next(csv.reader(io.StringIO(record, newline=""), delimiter=delimiter), []))
    if record.strip(BLANKS) and fields < len(form.header):
        raise BadInput(
            f"{file.uri} was cut off: its last row has {fields} fields where the header has {len(form.header)}, and "
            f"no line break ({record[:120]!r}). Upload the whole file again."
        )


def _last_record(text: str) -> str:
    """What follows the last line break that is not within quotes; empty where `text` begins within the last record.

    Counted from the end, lines belong together until their quotes are even.
    """
    if text.endswith(("\r", "\n")):
        return ""
    record = ""
    for line in reversed(_LINE_BREAK.split(text)):
        record = f"{line}\n{record}" if record else line
        if record.count('"') % 2 == 0:
            return record
    return ""
