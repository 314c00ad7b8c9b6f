"""The README's drawing of the immigration DAG is the DAG, but for what runs however it ends (setup and teardown)."""

from __future__ import annotations

import re
from itertools import pairwise, product
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG

README = Path(__file__).resolve().parents[2] / "README.md"
DRAWN_AS_ONE = ("verify", "answers")


@pytest.fixture
def immigration(dagbag: DagBag) -> DAG:
    return dagbag.dags["immigration"]


def drawn_edges() -> set[tuple[str, str]]:
    (drawing,) = re.findall(r"```mermaid\n(.*?)```", README.read_text(), re.DOTALL)
    chains = [line.split("-->") for line in drawing.splitlines() if "-->" in line]
    ends = [[part.replace(" ", "").split("&") for part in chain] for chain in chains]
    return {edge for chain in ends for before, after in pairwise(chain) for edge in product(before, after)}


def label(task_id: str) -> str:
    group, _, name = task_id.partition(".")
    return group if group in DRAWN_AS_ONE else name or group


def edges(dag: DAG) -> set[tuple[str, str]]:
    """Without those from a setup to its teardown."""
    return {
        (label(task.task_id), label(after.task_id))
        for task in dag.tasks
        for after in task.downstream_list
        if not (task.is_setup and after.is_teardown)
    }


def test_the_drawing_is_the_dag(immigration: DAG) -> None:
    assert drawn_edges() == edges(immigration)


def test_the_text_counts_tables_and_questions(immigration: DAG) -> None:
    counts = {
        name: sum(task.task_id.startswith(f"{name}.") for task in immigration.tasks) for name in DRAWN_AS_ONE
    }
    assert counts == {"verify": 5, "answers": 5}
    assert "`verify` has five tables, `answers` five questions" in README.read_text()
