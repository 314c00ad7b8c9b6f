"""Whether a job's Parquet columns are those of its staging table, asked before COPY.

COPY "inserts values into the target table's columns in the same order as the columns occur in the columnar data
files": https://docs.aws.amazon.com/redshift/latest/dg/copy-usage_notes-copy-from-columnar.html
It does not look at the names, so two columns of one type that changed places would be loaded swapped without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from airflow_lib.errors import OutputRefused
from airflow_lib.pipeline import Staging
from airflow_lib.warehouse.create_template import Column, columns
from airflow_lib.warehouse.sql import ROOT

_MAX_SHOWN = 5
_MAX_NAME = 60

# What COPY takes for a type of Redshift, in Parquet's words (`spark.parquet_schema`): it converts no value, as in
# "has an incompatible Parquet schema for column … Column type: BIGINT, Parquet schema: optional int32".
# A time of 64 bits is read right only where the file says by its older annotation, which stands for UTC, what it is
# (docs/architecture.md, "Time"). Of a type that is not here, only COPY itself can tell.
_TEXT = r"BYTE_ARRAY STRING"
_TIME = r"INT96|INT64 TIMESTAMP (milli|micro)seconds UTC"
_WHOLE = r"INT32( INT\((8|16|32)\))?"
_TAKEN = {
    "SMALLINT": _WHOLE,
    "INT": _WHOLE,
    "BIGINT": r"INT64( INT\(64\))?",
    "FLOAT": r"FLOAT",
    "DOUBLE": r"DOUBLE",
    "BOOLEAN": r"BOOLEAN",
    "DATE": r"INT32 DATE",
    "TIMESTAMP": _TIME,
    "TIMESTAMPTZ": _TIME,
    "CHAR": _TEXT,
    "BPCHAR": _TEXT,
    "NCHAR": _TEXT,
    "VARCHAR": _TEXT,
    "NVARCHAR": _TEXT,
    "TEXT": _TEXT,
    "VARBINARY": r"BYTE_ARRAY.*|FIXED_LEN_BYTE_ARRAY",
}
_DEFAULT_DECIMAL = "18, 0"  # https://docs.aws.amazon.com/redshift/latest/dg/r_Numeric_types201.html


def refuse_other_columns(
    pipeline_name: str, table: Staging, written: Sequence[tuple[str, str]], *, job: str, root: Path = ROOT
) -> None:
    """Compare what `job` wrote, as pairs of name and Parquet type in order, with the table's create template.

    By position: names whatever their case, since Redshift folds it, and types by what COPY takes. Raises OutputRefused
    that tells what differs, WarehouseError where the template does not tell the columns.
    """
    # The warehouse numbers an identity column's rows itself: COPY takes no value for it.
    declared = [one for one in columns(pipeline_name, table.name, root=root) if not one.identity]
    found = list(_differences(written, declared))
    if not found:
        return
    shown = "\n".join(f"- {one}" for one in found[:_MAX_SHOWN])
    more = f"\n- and {len(found) - _MAX_SHOWN} more" if len(found) > _MAX_SHOWN else ""
    template = f"{root.name}/{pipeline_name}/create/{table.name}.sql"
    raise OutputRefused(
        f"Output {table.output!r} does not have the columns that table {table.name} has by {template}, and COPY takes "
        f"them by position, whatever their names:\n{shown}{more}\n{_advice(written, declared)} "
        f"Nothing was copied. Clear transform.{job} and {table.name} after that."
    )


def _differences(written: Sequence[tuple[str, str]], declared: Sequence[Column]) -> Iterator[str]:
    for position, (mine, column) in enumerate(zip_longest(written, declared), start=1):
        if mine is None:
            yield f"column {position}: the job writes none, the table has {_describe(column)}"
            continue
        name, kind = mine
        if column is None:
            yield f"column {position}: the job writes {_cut(name)!r} ({kind}), the table has none"
        elif name.lower() != column.name.lower() or not _is_taken(kind, column):
            yield f"column {position}: the job writes {_cut(name)!r} ({kind}), the table has {_describe(column)}"


def _is_taken(kind: str, column: Column) -> bool:
    declared = column.type.this.name
    if declared == "DECIMAL":
        size = ", ".join(one.name for one in column.type.expressions) or _DEFAULT_DECIMAL
        size = size if "," in size else f"{size}, 0"
        return kind.endswith(f" DECIMAL({size})")
    taken = _TAKEN.get(declared)
    return taken is None or re.fullmatch(taken, kind) is not None


def _advice(written: Sequence[tuple[str, str]], declared: Sequence[Column]) -> str:
    names = [name.lower() for name, _ in written]
    expected = [column.name.lower() for column in declared]
    if names != expected and sorted(names) == sorted(expected):
        return "The names are the same in another order: select the columns in the table's order at the job's end."
    if names == expected:
        return "The names are the same: cast the column in the job, or correct its type in the template."
    return (
        "Let the job's last `select` list the template's columns, or correct the template; columns that "
        "`partitionBy` names are not in the files."
    )


def _describe(column: Column) -> str:
    return f"{column.name!r} ({column.type_name})"


def _cut(name: str) -> str:
    return name if len(name) <= _MAX_NAME else name[:_MAX_NAME] + "…"
