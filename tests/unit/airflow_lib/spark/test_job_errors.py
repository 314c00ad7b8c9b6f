"""What a job raised: a fault of its input, of its code, or one that may pass."""

from __future__ import annotations

import pytest

from airflow_lib.errors import JobFault, SourceError, StatementFailed
from airflow_lib.spark.job_errors import describe_job_error

TRACE = (
    "Traceback (most recent call last):\n"
    '  File "<stdin>", line 3, in <module>\n'
    '  File "/mnt/yarn/mayfly-ab.zip/sparkjobs/immigration/arrivals.py", line 40, in run\n'
    '  File "/mnt/yarn/mayfly-ab.zip/sparkjobs/reading.py", line 12, in read\n'
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
        ("Py4JError", "org.apache.spark.sql.SparkSession.clearDefaultSession does not exist in the JVM"),
        ("Py4JError", "An error occurred while calling z:java.lang.System.exit"),
        ("PythonException", "An exception was thrown from the Python worker."),
        ("QueryExecutionException", "x"),
        ("AnalysisException", "AmazonS3Exception: Please reduce your request rate (SlowDown)"),
    ],
)
def test_what_may_pass_is_tried_again(ename: str | None, evalue: str | None) -> None:
    assert type(describe_job_error("arrivals", ename, evalue, TRACE)) is StatementFailed


def test_an_error_that_followed_a_lost_jvm_is_tried_again() -> None:
    trace = "py4j.protocol.Py4JNetworkError: gone\nDuring handling of the above exception\n" + TRACE
    assert type(describe_job_error("arrivals", "AttributeError", "x", trace)) is StatementFailed


def of_driver(cause: str) -> str:
    """The message of a Py4JJavaError whose exception was thrown in the driver."""
    return f"An error occurred while calling o161.collectToPython.\n: {cause}\n\tat org.apache.spark.X.y(X.scala:9)\n"


def of_executor(cause: str, frame: str = "org.apache.spark.sql.errors.X$.y(X.scala:9)") -> str:
    """As pyspark 3.5 tells what a task threw: the cause in the first line, and again at the end."""
    thrown = f"{cause}\n\tat {frame}\n\tat java.base/java.lang.Thread.run(Unknown Source)\n"
    return (
        of_driver(
            "org.apache.spark.SparkException: Job aborted due to stage failure: Task 1 in stage 0.0 failed 4 times, "
            f"most recent failure: Lost task 1.3 in stage 0.0 (TID 9) (ip executor 1): {thrown}\nDriver stacktrace:"
        )
        + f"Caused by: {thrown}"
    )


