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
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as fn
from pyspark.sql.types import StringType, StructField, StructType

from sparkjobs.errors import BadInput
from sparkjobs.files import HEAD_BYTES, File, explain_read_errors, read_tail, spark_paths
from sparkjobs.values import BLANKS, clean_text

CORRUPT = "_corrupt"

_DELIMITERS = (",", ";", "\t", "|")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
# What a file is, by its first bytes, and what to do about it.
_FOREIGN = (
    (b"PAR1", "is Parquet where CSV was expected: save it as CSV"),
    (b"PK\x03\x04", "is a ZIP archive or an Excel workbook: unpack it, or save it as CSV"),
    (b"\xd0\xcf\x11\xe0", "is an old Excel workbook: save it as CSV"),
    (b"\x1f\x8b", "is compressed by gzip, which its name does not say: let it end in .csv.gz"),
    (b"BZh", "is compressed by bzip2, which its name does not say: let it end in .csv.bz2"),
    (b"\x28\xb5\x2f\xfd", "is compressed by zstd: unpack it"),
    (b"%PDF", "is a PDF: save the table in it as CSV"),
    (b"\xff\xfe\x00\x00", "is UTF-32: save it as UTF-8"),
    (b"<", "is a page of HTML or XML, such as a server's error message: download the file itself"),
)


@dataclass(frozen=True)
class _Form:
    """How a file has to be read. Files of one form are read as one."""

    header: tuple[str, ...]
    encoding: str
    multiline: bool


@dataclass(frozen=True)
class _Lines:
    """How many lines of some files are of a kind."""

    not_utf8: int
    beyond_ascii: int
    undecodable: int
    open_quotes: int
    with_nul: int

    @property
    def are_alike(self) -> bool:
        return not (self.not_utf8 or self.open_quotes)


def read_csv_files(
    spark: SparkSession,
    files: Sequence[File],
    columns: Sequence[str],
    delimiter: str,
    notes: dict[str, int],
) -> DataFrame:
    """The named `columns` of CSV files, as `reading.read_csv` describes them."""
    forms: dict[_Form, list[File]] = {}
    headers = {file: _read_header(file, columns, delimiter) for file in files}
    for file, (encoding, multiline) in _survey(spark, files, delimiter, notes).items():
        forms.setdefault(_Form(headers[file], encoding, multiline), []).append(file)
    return reduce(
        DataFrame.unionByName,
        [_read_form(spark, form, alike, columns, delimiter) for form, alike in forms.items()],
    )


def _read_form(
    spark: SparkSession, form: _Form, files: list[File], columns: Sequence[str], delimiter: str
) -> DataFrame:
    schema = StructType([StructField(f"c{i}", StringType()) for i in range(len(form.header))])
    schema.add(StructField(CORRUPT, StringType()))
    reader = (
        spark.read.option("header", True)
        .option("sep", delimiter)
        .option("quote", '"')
        .option("escape", '"')  # a quote within quotes is doubled, as in RFC 4180
        .option("columnPruning", False)  # with pruning, Spark does not notice a row's missing fields
        .option("mode", "PERMISSIVE")
        .option("columnNameOfCorruptRecord", CORRUPT)
        .option("encoding", form.encoding)
        .option("multiLine", form.multiline)  # true: a file is read by one task, however large it is
    )
    rows = reader.schema(schema).csv(spark_paths(files))
    for file in files:
        _refuse_cut_off(spark, file, form, delimiter)
    indexes = {name: form.header.index(name.lower()) for name in columns}
    texts = [clean_text(fn.col(f"c{index}")).alias(name) for name, index in indexes.items()]
    return rows.select(*texts, CORRUPT)


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
    return (
        f"{uri} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)} "
        f"(it has: {', '.join(present)}). Upload the file with its published columns."
    )


def _decode_head(file: File) -> str:
    head = file.head
    if head.startswith(_UTF16):
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


