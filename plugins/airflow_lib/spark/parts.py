"""The files that an attempt of a job wrote, each by what its footer says: its columns, its rows, its day.

Nothing of it is believed to be what the job meant: where the files do not fit together, or not to what the job says
that it wrote, they are refused. What is complete, and how that is written down, is in `manifest`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_lib.aws.s3 import ListedObject, list_objects
from airflow_lib.aws.s3_location import uri_of
from airflow_lib.errors import OutputError, OutputRefused
from airflow_lib.pipeline import SparkJob
from airflow_lib.spark.batch import is_hidden
from airflow_lib.spark.counts import Counts
from airflow_lib.spark.outputs import Output
from airflow_lib.spark.parquet_schema import ParquetColumn, list_columns, read_footer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_SUCCESS = "_SUCCESS"  # Spark's committer writes it once every file has its final name
_REQUESTS_AT_ONCE = 8  # of the 10 connections that botocore keeps for a client
_DAY = re.compile(r"day=(\d{4}-\d\d-\d\d)/")


@dataclass(frozen=True)
class Part:
    """A Parquet file with rows: `file` is its path below the attempt's folder, `length` in bytes, `rows` its footer's.

    `day` is that of its folder, for an output that is partitioned.
    """

    file: str
    length: int
    rows: int
    day: date | None = None


@dataclass(frozen=True)
class Dataset:
    """What an attempt wrote of one output; `columns` are those of every file, in the same order, none without files."""

    columns: tuple[ParquetColumn, ...]
    parts: tuple[Part, ...]

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)


def list_attempt(s3: S3Client, output: Output, attempt: str) -> dict[str, ListedObject]:
    """Every object in the attempt's folder, by its path below it."""
    folder = output.prefix.key(attempt + "/")
    return {item.key[len(folder) :]: item for item in list_objects(s3, output.prefix.bucket, folder)}


def read_datasets(
    s3: S3Client, job: SparkJob, output: Output, attempt: str, counts: Counts
) -> dict[str, Dataset]:
    """By name, what the attempt wrote of each of the job's outputs.

    Raises OutputError where Spark has not committed one; OutputRefused where files are no Parquet, differ in their
    columns, lie in no output's folder or in no day's, or do not hold the rows that the job counted; ResourceError
    where S3 refuses.
    """
    found = list_attempt(s3, output, attempt)
    reader = _Reader(s3, job, output, attempt)
    reader.refuse_strays(found)
    datasets = {}
    for name in job.output_names:
        dataset = reader.read(name, found, expected=counts.written[name])
        if dataset.rows != counts.written[name]:
            raise OutputRefused(
                f"Job {job.name!r} says that it wrote {counts.written[name]} rows of output {name!r}, but the files in "
                f"{output.target_uri(attempt, name)} hold {dataset.rows} by their footers. Correct the job: it must "
                "count the rows that it writes, and write them once."
            )
        datasets[name] = dataset
    return datasets


