"""A small pipeline that can work, with all its files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from airflow_lib.pipeline import (
    AcceptedValues,
    Answer,
    Complete,
    Holds,
    Newest,
    NotNull,
    Pipeline,
    References,
    ReplaceWindow,
    SparkJob,
    Staging,
    Table,
    Unique,
)

BIRDS = Pipeline(
    name="birds",
    start=datetime(2020, 1, 1, tzinfo=UTC),
    jobs=(SparkJob("sightings", sources=("sightings.csv",), windowed=True),),
    tables=(
        Staging("staging_sightings", output="sightings"),
        Table("dimBird", Newest(), key=("bird_id",), prune=True),
        Table("factSighting", ReplaceWindow("seen_on"), key=("sighting_id",)),
    ),
    checks=(
        NotNull("factSighting", ("sighting_id", "bird_id")),
        Unique("dimBird", ("bird_id",)),
        References("factSighting", "bird_id", "dimBird", "bird_id"),
        Complete("factSighting", staging="staging_sightings"),
        AcceptedValues("dimBird", "size", ("S", "L")),
        Holds("some_were_seen", "factSighting", "birds > 0 OR bird_id IN (SELECT other_id FROM elsewhere)"),
    ),
    answers=(Answer("rarest"),),
)

_FILES = {
    "sparkjobs/birds/sightings.py": "def run(spark, inputs, targets, rejected, window):\n    return {}\n",
    "sql_templates/birds/create/staging_sightings.sql": (
        "CREATE TABLE {{ schema | ident }}.staging_sightings (sighting_id BIGINT, bird VARCHAR(8), seen_on DATE);\n"
    ),
    "sql_templates/birds/create/dimBird.sql": (
        "CREATE TABLE IF NOT EXISTS dimBird (Bird_id VARCHAR(8) NOT NULL, size VARCHAR(1)) DISTSTYLE ALL;\n"
    ),
    "sql_templates/birds/create/factSighting.sql": (
        "-- One row a sighting.\n"
        "CREATE TABLE IF NOT EXISTS factSighting (\n"
        "    sighting_id BIGINT NOT NULL, bird_id VARCHAR(8), seen_on DATE NOT NULL, birds INT\n"
        ")\nDISTKEY (sighting_id)\nSORTKEY (seen_on);\n"
    ),
    "sql_templates/birds/load/dimBird.sql": (
        "SELECT DISTINCT bird AS bird_id, CAST(NULL AS VARCHAR(1)) AS size\n"
        "FROM {{ schema | ident }}.staging_sightings\n"
        "WHERE seen_on >= {{ window_start | literal }};\n"
    ),
    "sql_templates/birds/load/factSighting.sql": (
        "SELECT sighting_id, bird AS bird_id, seen_on, 1 AS birds FROM {{ schema | ident }}.staging_sightings;\n"
    ),
    "sql_templates/birds/answers/rarest.sql": (
        "SELECT bird_id, COUNT(*) AS seen FROM factSighting GROUP BY bird_id ORDER BY 2 LIMIT 1;\n"
    ),
}


@dataclass(frozen=True)
class Files:
    """The pipeline's files below a folder of their own."""

    folder: Path

    @property
    def templates(self) -> Path:
        return self.folder / "sql_templates"

    @property
    def sparkjobs(self) -> Path:
        return self.folder / "sparkjobs"

    def write(self, path: str, content: str | bytes) -> None:
        """Replace the file at that path below the folder."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())


def write_birds(folder: Path) -> Files:
    """All files that the pipeline needs, below `folder`."""
    files = Files(folder)
    for path, content in _FILES.items():
        files.write(path, content)
    return files
