"""The task that makes one pass of the janitor over the deployment."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from airflow_lib.janitor import make_pass
from airflow_lib.steps import Done, Json
from operators.airflow_run import open_services, read_settings
from operators.notifiers import list_mistakes, tell


class JanitorOperator(BaseOperator):
    """Removes what is left over in every environment, and returns what it found; fails where anything failed.

    A failed pass is not retried: its teardowns hold leases of their own, and the next pass continues them.
    """

    custom_operator_name = "Janitor"  # see StepOperator

    def execute(self, context: Any) -> Json:
        settings = read_settings()
        services = open_services(settings)
        sweepers = make_pass(
            settings, services.aws, services.clock, sleep=time.sleep, tell=partial(tell, context)
        )
        found = {one.holder.environment.name: one.findings for one in sweepers if one.findings}
        errors = [f"{one.holder.environment.name}: {error}" for one in sweepers for error in one.errors]
        errors += list_mistakes(settings)
        if errors:
            raise AirflowFailException("\n".join(errors))
        return Done({"environments": len(sweepers), "found": found}).result
