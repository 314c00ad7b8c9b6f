"""A person at a run: what Airflow 3.3 does to its tasks when somebody interferes, on the world's clock.

Read in Airflow's source (api/common/mark_tasks.py, models/taskinstance.py:clear_task_instances, models/dagrun.py,
ti_deps/deps/trigger_rule_dep.py, core_api/routes/public/dag_run.py); tests/sandbox/test_people.py tries each once.
Running tasks are killed, deferred ones lose their trigger (`on_kill`), and who may run next follows the edges,
the setups and the states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from airflow_lib.errors import MayflyError
from airflow_lib.pipeline import Pipeline
from airflow_lib.steps import Done, Failed, Outcome, Run, Step, Waiting
from operators.plan_and_verdict import list_failed
from tests.world import World
from tests.world.walk import Attempt, Task, Walker

_BAD = frozenset({"failed", "upstream_failed"})


class Attended(Walker):
    """A run that stops where a person interferes, and goes on as Airflow lets it."""

    def __init__(self, world: World, run: Run) -> None:
        super().__init__(world, run, only="")
        self._by_id = {task.id: task for task in self._tasks}
        self._dag = dag_of(run.pipeline)
        self._in_worker: str | None = None
        self._paused = False
        self._fired: dict[str, Any] = {}  # whose triggers are through while the DAG is paused
        self._outlived: list[tuple[datetime, Attempt]] = []  # triggers of tasks that were cleared

    @property
    def due(self) -> datetime:
        times = [at for at, _ in self._outlived]
        times += [at for at, _ in self._waiting.values()] if self._paused else [super().due]
        return min(times, default=datetime.max.replace(tzinfo=UTC))

    # Going on

    def go_until(self, reached: Callable[[], bool]) -> None:
        """Go on until `reached`, which is asked before each thing that happens."""
        while not reached():
            if not self._do_one():
                self._world.advance((self.due - self._world.now()).total_seconds())

    def finish(self) -> None:
        """Go on to the run's end."""
        self.go_until(lambda: len(self.walk.states) == len(self._tasks))

    def let_pass(self, seconds: float) -> None:
        """Go on with what can go on for so long."""
        until = self._world.now().timestamp() + seconds
        while (now := self._world.now().timestamp()) < until:
            if not self._do_one():
                self._world.advance(min(self.due.timestamp(), until) - now)

    def waits(self, *task_ids: str, knowing: str | None = None) -> bool:
        """Whether these tasks are deferred; `knowing` is a key of their state."""
        return all(
            one in self._waiting and (knowing is None or knowing in self._state(one)) for one in task_ids
        )

    def is_next(self, task_id: str) -> bool:
        """Whether a worker may begin the task now."""
        return self._is_ready(self._by_id[task_id])

    def start(self, task_id: str, *, through: bool) -> None:
        """A worker is at a task that never waits: it did all of it but reported nothing yet (`through`), or nothing."""
        self._in_worker = task_id
        if through:
            self._do(task_id)

    # What people do

    def mark_failed(self) -> None:
        """The run: who works or waits has failed, who has not begun is skipped, teardowns are spared."""
        for task in self._tasks:
            if task.teardown or task.id in self.walk.states:
                continue
            self.walk.states[task.id] = "failed" if self._kill(task.id) else "skipped"

    def mark_task_failed(self, task_id: str) -> None:
        """One task; what failed because of it before is to run again."""
        self._kill(task_id)
        self.walk.states[task_id] = "failed"
        for later in self._dag.get_task(task_id).get_flat_relatives(upstream=False):
            if self.walk.states.get(later.task_id) in _BAD:
                self._forget(later.task_id)

    def clear(self, task_id: str, *, downstream: bool, outlived_s: float | None = None) -> None:
        """A task, with the setups and teardowns that it needs; `downstream` is the UI's default, not the API's.

        With `outlived_s` the triggers of all that live on, unheard, and poll so much later than they would have:
        Airflow ends them in its triggerer's later rounds, and was seen to begin one 12 s after its task was cleared.
        """
        subset = self._dag.partial_subset([task_id], include_upstream=False, include_downstream=downstream)
        self._clear(subset.task_dict, outlived_s)

    def clear_alone(self, task_id: str, *, downstream: bool) -> None:
        """A task without its setups, and without its teardowns unless they are `downstream`, as Airflow 3.2 does.

        So its UI did (apache/airflow issue 68184); 3.3 clears both with it (`SerializedDAG.clear`).
        """
        after = self._dag.get_task(task_id).get_flat_relatives(upstream=False) if downstream else ()
        self._clear([task_id, *(task.task_id for task in after)], None)

    def clear_all(self, *, outlived_s: float | None = None) -> None:
        """The whole run; `outlived_s` as in `clear`."""
        self._clear(self._by_id, outlived_s)

    def delete(self) -> None:
        """The run: nothing of it goes on, teardowns neither."""
        for task in self._tasks:
            self._kill(task.id)
        self._tasks = []

    def pause(self) -> None:
        """The DAG: workers and triggers go on with what they are at, and nothing is begun or resumed."""
        if self._in_worker is not None:
            self._do(self._in_worker)  # what it did already it may do again
            self.walk.states[self._in_worker] = "success"
            self._in_worker = None
        self._paused = True

    def unpause(self) -> None:
        """What triggers met meanwhile is heard of now."""
        self._paused = False
        self._waiting |= {task_id: (self._world.now(), fired) for task_id, fired in self._fired.items()}
        self._fired = {}

    # What Airflow does

    def _do_one(self) -> bool:
        self._let_outlived_poll()
        task = next((one for one in self._tasks if self._is_ready(one)), None)
        if task is not None:
            self._attend(task)
        return task is not None

    def _let_outlived_poll(self) -> None:
        polling, self._outlived = self._outlived, []
        for at, attempt in polling:
            if at > self._world.now():
                self._outlived.append((at, attempt))
            elif _Fired.poll_of(attempt) is None:
                self._outlived.append((attempt.due, attempt))

    def _is_ready(self, task: Task) -> bool:
        if self._paused:
            return task.id in self._waiting and super()._is_ready(task)
        if task.id == self._in_worker or not super()._is_ready(task):
            return False
        return all(one in self.walk.states for one in self._setups(task))

    def _attend(self, task: Task) -> None:
        blocked = self._blocked(task)
        if task.id in self._waiting or (blocked is None and task.step is not None):
            super()._attend(task)
        elif blocked is not None:
            self.walk.states[task.id] = blocked
        elif task.id == "verdict":
            self.walk.states[task.id] = (
                "failed" if list_failed(self.walk.states, idle=bool(self.walk.idle)) else "success"
            )
        else:
            self.walk.states[task.id] = "success"

    def _blocked(self, task: Task) -> str | None:
        """The state that a task gets without being begun."""
        if task.teardown:
            setups = {self.walk.states[one] for one in task.upstream if self._dag.get_task(one).is_setup}
            if setups == {"skipped"}:
                return "skipped"
            return None if "success" in setups else "upstream_failed"
        before = {self.walk.states[one] for one in (*task.upstream, *self._setups(task))}
        if before & _BAD:
            return "upstream_failed"
        return "skipped" if "skipped" in before else None

    def _setups(self, task: Task) -> Iterable[str]:
        """What a task waits for although no edge says so: the setups of the scopes that it is in."""
        if task.teardown:
            return ()
        return (one.task_id for one in self._dag.get_task(task.id).get_upstreams_only_setups())

    def _work(self, task: Task, step: Step) -> None:
        if not self._paused or not self._waiting[task.id][1].begun:  # whoever has not begun is in a worker
            super()._work(task, step)
            return
        _, attempt = self._waiting.pop(task.id)
        fired = _Fired.poll_of(attempt)
        if fired is None:
            self._waiting[task.id] = (attempt.due, attempt)
        else:
            self._fired[task.id] = fired

    def _clear(self, task_ids: Iterable[str], outlived_s: float | None) -> None:
        for task_id in task_ids:
            if outlived_s is not None and task_id in self._waiting:
                at, attempt = self._waiting[task_id]
                if attempt.begun:  # a worker that has not begun has no trigger that could outlive it
                    self._outlived.append((at + timedelta(seconds=outlived_s), attempt))
            self._kill(task_id)
            self._forget(task_id)

    def _forget(self, task_id: str) -> None:
        """As clear_task_instances does: tries are counted on, and as many retries are allowed as at first."""
        self._max_tries[task_id] = self._try_number.get(task_id, 0) + self._by_id[task_id].retries
        if task_id == "provision.preflight":
            self.walk.idle = ""
        for kept in (self.walk.states, self.walk.results, self.walk.errors, self._retrying):
            kept.pop(task_id, None)

    def _kill(self, task_id: str) -> bool:
        """End whoever is at the task; whether anybody was."""
        if self._in_worker == task_id:
            self._in_worker = None
            return True
        if task_id not in self._waiting:
            return False
        state = self._state(task_id)
        del self._waiting[task_id]
        with suppress(MayflyError):  # Airflow only logs what `on_kill` raises
            self._step(task_id).cancel(self._run_of(self._by_id[task_id]), state)
        return True

    def _do(self, task_id: str) -> None:
        Attempt(self._step(task_id), self._run_of(self._by_id[task_id]), self._world).begin()
        self._try_number[task_id] = self._try_number.get(task_id, 0) + 1

    def _state(self, task_id: str) -> dict[str, Any]:
        waiting = self._waiting[task_id][1].waiting
        return waiting.state if waiting else {}

    def _step(self, task_id: str) -> Step:
        step = self._by_id[task_id].step
        assert step is not None
        return step


class _Fired:
    """In place of an attempt whose trigger has fired: what the task is to hear of once it may be resumed."""

    begun, waiting = True, None

    def __init__(self, heard: Done | Failed | Exception) -> None:
        self._heard = heard

    @classmethod
    def poll_of(cls, attempt: Attempt) -> Any:
        """One poll by the trigger; None where it polls again."""
        try:
            outcome = attempt.poll()
        except Exception as error:  # noqa: BLE001  as the trigger does
            return cls(error)
        return None if isinstance(outcome, Waiting) else cls(outcome)

    def poll(self) -> Outcome:
        if isinstance(self._heard, Exception):
            raise self._heard
        return self._heard


@lru_cache(maxsize=8)
def dag_of(pipeline: Pipeline) -> Any:
    from subdags import make_dag

    return make_dag(pipeline)
