"""A small pipeline of the tests' own: its declaration, and all the files that it needs in a checkout."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from airflow_lib.pipeline import (
    Answer,
    Hardware,
    Newest,
    NotNull,
    Pipeline,
    References,
    ReplaceWindow,
    Source,
    SparkJob,
    Staging,
    Table,
    Unique,
    WindowUnit,
)

FLATS = Pipeline(
    name="flats",
    start=datetime(2016, 4, 1, tzinfo=UTC),
    jobs=(
        SparkJob("flats", sources=(Source("flats.csv", columns=("flat", "city")),)),
        SparkJob("rents", sources=("rents.csv",)),
    ),
    tables=(
        Staging("staging_flats", output="flats"),
        Staging("staging_rents", output="rents"),
        Table("dim_flats", Newest(), key=("flat",), prune=True),
        Table("rents", ReplaceWindow("day"), key=("rent",)),
    ),
    checks=(
        NotNull("rents", ("rent",)),
        Unique("rents", ("rent",)),
        References("rents", "flat", "dim_flats", "flat"),
    ),
    answers=(Answer("dearest"), Answer("cheapest")),
    hardware=Hardware(core_count=2),
    max_parallel_runs=3,
)

# The same pipeline, every ten minutes.
INSTANTS = replace(
    FLATS,
    schedule="*/10 * * * *",
    window_unit=WindowUnit.INSTANT,
    tables=(*FLATS.tables[:-1], Table("rents", ReplaceWindow("paid_at"), key=("rent",))),
)

# The same pipeline under a name of its own, for a checkout that has its files.
LETTINGS = replace(FLATS, name="lettings")

_FLATS = {"flat": "BIGINT NOT NULL", "city": "VARCHAR(64)"}
_RENTS = {"rent": "BIGINT NOT NULL", "flat": "BIGINT", "day": "DATE", "paid_at": "TIMESTAMP"}
_COLUMNS = {"staging_flats": _FLATS, "staging_rents": _RENTS, "dim_flats": _FLATS, "rents": _RENTS}
_STAGING = {"dim_flats": "staging_flats", "rents": "staging_rents"}
_JOB = """COLUMNS = ("flat", "city")


def run(spark, inputs, targets, rejected, window):
    return {"read": 0, "written": 0, "rejected": {}}
"""
# Airflow reads no DAG file that lacks one of the words "airflow" and "dag".
_DAG = """# For Airflow.
from subdags import build_dag
from tests.dags.flats import LETTINGS

dag = build_dag(LETTINGS)
"""


def write_checkout(root: Path) -> None:
    """Add the pipeline LETTINGS to the checkout `root`: its DAG file, its jobs, its SQL."""
    jobs = {f"sparkjobs/lettings/{job.name}.py": _JOB for job in LETTINGS.jobs}
    files = {"dags/lettings.py": _DAG, "sparkjobs/lettings/__init__.py": "", **jobs}
    for name, text in files.items():
        _write(root / name, text)
    write_templates(root / "sql_templates" / LETTINGS.name)


def write_templates(folder: Path) -> None:
    """Write the pipeline's SQL into `folder`."""
    for table, columns in _COLUMNS.items():
        _write(folder / f"create/{table}.sql", _create(table, columns))
    for table, staging in _STAGING.items():
        names = ", ".join(_COLUMNS[table])
        load = f"SELECT {names} FROM {{{{ schema | ident }}}}.{staging};\n"
        _write(folder / f"load/{table}.sql", load)
    for answer in FLATS.answers:
        _write(folder / f"answers/{answer.name}.sql", "SELECT rent FROM rents LIMIT 1;\n")


def _create(table: str, columns: dict[str, str]) -> str:
    new = f"{{{{ schema | ident }}}}.{table}" if table.startswith("staging_") else f"IF NOT EXISTS {table}"
    typed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    return f"-- DISTSTYLE EVEN: nothing is joined.\nCREATE TABLE {new} ({typed}) DISTSTYLE EVEN;\n"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
