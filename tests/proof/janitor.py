"""One pass of the janitor in a world."""

from __future__ import annotations

from airflow_lib.errors import MayflyError
from airflow_lib.janitor import make_pass
from tests.world import World, settings
from tests.world.wire import AirflowGone, Killed


def pass_once(world: World) -> list[str]:
    """What it could not do. It is a process of its own: what kills it kills no run."""
    try:
        sweepers = make_pass(settings(), world.aws, world.timeline, sleep=world.advance)
    except AirflowGone:
        raise
    except (MayflyError, Killed) as error:
        return [f"it ended before its time: {error}"]
    return [error for one in sweepers for error in one.errors]
