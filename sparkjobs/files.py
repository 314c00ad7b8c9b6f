"""The files behind a URI, as the driver sees them: which there are, and how each begins and ends. No row is read.

Hadoop's file systems are asked through the driver's JVM, because Spark itself takes `*` in a name for a pattern
and the first file of a folder for all of them. Next: `csv_files` and `parquet_files` read their rows.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from sparkjobs.errors import BadInput

# Of a file's beginning and end, so much is looked at: a header is longer in no file that is one.
HEAD_BYTES = 64 * 1024
PARQUET = b"PAR1"  # its first and its last bytes
_PARALLEL = 8
# Spark takes these in a path for a pattern.
_PATTERN_SIGNS = re.compile(r"[*?\[\]{}\\]")
# Only by its name is a file taken for one that is no data; what it begins with counts first.
_DOCUMENT = re.compile(
    r"^(readme|license|copying|changelog)\b|\.(txt|md|rst|html?|pdf|docx?|xml|md5|sha\d+)$", re.IGNORECASE
)

# What Spark says of a file that it cannot decode. Anything else (a lost executor, a refused access) is passed
# on as it is: the file is not to blame.
_UNREADABLE = re.compile(
    r"is not a Parquet file|Could not read footer|CANNOT_READ_FILE_FOOTER|Unable to infer schema"
    r"|UNABLE_TO_INFER_SCHEMA|Encountered error while reading file|FAILED_READ_FILE|Cannot read footer"
    r"|could not read page|Malformed|can not read|Expected \d+ values in column chunk"
    r"|ParquetDecodingException|not a gzip file|incorrect header check|ZipException"
    r"|PARQUET_COLUMN_DATA_TYPE_MISMATCH|Parquet column cannot be converted|FAILED_TO_UNCOMPRESS"
    r"|CORRUPTION_DETECTED|corrupt|unexpected end of (?:input )?stream|CRC (?:failure|error)|bad block header"
    r"|invalid (?:stored block|block type|distance|bit length|literal|code lengths)",
    re.IGNORECASE,
)
_CUT_OFF = re.compile(
    r"magic number at tail|length is too low|EOFException|Unexpected end|premature|reached the end",
    re.IGNORECASE,
)
_MISSING = re.compile(r"PATH_NOT_FOUND|Path does not exist|FileNotFoundException", re.IGNORECASE)
_FILE = re.compile(r"reading file:? (?:path )?(\S.*?)(?:\. Details|\.?$)", re.MULTILINE)


@dataclass(frozen=True)
class File:
    """One file: `name` is its path below the source's folder (`folder_of`), `head` its first bytes, unpacked."""

    uri: str
    name: str
    size: int
    head: bytes
    is_compressed: bool

    @property
    def is_parquet(self) -> bool:
        return self.head.startswith(PARQUET)

    @property
    def is_document(self) -> bool:
        """Whether it is by its name a note about data rather than data."""
        return bool(_DOCUMENT.search(self.name.rsplit("/", 1)[-1]))


@contextmanager
def explain_read_errors(uri: str) -> Iterator[None]:
    """Turn Spark's errors about the file at `uri` into a BadInput that names it; other errors pass."""
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        text = str(error)
        if _MISSING.search(text):
            raise BadInput(f"{uri} does not exist: put the published file there.") from error
        if _UNREADABLE.search(text):
            named = _FILE.search(text)
            raise BadInput(_unreadable(named.group(1) if named else uri, text)) from error
        raise


def _unreadable(uri: str, text: str) -> str:
    if _CUT_OFF.search(text):
        return (
            f"{uri} cannot be read ({_cause(text)}): it was cut off, as by an upload that was interrupted. "
            "Upload the whole file again."
        )
    if "long overflow" in text:
        return f"{uri} holds a timestamp that is out of range, beyond the year 294246. Correct it, and upload that."
    return f"{uri} cannot be read ({_cause(text)}): it is damaged. Replace it by an undamaged copy."


