"""What the error of a Spark job means: a fault of its input, a fault of the job, or one that may pass.

Livy tells an error's class by name alone (`ename`), its message, and Python's traceback.
"""

from __future__ import annotations

import re

from airflow_lib.bounded_json import as_text
from airflow_lib.errors import JobFault, SourceError, StatementFailed

# How our jobs refuse input (sparkjobs.errors): only the class's name reaches us.
_BAD_INPUT = "BadInput"

# Python and Spark's analyser raise these for what the job's code says, before or apart from any work on the cluster:
# the same code on the same input raises them again. Whatever is not listed may pass: Py4JJavaError, above all, is a
# task's failure on an executor (lost, out of memory, FetchFailed, S3), and OSError the driver's disk or network.
_OF_THE_CODE = frozenset(
    {
        "AnalysisException",
        "ArithmeticError",
        "AssertionError",
        "AttributeError",
        "IllegalArgumentException",
        "ImportError",
        "IndentationError",
        "IndexError",
        "KeyError",
        "LookupError",
        "ModuleNotFoundError",
        "NameError",
        "NotImplementedError",
        "ParseException",
        "PySparkAttributeError",
        "PySparkTypeError",
        "PySparkValueError",
        "SyntaxError",
        "TypeError",
        "UnboundLocalError",
        "UnicodeDecodeError",
        "UnicodeEncodeError",
        "ValueError",
        "ZeroDivisionError",
    }
)
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
    if ename in _OF_THE_CODE and not _MAY_PASS.search(f"{evalue}\n{traceback}"):
        return JobFault(
            f"{told}\nThe same code raises it again on the same input, so it is not tried again: correct the job, or "
            f"what it reads, and clear the task.\n{traceback}".strip()
        )
    return StatementFailed(as_text(f"{told}\n{traceback}".strip()))
