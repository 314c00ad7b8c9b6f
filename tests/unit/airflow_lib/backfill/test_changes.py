"""Why a job's output is another one now: told by what the run that loaded it wrote down."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from airflow_lib.backfill.changes import Changes
from airflow_lib.naming import run_key
from airflow_lib.pipeline import Window
from airflow_lib.steps import Run
from airflow_lib.steps.batch import look_at_sources
from airflow_lib.steps.transform import RunJob
from tests.unit.airflow_lib.steps.emr_of_a_run import use_emr
from tests.world import World
from tests.world.account import BUCKET
from tests.world.pipeline import PIPELINE
from tests.world.spark import put
from tests.world.walk import drive
from tests.world.wire import Kind

SOURCE = f"s3://{BUCKET}/source/immigration"
ARRIVALS = PIPELINE.job("arrivals")


@pytest.fixture
def ran(world: World) -> Run:
    """A run that has transformed a day."""
    window = Window(date(2016, 4, 1), date(2016, 4, 2))
    run = use_emr(world, world.run("a", pipeline=PIPELINE, window=window))
    drive(RunJob("arrivals"), run, world)
    return run


def described(run: Run) -> str:
    return Changes(run, look_at_sources(run)).describe(ARRIVALS)


def test_files_are_counted_by_what_became_of_them(ran: Run) -> None:
    put(f"{SOURCE}/labels.sas", b"other")
    assert described(ran) == "the source of arrivals changed (files: 1 changed)"


def test_files_that_came_and_went_are_told(world: World, ran: Run) -> None:
    folder = replace(ARRIVALS, sources=("arrivals/",))
    of_folder = replace(ran, pipeline=replace(ran.pipeline, jobs=(folder, PIPELINE.job("airports"))))
    put(f"{SOURCE}/arrivals/1.csv", b"1")
    before = look_at_sources(of_folder)
    world.others.s3.delete_object(Bucket=BUCKET, Key="source/immigration/arrivals/1.csv")
    for number in (2, 3):
        put(f"{SOURCE}/arrivals/{number}.csv", b"1")
    found = Changes(of_folder, look_at_sources(of_folder))._describe_files(folder, before)
    assert found == "the source of arrivals changed (files: 2 new, 1 gone)"


def test_code_that_changed_is_told(ran: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_lib.steps.transform.hash_code", lambda _: "0dd1" * 16)
    assert described(ran) == "the code of arrivals changed"


def test_code_and_files_may_both_have_changed(ran: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_lib.steps.transform.hash_code", lambda _: "0dd1" * 16)
    put(f"{SOURCE}/labels.sas", b"other")
    assert (
        described(ran)
        == "the code of arrivals changed, and the source of arrivals changed (files: 1 changed)"
    )


def test_where_neither_changed_it_was_computed_anew(ran: Run) -> None:
    assert described(ran) == "the output of arrivals was computed anew"


def test_a_run_that_was_forced_is_told(world: World, ran: Run) -> None:
    forced = replace(ran, run_id="b", force=True)
    use_emr(world, forced)
    drive(RunJob("arrivals"), forced, world)
    assert described(replace(forced, force=False)) == "arrivals was forced"


@pytest.mark.parametrize("name", ["batch.json", "outputs/arrivals.json"])
@pytest.mark.parametrize("body", [b"", b"{", b"{}"])
def test_notes_that_cannot_be_read_tell_only_that_something_changed(ran: Run, name: str, body: bytes) -> None:
    put(f"s3://{BUCKET}/logs/immigration/runs/{run_key('a')}/{name}", body)
    assert described(ran) == "the code or the source of arrivals changed"


def test_a_run_that_wrote_nothing_down_tells_only_that_something_changed(ran: Run) -> None:
    assert described(replace(ran, run_id="gone")) == "the code or the source of arrivals changed"


def test_an_s3_that_refuses_is_no_error(world: World, ran: Run) -> None:
    batch = look_at_sources(ran)
    world.wire.inject("s3.GetObject", Kind.DENIED, times=10)
    assert Changes(ran, batch).describe(ARRIVALS) == "the code or the source of arrivals changed"
