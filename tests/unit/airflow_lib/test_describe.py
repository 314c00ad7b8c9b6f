"""Airflow's UI says of a DAG and of each task what its declaration says."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import pytest

from airflow_lib.describe import PLAN, VERDICT, describe_dag, describe_step
from airflow_lib.naming import Slot
from airflow_lib.pipeline import Append, Newest, OnEmpty, Rebuild, ReplaceWindow, Table
from airflow_lib.steps.answer import PublishAnswer
from airflow_lib.steps.release import ReleaseSlot
from airflow_lib.steps.staging import CopyStaging
from airflow_lib.steps.transform import RunJob
from airflow_lib.steps.verify import VerifyTable
from tests.dags.flats import FLATS, INSTANTS
from tests.unit.airflow_lib.test_links import STEPS

FIXED = [step for step in STEPS if not isinstance(step, RunJob | CopyStaging | VerifyTable | PublishAnswer)]
OF_FLATS = [
    *FIXED,
    RunJob("flats"),
    CopyStaging("staging_rents"),
    VerifyTable("rents"),
    PublishAnswer("dearest"),
]


def shown(markdown: str) -> str:
    """The text as a browser shows it: escapes undone."""
    return html.unescape(re.sub(r"\\([\W_])", r"\1", markdown))


def test_the_page_of_a_dag_tells_what_is_declared() -> None:
    page = shown(
        describe_dag(replace(FLATS, description="Flats & rents", schedule="0 7 * * *", catchup=True))
    )
    for words in (
        "# flats",
        "Flats & rents",
        "schedule 0 7 * * * (UTC), from 2016-04-01. Airflow makes the runs since then that are missing.",
        "a window of whole days (UTC)",
        "| flats | flats.csv | flats | every window: one output for all |",
        "| dim_flats | the newest row of a key stays, unreferenced rows go | flat |",
        "| rents | the window's rows are replaced, by day | rent |",
        "| references_rents_flat_dim_flats | rents | References | error |",
        "| dearest | Parquet and CSV |",
    ):
        assert words in page, words


def test_the_page_of_a_dag_that_is_only_triggered_says_so() -> None:
    assert "Runs are only triggered." in describe_dag(FLATS)
    assert "any stretch of time, in UTC" in describe_dag(INSTANTS)


@pytest.mark.parametrize(
    ("load", "words"),
    [
        (ReplaceWindow("day", on_empty=OnEmpty.KEEP), "the window's rows are replaced, by day"),
        (Newest(by="at"), "the newest row of a key stays, by at"),
        (Rebuild(), "rebuilt by each load"),
        (Append(), "added once for each batch"),
    ],
)
def test_the_word_by_which_a_table_is_loaded_is_explained(load: object, words: str) -> None:
    table = Table("rents", load, key=("rent",))  # type: ignore[arg-type]
    page = shown(describe_dag(replace(FLATS, tables=(table,), checks=())))
    assert f"| rents | {words} | rent |" in page


def test_a_pipeline_without_checks_and_answers_says_that_it_has_none() -> None:
    page = describe_dag(replace(FLATS, checks=(), answers=()))
    assert page.count("\n\nNone.\n\n") == 2


@pytest.mark.parametrize("step", OF_FLATS)
def test_the_page_of_a_task_says_what_it_does_what_a_clear_does_and_where_to_look(step: object) -> None:
    page = describe_step(FLATS, step)  # type: ignore[arg-type]
    does, *_ = page.split("\n\n")
    assert len(does) > 30
    assert "\n\nA retry or a clear of it " in page
    assert "\n\nWhere to look: " in page


@pytest.mark.parametrize("page", [PLAN, VERDICT])
def test_so_do_the_pages_of_the_tasks_that_are_no_step(page: str) -> None:
    assert "A retry or a clear of it " in page
    assert "Where to look: " in page


def test_a_tasks_page_names_what_it_works_on() -> None:
    assert "takes in flats.csv and writes flats" in shown(describe_step(FLATS, RunJob("flats")))
    assert "the output rents into the run's own staging table staging_rents" in shown(
        describe_step(FLATS, CopyStaging("staging_rents"))
    )
    assert "| unique_rents_rent | rents | Unique | error |" in shown(
        describe_step(FLATS, VerifyTable("rents"))
    )
    assert "question dearest" in describe_step(FLATS, PublishAnswer("dearest"))
    assert "final snapshot" in describe_step(FLATS, ReleaseSlot(Slot.WAREHOUSE))
    assert "snapshot" not in describe_step(FLATS, ReleaseSlot(Slot.EMR))


@pytest.mark.parametrize(
    "hostile",
    ["<script>alert(1)</script>", "[x](javascript:alert(1))", "![x](//evil)", "a | b\n\n# c", "`*_&lt;_*`"],
)
def test_what_an_author_wrote_is_shown_as_text(hostile: str) -> None:
    page = describe_dag(replace(FLATS, description=hostile))
    _, text, *_ = page.split("\n\n")
    assert shown(text) == " ".join(hostile.split())
    assert re.search(r"(?<!\\)[<\[\]()`*_|#!]", text) is None


def test_a_page_is_never_taken_for_the_name_of_a_file() -> None:
    """Airflow reads a `doc_md` that ends in .md as a file's name."""
    assert not describe_dag(FLATS).endswith(".md")
