"""What each task of a run does, one class per task, without Airflow.

A step begins, and answers `Done`, `Failed` or `Waiting`; while it waits it is polled. The operators drive steps
in Airflow; the tests drive the same steps with a clock of their own. Steps keep nothing in memory between
calls: what they must remember is in the register, in S3, or in `Waiting.state` (JSON).
Outcomes make sure themselves that Airflow can send and store what they hold.
Steps that wait are `polling_step.PollingStep`s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from airflow_lib.aws.s3_location import S3Location
from airflow_lib.bounded_json import as_json, as_text
from airflow_lib.lifecycle.holder import Holder
from airflow_lib.naming import Environment
from airflow_lib.pipeline import Pipeline, Window
from airflow_lib.spark.job_graph import most_jobs_at_once
from airflow_lib.spark.sizing import SessionSize, size_sessions

if TYPE_CHECKING:
    from airflow_lib.aws.clients import Aws
    from airflow_lib.lifecycle.register import Register
    from airflow_lib.polling import Clock
    from airflow_lib.settings import Settings
    from airflow_lib.spark.livy import LivyClient
    from airflow_lib.spark.livy_http import LivyEndpoint

Json = dict[str, Any]


@dataclass(frozen=True)
class Done:
    """The step is through; `result` (JSON) is kept with the run for people to read.

    `nothing_to_do` says why the run has no work: what comes after the step is skipped then, and the run is green.
    With `leftovers` its releases are not skipped: somebody else left what may have to go.
    """

    result: Json = field(default_factory=dict)
    nothing_to_do: str = ""
    leftovers: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "result", as_json(self.result))
        object.__setattr__(self, "nothing_to_do", as_text(self.nothing_to_do))


@dataclass(frozen=True)
class Waiting:
    """The step waits: poll again in `poll_s` with `state` (JSON). `what` says what is not ready.

    `reopen`: AWS does not accept the run's credentials, so the next poll needs a run that was opened anew.
    """

    what: str
    state: Json
    poll_s: float
    reopen: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", as_json(self.state))


@dataclass(frozen=True)
class Failed:
    """The step is through and found what makes the run red; `result` is kept all the same. No retry helps."""

    result: Json
    message: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "result", as_json(self.result))
        object.__setattr__(self, "message", as_text(self.message))


Outcome = Done | Waiting | Failed


@dataclass(frozen=True)
class Services:
    """The outside world, as a run reaches it; tests bring stand-ins.

    `find_livy` is `spark.livy_http.find_endpoint`: the first contact with a cluster's Livy.
    """

    aws: Aws
    clock: Clock
    find_livy: Callable[..., LivyEndpoint]
    open_livy: Callable[[LivyEndpoint], LivyClient]


def _is_not_known(_: str) -> bool:
    return False


@dataclass(frozen=True)
class Run:
    """One run of one pipeline: what every step is given.

    `expects_more`: further runs of the pipeline are known to come, for which clusters may be kept alive.
    `max_tries` is Airflow's number for the task: it stays the same when Airflow tries the task again, and grows when
    a person clears it (airflow/models/taskinstance.py, clear_task_instances, Airflow 3.3). So it tells who is to go
    on waiting until the old deadline from who was given a new chance.
    `succeeded`: every task before this one has; only a release is told so, and whether the run `is_backfill`.
    `is_under_way`: whether another run, by its id, is known to be running; only releases and the inventory can ask.
    `force`: nothing counts as done already: the run's outputs have addresses of their own, and what the warehouse holds
    is loaded again.
    """

    pipeline: Pipeline
    run_id: str
    window: Window
    settings: Settings
    services: Services
    expects_more: bool = False
    max_tries: int = 0
    force: bool = False
    succeeded: bool = False
    is_backfill: bool = False
    is_under_way: Callable[[str], bool] = _is_not_known

    @property
    def environment(self) -> Environment:
        return Environment(self.settings.mayfly.deployment, self.pipeline.name)

    @property
    def holder(self) -> Holder:
        """The run as the register knows it."""
        lease_s = self.settings.mayfly.lease_s
        return Holder(self.environment, self.run_id, self.settings, self.aws, self.services.clock, lease_s)

    @property
    def register(self) -> Register:
        """The environment's register, opened for this run."""
        return self.holder.register

    @property
    def aws(self) -> Aws:
        return self.services.aws

    @property
    def session_size(self) -> SessionSize:
        """How big each of the run's Livy sessions is. Raises SizingError."""
        hardware = self.settings.hardware(self.pipeline)
        return size_sessions(hardware, most_jobs_at_once(self.pipeline), self.pipeline.max_parallel_runs)

    @property
    def source(self) -> S3Location:
        """The folder of the pipeline's input."""
        return self._folder(self.settings.mayfly.s3.source)

    @property
    def processed(self) -> S3Location:
        """The folder of the pipeline's Parquet and code."""
        return self._folder(self.settings.mayfly.s3.processed)

    @property
    def published(self) -> S3Location:
        """The folder of the pipeline's published answers."""
        return self._folder(self.settings.mayfly.s3.published)

    @property
    def logs(self) -> S3Location:
        """The folder of the pipeline's EMR logs and run reports."""
        return self._folder(self.settings.mayfly.s3.logs)

    @property
    def state_location(self) -> S3Location:
        """The folder of the pipeline's register."""
        return self._folder(self.settings.mayfly.s3.state)

    def _folder(self, location: str) -> S3Location:
        return S3Location.parse(location).below(self.pipeline.name)


class Step(Protocol):
    """A frozen dataclass of JSON-able fields.

    `checks_credentials`: it is there to say that AWS does not accept them, so it does not wait for renewed ones.
    """

    checks_credentials: ClassVar[bool]

    def begin(self, run: Run) -> Outcome:
        """Start, or find what an earlier attempt started. Raises MayflyError."""
        ...

    def poll(self, run: Run, state: Json) -> Outcome:
        """Poll once what is waited for; never sleeps. Raises MayflyError."""
        ...

    def cancel(self, run: Run, state: Json) -> None:
        """End what belongs to this run alone, because the task was killed while it waited."""
        ...


class ImmediateStep:
    """A step that never waits."""

    checks_credentials: ClassVar[bool] = False

    def poll(self, run: Run, state: Json) -> Outcome:
        raise NotImplementedError(f"{type(self).__name__} is done when it has begun")

    def cancel(self, run: Run, state: Json) -> None:
        """Nothing: the step runs only inside its task."""
