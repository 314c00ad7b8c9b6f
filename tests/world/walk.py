"""Runs' steps carried out in the DAG's order, with as much of Airflow as matters to them.

Tasks, edges, teardowns and retries are those of the DAG that `make_dag` makes. All ready tasks are under way
at once; transient errors are borne as the operator and the trigger bear them; an upstream failure skips what follows,
except teardowns, which run when everything before them is over; a step that has nothing to do skips what
follows at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache

from airflow_lib.errors import MayflyError
from airflow_lib.pipeline import Pipeline
from airflow_lib.polling import TransientBudget, pauses_s
from airflow_lib.steps import Done, Failed, Json, Outcome, Run, Step, Waiting
from airflow_lib.steps.serialization import from_json, to_json
from operators.plan_and_verdict import list_failed
from operators.step import NO_RETRY, StepOperator
from tests.world import World
from tests.world.wire import AirflowGone, Killed

RETRY_S = 20


@dataclass(frozen=True)
class Task:
    """A task of the DAG; `step` is None for `plan` and `verdict`."""

    id: str
    step: Step | None
    upstream: frozenset[str]
    teardown: bool
    retries: int
    at_once: (
        int | None
    )  # in how many of the DAG's runs it may be under way (Airflow's max_active_tis_per_dag)


@dataclass
class Walk:
    """How a run went: each task's state and result, the errors of all its tries, and why it was `idle` where it was."""

    run: Run
    states: dict[str, str] = field(default_factory=dict)
    results: dict[str, Json] = field(default_factory=dict)
    errors: dict[str, list[BaseException]] = field(default_factory=dict)

    idle: str = ""

    @property
    def red(self) -> bool:
        return "failed" in self.states.values()

    def error(self, task: str) -> str:
        """The last error of a task, as a person reads it."""
        return str(self.errors[task][-1])


class Attempt:
    """One try of a step, as the operator begins it and the trigger polls it."""

    def __init__(self, step: Step, run: Run, world: World) -> None:
        # Between two calls a step is in another process: it, and its state, are JSON there.
        self._step: Step = from_json(json.loads(json.dumps(to_json(step))))
        self._run, self._world = run, world
        self._budget, self._pauses = TransientBudget(world.timeline), pauses_s()
        self._deferred: Waiting | None = None
        self.begun, self.begins_at = False, world.now()
        self.waiting: Waiting | None = None

    @property
    def due(self) -> datetime:
        if not self.begun:
            return self.begins_at
        assert self.waiting is not None
        return self._world.now() + timedelta(seconds=self.waiting.poll_s)

    def begin(self) -> Outcome:
        """Begin, and let time pass for as long as the worker bears passing errors."""
        while (outcome := self.try_to_begin()) is None:
            self._world.advance((self.begins_at - self._world.now()).total_seconds())
        return outcome

    def try_to_begin(self) -> Outcome | None:
        """What `repeat_transient` does in a worker; None where it begins again when due: others go on meanwhile."""
        try:
            outcome = self._keep(self._step.begin(self._run))
        except Exception as error:
            if not self._budget.allows(error):
                raise
            self.begins_at = self._world.now() + timedelta(seconds=next(self._pauses))
            return None
        self.begun = True
        self._budget.reset()
        self._deferred = self.waiting
        return outcome

    def poll(self) -> Outcome:
        """One poll. Raises what the trigger would not allow."""
        assert self.waiting is not None
        try:
            outcome = self._step.poll(self._run, json.loads(json.dumps(self.waiting.state)))
        except Exception as error:
            if self._budget.allows(error):
                return self.waiting
            raise
        self._budget.reset()
        return self._keep(outcome)

    def resume(self) -> Outcome:
        """The triggerer died: another one has what was serialised when the task was deferred."""
        assert self._deferred is not None
        self._budget = TransientBudget(self._world.timeline)
        return self._keep(self._deferred)

    def _keep(self, outcome: Outcome) -> Outcome:
        self.waiting = outcome if isinstance(outcome, Waiting) else None
        return outcome


