"""Whether OpenLineage is told of a task, and what: put together in the task, and only where somebody wants it.

Airflow's provider asks an operator for it (`get_openlineage_facets_on_complete`) in a process that it forks, in which
the task's connection to its supervisor must not be used: so all is there by then. It is asked for only where the
provider is installed and configured. Whatever goes wrong with it is logged, and fails no task.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_lib.steps import Json, Run, Step
from airflow_lib.steps.answer import PublishAnswer
from airflow_lib.steps.load import LoadWindow
from airflow_lib.steps.transform import RunJob

if TYPE_CHECKING:
    from operators.lineage_datasets import Lineage

log = logging.getLogger(__name__)


def note_lineage(open_run: Callable[[], Run], step: Step, result: Json) -> Lineage | None:
    """What OpenLineage is told of the step; None where it is not told anything, or that cannot be put together."""
    if not isinstance(step, RunJob | LoadWindow | PublishAnswer) or not _is_told():
        return None
    # The provider need not be installed.
    from operators.lineage_datasets import describe_lineage  # noqa: PLC0415

    try:
        return describe_lineage(open_run(), step, result)
    except Exception as error:  # noqa: BLE001  the work is done, whether or not somebody is told of it
        log.warning("OpenLineage is told of neither inputs nor outputs: %s", error)
        return None


def _is_told() -> bool:
    try:
        from airflow.providers.openlineage.conf import is_disabled  # noqa: PLC0415
    except ImportError:
        return False
    return not is_disabled()
