"""The code zip is the same for the same code, and is uploaded once."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from airflow_lib.aws.s3_location import S3Location
from airflow_lib.errors import ResourceError, SourceError
from airflow_lib.spark.shipping import SPARKJOBS, build_zip, ensure_shipped, hash_code, list_pipelines
from tests.world.memory_s3 import MemoryS3

PROCESSED = S3Location("lake", "processed/immigration")


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    root = tmp_path / "sparkjobs"
    for name in (
        "__init__.py",
        "counting.py",
        "one/__init__.py",
        "one/job.py",
        "two/__init__.py",
        "two/job.py",
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"NAME = {name!r}\n")
    return root


def test_the_same_code_makes_the_same_bytes_whatever_the_times_and_modes_of_its_files(jobs: Path) -> None:
    first = build_zip(jobs)
    for path in jobs.rglob("*.py"):
        os.utime(path, (1, 1))
        path.chmod(0o600)
    assert build_zip(jobs) == first


def test_only_python_files_are_shipped_sorted_by_name(jobs: Path) -> None:
    for name in ("notes.txt", "one/data.csv", "__pycache__/x.pyc", ".hidden/x.py", "one/.x.py"):
        (jobs / name).parent.mkdir(exist_ok=True)
        (jobs / name).write_text("x")
    content, _ = build_zip(jobs)
    assert zipfile.ZipFile(io.BytesIO(content)).namelist() == [
        "sparkjobs/__init__.py",
        "sparkjobs/counting.py",
        "sparkjobs/one/__init__.py",
        "sparkjobs/one/job.py",
        "sparkjobs/two/__init__.py",
        "sparkjobs/two/job.py",
    ]


def test_python_imports_a_job_from_the_zip(jobs: Path, tmp_path: Path) -> None:
    archive = tmp_path / "code.zip"
    archive.write_bytes(build_zip(jobs)[0])
    program = "import sparkjobs.one.job as job; print(job.NAME, job.__file__)"
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(archive)},
        cwd=tmp_path / "sparkjobs" / "one",
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.startswith("one/job.py ")
    assert "code.zip" in result.stdout


@pytest.mark.parametrize(
    ("changed", "hash_changes"),
    [("one/job.py", True), ("counting.py", True), ("two/job.py", False)],
)
def test_a_pipelines_code_is_its_own_folder_and_the_shared_files(
    jobs: Path, changed: str, hash_changes: bool
) -> None:
    before = hash_code("one", jobs)
    (jobs / changed).write_text("NAME = 'changed'\n")
    assert (hash_code("one", jobs) != before) is hash_changes


def test_moving_code_between_files_changes_the_hash(jobs: Path) -> None:
    before = hash_code("one", jobs)
    (jobs / "one/job.py").rename(jobs / "one/job2.py")
    assert hash_code("one", jobs) != before


def test_the_pipelines_with_code_are_the_folders_that_hold_some(jobs: Path) -> None:
    (jobs / "empty" / "__pycache__").mkdir(parents=True)
    (jobs / ".hidden").mkdir()
    (jobs / ".hidden" / "job.py").write_text("x")
    assert list_pipelines(jobs) == ["one", "two"]


def test_a_hidden_file_changes_no_hash(jobs: Path) -> None:
    before = hash_code("one", jobs)
    (jobs / ".#counting.py").symlink_to("someone@host.1234")  # an editor's lock
    (jobs / ".counting.py").write_text("x")
    (jobs / "one" / ".job.py").write_text("x")
    assert hash_code("one", jobs) == before


def test_the_checkouts_own_code_is_found() -> None:
    assert SPARKJOBS.name == "sparkjobs"
    assert "sparkjobs/reading.py" in zipfile.ZipFile(io.BytesIO(build_zip()[0])).namelist()


def test_code_is_uploaded_once_under_its_hash(jobs: Path) -> None:
    s3 = MemoryS3()
    uri = ensure_shipped(s3, PROCESSED, jobs)
    content, digest = build_zip(jobs)
    assert uri == f"s3://lake/processed/immigration/_code/{digest}.zip"
    assert s3.objects == {("lake", f"processed/immigration/_code/{digest}.zip"): content}
    s3.objects["lake", f"processed/immigration/_code/{digest}.zip"] = b"as it was"
    assert ensure_shipped(s3, PROCESSED, jobs) == uri
    assert list(s3.objects.values()) == [b"as it was"]


def test_a_conflict_with_another_upload_is_tried_again(jobs: Path) -> None:
    s3 = MemoryS3()
    conflicts = [s3.error("PutObject", "ConditionalRequestConflict", 409)] * 2

    def conflict(_: str) -> None:
        if conflicts:
            raise conflicts.pop()

    s3.before["PutObject"] = conflict
    ensure_shipped(s3, PROCESSED, jobs)
    assert s3.count("PutObject") == 3


@pytest.mark.parametrize(
    ("code", "status", "hint"),
    [("AccessDenied", 403, "iam-principal-policy.json"), ("NoSuchBucket", 404, "Create the bucket")],
)
def test_a_refusal_names_the_object_and_what_to_do(jobs: Path, code: str, status: int, hint: str) -> None:
    s3 = MemoryS3()

    def refuse(_: str) -> None:
        raise s3.error("PutObject", code, status)

    s3.before["PutObject"] = refuse
    with pytest.raises(ResourceError, match=rf"s3://lake/processed/immigration/_code/.*{code}.*{hint}"):
        ensure_shipped(s3, PROCESSED, jobs)


def test_missing_code_is_reported_with_the_folder_that_should_hold_it(jobs: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere.*sparkjobs/ folder beside plugins"):
        build_zip(tmp_path / "nowhere")
    with pytest.raises(SourceError, match=r"sparkjobs/three"):
        hash_code("three", jobs)
