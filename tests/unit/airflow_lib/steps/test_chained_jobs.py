"""A job that reads what another writes: it runs after that one, on the very output that the run loads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_lib.errors import JobFault, OutputError, OutputRefused
from airflow_lib.pipeline import Window
from airflow_lib.steps import Run
from airflow_lib.steps.pinned_output import read_pinned
from airflow_lib.steps.transform import RunJob, resolve_chained, resolve_job
from tests.unit.airflow_lib.steps.emr_of_a_run import use_emr
from tests.world import World
from tests.world.account import BUCKET
from tests.world.job_shapes import CHAINED
from tests.world.pipeline import APRIL, PIPELINE, rows_of, tables_of
from tests.world.spark import Inputs, Targets, counts_of, put, write_dataset, write_rows
from tests.world.walk import drive, walk

CLEAN, AIRPORTS = CHAINED.jobs
SOURCE = f"s3://{BUCKET}/source/immigration"


@pytest.fixture
def chained(world: World) -> World:
    world.put_sources(CHAINED)
    return world


@pytest.fixture
def ready(chained: World) -> Run:
    """A run that may use an EMR cluster."""
    return use_emr(chained, chained.run("run1", pipeline=CHAINED))


def delete(world: World, ending: str) -> None:
    (key,) = [key for key in world.objects("processed/immigration/clean/") if key.endswith(ending)]
    world.others.s3.delete_object(Bucket=BUCKET, Key=key)


def test_both_outputs_are_loaded_and_the_second_job_runs_after_the_first(chained: World) -> None:
    walked = walk(chained, chained.run("run1", pipeline=CHAINED))
    assert walked.errors == {}
    assert chained.jobs.ran == ["clean", "airports"]
    assert walked.results["transform.clean"]["outputs"] == {"arrivals": 30, "seen": 30}
    assert chained.tables(CHAINED) == tables_of(APRIL)


def test_the_same_content_again_has_nothing_to_do_though_no_table_takes_what_the_first_job_writes(
    chained: World,
) -> None:
    middle = replace(CLEAN, outputs=("seen",))
    between = replace(CHAINED, jobs=(PIPELINE.job("arrivals"), middle, AIRPORTS))
    chained.put_sources(between)
    assert walk(chained, chained.run("run1", pipeline=between)).errors == {}
    assert walk(chained, chained.run("run2", pipeline=between)).idle


def test_the_second_job_is_given_the_folder_of_the_pinned_attempt_in_the_order_of_its_sources(
    chained: World, ready: Run
) -> None:
    given: list[Inputs] = []

    def noting(inputs: Inputs, **more: Any) -> dict[str, Any]:
        given.append(inputs)
        return write_rows(inputs=inputs, **more)

    chained.jobs.by_name["airports"] = noting
    for job in CHAINED.jobs:
        drive(RunJob(job.name), ready, chained)
    pinned = read_pinned(ready, CLEAN)
    seen = f"{pinned.output.prefix.uri()}/{pinned.manifest.attempt}/seen/"
    assert given == [[[seen], [f"{SOURCE}/airports.csv"]]]


def test_where_it_runs_is_planned_before_the_first_job_has_run_and_is_the_same_after(
    chained: World, ready: Run
) -> None:
    planned = resolve_job(ready, AIRPORTS).output
    with pytest.raises(OutputError, match=r"no complete output in this run\. Clear transform\.clean"):
        resolve_chained(ready, AIRPORTS)
    drive(RunJob("clean"), ready, chained)
    assert resolve_chained(ready, AIRPORTS).output == planned


def test_the_output_that_the_run_loads_is_read_although_its_source_has_changed_since(
    chained: World, ready: Run
) -> None:
    drive(RunJob("clean"), ready, chained)
    planned = resolve_job(ready, AIRPORTS).output
    put(f"{SOURCE}/arrivals.csv", b"changed")
    assert resolve_chained(ready, AIRPORTS).output == planned == resolve_job(ready, AIRPORTS).output
    drive(RunJob("airports"), ready, chained)
    assert read_pinned(ready, AIRPORTS).output == planned


@pytest.mark.parametrize(
    ("replaced", "again"), [("arrivals.csv", ["clean", "airports"]), ("airports.csv", ["airports"])]
)
def test_a_source_that_changed_computes_what_depends_on_it_anew_and_no_more(
    chained: World, replaced: str, again: list[str]
) -> None:
    assert walk(chained, chained.run("run1", pipeline=CHAINED)).errors == {}
    put(f"{SOURCE}/{replaced}", b"changed")
    chained.jobs.ran.clear()
    assert walk(chained, chained.run("run2", pipeline=CHAINED)).errors == {}
    assert chained.jobs.ran == again


def test_the_address_of_the_second_job_depends_on_the_window_through_the_first(ready: Run) -> None:
    alone = replace(AIRPORTS, windowed=False)
    other = replace(ready, window=Window(APRIL.end, APRIL.end.replace(day=2)))
    assert resolve_job(ready, alone).output != resolve_job(other, alone).output


@pytest.mark.parametrize("ending", ["manifest.json", "seen/part-00000.parquet"])
def test_an_output_that_is_gone_before_it_is_read_says_so_and_nothing_is_computed(
    chained: World, ready: Run, ending: str
) -> None:
    drive(RunJob("clean"), ready, chained)
    delete(chained, ending)
    with pytest.raises(OutputError, match=r"Clear transform\.clean|Delete the manifest"):
        drive(RunJob("airports"), ready, chained)
    assert chained.jobs.ran == ["clean"]


@pytest.mark.parametrize("ending", ["manifest.json", "seen/part-00000.parquet"])
def test_an_output_that_goes_while_it_is_read_makes_no_output(
    chained: World, ready: Run, ending: str
) -> None:
    def losing(**given: Any) -> dict[str, Any]:
        delete(chained, ending)
        return write_rows(**given)

    drive(RunJob("clean"), ready, chained)
    chained.jobs.by_name["airports"] = losing
    with pytest.raises(OutputError):
        drive(RunJob("airports"), ready, chained)
    assert not [key for key in chained.objects("processed/immigration/airports") if "manifest" in key]


def test_where_the_first_job_was_computed_anew_meanwhile_the_second_is_of_no_use(
    chained: World, ready: Run
) -> None:
    def overtaken(**given: Any) -> dict[str, Any]:
        del chained.jobs.by_name["airports"]
        put(f"{SOURCE}/arrivals.csv", b"other rows")
        chained.fix_batch(ready, max_tries=99)  # a person clears the run from the preflight on
        drive(RunJob("clean"), replace(ready, pipeline=replace(CHAINED, max_parallel_runs=2)), chained)
        return write_rows(**given)

    drive(RunJob("clean"), ready, chained)
    chained.jobs.by_name["airports"] = overtaken
    with pytest.raises(OutputError, match="has computed another input than that of the run's batch"):
        drive(RunJob("airports"), ready, chained)
    assert drive(RunJob("airports"), ready, chained).result["reused"] is False


def test_one_of_two_outputs_without_rows_is_loaded_with_none(chained: World) -> None:
    def half(targets: Targets, **_: Any) -> dict[str, Any]:
        write_dataset(targets["arrivals"], rows_of("arrivals", APRIL))
        write_dataset(targets["seen"], [])
        return counts_of({"arrivals": 30, "seen": 0})

    chained.jobs.by_name["clean"] = half
    walked = walk(chained, chained.run("run1", pipeline=CHAINED))
    assert walked.errors == {}
    assert walked.results["transform.clean"]["written"] == 30
    assert chained.tables(CHAINED) == tables_of(APRIL)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (60, r"must say the rows of each of its outputs arrivals, seen; found 60"),
        ({"arrivals": 30}, r"lack its output 'seen'"),
        (
            {"arrivals": 30, "seen": 30, "sean": 1},
            r"name 'sean', which is no output of it.*did you mean 'seen'",
        ),
    ],
)
def test_counts_of_other_outputs_than_are_declared_are_a_fault_of_the_job(
    chained: World, ready: Run, written: object, message: str
) -> None:
    chained.jobs.by_name["clean"] = lambda **given: {**write_rows(**given), "written": written}
    with pytest.raises(JobFault, match=message):
        drive(RunJob("clean"), ready, chained)
    assert chained.livy.listed() == []


@pytest.mark.parametrize(("arrivals", "seen"), [(31, 30), (30, 29), (30, 0), (0, 60)])
def test_an_output_whose_files_hold_other_rows_than_were_counted_is_refused(
    chained: World, ready: Run, arrivals: int, seen: int
) -> None:
    counts = {"arrivals": arrivals, "seen": seen}
    chained.jobs.by_name["clean"] = lambda **given: {**write_rows(**given), "written": counts}
    with pytest.raises(
        OutputRefused, match=r"says that it wrote \d+ rows of output '\w+', but .* hold 30 by"
    ):
        drive(RunJob("clean"), ready, chained)
    assert chained.jobs.ran == ["clean"]


def test_a_forced_run_computes_all_the_same_and_its_retry_finds_what_it_computed(chained: World) -> None:
    assert walk(chained, chained.run("run1", pipeline=CHAINED)).errors == {}
    chained.jobs.ran.clear()
    forced = replace(chained.run("run2", pipeline=CHAINED), force=True)
    assert walk(chained, forced).errors == {}
    assert chained.jobs.ran == ["clean", "airports"]
    use_emr(chained, forced)
    for job in CHAINED.jobs:
        assert drive(RunJob(job.name), forced, chained).result["reused"] is True
    other = replace(chained.run("run3", pipeline=CHAINED), force=True)
    chained.fix_batch(other)
    assert resolve_job(other, CLEAN).output != resolve_job(forced, CLEAN).output
    assert chained.tables(CHAINED) == tables_of(APRIL)
