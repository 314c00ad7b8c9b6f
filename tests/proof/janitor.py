"""One pass of the janitor in a world."""

from __future__ import annotations

from airflow_lib.errors import MayflyError
from airflow_lib.janitor import make_pass
from tests.world import World, settings
from tests.world.neighbours import BROKEN, ODD
from tests.world.wire import AirflowGone, Killed

_THINGS_OF_ODD = 3  # a cluster, a role, a group


def pass_once(world: World) -> list[str]:
    """What it could not do, but for the neighbour whose register nobody can read: that must be told.

    It is a process of its own: what kills it kills no run.
    """
    try:
        sweepers = make_pass(settings(), world.aws, world.timeline, sleep=world.advance)
    except AirflowGone:
        raise
    except (MayflyError, Killed) as error:
        return [f"it ended before its time: {error}"]
    by_pipeline = {one.holder.environment.pipeline: one for one in sweepers}
    if by_pipeline.keys() - {world.pipeline.name} != {BROKEN, ODD}:
        return [f"it looked after {sorted(by_pipeline)}"]
    broken, odd = by_pipeline.pop(BROKEN), by_pipeline[ODD]
    errors = [error for one in by_pipeline.values() for error in one.errors]
    if not broken.errors or broken.findings:
        errors.append(f"a register that cannot be read is not told of: {broken.findings}")
    if len(odd.findings) != _THINGS_OF_ODD:
        errors.append(f"what a register does not know is not told of: {odd.findings}")
    return errors
