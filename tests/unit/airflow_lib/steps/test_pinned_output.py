"""What a run wrote down of the output that it loads, and who says what is wrong with it."""

from __future__ import annotations

import json

import pytest

from airflow_lib.errors import OutputError
from airflow_lib.naming import run_key
from airflow_lib.steps import Run
from airflow_lib.steps.pinned_output import read_pinned
from airflow_lib.steps.serialization import from_json
from airflow_lib.steps.transform import RunJob
from tests.unit.airflow_lib.steps.emr_of_a_run import use_emr
from tests.world import World
from tests.world.account import BUCKET
from tests.world.pipeline import PIPELINE
from tests.world.walk import drive


@pytest.fixture
def ready(world: World, run: Run) -> Run:
    return use_emr(world, run)


def test_a_run_that_computed_nothing_has_no_output_to_load(world: World, ready: Run) -> None:
    with pytest.raises(OutputError, match=r"no complete output in this run\. Clear transform\.arrivals"):
        read_pinned(ready, PIPELINE.job("arrivals"))


def test_a_run_loads_the_output_that_it_wrote_down(world: World, ready: Run) -> None:
    made = drive(RunJob("arrivals"), ready, world).result
    key = f"logs/immigration/runs/{run_key(ready.run_id)}/outputs/arrivals.json"
    pinned = read_pinned(ready, PIPELINE.job("arrivals"))
    assert pinned.manifest.uri == made["manifest"]
    body = world.others.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    written = json.loads(body)
    assert written["run_id"] == ready.run_id
    assert written["window"] == ["2016-04-01", "2016-05-01"]
    assert from_json(written["jobs"]) == PIPELINE.jobs


def test_a_run_loads_what_an_earlier_version_wrote_down(world: World, ready: Run) -> None:
    drive(RunJob("arrivals"), ready, world)
    key = f"logs/immigration/runs/{run_key(ready.run_id)}/outputs/arrivals.json"
    address = json.loads(world.others.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())["address"]
    body = json.dumps({"run_id": ready.run_id, "address": address}).encode()
    world.others.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    assert address in read_pinned(ready, PIPELINE.job("arrivals")).manifest.uri


@pytest.mark.parametrize(
    "pin", [b"", b"{", b"[]", b"{}", b'{"address": 5}', b'{"address": "../x"}', b"[" * 100_000, b"\xff"]
)
def test_a_pin_that_is_malformed_says_which_task_to_clear(world: World, ready: Run, pin: bytes) -> None:
    drive(RunJob("arrivals"), ready, world)
    key = f"logs/immigration/runs/{run_key(ready.run_id)}/outputs/arrivals.json"
    assert key in world.objects()
    world.others.s3.put_object(Bucket=BUCKET, Key=key, Body=pin)
    with pytest.raises(OutputError, match=r"what was written down is .* Clear transform\.arrivals"):
        read_pinned(ready, PIPELINE.job("arrivals"))
