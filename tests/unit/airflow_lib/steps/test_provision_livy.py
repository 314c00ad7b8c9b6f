"""The first contact with a cluster's Livy: what is waited for, what fails, and what is recorded."""

from __future__ import annotations

import pytest

from airflow_lib.errors import (
    LivyDenied,
    WaitTimeout,
)
from airflow_lib.lifecycle.document import LivyRecord
from airflow_lib.naming import Slot
from airflow_lib.steps import Done, Run, Waiting
from airflow_lib.steps.provision import (
    EnsureEmr,
)
from airflow_lib.steps.release import ReleaseSlot
from tests.unit.airflow_lib.steps.provisioning import HASTY, MakeRun, lease, provide
from tests.world import World
from tests.world.pipeline import PIPELINE
from tests.world.walk import drive


def test_livy_that_never_answers_ends_at_a_deadline_that_names_it(world: World, make_run: MakeRun) -> None:
    run = make_run(**HASTY)
    lease(world, run)
    world.livy.down = True
    with pytest.raises(WaitTimeout, match="Livy on .*refused"):
        drive(EnsureEmr(), run, world)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b"<html>Error 404 Not Found</html>"),
        (404, b'{"msg": "no"}'),
        (200, b"null"),
        (200, b'"busy"'),
        (200, b"<html>nginx</html>"),
        (200, b'{"status": "up"}'),
        (302, b""),
        (500, b""),
    ],
)
def test_what_answers_before_livy_does_is_waited_for(
    world: World, run: Run, status: int, body: bytes
) -> None:
    lease(world, run)
    world.livy.odd = (status, body)
    outcome = EnsureEmr().begin(run)
    for _ in range(10):
        assert isinstance(outcome, Waiting)
        world.advance(outcome.poll_s)
        outcome = EnsureEmr().poll(run, outcome.state)
    assert isinstance(outcome, Waiting)
    assert "Livy on" in outcome.what
    assert world.register(PIPELINE).emr.livy is None
    world.livy.odd = None
    assert isinstance(EnsureEmr().poll(run, outcome.state), Done)


@pytest.mark.parametrize("status", [401, 403, 407])
def test_livy_that_asks_for_credentials_fails_as_soon_as_it_answers(
    world: World, run: Run, status: int
) -> None:
    lease(world, run)
    world.livy.odd = (status, b"User not authorised to use Livy.")
    began = world.now()
    with pytest.raises(LivyDenied, match=rf"{status} User not authorised .* switch authentication off"):
        drive(EnsureEmr(), run, world)
    assert (world.now() - began).total_seconds() < 900


@pytest.mark.parametrize("speak_tls", [True, False])
def test_how_livy_was_reached_is_recorded_with_the_cluster_and_forgotten_with_it(
    world: World, run: Run, speak_tls: bool
) -> None:
    world.livy.speak_tls = speak_tls
    provide(world, run)
    (cluster,) = world.emr.live
    pinned = LivyRecord("https", world.livy.fingerprint(f"{cluster.id.lower()}.world.test"))
    assert world.register(PIPELINE).emr.livy == (pinned if speak_tls else LivyRecord("http"))
    drive(ReleaseSlot(Slot.EMR), run, world)
    assert world.register(PIPELINE).emr.livy is None
