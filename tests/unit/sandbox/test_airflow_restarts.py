"""When an Airflow component that died is restarted."""

from __future__ import annotations

from sandbox.airflow.restarts import RESTART_S, Decision, RestartPolicy


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_death_is_reported_once_and_the_component_is_restarted_after_a_pause() -> None:
    clock = Clock()
    restarts = RestartPolicy(clock)
    assert restarts.decide("scheduler") is Decision.REPORT
    clock.now_s = RESTART_S - 0.1
    assert restarts.decide("scheduler") is Decision.WAIT
    clock.now_s = RESTART_S
    assert restarts.decide("scheduler") is Decision.RESTART
    assert restarts.decide("scheduler") is Decision.REPORT


def die(restarts: RestartPolicy, clock: Clock, name: str, pause_s: float) -> Decision:
    """It dies, is restarted after the pause, and then lives for `pause_s`; returns the first decision."""
    decision = restarts.decide(name)
    if decision is Decision.REPORT:
        clock.now_s += RESTART_S
        assert restarts.decide(name) is Decision.RESTART
        clock.now_s += pause_s
    return decision


def test_a_component_that_dies_repeatedly_is_given_up() -> None:
    clock = Clock()
    restarts = RestartPolicy(clock)
    assert [die(restarts, clock, "triggerer", 1) for _ in range(6)] == [Decision.REPORT] * 5 + [
        Decision.GIVE_UP
    ]


def test_old_deaths_and_deaths_of_other_components_do_not_count() -> None:
    clock = Clock()
    restarts = RestartPolicy(clock)
    assert {die(restarts, clock, "triggerer", 60) for _ in range(20)} == {Decision.REPORT}
    assert {die(restarts, clock, name, 0) for name in ("a", "b", "c") for _ in range(2)} == {Decision.REPORT}
