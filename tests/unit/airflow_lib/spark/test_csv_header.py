"""A CSV's header from the first bytes of its file; what files people have is in tests/source_files.py."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_lib.errors import SourceError
from airflow_lib.spark.csv_header import HEAD_BYTES, decode_head, first_record, head_length

HEADER = "id,Straße\n"


@pytest.mark.parametrize("size", range(len(HEADER.encode())))
def test_a_character_that_is_cut_through_makes_no_other_of_those_before(size: int) -> None:
    """Or else the whole text would be taken for Windows-1252."""
    text = decode_head("a.csv", HEADER.encode()[:size], is_whole=False)
    assert text is not None
    assert HEADER.startswith(text)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "windows-1252"])
def test_whatever_the_encoding_the_names_are_the_same(encoding: str) -> None:
    assert decode_head("a.csv", HEADER.encode(encoding), is_whole=True) == HEADER


@pytest.mark.parametrize(("end", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress)])
def test_of_a_packed_file_no_more_is_unpacked_than_is_looked_at(end: str, pack: Any) -> None:
    bomb = pack(b"\n" * 100_000_000)
    tracemalloc.start()
    try:
        text = decode_head(f"a.csv.{end}", bomb[: head_length(f"a.{end}")], is_whole=False)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert text == "\n" * HEAD_BYTES
    assert peak < 10 * 1024 * 1024


def test_a_file_of_very_many_packed_ones_is_left_to_the_job() -> None:
    """Each of them costs time, whatever it holds."""
    nothing = gzip.compress(b"")
    assert decode_head("a.csv.gz", nothing * 3000, is_whole=False) is None


def test_what_the_first_bytes_do_not_tell_is_left_to_the_job() -> None:
    """bzip2 tells nothing of a block before it is complete."""
    packed = bz2.compress(b"".join(b"%d\n" % (number**3) for number in range(100_000)))
    assert decode_head("a.csv.bz2", packed[:HEAD_BYTES], is_whole=False) is None
    assert decode_head("a.csv.bz2", packed, is_whole=True) is not None


@pytest.mark.parametrize("end", ["zst", "lz4", "snappy"])
def test_what_only_hadoop_unpacks_is_left_to_the_job(end: str) -> None:
    assert decode_head(f"a.csv.{end}", b"anything", is_whole=True) is None


@given(st.sampled_from(["gz", "bz2", "deflate", "csv"]), st.binary(max_size=80))
def test_whatever_a_file_holds_it_ends_in_names_or_in_an_error_of_ours(end: str, stored: bytes) -> None:
    for head in (stored, b"\x1f\x8b\x08" + stored, b"BZh9" + stored, b"\xff\xfe" + stored):
        with contextlib.suppress(SourceError):
            text = decode_head(f"a.{end}", head, is_whole=True)
            assert text is not None
            first_record(f"a.{end}", text, ",")