def _cause(text: str) -> str:
    """The one line of a Java stack trace that says what happened."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    causes = [line for line in lines if line.startswith("Caused by:")]
    line = causes[-1] if causes else next((line for line in lines if _UNREADABLE.search(line)), lines[0])
    return line.replace("Caused by:", "").strip()[:300]


def folder_of(uris: Sequence[str]) -> str:
    """The folder of a source's files, with its slash: the innermost that holds them all, but above any `name=value`.

    Such a folder's name tells a column of the files below it.
    """
    shared = _shared_folder(uris).split("/")
    values = [index for index, part in enumerate(shared) if "=" in part]
    return "/".join([*shared[: values[0]], ""]) if values else "/".join(shared)


def name_source(uris: Sequence[str]) -> str:
    """What a message calls a source: its only file, or the folder of its files."""
    return uris[0] if len(uris) == 1 else _shared_folder(uris)


def _shared_folder(uris: Sequence[str]) -> str:
    shared = posixpath.commonprefix([uri.split("/")[:-1] for uri in uris])
    return "/".join([*shared, ""])


def list_files(spark: SparkSession, uris: Sequence[str]) -> list[File]:
    """The files of one source, sorted: those at `uris`; of a URI that ends in `/`, all below it, whatever their depth.

    Left out are those that Spark and Hadoop hide: `_SUCCESS`, `.part-0.crc`, `_temporary/…`, `may_$folder$`.
    Raises BadInput where there is none, where one has no content, or where Spark would hide the only one.
    """
    shared, folder = len(_shared_folder(uris)), len(folder_of(uris))
    with ThreadPoolExecutor(_PARALLEL) as pool:
        found = sorted(file for files in pool.map(lambda uri: _find(spark, uri), uris) for file in files)
        shown = [(uri, size) for uri, size in found if not _is_hidden(uri[shared:])]
        if not shown:
            hidden = f" but hidden ones, such as {found[0][0][shared:]}: rename them" if found else ""
            raise BadInput(
                f"{name_source(uris)} holds no file{hidden}. Put the published files there, without _ or . in front."
            )
        files = list(pool.map(lambda file: _look_at(spark, file[0], file[0][folder:], file[1]), shown))
    for file in files:
        if not file.head and not file.is_document:
            raise BadInput(
                f"{file.uri} is empty: it has not even a header. Upload it again"
                + (", or delete it where it is meant to hold nothing." if len(files) > 1 else ".")
            )
    return files


def drop_documents(files: list[File], notes: dict[str, int]) -> list[File]:
    """`files` without those that are documents by name; `notes` gets their number as `files_ignored`."""
    kept = [file for file in files if not file.is_document]
    if len(kept) < len(files):
        notes["files_ignored"] = notes.get("files_ignored", 0) + len(files) - len(kept)
    return kept


def _is_hidden(name: str) -> bool:
    """Source: HadoopFSUtils.shouldFilterOutPathName of Spark 3.5; `_$folder$` marks a folder in S3."""
    return name.endswith("_$folder$") or any(
        part.startswith(".") or (part.startswith("_") and "=" not in part) for part in name.split("/")
    )


def _jvm(spark: SparkSession) -> tuple[Any, Any]:
    """The driver's JVM, and Hadoop's configuration there."""
    return spark._jvm, spark._jsc.hadoopConfiguration()  # noqa: SLF001 - PySpark has no public way to a file


def _find(spark: SparkSession, uri: str) -> list[tuple[str, int]]:
    """(URI, size) of the file at `uri`, or of each below it where it is a folder.

    For a file no folder is listed: what lies beside it is none of the source's.
    """
    jvm, conf = _jvm(spark)
    path = jvm.org.apache.hadoop.fs.Path(uri)
    with explain_read_errors(uri):
        system = path.getFileSystem(conf)
        if not uri.endswith("/"):
            return [(uri, int(system.getFileStatus(path).getLen()))]
        start = len(system.makeQualified(path).toString()) + 1
        found, listed = [], system.listFiles(path, True)
        while listed.hasNext():
            status = listed.next()
            found.append((uri + status.getPath().toString()[start:], int(status.getLen())))
        return found


def _look_at(spark: SparkSession, uri: str, name: str, size: int) -> File:
    jvm, conf = _jvm(spark)
    path = jvm.org.apache.hadoop.fs.Path(uri)
    codec = jvm.org.apache.hadoop.io.compress.CompressionCodecFactory(conf).getCodec(path)
    with explain_read_errors(uri):
        stream = path.getFileSystem(conf).open(path)
        try:
            if bytes(stream.readNBytes(len(PARQUET))) == PARQUET:  # whatever its name says, Spark reads it so
                codec = None
            stream.seek(0)
            unpacked = codec.createInputStream(stream) if codec is not None else stream
            return File(uri, name, size, bytes(unpacked.readNBytes(HEAD_BYTES)), codec is not None)
        finally:
            stream.close()


def spark_paths(files: Iterable[File]) -> list[str]:
    """The files' URIs as Spark's readers want them, in which a pattern's signs stand for themselves.

    Spark's own option for that, `__globPaths__`, reads all the paths in place of each one that has such a sign.
    """
    return [_PATTERN_SIGNS.sub(r"\\\g<0>", file.uri) for file in files]


def read_tail(spark: SparkSession, file: File) -> bytes:
    """The last bytes of a file, as they are stored."""
    jvm, conf = _jvm(spark)
    path = jvm.org.apache.hadoop.fs.Path(file.uri)
    with explain_read_errors(file.uri):
        stream = path.getFileSystem(conf).open(path)
        try:
            stream.seek(max(0, file.size - HEAD_BYTES))
            return bytes(stream.readNBytes(HEAD_BYTES))
        finally:
            stream.close()


def read_whole(spark: SparkSession, uri: str, max_bytes: int) -> bytes:
    """A small file, unpacked. Raises BadInput where it has more than `max_bytes`."""
    jvm, conf = _jvm(spark)
    path = jvm.org.apache.hadoop.fs.Path(uri)
    with explain_read_errors(uri):
        stream = path.getFileSystem(conf).open(path)
        try:
            content = bytes(stream.readNBytes(max_bytes + 1))
        finally:
            stream.close()
    if len(content) > max_bytes:
        raise BadInput(
            f"{uri} is larger than {max_bytes} bytes: it is not the published file. Put that there."
        )
    return content
