"""The lines of CSV files, looked at before one row is read: their encoding, and whether rows go beyond a line.

One quote that is opened and never closed makes Spark take all lines that follow for one field. So where a line
ends within quotes, what follows decides whether its row really spans lines.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as fn

from sparkjobs.errors import BadInput
from sparkjobs.files import File, explain_read_errors, spark_paths

UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
# No character, so that no text has it: at these, lines are not split.
_NO_DELIMITER, _NO_QUOTE = "\uffff", "\ufffe"


@dataclass(frozen=True)
class Layout:
    """How a file is read: rows that span lines, or each line as a row whatever its quotes; mostly neither."""

    encoding: str
    multiline: bool = False
    by_line: bool = False


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


def survey(
    spark: SparkSession, widths: Mapping[File, int], delimiter: str, notes: dict[str, int]
) -> dict[File, Layout]:
    """The layout of each file; `widths` has the number of fields in the header of each.

    One quick pass over all lines; where something is unusual, one or two more over each file. `notes` gets the
    lines that are `read_as_windows_1252`, and those with `nul_removed`. Raises BadInput for a file of two encodings,
    and for one whose quotes can be read in two ways.
    """
    surveyed: dict[File, Layout] = {}
    wide = [file for file in widths if file.head.startswith(UTF16_MARKS)]
    rest = [file for file in widths if file not in wide]
    together = _count_together(spark, rest, delimiter) if rest else None
    for file in widths:
        if together is None or file in wide:
            encoding, lines = "UTF-16", _count_lines(spark, [file], delimiter, "UTF-16")
        else:
            alike = together.are_alike or len(rest) == 1
            lines = together if alike else _count_lines(spark, [file], delimiter)
            encoding = _encoding(file, lines, notes)
        surveyed[file] = Layout(encoding)
        if lines.open_quotes:
            surveyed[file] = _lay_out(spark, file, encoding, delimiter, widths[file])
    if together is not None and together.with_nul:
        notes["nul_removed"] = notes.get("nul_removed", 0) + together.with_nul
    return surveyed


def read_lines(
    spark: SparkSession, files: Sequence[File], encoding: str, *, filled: bool = False
) -> DataFrame:
    """The lines of files of one encoding as `value`, in the order of `line`, and the offset `start` of their split.

    Of one file, `line` counts from 0 where `start` is 0. Lines of blanks are left out where only those that are
    `filled` are asked for, and of UTF-16 empty ones are.
    """
    paths, reader = spark_paths(files), spark.read
    if encoding == "UTF-16":
        # Spark splits text at the bytes of a line break, which in UTF-16 are part of other letters.
        lines = reader.schema("value string").csv(
            paths, encoding=encoding, multiLine=True, sep=_NO_DELIMITER, quote=_NO_QUOTE
        )
    else:
        lines = reader.text(paths)
    if filled:
        lines = lines.where(fn.col("value").rlike(r"[^\x00-\x20]"))
    stored = fn.col("value").cast("binary")
    value = fn.decode(stored, encoding) if encoding == "windows-1252" else fn.col("value")
    return lines.select(
        value.alias("value"),
        fn.col("_metadata.file_block_start").alias("start"),
        fn.monotonically_increasing_id().alias("line"),
    )


def ends_within_quotes(line: Column, delimiter: str) -> Column:
    """Whether a line ends within quotes: a field begins with a quote, and none closes it."""
    quotes = fn.octet_length(line) - fn.octet_length(fn.translate(line, '"', ""))
    return line.contains('"') & (quotes % 2 == 1) & line.rlike(f"^{_Quotes.of(delimiter).opening}")


@dataclass(frozen=True)
class _Quotes:
    """Regular expressions of quoting. Nothing in them is tried twice, so that no line takes long.

    A quote elsewhere than at a field's beginning is part of the field (5" of snow).
    """

    inside: str  # what may stand within quotes
    opening: str  # fields, of which the last begins with a quote that is not closed
    separator: str

    @classmethod
    def of(cls, delimiter: str) -> _Quotes:
        separator = re.escape(delimiter)
        inside = '[^"]*+(?:""[^"]*+)*+'
        plain = f'[^"{separator}][^{separator}]*+'
        opening = f'(?:(?:"{inside}"[^{separator}]*+|{plain})?+{separator})*+"{inside}$'
        return cls(inside, opening, separator)


def _count_together(spark: SparkSession, files: Sequence[File], delimiter: str) -> _Lines:
    try:
        return _count_lines(spark, files, delimiter)
    except BadInput:
        # Of a damaged compressed file, Spark's error does not say which one it is.
        for file in files if len(files) > 1 else ():
            _count_lines(spark, [file], delimiter)
        raise


def _count_lines(
    spark: SparkSession, files: Sequence[File], delimiter: str, encoding: str = "UTF-8"
) -> _Lines:
    with explain_read_errors(files[0].uri):
        line = fn.col("value")
        stored = line.cast("binary")
        decoded = fn.decode(stored, "UTF-8")
        wrong = decoded != line
        conditions = {
            "not_utf8": wrong,
            "beyond_ascii": ~wrong & (fn.octet_length(line) != fn.char_length(line)),
            "undecodable": wrong & fn.decode(stored, "windows-1252").contains("\ufffd"),
            "open_quotes": ends_within_quotes(line, delimiter),
            "with_nul": line.contains("\0"),
        }
        (counts,) = (
            read_lines(spark, files, encoding)
            .agg(*[fn.count_if(condition).alias(name) for name, condition in conditions.items()])
            .collect()
        )
    return _Lines(**counts.asDict())


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


def _lay_out(spark: SparkSession, file: File, encoding: str, delimiter: str, width: int) -> Layout:
    """The layout of a file in which a line ends within quotes. Raises BadInput where there are two that fit."""
    with explain_read_errors(file.uri):
        lines = _with_quotes(read_lines(spark, [file], encoding), delimiter, width)
        kinds = _kinds_of_rows(lines, width).groupBy("kind").agg(fn.min("number").alias("number")).collect()
    first = {row["kind"]: row["number"] for row in kinds}
    if "never closed" in first:
        raise BadInput(
            f"{file.uri} ends within quotes that are opened in line {first['never closed']} and never closed: it was "
            "cut off there, or one quote is too many. Upload the whole file again, with each quote closed."
        )
    if "unclear" in first or ("stray" in first and "spanning" in first):
        number = first.get("unclear", first.get("stray"))
        raise BadInput(
            f"{file.uri} has a quote in line {number} that is not closed there, and the lines that follow can be read "
            "as rows of their own or as text within the quotes. Close or remove that quote, or take the line breaks "
            "out of the text, and upload that."
        )
    if "spanning" in first:
        return Layout(encoding, multiline=True)
    return Layout(encoding, by_line=True)


def _with_quotes(lines: DataFrame, delimiter: str, width: int) -> DataFrame:
    """Of each line what its quotes mean: where it begins outside of quotes, and where it begins within.

    `opens` and `stays`: whether it then ends within quotes. `fields` and `rest`: how many delimiters it has that are
    not within quotes. `closes`: whether its first quote ends a field that was begun before. `whole`: whether it is a
    row by itself.
    """
    quotes = _Quotes.of(delimiter)
    line = fn.col("value")
    quoted = line.contains('"')

    def delimiters(text: Column) -> Column:
        outside = fn.regexp_replace(text, f'(^|{quotes.separator})"{quotes.inside}(?:"|$)', "$1")
        bare = fn.when(quoted, outside).otherwise(text)
        return fn.char_length(bare) - fn.char_length(fn.translate(bare, delimiter, ""))

    begun = f'^{quotes.inside}"'
    stays = line.rlike(f"^{quotes.inside}$") | line.rlike(
        f"{begun}[^{quotes.separator}]*+{quotes.separator}{quotes.opening}"
    )
    rest = delimiters(fn.regexp_replace(line, f'^{quotes.inside}(?:"|$)', ""))
    known = lines.select(
        "start",
        "line",
        fn.when(quoted, ends_within_quotes(line, delimiter)).otherwise(fn.lit(False)).alias("opens"),
        fn.when(quoted, stays).otherwise(fn.lit(True)).alias("stays"),
        delimiters(line).alias("fields"),
        fn.when(quoted, rest).otherwise(fn.lit(0)).alias("rest"),
        (quoted & line.rlike(f"{begun}\\s*(?:{quotes.separator}|$)")).alias("closes"),
        (fn.trim(line) != "").alias("filled"),
    )
    whole = ~fn.col("opens") & (fn.col("fields") == width - 1) & fn.col("filled")
    return known.withColumn("whole", whole)


def _kinds_of_rows(lines: DataFrame, width: int) -> DataFrame:
    """(`kind`, `number` of its first line) of each row that goes beyond a line.

    "spanning": its quotes are closed, it has the header's fields, and none of its lines is a row by itself;
    "stray": its first quote is too many, because lines that follow are rows; "unclear": either may be meant.
    """
    order = Window.orderBy("start", "line")
    # A line that ends alike wherever it begins tells where we are; since then, each other one may have changed it.
    turns = fn.col("opens") & ~fn.col("stays")
    sure = fn.when(fn.col("opens") == fn.col("stays"), fn.struct("opens", "turns"))
    since = fn.col("turns") - fn.coalesce(fn.col("sure.turns"), fn.lit(0))
    began = fn.coalesce(fn.col("sure.opens"), fn.lit(False)).cast("long")
    numbered = (
        lines.withColumn("number", fn.row_number().over(order))
        .withColumn("turns", fn.sum(turns.cast("long")).over(order))
        .withColumn("sure", fn.last(sure, ignorenulls=True).over(order))
        .withColumn("after", (began + since) % 2 == 1)
        .withColumn("before", fn.lag("after", 1, False).over(order))
        .withColumn("row", fn.sum((~fn.col("before")).cast("long")).over(order))
    )
    within, ended = fn.col("before") & fn.col("after"), fn.col("before") & ~fn.col("after")
    rows = (
        numbered.groupBy("row")
        .agg(
            fn.min("number").alias("number"),
            fn.count(fn.lit(1)).alias("lines"),
            fn.max_by("after", "number").alias("open"),
            fn.sum(fn.when(fn.col("before"), fn.col("rest")).otherwise(fn.col("fields"))).alias("delimiters"),
            fn.bool_or(within & fn.col("whole")).alias("holds_rows"),
            fn.bool_or(ended & fn.col("whole")).alias("ends_as_row"),
            fn.bool_or(ended & fn.col("closes")).alias("closes"),
        )
        .where((fn.col("lines") > 1) | fn.col("open"))
    )
    fits = fn.col("closes") & (fn.col("delimiters") == width - 1)
    ends_as_row = fn.col("ends_as_row") & ~fits
    kind = (
        fn.when(fits & ~fn.col("holds_rows"), "spanning")
        .when(fits | (ends_as_row & fn.col("closes") & ~fn.col("holds_rows")), "unclear")
        .when(fn.col("holds_rows") | ends_as_row, "stray")
        .when(fn.col("open"), "never closed")
        .otherwise("malformed")
    )
    return rows.select(kind.alias("kind"), "number")