@dataclass(frozen=True)
class _Reader:
    """Reads one attempt's files."""

    s3: S3Client
    job: SparkJob
    output: Output
    attempt: str

    def refuse_strays(self, found: Collection[str]) -> None:
        strays = [
            file for file in found if _is_part(file) and file.split("/")[0] not in self.job.output_names
        ]
        if strays:
            folders = ", ".join(f"targets[{name!r}]" for name in self.job.output_names)
            raise OutputRefused(
                f"Job {self.job.name!r} wrote {self._uri(strays[0])}, which lies in no output's folder, so no table "
                f"would take its rows. Correct the job: it must write its rows below {folders}."
            )

    def read(self, name: str, found: dict[str, ListedObject], *, expected: int) -> Dataset:
        folder = f"{name}/"
        if folder + _SUCCESS not in found:
            raise OutputError(
                f"{self._uri(folder)} has no {_SUCCESS} marker, which Spark writes last, so the output is incomplete. "
                "Clear the task: it writes a new attempt."
            )
        files = [
            file
            for file, item in found.items()
            if file.startswith(folder) and item.size and _is_part(file[len(folder) :])
        ]
        if not files and expected:
            raise OutputRefused(
                f"Job {self.job.name!r} says that it wrote {expected} rows of output {name!r}, but "
                f"{self._uri(folder)} holds no Parquet file. Correct the job: it must write these rows to "
                f"targets[{name!r}], as Parquet."
            )
        columns, parts = self._read_footers(name, [(file, found[file]) for file in files])
        return Dataset(columns, tuple(parts))

    def _read_footers(
        self, name: str, files: Sequence[tuple[str, ListedObject]]
    ) -> tuple[tuple[ParquetColumn, ...], list[Part]]:
        """The columns of all files, since COPY takes each file's by their position, and the files that have rows.

        It is one small request a file. Where they are many, several go at once: a year by day has thousands.
        """
        first: tuple[ParquetColumn, ...] = ()
        parts = []
        with self._reading_footers(files) as footers:
            for (file, item), footer in zip(files, footers, strict=True):
                columns = list_columns(footer.schema)
                first = first or columns
                if columns != first:
                    raise OutputRefused(
                        f"Job {self.job.name!r} wrote parts with different columns, and COPY takes them by position: "
                        f"{_first_difference(first, columns)} in {self._uri(files[0][0])} and in {self._uri(file)}, in "
                        "this order. Correct the job: it must write an output by one `write`, of one DataFrame."
                    )
                if footer.num_rows:
                    day = self._day_of(name, file)
                    if day is not None:
                        self._refuse_other_days(file, footer, day)
                    parts.append(Part(file, item.size, footer.num_rows, day))
        return first, parts

    @contextmanager
    def _reading_footers(
        self, files: Sequence[tuple[str, ListedObject]]
    ) -> Iterator[Iterator[pq.FileMetaData]]:
        """The files' footers, in the files' order; once the caller is done, what was not asked for yet is not."""

        def read(file: str, item: ListedObject) -> pq.FileMetaData:
            return read_footer(self.s3, self.output.prefix.bucket, item, partial(self._unusable, file))

        if len(files) <= _REQUESTS_AT_ONCE:
            yield (read(file, item) for file, item in files)
            return
        pool = ThreadPoolExecutor(_REQUESTS_AT_ONCE, thread_name_prefix="footers")
        try:
            yield pool.map(read, *zip(*files, strict=True))
        finally:
            pool.shutdown(cancel_futures=True)

    def _day_of(self, name: str, file: str) -> date | None:
        """The day of the file's folder; None for an output that is not partitioned.

        Asked of files with rows: one without says what columns an output without rows has, and may lie anywhere.
        """
        if self.job.partitioned_by is None:
            return None
        folder = _DAY.match(file[len(name) + 1 :])
        try:
            return date.fromisoformat(folder[1] if folder else "")
        except ValueError:
            raise OutputRefused(
                f"Job {self.job.name!r} is partitioned by {self.job.partitioned_by!r}, but wrote {self._uri(file)}, "
                "which lies in no day's folder: no window would load its rows. Correct the job: it must write the "
                f"rows of each day to targets[{name!r}] + 'day=YYYY-MM-DD/', and reject those without a day."
            ) from None

    def _refuse_other_days(self, file: str, footer: pq.FileMetaData, day: date) -> None:
        """Raise where the file lacks the column, or has rows of another day, as far as its statistics tell."""
        column = str(self.job.partitioned_by)
        paths = [footer.schema.column(index).path.lower() for index in range(len(footer.schema))]
        if column.lower() not in paths:
            raise OutputRefused(
                f"Job {self.job.name!r} is partitioned by {column!r}, but {self._uri(file)} has no such column, and "
                f"COPY reads it from no folder's name. Correct the job: its files must hold {column!r} as well."
            )
        others = [one for one in _bounds(footer, paths.index(column.lower())) if one != day]
        if others:
            raise OutputRefused(
                f"Job {self.job.name!r} is partitioned by {column!r}, but {self._uri(file)} holds a row of "
                f"{others[0]}: the window of {day} would load it. Correct the job: each day's folder must hold the "
                f"rows whose {column!r} is that day, and no others."
            )

    def _unusable(self, file: str, cause: str, _: str) -> OutputRefused:
        return OutputRefused(
            f"{self._uri(file)}, a part of what job {self.job.name!r} wrote, {cause}. Correct the job: it must write "
            "its rows as Parquet, by Spark's own writer, and nothing else."
        )

    def _uri(self, file: str) -> str:
        return uri_of(self.output.prefix.bucket, self.output.prefix.key(f"{self.attempt}/{file}"))


def _is_part(file: str) -> bool:
    return file.endswith(".parquet") and not is_hidden(file)


def _bounds(footer: pq.FileMetaData, index: int) -> Iterator[date]:
    """The first and last day of each row group, where its statistics tell: not of a time of 96 bits."""
    for number in range(footer.num_row_groups):
        try:
            statistics = footer.row_group(number).column(index).statistics
            bounds: Iterable[object] = (
                (statistics.min, statistics.max) if statistics is not None and statistics.has_min_max else ()
            )
        except (pa.ArrowException, ValueError, OverflowError):  # a value that is no day tells nothing
            continue
        for bound in bounds:
            if isinstance(bound, date):
                yield bound.date() if isinstance(bound, datetime) else bound


def _first_difference(one: Sequence[ParquetColumn], other: Sequence[ParquetColumn]) -> str:
    """The first column in which they differ, in words."""
    for position, (mine, others) in enumerate(zip_longest(one, other), start=1):
        if mine != others:
            return f"column {position} is {mine or 'not there'} and {others or 'not there'}"
    return ""
