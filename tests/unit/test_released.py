"""What the versions that were released left in Airflow and in S3 is understood by this one.

tests/released/walks.py writes a version's file when it is released; no later version may change it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_lib.lifecycle.document import Phase, decode_document
from airflow_lib.pipeline import Pipeline
from airflow_lib.steps import Done
from airflow_lib.steps.batch import _parse as parse_batch
from airflow_lib.steps.pinned_output import parse_pin
from airflow_lib.steps.serialization import from_json, to_json
from airflow_lib.warehouse.ledger import decode_loads
from operators.step import StepTrigger
from tests.released.walks import FOLDER, RUN, walk_on
from tests.world import World
from tests.world.account import BUCKET
from tests.world.pipeline import APRIL, PIPELINE, tables_of
from tests.world.walk import tasks_of, walk
from tests.world.wired_s3 import MotoObjects

FILES = sorted(FOLDER.glob("*.json"))


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def released(request: pytest.FixtureRequest) -> dict[str, Any]:
    path: Path = request.param
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.fixture
def world() -> Any:
    with World() as world:
        world.put_sources(PIPELINE)
        yield world


def test_a_run_whose_tasks_were_all_deferred_by_that_version_goes_on_to_its_end(
    released: dict[str, Any], world: World
) -> None:
    resumed: list[str] = []
    walked = walk_on(world, released, resumed)
    assert not walked.red, walked.errors
    assert set(resumed) == set(released["triggers"])
    assert world.tables(PIPELINE) == tables_of(APRIL)
    register = world.register(PIPELINE)
    assert (register.emr.phase, register.warehouse.phase) == (Phase.EMPTY, Phase.EMPTY)


def test_that_it_goes_on_is_due_to_what_that_version_left(released: dict[str, Any], world: World) -> None:
    for arguments in released["triggers"].values():
        arguments["state"]["deadline"] = "2016-01-01T00:00:00+00:00"
    assert walk_on(world, released, []).red


def test_the_triggers_of_that_version_can_be_made_and_kept_again(released: dict[str, Any]) -> None:
    for arguments in released["triggers"].values():
        _, kept = StepTrigger(**arguments).serialize()
        assert {**kept, **arguments} == kept


def test_each_step_of_that_version_is_one_of_this(released: dict[str, Any]) -> None:
    now = {task.id: task.step for task in tasks_of(PIPELINE) if task.step is not None}
    for task, step in released["steps"].items():
        assert type(from_json(step)) is type(now[task]), task
        assert {**to_json(now[task]), **step} == to_json(now[task])


def test_the_declaration_that_triggers_of_that_version_carry_can_be_read(released: dict[str, Any]) -> None:
    pipeline = from_json(released["declaration"])
    assert isinstance(pipeline, Pipeline)
    assert from_json(to_json(pipeline)) == pipeline


def test_the_results_that_tasks_of_that_version_pushed_are_results_still(released: dict[str, Any]) -> None:
    for result in released["results"].values():
        assert Done(result).result == result


@pytest.mark.parametrize("moment", ["midway", "over"])
def test_the_files_of_that_version_in_s3_can_be_read(
    released: dict[str, Any], world: World, moment: str
) -> None:
    run, read = world.run(RUN, pipeline=PIPELINE), set()
    for key, text in released[moment].items():
        body, name = text.encode(), key.rsplit("/", 1)[-1]
        if name == "register.json":
            document = decode_document(body, key, "dev-immigration")
            expected = Phase.READY if moment == "midway" else Phase.EMPTY
            assert document.warehouse.phase is expected
        elif name == "batch.json":
            parse_batch(run, body)
        elif "/outputs/" in key:
            assert parse_pin(body, name.removesuffix(".json"))
        elif "/loads/" in key:
            assert [load.run_id for load in decode_loads(body, PIPELINE.name, 1)] == [RUN]
        else:
            continue
        read.add(name)
    assert {"register.json", "batch.json"} <= read
    assert moment == "midway" or {"g1.json", "arrivals.json", "airports.json"} <= read


def test_a_run_of_the_same_window_uses_what_that_version_left(released: dict[str, Any], world: World) -> None:
    """Its register, its ledger and its outputs; the warehouse's snapshot and the Parquet are this version's.

    Where the SQL has changed since, the run loads again, from the outputs that are there.
    """
    assert not walk(world, world.run(RUN, pipeline=PIPELINE)).red
    put_over(released["over"])
    walked = walk(world, world.run("run2", pipeline=PIPELINE))
    assert not walked.red, walked.errors
    assert "holds" in walked.idle or world.jobs.ran == ["arrivals", "airports"]
    assert world.tables(PIPELINE) == tables_of(APRIL)


def put_over(files: dict[str, str]) -> None:
    """That version's JSON over this one's, and this one's Parquet where its manifests say that it lies."""
    objects = MotoObjects()
    for key, text in files.items():
        if key.startswith(("state/", "processed/")):
            objects[BUCKET, key] = text.encode()
        if key.endswith("/manifest.json"):
            manifest, folder = json.loads(text), key.removesuffix("manifest.json")
            for output in manifest["outputs"].values():
                for entry in output["entries"]:
                    written = f"/{manifest['job']}/"
                    (mine,) = (one for one in objects if written in one[1] and one[1].endswith(entry["file"]))
                    objects[BUCKET, f"{folder}{manifest['attempt']}/{entry['file']}"] = objects[mine]
