"""How many jobs can be under way at once, where some wait for others."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from itertools import combinations

import pytest

from airflow_lib.pipeline import JobOutput, Pipeline, SparkJob
from airflow_lib.spark.job_graph import jobs_before, most_jobs_at_once

Graph = dict[str, list[str]]


def pipeline_of(reads: Graph) -> Pipeline:
    """A pipeline whose jobs read what those named write."""
    jobs = [SparkJob(name, ("x.csv", *map(JobOutput, others))) for name, others in reads.items()]
    return Pipeline("birds", start=datetime(2020, 1, 1, tzinfo=UTC), jobs=tuple(jobs), tables=())


@pytest.mark.parametrize(
    ("reads", "most"),
    [
        ({"a": []}, 1),
        ({"a": [], "b": [], "c": []}, 3),
        ({"a": [], "b": ["a"], "c": ["b"]}, 1),
        ({"a": [], "b": ["a"], "c": ["a"]}, 2),
        ({"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}, 2),
        ({"a": [], "b": ["a"], "c": []}, 2),
        # The widest set is on no one level: c, d and e, with e on the first.
        ({"a": [], "b": ["a"], "c": ["b"], "d": ["b"], "e": []}, 3),
        ({}, 1),
    ],
)
def test_the_most_jobs_at_once_are_those_of_which_none_waits_for_another(reads: Graph, most: int) -> None:
    assert most_jobs_at_once(pipeline_of(reads)) == most


@pytest.mark.parametrize("seed", range(60))
def test_it_is_the_widest_of_all_sets_of_jobs(seed: int) -> None:
    choose = random.Random(seed)
    names = [f"j{number}" for number in range(choose.randint(1, 8))]
    reads = {
        name: [other for other in names[:number] if choose.random() < choose.choice([0.1, 0.4])]
        for number, name in enumerate(names)
    }
    pipeline = pipeline_of(reads)
    before = {job.name: jobs_before(pipeline, job) for job in pipeline.jobs}
    widest = max(
        size
        for size in range(1, len(names) + 1)
        for some in combinations(names, size)
        if not any(one in before[other] for one in some for other in some)
    )
    assert most_jobs_at_once(pipeline) == widest


def test_jobs_before_are_those_read_directly_and_not() -> None:
    pipeline = pipeline_of({"a": [], "b": ["a"], "c": ["b", "x"]})
    assert [jobs_before(pipeline, job) for job in pipeline.jobs] == [set(), {"a"}, {"a", "b"}]


def test_a_circle_ends_all_the_same() -> None:
    pipeline = pipeline_of({"a": ["b"], "b": ["a"], "c": ["c"]})
    assert [jobs_before(pipeline, job) for job in pipeline.jobs] == [{"a", "b"}, {"a", "b"}, {"c"}]
    assert most_jobs_at_once(pipeline) >= 1


def test_thirty_jobs_in_layers_are_quick_to_count() -> None:
    layers: Graph = {}
    for number in range(30):
        layers[f"j{number}"] = [f"j{other}" for other in range(number // 5 * 5)]
    assert most_jobs_at_once(pipeline_of(layers)) == 5