def drive(step: Step, run: Run, world: World, max_polls: int = 1000) -> Done | Failed:
    """What a step comes to, with time passing from poll to poll. Raises its error."""
    attempt = Attempt(step, run, world)
    outcome = attempt.begin()
    for _ in range(max_polls):
        if not isinstance(outcome, Waiting):
            return outcome
        world.advance(outcome.poll_s)
        outcome = attempt.poll()
    raise AssertionError(f"still waiting after {max_polls} polls: {outcome}")


def walk(world: World, run: Run, *, only: str = "") -> Walk:
    """A whole run; `only` names a group ("provision") to stop after."""
    (walked,) = walk_all(world, [run], only=only)
    return walked


def walk_all(world: World, runs: list[Run], *, only: str = "", queued: bool = False) -> list[Walk]:
    """Several runs at once, each advanced in turn. Raises AirflowGone where a fault says so.

    `queued`: a task that may be under way in so many runs waits in Airflow's queue, where nothing of it is done; else
    all tasks that are ready are under way.
    """
    walkers = [Walker(world, run, only) for run in runs]
    for walker in walkers:
        walker.beside = [one for one in walkers if one is not walker]
        walker.queued = queued
    while True:
        over = [walker.go_on() for walker in walkers]
        if all(over):
            return [walker.walk for walker in walkers]
        if not any(walker.may_go_on for walker in walkers):
            world.advance((min(walker.due for walker in walkers) - world.now()).total_seconds())


