"""What never matters of a session's log is left out; all else is told."""

from __future__ import annotations

import pytest

from airflow_lib.spark.log_lines import is_noise, lines_after

AT = "26/11/28 10:11:12"


@pytest.mark.parametrize(
    "line",
    [
        (
            f"{AT} WARN NativeCodeLoader: Unable to load native-hadoop library for your platform... using builtin-java "
            "classes where applicable"
        ),
        (
            f"{AT} WARN MetricsConfig: Cannot locate configuration: tried hadoop-metrics2-s3a-file-system.properties,"
            "hadoop-metrics2.properties"
        ),
        (
            f"{AT} WARN Analyzer$ResolveFunctions: Two-parameter TRIM/LTRIM/RTRIM function signatures are deprecated. "
            "Use SQL syntax `TRIM((BOTH | LEADING | TRAILING)? trimStr FROM str)` instead."
        ),
        f"{AT} WARN SparkStringUtils: Truncated the string representation of a plan since it was too large.",
        f"{AT} WARN CSVHeaderChecker: CSV header does not conform to the schema.",
        " Header: City, State, Median Age",
        " Schema: c0, c1, c2",
        "Expected: c0 but found: City",
        "CSV file: s3://bucket/source/immigration/us-cities-demographics.csv",
    ],
)
def test_a_warning_that_never_matters_is_noise(line: str) -> None:
    assert is_noise(line)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "stdout: ",
        f"{AT} WARN TaskSetManager: Lost task 0.0 in stage 1.0 (TID 1) (host executor 1): ExecutorLostFailure",
        f"{AT} WARN NativeCodeLoader: something else",
        f"{AT} ERROR CSVHeaderChecker: CSV header does not conform to the schema.",
        "java.io.IOException: WARN NativeCodeLoader: Unable to load native-hadoop library for your platform",
        " Schema: cicid, i94yr",
        "Expected: cicid but found: c0",
        f"{AT} WARN BlockManager: Block rdd_3_0 already exists on this machine; not re-adding it",
    ],
)
def test_any_other_line_is_told(line: str) -> None:
    assert not is_noise(line)


@pytest.mark.parametrize(
    ("lines", "last", "new"),
    [
        (["a", "b", "c"], None, ["a", "b", "c"]),
        (["a", "b", "c"], "b", ["c"]),
        (["a", "b", "c"], "c", []),
        (["x", "y"], "c", ["x", "y"]),  # the log went on by more than was read
        (["a", "b", "a", "c"], "a", ["c"]),
    ],
)
def test_new_lines_begin_after_the_last_one_told(lines: list[str], last: str | None, new: list[str]) -> None:
    assert lines_after(lines, last) == new
