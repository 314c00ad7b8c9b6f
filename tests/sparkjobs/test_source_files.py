"""The jobs' verdict on files as people have them; the preflight's is in tests/unit/.../spark/test_source_files.py."""

from __future__ import annotations

import pytest

from sparkjobs.errors import BadInput
from sparkjobs.reading import explain_read_errors, read_table
from tests.source_files import SOURCE_FILES
from tests.sparkjobs.conftest import uris_of


@pytest.mark.parametrize("files", SOURCE_FILES, ids=lambda files: files.case)
def test_the_jobs_reading_comes_to_its_verdict(spark, tmp_path, files):
    for name, body in files.files.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    uris = uris_of(tmp_path / "in")
    try:
        with explain_read_errors(uris[0]):
            read_table(spark, uris, files.columns, files.delimiter).collect()
        read = True
    except BadInput:
        read = False
    assert read is files.job_reads