EXPRESSION = "org.apache.spark.sql.catalyst.expressions.RaiseError.eval(misc.scala:90)"
GENERATED = (
    "org.apache.spark.sql.catalyst.expressions.GeneratedClass$GeneratedIterator1.processNext(Unknown Source)"
)
BAD_RECORD = (
    "org.apache.spark.SparkException: [MALFORMED_RECORD_IN_PARSING] Malformed records.\n\tat a.B.c(B.scala:1)\n"
    "Caused by: org.apache.spark.sql.catalyst.util.BadRecordException: java.lang.X\n\tat a.B.c(B.scala:1)\n"
)
OF_THE_CODE = [
    of_executor(
        "org.apache.spark.SparkNumberFormatException: [CAST_INVALID_INPUT] The value 'a' of the type \"STRING\""
    ),
    of_executor("org.apache.spark.SparkArithmeticException: [DIVIDE_BY_ZERO] Division by zero."),
    of_executor(
        "org.apache.spark.SparkDateTimeException: Invalid value for MonthOfYear (valid values 1 - 12): 13."
    ),
    of_executor(
        "org.apache.spark.SparkArrayIndexOutOfBoundsException: [INVALID_ARRAY_INDEX] The index 5 is out of"
    ),
    of_executor("org.apache.spark.SparkRuntimeException: [DUPLICATED_MAP_KEY] Duplicate map key 0 was found"),
    of_executor(
        "org.apache.spark.SparkUpgradeException: [INCONSISTENT_BEHAVIOR_CROSS_VERSION.PARSE_DATETIME_BY_NEW_PARSER]\n"
        "\tat a.B.c(B.scala:1)\n"
        "Caused by: java.time.format.DateTimeParseException: Text '2016-1-1' could not be parsed at index 5"
    ),
    of_executor("java.util.regex.PatternSyntaxException: Unclosed group near index 2\n(0"),
    of_executor("java.lang.RuntimeException: bad row", GENERATED),
    of_executor("java.lang.RuntimeException: bad\nrow0", EXPRESSION),
    of_executor(f'{BAD_RECORD}Caused by: java.lang.NumberFormatException: For input string: "b"'),
    of_driver(
        f"{BAD_RECORD}Caused by: com.fasterxml.jackson.core.io.JsonEOFException: Unexpected end-of-input"
    ),
    of_driver(
        "org.apache.spark.SparkException: [SCALAR_SUBQUERY_TOO_MANY_ROWS] More than one row returned by a"
    ),
]
PASSING = [
    of_driver(
        "java.lang.IllegalStateException: Cannot call methods on a stopped SparkContext.\nThis stopped"
    ),
    of_driver("java.io.FileNotFoundException: File file:/nope does not exist"),
    of_driver(
        "java.lang.RuntimeException: java.lang.ClassNotFoundException: Class org.apache.hadoop.fs.s3a.S3AFileSystem "
        "not found\n\tat org.apache.hadoop.conf.Configuration.getClass(Configuration.java:2688)\n"
        "Caused by: java.lang.ClassNotFoundException: Class org.apache.hadoop.fs.s3a.S3AFileSystem not found"
    ),
    of_executor("java.lang.OutOfMemoryError: Java heap space", GENERATED),
    of_executor(
        "java.lang.RuntimeException: no disk", "org.apache.spark.storage.DiskStore.put(DiskStore.scala:88)"
    ),
    of_executor("org.apache.spark.SparkFileNotFoundException: File s3://b/part-00001.parquet does not exist"),
    of_executor("org.apache.spark.api.python.PythonException: Traceback (most recent call last):"),
    of_executor(
        "ExecutorLostFailure (executor 1 exited caused by one of the running tasks) Reason: Container killed"
    ),
    of_executor(
        "org.apache.spark.SparkRuntimeException: [X] y\n\tat a.B.c(B.scala:1)\nCaused by: java.io.IOException: z"
    ),
    of_executor(
        "org.apache.spark.SparkRuntimeException: [X] com.amazonaws.SdkClientException: Unable to execute HTTP"
    ),
]


@pytest.mark.parametrize("evalue", OF_THE_CODE)
def test_what_the_jobs_expressions_throw_on_an_executor_is_a_fault_of_the_job(evalue: str) -> None:
    assert type(describe_job_error("arrivals", "Py4JJavaError", evalue, TRACE)) is JobFault


@pytest.mark.parametrize("evalue", PASSING)
def test_what_an_executor_or_its_surroundings_met_is_tried_again(evalue: str) -> None:
    assert type(describe_job_error("arrivals", "Py4JJavaError", evalue, TRACE)) is StatementFailed


def test_a_trace_that_is_cut_tells_its_cause_in_its_first_line() -> None:
    cut = OF_THE_CODE[0].partition("\nDriver stacktrace")[0]
    assert type(describe_job_error("arrivals", "Py4JJavaError", cut, TRACE)) is JobFault


@pytest.mark.parametrize(
    "missing",
    [
        "Method col([class java.lang.Integer]) does not exist",
        "Constructor java.lang.Integer([class java.util.ArrayList]) does not exist",
    ],
)
def test_an_argument_of_a_type_that_spark_does_not_take_is_a_fault_of_the_job(missing: str) -> None:
    evalue = f"An error occurred while calling z:x. Trace:\npy4j.Py4JException: {missing}\n\tat py4j.reflection.R\n"
    assert type(describe_job_error("arrivals", "Py4JError", evalue, TRACE)) is JobFault


@pytest.mark.parametrize(
    "ename",
    [
        "ArithmeticException",
        "ArrayIndexOutOfBoundsException",
        "DateTimeException",
        "NumberFormatException",
        "SparkRuntimeException",
        "SparkUpgradeException",
        "UnsupportedOperationException",
    ],
)
def test_what_spark_throws_in_the_driver_for_a_value_is_a_fault_of_the_job(ename: str) -> None:
    assert (
        type(describe_job_error("arrivals", ename, "[ARITHMETIC_OVERFLOW] integer overflow.", TRACE))
        is JobFault
    )