def _survey(
    spark: SparkSession, files: Sequence[File], delimiter: str, notes: dict[str, int]
) -> dict[File, tuple[str, bool]]:
    """(Encoding, whether it has line breaks within quotes) of each file.

    One quick pass over all lines; where something is unusual, one more over each file. `notes` gets the lines
    that are `read_as_windows_1252`, and those with `nul_removed`.
    """
    surveyed: dict[File, tuple[str, bool]] = {
        file: ("UTF-16", True) for file in files if file.head.startswith(_UTF16)
    }
    rest = [file for file in files if file not in surveyed]
    if not rest:
        return surveyed
    together = _count_lines(spark, rest, delimiter)
    for file in rest:
        lines = together if together.are_alike or len(rest) == 1 else _count_lines(spark, [file], delimiter)
        surveyed[file] = (_encoding(file, lines, notes), lines.open_quotes > 0)
    if together.with_nul:
        notes["nul_removed"] = notes.get("nul_removed", 0) + together.with_nul
    return surveyed


def _count_lines(spark: SparkSession, files: Sequence[File], delimiter: str) -> _Lines:
    with explain_read_errors(files[0].uri):
        line = fn.col("value")
        stored = line.cast("binary")
        decoded = fn.decode(stored, "UTF-8")
        wrong = decoded != line
        quotes = fn.octet_length(line) - fn.octet_length(fn.translate(line, '"', ""))
        opens = line.contains('"') & (quotes % 2 == 1) & line.rlike(_opening(delimiter))
        conditions = {
            "not_utf8": wrong,
            "beyond_ascii": ~wrong & (fn.octet_length(line) != fn.char_length(line)),
            "undecodable": wrong & fn.decode(stored, "windows-1252").contains("\ufffd"),
            "open_quotes": opens,
            "with_nul": line.contains("\0"),
        }
        (counts,) = (
            spark.read.text(spark_paths(files))
            .agg(*[fn.count_if(condition).alias(name) for name, condition in conditions.items()])
            .collect()
        )
    return _Lines(**counts.asDict())


def _opening(delimiter: str) -> str:
    """A regular expression for a line that ends within quotes: a field begins with a quote, and none closes it.

    A quote elsewhere is part of its field (5" of snow). Nothing is tried twice, so that no line takes long.
    """
    separator = re.escape(delimiter)
    inside = '[^"]*+(?:""[^"]*+)*+'
    plain = f'[^"{separator}][^{separator}]*+'
    return f'^(?:(?:"{inside}"[^{separator}]*+|{plain})?+{separator})*+"{inside}$'


def _encoding(file: File, lines: _Lines, notes: dict[str, int]) -> str:
    if not lines.not_utf8:
        return "UTF-8"
    if lines.undecodable or lines.beyond_ascii:
        other = (
            "UTF-8 in some lines and not in others"
            if lines.beyond_ascii
            else "neither UTF-8 nor Windows-1252"
        )
        raise BadInput(
            f"{file.uri} is {other} ({lines.not_utf8} lines are not UTF-8), so letters would be lost. "
            "Save the whole file as UTF-8, and upload that."
        )
    notes["read_as_windows_1252"] = notes.get("read_as_windows_1252", 0) + lines.not_utf8
    return "windows-1252"


def _refuse_cut_off(spark: SparkSession, file: File, form: _Form, delimiter: str) -> None:
    """Raise BadInput where the last record of a file is incomplete: no line break, and fewer fields than the header.

    Such a file is no file with one malformed row: nobody knows how many rows follow. Of a compressed file, its
    decompression tells.
    """
    if file.is_compressed:
        return
    text = read_tail(spark, file).decode(form.encoding, errors="replace").replace("\0", "")
    record = _last_record(text) if form.multiline else re.split(r"[\r\n]", text)[-1]
    if record is None:
        raise BadInput(
            f"{file.uri} ends within quotes that are opened and never closed: it was cut off there, or one quote "
            "is too many. Upload the whole file again, with each quote closed."
        )
    fields = len(next(csv.reader(io.StringIO(record, newline=""), delimiter=delimiter), []))
    if record.strip(BLANKS) and fields < len(form.header):
        raise BadInput(
            f"{file.uri} was cut off: its last row has {fields} fields where the header has {len(form.header)}, and "
            f"no line break ({record[:120]!r}). Upload the whole file again."
        )


def _last_record(text: str) -> str | None:
    """What follows the last line break that is not within quotes; None where the text ends within quotes.

    Counted from the end, lines belong together until their quotes are even.
    """
    record = ""
    for line in reversed(text.splitlines(keepends=True)):
        if record and record.count('"') % 2 == 0:
            break
        record = line + record
    if record.count('"') % 2:
        return None
    return "" if record.endswith(("\r", "\n")) else record
