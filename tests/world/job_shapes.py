"""The small pipeline with jobs of other shapes: one writes a folder a day, one reads what another writes."""

from __future__ import annotations

from dataclasses import replace

from airflow_lib.pipeline import Complete, JobOutput, SparkJob
from tests.world import World
from tests.world.pipeline import PIPELINE
from tests.world.spark import write_days

AIRPORTS = PIPELINE.job("airports")

# The arrivals of all days are written once, and a run loads those of its window.
PARTITIONED = replace(
    PIPELINE,
    jobs=(SparkJob("arrivals", sources=("arrivals.csv", "labels.sas"), partitioned_by="day"), AIRPORTS),
)

# `clean` writes two datasets, one of which `airports` reads, beside a file; each job has one of the staging tables.
CHAINED = replace(
    PIPELINE,
    jobs=(
        SparkJob("clean", sources=("arrivals.csv",), outputs=("arrivals", "seen"), windowed=True),
        SparkJob("airports", sources=(JobOutput("seen"), "airports.csv"), windowed=True),
    ),
    checks=(
        *PIPELINE.checks[:-1],
        Complete("arrivals", staging="staging_arrivals"),
    ),
)


def partition_arrivals(world: World) -> None:
    """Let the job write its rows by day."""
    world.jobs.by_name["arrivals"] = write_days