class Walker:
    """One run on its way; `people` is where a person interferes."""

    def __init__(self, world: World, run: Run, only: str) -> None:
        self.walk = Walk(run)
        self._world = world
        self._tasks = [
            task for task in tasks_of(run.pipeline) if not only or task.id.startswith(("plan", only))
        ]
        self._waiting: dict[str, tuple[datetime, Attempt]] = {}
        self._retrying: dict[str, datetime] = {}
        # As Airflow counts, for the tasks whose numbers are not those of a first try.
        self._try_number: dict[str, int] = {}
        self._max_tries: dict[str, int] = {}
        self.beside: list[Walker] = []
        self.queued = False

    @property
    def due(self) -> datetime:
        """When there is something to do next."""
        times = [at for at, _ in self._waiting.values()] + list(self._retrying.values())
        return min(times, default=datetime.max.replace(tzinfo=self._world.now().tzinfo))

    @property
    def is_over(self) -> bool:
        return len(self.walk.states) == len(self._tasks)

    @property
    def may_go_on(self) -> bool:
        """Whether there is something to do now."""
        return any(self._is_ready(task) for task in self._tasks)

    def is_under_way(self, task_id: str) -> bool:
        return task_id in self._waiting

    def go_on(self) -> bool:
        """Do all that can be done now; whether the run is over."""
        while True:
            ready = [task for task in self._tasks if self._is_ready(task)]
            if not ready:
                return self.is_over
            for task in ready:
                if self._is_ready(task):
                    self._attend(task)

    def _is_ready(self, task: Task) -> bool:
        now = self._world.now()
        if task.id in self.walk.states:
            return False
        if task.id in self._waiting:
            return self._waiting[task.id][0] <= now
        if self._is_queued(task):
            return False
        if task.id in self._retrying:
            return self._retrying[task.id] <= now
        return all(one in self.walk.states for one in self._upstream(task))

    def _is_queued(self, task: Task) -> bool:
        at_it = sum(other.is_under_way(task.id) for other in self.beside)
        return self.queued and task.at_once is not None and at_it >= task.at_once

    def _upstream(self, task: Task) -> Iterator[str]:
        known = {one.id for one in self._tasks}
        return (one for one in task.upstream if one in known)

    def _attend(self, task: Task) -> None:
        self._retrying.pop(task.id, None)
        failed = [one for one in self._upstream(task) if self.walk.states[one] != "success"]
        if failed and not task.teardown:
            self.walk.states[task.id] = "upstream_failed"
        elif task.step is None:
            bad = task.id == "verdict" and list_failed(self.walk.states, idle=bool(self.walk.idle))
            self.walk.states[task.id] = "failed" if bad else "success"
        else:
            self._work(task, task.step)

    def _work(self, task: Task, step: Step) -> None:
        _, attempt = self._waiting.pop(task.id, (None, None))
        try:
            if attempt is None:
                attempt = Attempt(step, self._run_of(task), self._world)
                self._try_number[task.id] = self._try_number.get(task.id, 0) + 1
            outcome = _poll(attempt) if attempt.begun else attempt.try_to_begin()
        except AirflowGone:
            raise
        except (Exception, Killed) as error:  # noqa: BLE001  as Airflow does
            self._fail(task, error)
            return
        if outcome is None or isinstance(outcome, Waiting):
            self._waiting[task.id] = (attempt.due, attempt)
            return
        self.walk.results[task.id] = outcome.result
        if isinstance(outcome, Failed):
            self.walk.errors.setdefault(task.id, []).append(MayflyError(outcome.message))
        self.walk.states[task.id] = "success" if isinstance(outcome, Done) else "failed"
        if isinstance(outcome, Done) and outcome.nothing_to_do:
            self.walk.idle = outcome.nothing_to_do
            for one in idle_tasks(self.walk.run.pipeline, task.id, leftovers=outcome.leftovers):
                self.walk.states[one] = "skipped"

    def _run_of(self, task: Task) -> Run:
        """The run as the task's operator gives it to its step."""
        return replace(
            self.walk.run,
            max_tries=self._max_tries.get(task.id, task.retries),
            succeeded=all(self.walk.states.get(one) == "success" for one in self._before(task)),
            is_under_way=lambda run_id: any(
                one.walk.run.run_id == run_id and not one.is_over for one in self.beside
            ),
        )

    def _before(self, task: Task) -> set[str]:
        """All tasks that come before it, near and far."""
        by_id = {one.id: one for one in self._tasks}
        found: set[str] = set()
        left = list(self._upstream(task))
        while left:
            if (one := left.pop()) not in found:
                found.add(one)
                left += self._upstream(by_id[one])
        return found

    def _fail(self, task: Task, error: BaseException) -> None:
        tries = self.walk.errors.setdefault(task.id, [])
        tries.append(error)
        if isinstance(error, NO_RETRY) or len(tries) > task.retries:
            self.walk.states[task.id] = "failed"
        else:
            self._retrying[task.id] = self._world.now() + timedelta(seconds=RETRY_S)


def _poll(attempt: Attempt) -> Outcome:
    try:
        return attempt.poll()
    except AirflowGone:
        raise
    except Killed:
        return attempt.resume()


@lru_cache(maxsize=8)
def idle_tasks(pipeline: Pipeline, task_id: str, *, leftovers: bool) -> tuple[str, ...]:
    """What the task's operator tells Airflow to skip where its step has nothing to do."""
    from subdags import make_dag

    operator = make_dag(pipeline).get_task(task_id)
    assert isinstance(operator, StepOperator)
    return tuple(operator.list_idle(leftovers=leftovers))


@lru_cache(maxsize=8)
def tasks_of(pipeline: Pipeline) -> tuple[Task, ...]:
    """The DAG's tasks, each after what it waits for."""
    from subdags import make_dag

    return tuple(
        Task(
            id=task.task_id,
            step=getattr(task, "step", None),
            upstream=frozenset(task.upstream_task_ids),
            teardown=task.is_teardown,
            retries=int(task.retries or 0),
            at_once=task.max_active_tis_per_dag,
        )
        for task in make_dag(pipeline).topological_sort()
    )
