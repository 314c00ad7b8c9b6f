"""What a released version leaves behind in Airflow and in S3 while runs are under way, and how a later one goes on.

    PYTHONPATH=plugins:. python -m tests.released.walks

writes this version's file, `<version>.json`, when it is released; the file is never changed after that.
Of each task that waits it has the arguments of its trigger when the task was deferred, of each task its result (XCom),
and what lies in S3 while the jobs run and when the run is over.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import tests.conftest  # noqa: F401  Airflow's home, before it is imported
from airflow_lib.steps import Outcome, Run, Waiting
from airflow_lib.steps.serialization import from_json, to_json
from dags.immigration import IMMIGRATION
from operators.step import StepTrigger
from tests.world import World
from tests.world.account import BUCKET
from tests.world.pipeline import PIPELINE
from tests.world.walk import Attempt, Walk, tasks_of, walk
from tests.world.wired_s3 import MotoObjects

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
RUN = "run1"
_MIDWAY = "RunJob"


def version() -> str:
    found: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return found


def key_of(attempt: Attempt) -> str:
    """Which of a run's waiting tasks an attempt is of."""
    step = attempt._step
    return f"{type(step).__name__}:{getattr(step, 'name', '')}:{getattr(step, 'slot', '')}"


def arguments_of(attempt: Attempt, run: Run, waiting: Waiting) -> dict[str, Any]:
    """What StepOperator gives the trigger."""
    return {
        "step": to_json(attempt._step),
        "pipeline": to_json(run.pipeline),
        "run_id": run.run_id,
        "window": to_json(run.window),
        "state": waiting.state,
        "poll_s": waiting.poll_s,
        "max_tries": run.max_tries,
        "force": run.force,
    }


def stored() -> dict[str, str]:
    """The small files of Mayfly's own in the bucket, by key."""
    found = {key: body for (bucket, key), body in MotoObjects().items() if bucket == BUCKET}
    return {key: body.decode() for key, body in sorted(found.items()) if key.endswith(".json")}


def record() -> dict[str, Any]:
    """The content of a released version's file."""
    triggers: dict[str, Any] = {}
    midway: dict[str, str] = {}

    class Recording(Attempt):
        def try_to_begin(self) -> Outcome | None:
            outcome = super().try_to_begin()
            if isinstance(outcome, Waiting):
                triggers[key_of(self)] = arguments_of(self, self._run, outcome)
                if key_of(self).startswith(_MIDWAY):
                    midway.update(stored())
            return outcome

    with World() as world, patch("tests.world.walk.Attempt", Recording):
        world.put_sources(PIPELINE)
        run = world.run(RUN, pipeline=PIPELINE)
        walked = walk(world, run)
        assert not walked.red, walked.errors
        over = stored()
    return {
        "version": version(),
        "triggers": triggers,
        "steps": {task.id: to_json(task.step) for task in tasks_of(PIPELINE) if task.step is not None},
        "declaration": to_json(IMMIGRATION),
        "results": {task: result for task, result in walked.results.items() if result},
        "midway": midway,
        "over": over,
    }


@contextmanager
def deferred_before(released: dict[str, Any], resumed: list[str]) -> Iterator[None]:
    """Every task that is deferred meanwhile goes on as the released version left it: its step, pipeline and state."""

    class Replaying(Attempt):
        def try_to_begin(self) -> Outcome | None:
            outcome = super().try_to_begin()
            arguments = released["triggers"].get(key_of(self))
            if not isinstance(outcome, Waiting) or arguments is None:
                return outcome
            resumed.append(key_of(self))
            trigger = StepTrigger(**json.loads(json.dumps(arguments)))
            self._step, self._deferred = trigger._step, self.waiting
            assert isinstance(from_json(arguments["pipeline"]), type(self._run.pipeline))
            self.waiting = Waiting(outcome.what, dict(trigger._state), outcome.poll_s)
            return self.waiting

    with patch("tests.world.walk.Attempt", Replaying):
        yield


def walk_on(world: World, released: dict[str, Any], resumed: list[str]) -> Walk:
    """A whole run by this version, of which each task was deferred by the released one."""
    with deferred_before(released, resumed):
        return walk(world, world.run(RUN, pipeline=PIPELINE))


if __name__ == "__main__":
    path = FOLDER / f"{version()}.json"
    path.write_text(json.dumps(record(), indent=1, sort_keys=True) + "\n")
    print(path)
