"""A Spark session's log: which of its lines are new, and which never matter to whoever reads it.

The latter are a short list, with the reason of each, all seen on Spark 3.5. Whatever is not in it is told, also a
warning that is mostly harmless.
"""

from __future__ import annotations

import re

# What a line must begin with, after log4j's time and level, and why nobody has to read it.
_WARNINGS = (
    # Hadoop's own code for Java does the same.
    r"NativeCodeLoader: Unable to load native-hadoop library for your platform",
    # Of S3A's metrics, which nobody reads: they would need a file of configuration.
    r"MetricsConfig: Cannot locate configuration: tried hadoop-metrics2",
    # The jobs trim other characters than blanks, for which Spark 3.5 has no other function in Python.
    r"Analyzer\$ResolveFunctions: Two-parameter TRIM/LTRIM/RTRIM function signatures are deprecated",
    # A plan's text is for Spark's UI alone.
    r"SparkStringUtils: Truncated the string representation of a plan since it was too large",
    # The jobs read CSV by position, as c0, c1 and so on, and compare the header with what they need themselves.
    r"CSVHeaderChecker: CSV header does not conform to the schema",
)
_NOISE = re.compile(
    rf"\d\d/\d\d/\d\d \d\d:\d\d:\d\d WARN (?:{'|'.join(_WARNINGS)})"
    # The lines that follow the last of these warnings.
    r"|\s*Header: |\s*Schema: c0(?:, c\d+)*\s*$|Expected: c\d+ but found: |CSV file: "
)


def is_noise(line: str) -> bool:
    """Whether the line is one that never matters."""
    return _NOISE.match(line) is not None


def lines_after(lines: list[str], last: str | None) -> list[str]:
    """The lines that are new since `last` was the last one; Livy keeps only a log's end."""
    for index in range(len(lines) - 1, -1, -1):
        if lines[index] == last:
            return lines[index + 1 :]
    return lines
