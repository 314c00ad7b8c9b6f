"""The run's batch is fixed by its preflight, and read by whatever comes after it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from airflow_lib.errors import InputChanged, OutputError, ResourceError, SettingsError, SourceError
from airflow_lib.naming import run_key
from airflow_lib.pipeline import Source
from airflow_lib.steps import Done, Run
from airflow_lib.steps.batch import fix_batch, look_at_sources, probe_batch, probe_fixed, read_batch
from airflow_lib.steps.plan import describe_plan
from airflow_lib.steps.preflight import Preflight
from airflow_lib.steps.transform import RunJob
from operators.step import NO_RETRY
from tests.world import World
from tests.world.account import BUCKET
from tests.world.pipeline import PIPELINE
from tests.world.spark import get, put, write_rows
from tests.world.walk import drive, walk
from tests.world.wire import Kind

MakeRun = Callable[..., Run]

SOURCES = f"s3://{BUCKET}/source/immigration/"
KEPT = f"s3://{BUCKET}/logs/immigration/runs/{run_key('run1')}/batch.json"

IN_FOLDER = replace(
    PIPELINE,
    jobs=(replace(PIPELINE.jobs[0], sources=("arrivals/", "labels.sas")), PIPELINE.jobs[1]),
)


@pytest.fixture
def folder_run(world: World, run: Run) -> Run:
    """A run of a job that reads a folder."""
    for number in range(3):
        put(f"{SOURCES}arrivals/part-{number}", b"x")
    return replace(run, pipeline=IN_FOLDER)


def names(run: Run) -> list[str]:
    return [item.key.removeprefix("source/immigration/") for item in read_batch(run).objects]


def preflight(run: Run, max_tries: int = 0) -> Run:
    """The run, once this try of its preflight is through."""
    outcome = Preflight().begin(replace(run, max_tries=max_tries))
    assert isinstance(outcome, Done)
    return run


def test_the_preflight_fixes_what_is_there_and_says_so(world: World, folder_run: Run) -> None:
    outcome = Preflight().begin(folder_run)
    assert isinstance(outcome, Done)
    assert names(folder_run) == ["airports.csv", *(f"arrivals/part-{n}" for n in range(3)), "labels.sas"]
    told = outcome.result["batch"]
    assert (told["objects"], told["bytes"], told["hash"]) == (5, 5, read_batch(folder_run).hash)
    assert outcome.result["inputs"]["arrivals"][0] == f"{SOURCES}arrivals/part-0"


def test_of_many_files_the_first_are_named(world: World, folder_run: Run) -> None:
    for number in range(30):
        put(f"{SOURCES}arrivals/part-{number:02}", b"x")
    inputs = Preflight().begin(folder_run).result["inputs"]["arrivals"]  # type: ignore[union-attr]
    assert len(inputs) == 21
    assert inputs[-1] == "… 14 more"


def test_a_retry_of_the_preflight_keeps_the_batch_and_a_cleared_one_takes_what_is_there_now(
    world: World, folder_run: Run
) -> None:
    preflight(folder_run, max_tries=2)
    put(f"{SOURCES}arrivals/late", b"x")
    preflight(folder_run, max_tries=2)
    assert "arrivals/late" not in names(folder_run)
    preflight(folder_run, max_tries=5)
    assert "arrivals/late" in names(folder_run)
    assert probe_fixed(replace(folder_run, max_tries=5)) is not None
    assert probe_fixed(replace(folder_run, max_tries=6)) is None


def test_a_late_process_of_an_earlier_series_of_tries_does_not_undo_a_later_ones_batch(
    world: World, folder_run: Run
) -> None:
    early = look_at_sources(folder_run)
    put(f"{SOURCES}arrivals/late", b"x")
    preflight(folder_run, max_tries=5)
    assert "arrivals/late" in str(fix_batch(replace(folder_run, max_tries=2), early))
    assert "arrivals/late" in names(folder_run)


def test_what_is_wrong_fixes_nothing_so_that_who_corrects_it_gets_the_new_files(
    world: World, run: Run, make_run: MakeRun
) -> None:
    world.others.s3.delete_object(Bucket=BUCKET, Key="source/immigration/airports.csv")
    run = make_run("wrong")
    before = read_batch(run)
    with pytest.raises(SourceError, match=r"airports\.csv: missing"):
        Preflight().begin(run)
    assert read_batch(run) == before
    put(f"{SOURCES}airports.csv", b"corrected")
    preflight(run)
    assert "airports.csv" in names(run)


def test_mistakes_of_any_kind_keep_the_batch_from_being_fixed(world: World, folder_run: Run) -> None:
    columns = Source("airports.csv", columns=("code",))
    jobs = (IN_FOLDER.jobs[0], replace(IN_FOLDER.jobs[1], sources=(columns,)))
    wrong = replace(folder_run, pipeline=replace(IN_FOLDER, jobs=jobs), run_id="wrong")
    with pytest.raises((SourceError, SettingsError)):
        Preflight().begin(wrong)
    assert probe_batch(wrong) is None


@pytest.mark.parametrize("kind", [Kind.LOST, Kind.ERROR, Kind.THROTTLED])
def test_a_batch_whose_writing_was_not_answered_is_the_one_used(
    world: World, folder_run: Run, kind: Kind
) -> None:
    world.wire.inject("s3.PutObject", kind, when=lambda call: call.params["Key"].endswith("batch.json"))
    preflight(folder_run, max_tries=1)
    assert len(names(folder_run)) == 5


def test_who_meets_another_writer_of_the_same_series_uses_its_batch(world: World, folder_run: Run) -> None:
    mine = replace(folder_run, run_id="new", max_tries=1)
    early = look_at_sources(mine)
    put(f"{SOURCES}arrivals/late", b"x")

    def overtake(call: Any) -> None:
        if call.operation == "PutObject" and call.params["Key"].endswith("batch.json"):
            world.wire.watchers.clear()
            by_others = replace(mine, services=replace(mine.services, aws=world.others))
            fix_batch(by_others, look_at_sources(by_others))

    world.wire.watchers.append(overtake)
    assert "arrivals/late" in str(fix_batch(mine, early))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no JSON",
        b"[]",
        b'{"run_id": "run1", "max_tries": "2", "batch": {}}',
        b'{"run_id": "run2", "max_tries": 2, "batch": {}}',
        b'{"run_id": "run1", "max_tries": 2, "batch": {"version": 9}}',
        b"[" * 100_000,
    ],
)
def test_a_batch_that_cannot_be_read_is_written_anew_by_the_preflight_and_refused_by_the_others(
    world: World, folder_run: Run, body: bytes
) -> None:
    put(KEPT, body)
    with pytest.raises(OutputError, match=r"Clear the run from\s+provision\.preflight on"):
        read_batch(folder_run)
    assert probe_batch(folder_run) is None
    preflight(folder_run)
    assert len(names(folder_run)) == 5


def test_where_no_preflight_fixed_one_the_other_steps_say_what_to_clear(world: World, run: Run) -> None:
    with pytest.raises(
        OutputError, match=r"(?s)batch\.json is not there.*Clear the run from provision\.preflight"
    ):
        read_batch(replace(run, run_id="without"))


def test_s3_that_refuses_is_not_taken_for_a_batch_that_is_not_there(world: World, run: Run) -> None:
    world.wire.inject(
        "s3.GetObject", Kind.DENIED, when=lambda call: call.params["Key"].endswith("batch.json")
    )
    with pytest.raises(ResourceError, match="batch.json"):
        read_batch(run)


def test_nobody_but_the_preflight_lists_the_sources_and_each_once(world: World, folder_run: Run) -> None:
    def asked() -> list[str]:
        place = ("Prefix", "Key")
        return sorted(
            str(next(call.params[name] for name in place if name in call.params)).removeprefix(
                "source/immigration/"
            )
            for call in world.wire.calls
            if call.operation in {"ListObjectsV2", "HeadObject"}
            and any(str(call.params.get(name, "")).startswith("source/") for name in place)
        )

    world.wire.calls.clear()
    assert walk(world, folder_run, only="provision").errors == {}
    assert asked() == ["airports.csv", "arrivals/", "labels.sas"]
    world.wire.calls.clear()
    walked = walk(world, folder_run)
    assert not walked.red, walked.errors
    after = asked()
    # Its own preflight keeps the batch; each job's objects are asked for once more when it is through.
    assert after == ["airports.csv", *(f"arrivals/part-{n}" for n in range(3)), "labels.sas"]


@pytest.mark.parametrize("files", [3, 20])
def test_a_file_that_lands_while_the_job_runs_neither_fails_it_nor_is_read(
    world: World, folder_run: Run, files: int
) -> None:
    for number in range(files):
        put(f"{SOURCES}arrivals/part-{number}", b"x")
    read: list[Any] = []

    def job(inputs: list[Any], **given: Any) -> dict[str, Any]:
        put(f"{SOURCES}arrivals/part-0-late", b"late")
        read.extend(inputs)
        return write_rows(inputs, **given)

    world.jobs.by_name["arrivals"] = job
    walked = walk(world, folder_run)
    assert not walked.red, walked.errors
    assert len(read[0]) == files
    assert "late" not in str(read)


@pytest.mark.parametrize("files", [3, 20])
@pytest.mark.parametrize("change", ["replaced", "deleted"])
def test_a_file_that_changes_while_the_job_runs_fails_it_at_once_and_says_what_to_clear(
    world: World, folder_run: Run, files: int, change: str
) -> None:
    for number in range(files):
        put(f"{SOURCES}arrivals/part-{number}", b"x")

    def job(inputs: list[Any], **given: Any) -> dict[str, Any]:
        if change == "replaced":
            put(f"{SOURCES}arrivals/part-1", b"other")
        else:
            world.others.s3.delete_object(Bucket=BUCKET, Key="source/immigration/arrivals/part-1")
        return write_rows(inputs, **given)

    world.jobs.by_name["arrivals"] = job
    walked = walk(world, folder_run)
    assert walked.states["transform.arrivals"] == "failed"
    assert len(walked.errors["transform.arrivals"]) == 1
    error = walked.errors["transform.arrivals"][0]
    assert isinstance(error, InputChanged)
    assert isinstance(error, NO_RETRY)
    assert "arrivals/part-1 replaced or deleted" in str(error)
    assert "clear the run from provision.preflight on" in str(error)
    assert get(f"{SOURCES}arrivals/part-0") is not None
    assert not [
        key for key in world.objects("processed/immigration/arrivals/") if key.endswith("manifest.json")
    ]


def test_the_next_run_takes_what_is_there_and_is_green(
    world: World, folder_run: Run, make_run: MakeRun
) -> None:
    test_a_file_that_changes_while_the_job_runs_fails_it_at_once_and_says_what_to_clear(
        world, folder_run, 3, "replaced"
    )
    world.jobs.by_name.clear()
    walked = walk(world, replace(make_run("run2"), pipeline=IN_FOLDER))
    assert not walked.red, walked.errors


def test_a_source_that_changes_after_the_preflight_is_not_what_the_run_computes(
    world: World, run: Run
) -> None:
    assert walk(world, run, only="provision").errors == {}
    put(f"{SOURCES}arrivals.csv", b"other")
    with pytest.raises(InputChanged, match=r"arrivals\.csv replaced or deleted"):
        drive(RunJob("arrivals"), run, world)


def test_the_plan_says_where_the_batch_is_fixed_already(world: World, folder_run: Run) -> None:
    folder_run = replace(folder_run, run_id="planned")
    assert "a batch as it is now: 5 objects" in describe_plan(folder_run)["lines"][0]
    preflight(folder_run)
    put(f"{SOURCES}arrivals/late", b"x")
    assert "the batch, fixed at 20" in describe_plan(folder_run)["lines"][0]
    assert describe_plan(folder_run)["lines"][0].endswith("5 objects")


def test_it_is_kept_with_the_run_as_json_for_people_to_read(world: World, run: Run) -> None:
    preflight(run)
    content = json.loads(get(KEPT) or b"")
    assert content["run_id"] == "run1"
    assert content["batch"]["location"] == f"s3://{BUCKET}/source/immigration"
