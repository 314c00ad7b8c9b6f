"""The header of a CSV from the first bytes of its file: unpacked, decoded and split as the jobs do it.

What the jobs take for a header is in `sparkjobs/csv_files.py` and `sparkjobs/files.py`, which this code cannot import;
`tests/source_files.py` lists files of which both must think alike. Here nothing is refused that a job reads.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import io
import zlib
from collections.abc import Callable, Sequence
from typing import Protocol

from airflow_lib.errors import SourceError

HEAD_BYTES = 64 * 1024  # of the text; a job looks for the header in as many
# bzip2 tells nothing before a block is complete, which are 900 kB; packed it is hardly ever longer than that.
_BZIP2_BYTES = 1024 * 1024
# Packed files may consist of several, one behind the other; what has a hundred empty ones in front is left to the job.
_MAX_MEMBERS = 100
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Hadoop has these codecs besides, in a framing of its own: only the job can unpack them.
_ONLY_HADOOP = (".lz4", ".snappy", ".zst")
# What a file is, by its first bytes, and what to do about it (sparkjobs/csv_files.py).
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
# What looks like nothing around a name (BLANKS of sparkjobs/values.py).
BLANKS = "".join(
    map(
        chr,
        (
            *range(0x21),
            *range(0x7F, 0xA1),
            *(0x1680, 0x180E),
            *range(0x2000, 0x2010),
            *range(0x2028, 0x2030),
            *range(0x205F, 0x2065),
            *(0x3000, 0xFEFF),
        ),
    )
)


class _Unpacker(Protocol):
    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


# As in Hadoop, the end of the name says how a file is packed, and its first bytes do not.
_UNPACKERS: dict[str, Callable[[], _Unpacker]] = {
    ".gz": lambda: zlib.decompressobj(wbits=zlib.MAX_WBITS | 16),
    ".bz2": bz2.BZ2Decompressor,
    ".deflate": zlib.decompressobj,
}


def head_length(key: str) -> int:
    """How many bytes of a file of this name must be read to know its header."""
    return _BZIP2_BYTES if key.endswith(".bz2") else HEAD_BYTES


def decode_head(uri: str, stored: bytes, *, is_whole: bool) -> str | None:
    """The beginning of a file's text from its first bytes; None where only a job can tell it.

    A byte that is no UTF-8 is taken for Windows-1252. Raises SourceError where the file is no text, or not
    packed as its name says.
    """
    if uri.endswith(_ONLY_HADOOP):
        return None
    head = stored[:HEAD_BYTES]
    unpacker = next((new for end, new in _UNPACKERS.items() if uri.endswith(end)), None)
    if unpacker is not None:
        head = _unpack(uri, stored, unpacker)
        if len(head) < HEAD_BYTES and not is_whole:
            return None
    for magic, remedy in _FOREIGN:
        if head.startswith(magic):
            raise SourceError(f"{uri} {remedy}, and upload that.")
    return _decode(head)


def _unpack(uri: str, stored: bytes, unpacker: Callable[[], _Unpacker]) -> bytes:
    """At most HEAD_BYTES, however much was packed into so little."""
    head = b""
    for _ in range(_MAX_MEMBERS):
        if not stored or len(head) >= HEAD_BYTES:
            break
        member = unpacker()
        try:
            head += member.decompress(stored, HEAD_BYTES - len(head))
        except (zlib.error, OSError) as error:
            if head:  # what follows is the job's to judge
                break
            kind = uri.rpartition(".")[2]
            raise SourceError(
                f"{uri} is damaged, or not packed as its name says ({kind}: {error}). Upload it again, or correct its "
                "name."
            ) from error
        stored = member.unused_data
    return head


def _decode(head: bytes) -> str:
    """The text, without a character that the end of `head` cuts through."""
    if head.startswith(_UTF16):
        return codecs.getincrementaldecoder("utf-16")("replace").decode(head)
    try:
        return codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return head.removeprefix(codecs.BOM_UTF8).decode("windows-1252", errors="replace")


def looks_like_values(names: Sequence[str]) -> bool:
    """Whether what should be a header has a number in it, as a row of values has."""
    return any(name.replace(".", "").lstrip("-").isdigit() for name in names)


def first_record(uri: str, text: str, delimiter: str) -> list[str]:
    """The trimmed fields of the first line that is not blank. Raises SourceError where there is none."""
    reader = csv.reader(io.StringIO(text.replace("\0", ""), newline=""), delimiter=delimiter)
    try:
        record = next((record for record in reader if "".join(record).strip(BLANKS)), None)
    except csv.Error:
        record = [text]
    if record is None:
        raise SourceError(f"{uri} is empty: it has not even a header. Upload the published file again.")
    return [name.strip(BLANKS) for name in record]
