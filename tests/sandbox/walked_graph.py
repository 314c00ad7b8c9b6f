"""The task states that the proof's walk through a pipeline's graph predicts when given tasks fail."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from airflow_lib.errors import TerminalState
from airflow_lib.pipeline import Pipeline
from airflow_lib.steps import Done, Outcome, Run, Step
from airflow_lib.steps.preflight import Preflight
from tests.world import World
from tests.world.walk import tasks_of, walk


def walked_states(pipeline: Pipeline, failing: set[str], *, idle: bool = False) -> dict[str, str]:
    """Every task's final state: the proof's own walk, with steps that do nothing and only succeed or fail.

    `idle`: the preflight finds nothing to do.
    """
    failing_steps = [task.step for task in tasks_of(pipeline) if task.id in failing]

    class Attempt:
        """Replaces the walk's own class: succeeds at once, or fails for good."""

        begun = False

        def __init__(self, step: Step, _run: Run, _world: Any) -> None:
            self._step = step

        def try_to_begin(self) -> Outcome:
            if self._step in failing_steps:
                raise TerminalState("injected")
            why = "it is held" if idle and isinstance(self._step, Preflight) else ""
            return Done({}, why)

    with World() as world, patch("tests.world.walk.Attempt", Attempt):
        return walk(world, world.run("run1", pipeline=pipeline)).states


def upstream_of(pipeline: Pipeline) -> dict[str, frozenset[str]]:
    """The upstream tasks of each task in the walk."""
    return {task.id: task.upstream for task in tasks_of(pipeline)}
