"""What a job raised: a fault of its input, of its code, or one that may pass."""

from __future__ import annotations

import pytest

from airflow_lib.errors import JobFault, SourceError, StatementFailed
from airflow_lib.spark.job_errors import describe_job_error

TRACE = (
    "Traceback (most recent call last):\n"
    '  File "<stdin>", line 3, in <module>\n'
    '  File "/tmp/spark-1/mayfly-ab.zip/sparkjobs/immigration/arrivals.py", line 40, in run\n'
    '  File "/tmp/spark-1/mayfly-ab.zip/sparkjobs/reading.py", line 12, in read\n'
    '  File "/usr/lib/spark/python/pyspark/sql/readwriter.py", line 300, in csv\n'
)


def test_an_error_names_job_file_line_and_what_was_raised() -> None:
    told = str(describe_job_error("arrivals", "KeyError", "'x'", TRACE))
    assert told.startswith("Job 'arrivals' failed at sparkjobs/reading.py:12: KeyError: 'x'\n")
    assert "readwriter.py" in told


def test_an_error_without_a_frame_of_ours_names_the_job() -> None:
    told = str(describe_job_error("arrivals", "Py4JJavaError", "no space", ""))
    assert told == "Job 'arrivals' failed: Py4JJavaError: no space"


def test_input_that_a_job_refuses_is_a_source_error_with_the_jobs_own_message() -> None:
    error = describe_job_error("arrivals", "BadInput", "a.csv has no column x", TRACE)
    assert type(error) is SourceError
    assert str(error) == "a.csv has no column x"


@pytest.mark.parametrize(
    "ename",
    ["ValueError", "AnalysisException", "TypeError", "KeyError", "NameError", "ImportError", "SyntaxError"],
)
def test_what_the_same_code_raises_again_is_a_fault_of_the_job(ename: str) -> None:
    assert type(describe_job_error("arrivals", ename, "x", TRACE)) is JobFault


@pytest.mark.parametrize(
    ("ename", "evalue"),
    [
        ("Py4JJavaError", "ExecutorLostFailure"),
        ("Py4JJavaError", "FetchFailed"),
        ("Py4JNetworkError", "Answer from Java side is empty"),
        ("ConnectionRefusedError", "111"),
        ("OSError", "no space"),
        ("SomethingNew", "x"),
        (None, None),
        ("TypeError", "'JavaPackage' object is not callable"),
        ("AnalysisException", "AmazonS3Exception: Please reduce your request rate (SlowDown)"),
    ],
)
def test_what_may_pass_is_tried_again(ename: str | None, evalue: str | None) -> None:
    assert type(describe_job_error("arrivals", ename, evalue, TRACE)) is StatementFailed


def test_an_error_that_followed_a_lost_jvm_is_tried_again() -> None:
    trace = "py4j.protocol.Py4JNetworkError: gone\nDuring handling of the above exception\n" + TRACE
    assert type(describe_job_error("arrivals", "AttributeError", "x", trace)) is StatementFailed
