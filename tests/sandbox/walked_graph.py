"""How the world's walk goes through a pipeline's graph when given tasks fail, without any work done."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from airflow_lib.errors import TerminalState
from airflow_lib.pipeline import Pipeline
from airflow_lib.steps import Done, Outcome, Run, Step
from tests.world import World
from tests.world.walk import tasks_of, walk


def walked_states(pipeline: Pipeline, failing: set[str]) -> dict[str, str]:
    """Every task's end, as the proof takes Airflow to go on: the walk itself, with steps that only end."""
    doomed = [task.step for task in tasks_of(pipeline) if task.id in failing]

    class Attempt:
        """In place of the walk's: done at once, or failed for good."""

        def __init__(self, step: Step, _run: Run, _world: Any) -> None:
            self._step = step

        def begin(self) -> Outcome:
            if self._step in doomed:
                raise TerminalState("injected")
            return Done({})

    with World() as world, patch("tests.world.walk.Attempt", Attempt):
        return walk(world, world.run("run1", pipeline=pipeline)).states


def upstream_of(pipeline: Pipeline) -> dict[str, frozenset[str]]:
    """What each task waits for in the walk."""
    return {task.id: task.upstream for task in tasks_of(pipeline)}
