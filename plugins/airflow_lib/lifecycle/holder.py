"""Who may hold the slots of an environment and tear them down: a run, or one pass of the janitor."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_lib import naming
from airflow_lib.aws.clients import Aws
from airflow_lib.aws.s3_location import S3Location
from airflow_lib.lifecycle.register import Register
from airflow_lib.naming import Environment
from airflow_lib.polling import Clock
from airflow_lib.settings import Settings


@dataclass(frozen=True)
class Holder:
    """`id` is its name in the register, and its own alone; `lease_s` is how long its leases last."""

    environment: Environment
    id: str
    settings: Settings
    aws: Aws
    clock: Clock
    lease_s: float

    @property
    def register(self) -> Register:
        """The environment's register, opened for this holder."""
        state = S3Location.parse(self.settings.mayfly.s3.state).below(self.environment.pipeline)
        return Register(self.aws.s3, state, self.environment, holder=self.id, lease_s=self.lease_s)

    def tags(self, generation: int) -> dict[str, str]:
        """The tags of what is created for a generation now."""
        return naming.tags(self.environment, generation, self.clock.now(), self.settings.mayfly.max_age_s)
