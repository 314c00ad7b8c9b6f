"""What the error of a Spark job means: a fault of its input, a fault of the job, or one that may pass.

Livy tells an error's class by name alone (`ename`), its message, and Python's traceback.
"""

from __future__ import annotations

import re

from airflow_lib.bounded_json import as_text
from airflow_lib.errors import JobFault, SourceError, StatementFailed

# How our jobs refuse input (sparkjobs.errors): only the class's name reaches us.
_BAD_INPUT = "BadInput"

# Python, and Spark in the driver (pyspark.errors.exceptions.captured, 3.5), raise these for what the job's code says or
# the value that it met: the same code on the same input raises them again. Whatever is not listed may pass: OSError is
# the driver's disk or network, PythonException whatever a Python process on an executor met.
_OF_THE_CODE = frozenset(
    {
        "AnalysisException",
        "ArithmeticError",
        "ArithmeticException",
        "ArrayIndexOutOfBoundsException",
        "AssertionError",
        "AttributeError",
        "DateTimeException",
        "IllegalArgumentException",
        "ImportError",
        "IndentationError",
        "IndexError",
        "KeyError",
        "LookupError",
        "ModuleNotFoundError",
        "NameError",
        "NotImplementedError",
        "NumberFormatException",
        "ParseException",
        "PySparkAttributeError",
        "PySparkTypeError",
        "PySparkValueError",
        "SparkRuntimeException",
        "SparkUpgradeException",
        "SyntaxError",
        "TypeError",
        "UnboundLocalError",
        "UnicodeDecodeError",
        "UnicodeEncodeError",
        "UnsupportedOperationException",
        "ValueError",
        "ZeroDivisionError",
    }
)
# A Py4JJavaError is any exception of the JVM, above all a task's failure on an executor; its message is Java's stack
# trace. The cause that is named last tells whether it passes (lost executors, memory, S3), or is one of these.
_CAUSE = re.compile(
    r"(?:^: |^Caused by: |\(TID \d{1,18}\)[^\n]{0,300}?\): )(?:[\w$]{1,100}\.){0,20}([\w$]{1,100})",
    re.MULTILINE,
)
_CAUSES_OF_THE_CODE = frozenset(
    {
        "PatternSyntaxException",
        "SparkArithmeticException",
        "SparkArrayIndexOutOfBoundsException",
        "SparkDateTimeException",
        "SparkNumberFormatException",
        "SparkRuntimeException",
    }
)
# Spark wraps a value that it cannot parse in these, whatever its parser raised.
_UNPARSED = frozenset({"BadRecordException", "SparkUpgradeException"})
# `raise_error` and `assert_true` throw a bare RuntimeException from the expression itself.
_RAISED_BY_EXPRESSION = re.compile(r"[^\t]*\tat org\.apache\.spark\.sql\.catalyst\.expressions\.")
_TOO_MANY_ROWS = ": [SCALAR_SUBQUERY_TOO_MANY_ROWS]"
# A function of Spark's was called with an argument of a wrong type.
_NO_SUCH_METHOD = re.compile(r"py4j\.Py4JException: (?:Method|Constructor) [^\n]{1,1000} does not exist")
# A driver that lost its JVM, or S3, shows it as one of those, too: py4j takes a name that it cannot ask the JVM for
# as a JavaPackage, which is "not callable" (TypeError), and Spark wraps an error of S3 while it lists files.
_MAY_PASS = re.compile(
    r"Py4JNetworkError|JavaPackage|AmazonS3Exception|S3Exception|SlowDown|SdkClientException|FetchFailed"
    r"|ExecutorLost|Connection re(?:fused|set)|SocketTimeout|SparkContext was shut down"
)
_FRAME = re.compile(r'File "[^"\n]*?(sparkjobs/[^"\n]{1,200})", line (\d{1,7})')


def describe_job_error(
    job: str, ename: str | None, evalue: str | None, traceback: str
) -> SourceError | StatementFailed:
    """The error to raise for what `job` raised.

    SourceError, with the job's own message, where it refused its input; JobFault where the same code raises it again
    on the same input; StatementFailed where it may pass. The latter two name job, file and line.
    """
    if ename == _BAD_INPUT:
        return SourceError(str(evalue))
    frames = _FRAME.findall(traceback)
    where = f" at {frames[-1][0]}:{frames[-1][1]}" if frames else ""
    told = f"Job {job!r} failed{where}: {ename}: {evalue}"
    if _is_of_the_code(ename, str(evalue)) and not _MAY_PASS.search(f"{evalue}\n{traceback}"):
        return JobFault(
            f"{told}\nThe same code raises it again on the same input, so it is not tried again: correct the job, or "
            f"what it reads, and clear the task.\n{traceback}".strip()
        )
    return StatementFailed(as_text(f"{told}\n{traceback}".strip()))


def _is_of_the_code(ename: str | None, evalue: str) -> bool:
    if ename == "Py4JJavaError":
        return _is_caused_by_the_code(evalue)
    if ename == "Py4JError":
        return _NO_SUCH_METHOD.search(evalue) is not None
    return ename in _OF_THE_CODE


def _is_caused_by_the_code(java_trace: str) -> bool:
    """Whether the exception of the JVM comes from the job's expressions and the values that they met."""
    causes = list(_CAUSE.finditer(java_trace))
    if not causes:
        return False
    last = causes[-1]
    match last[1]:
        case "RuntimeException":
            return _RAISED_BY_EXPRESSION.match(java_trace, last.end()) is not None
        case "SparkException":
            return java_trace.startswith(_TOO_MANY_ROWS, last.end())
        case name:
            return name in _CAUSES_OF_THE_CODE or not _UNPARSED.isdisjoint(cause[1] for cause in causes)
