"""One pass of the janitor in a world."""

from __future__ import annotations

from airflow_lib.janitor import make_pass
from airflow_lib.steps import Services
from tests.world import World, settings


def pass_once(world: World) -> list[str]:
    """What it could not do."""
    services = Services(aws=world.aws, clock=world.timeline, open_livy=world.livy.open)
    caretakers = make_pass(settings(), services, sleep=world.advance)
    return [error for one in caretakers for error in one.errors]
