"""A field of another type than its class says is told, wherever in the declaration it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from airflow_lib.declaration.field_types import type_mistakes
from airflow_lib.pipeline import (
    AcceptedValues,
    Answer,
    Hardware,
    Holds,
    NotNull,
    OnEmpty,
    Rebuild,
    ReplaceWindow,
    Source,
    SparkJob,
    Staging,
    Table,
    Unique,
)
from tests.unit.airflow_lib.declaration.birds import BIRDS


def mistakes(**change: Any) -> list[str]:
    return list(type_mistakes(replace(BIRDS, **change)))


def test_a_declaration_of_the_right_types_has_no_mistake() -> None:
    source = Source("a/", "a.csv", columns=("x",), delimiter=";")
    fact = Table("factX", ReplaceWindow("day", on_empty=OnEmpty.KEEP), key=("x",))
    assert list(type_mistakes(BIRDS)) == []
    assert mistakes(jobs=(SparkJob("sightings", (source, "b.csv"), max_rejected=1),), tables=(fact,)) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": 7}, "name is 7, but str is expected"),
        ({"start": "2020-01-01"}, "start is '2020-01-01', but datetime is expected"),
        ({"start": date(2020, 1, 1)}, "start is datetime.date(2020, 1, 1), but datetime is expected"),
        ({"schedule": 5}, "schedule is 5, but str | None is expected"),
        ({"max_parallel_runs": "2"}, "max_parallel_runs is '2', but int is expected"),
        ({"max_parallel_runs": True}, "max_parallel_runs is True, but int is expected"),
        ({"max_active_runs": True}, "max_active_runs is True, but int | None is expected"),
        ({"catchup": 1}, "catchup is 1, but bool is expected"),
        ({"timezone": None}, "timezone is None, but str is expected"),
        (
            {"window_unit": "instant"},
            "window_unit is 'instant', but WindowUnit is expected: write one of WindowUnit.DAY, WindowUnit.INSTANT",
        ),
        (
            {"answers": Answer("rarest")},
            "answers is Answer(name='rarest', table=False, checks=()), but tuple[Answer, ...]",
        ),
        ({"answers": ("rarest",)}, "answers is ('rarest',), but tuple[Answer, ...] is expected"),
        ({"jobs": None}, "jobs is None, but tuple[SparkJob, ...] is expected"),
        ({"jobs": SparkJob("a", ("a",))}, "jobs is SparkJob(name='a'"),
        ({"checks": [*BIRDS.checks]}, "is expected: write it in parentheses, as a tuple"),
        ({"checks": (NotNull,)}, "checks is (<class 'airflow_lib.pipeline.check.NotNull'>,)"),
        ({"hardware": {"core_count": 2}}, "hardware is {'core_count': 2}, but Hardware is expected"),
        ({"hardware": Hardware(core_count=2.5)}, "Hardware('m5.xlarge', …): core_count is 2.5, but int is"),  # type: ignore[arg-type]
        ({"hardware": Hardware(core_type=None)}, "Hardware('m5.xlarge', …): core_type is None, but str is"),  # type: ignore[arg-type]
    ],
)
def test_a_field_of_the_pipeline_is_told_with_its_value_and_what_is_expected(
    change: dict[str, Any], told: str
) -> None:
    (mistake,) = mistakes(**change)
    assert told in mistake


@pytest.mark.parametrize(
    ("job", "told"),
    [
        (
            SparkJob("a", sources=("x.csv")),  # type: ignore[arg-type]
            "SparkJob('a', …): sources is 'x.csv', but tuple[str | Source | JobOutput, ...] is expected: a tuple of",
        ),
        (
            SparkJob("a", (3,)),
            "SparkJob('a', …): sources is (3,), but tuple[str | Source | JobOutput, ...] is",
        ),  # type: ignore[arg-type]
        (SparkJob("a", ("x",), windowed="no"), "SparkJob('a', …): windowed is 'no', but bool is expected"),  # type: ignore[arg-type]
        (SparkJob("a", ("x",), max_rejected="1"), "SparkJob('a', …): max_rejected is '1', but float is"),  # type: ignore[arg-type]
        (
            SparkJob("a", (Source("x.csv", columns="id"),)),  # type: ignore[arg-type]
            "SparkJob('a', …): Source(('x.csv',), …): columns is 'id', but tuple[str, ...] is expected: a tuple of one",
        ),
        (
            SparkJob("a", (Source(("x.csv", "y.csv")),)),  # type: ignore[arg-type]
            "names is (('x.csv', 'y.csv'),), but tuple[str, ...] is expected",
        ),
        (SparkJob("a", (Source("x", delimiter=None),)), "delimiter is None, but str is expected"),  # type: ignore[arg-type]
    ],
)
def test_a_field_of_a_job_is_told_with_the_job(job: SparkJob, told: str) -> None:
    (mistake,) = mistakes(jobs=(job,))
    assert told in mistake


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (Staging("s", output=None), "Staging('s', …): output is None, but str is expected"),  # type: ignore[arg-type]
        (Table("f", ReplaceWindow(None)), "ReplaceWindow(None, …): column is None, but str is expected"),  # type: ignore[arg-type]
        (Table("f", Rebuild), "Table('f', …): load is <class"),  # type: ignore[arg-type]
        (Table("f", Rebuild(), key="id"), "a tuple of one value is written with a comma, ('id',)"),  # type: ignore[arg-type]
        (Table("f", Rebuild(), prune=1), "Table('f', …): prune is 1, but bool is expected"),  # type: ignore[arg-type]
        (
            Table("f", ReplaceWindow("d", on_empty="keep")),  # type: ignore[arg-type]
            "on_empty is 'keep', but OnEmpty is expected: write one of OnEmpty.FAIL, OnEmpty.KEEP, OnEmpty.REPLACE",
        ),
    ],
)
def test_a_field_of_a_table_is_told_with_the_table(table: Any, told: str) -> None:
    (mistake,) = mistakes(tables=(table,))
    assert told in mistake


@pytest.mark.parametrize(
    ("check", "told"),
    [
        (
            AcceptedValues("rides", "payment", ("cash", None)),  # type: ignore[arg-type]
            "AcceptedValues('rides', …): values is ('cash', None), but tuple[str, ...] is expected",
        ),
        (
            Holds("cheap", "rides", "fare < 5", severity="warn"),  # type: ignore[arg-type]
            "Holds('cheap', …): severity is 'warn', but Severity is expected: write one of Severity.ERROR, Sev",
        ),
        (NotNull("rides", columns=("a")), "NotNull('rides', …): columns is 'a', but tuple[str, ...] is"),  # type: ignore[arg-type]
        (Unique(None, ("a",)), "Unique(None, …): table is None, but str is expected"),  # type: ignore[arg-type]
    ],
)
def test_a_field_of_a_check_is_told_with_the_check(check: Any, told: str) -> None:
    (mistake,) = mistakes(checks=(check,))
    assert told in mistake


def test_every_field_of_a_wrong_type_is_told_at_once() -> None:
    job = SparkJob(4, sources="x", windowed=1)  # type: ignore[arg-type]
    assert len(mistakes(name=None, jobs=(job,), answers=[])) == 5


def test_a_long_value_is_cut() -> None:
    (mistake,) = mistakes(name=["x" * 10_000])
    assert len(mistake) < 250


def test_what_is_no_pipeline_is_told() -> None:
    assert list(type_mistakes("birds")) == ["'birds' is no Pipeline: pass one"]
