"""When a dead component of Airflow is started again."""

from __future__ import annotations

from sandbox.airflow.restarts import RESTART_S, Judgement, Restarts


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_death_is_news_once_and_the_component_is_started_a_while_later() -> None:
    clock = Clock()
    restarts = Restarts(clock)
    assert restarts.judge("scheduler") is Judgement.NEWS
    clock.now_s = RESTART_S - 0.1
    assert restarts.judge("scheduler") is Judgement.WAIT
    clock.now_s = RESTART_S
    assert restarts.judge("scheduler") is Judgement.START
    assert restarts.judge("scheduler") is Judgement.NEWS


def die(restarts: Restarts, clock: Clock, name: str, pause_s: float) -> Judgement:
    """It dies, is started again after its time, and lives for `pause_s`."""
    judgement = restarts.judge(name)
    if judgement is Judgement.NEWS:
        clock.now_s += RESTART_S
        assert restarts.judge(name) is Judgement.START
        clock.now_s += pause_s
    return judgement


def test_one_that_dies_over_and_over_is_given_up() -> None:
    clock = Clock()
    restarts = Restarts(clock)
    assert [die(restarts, clock, "triggerer", 1) for _ in range(6)] == [Judgement.NEWS] * 5 + [
        Judgement.GIVE_UP
    ]


def test_deaths_that_are_long_ago_or_another_ones_do_not_count() -> None:
    clock = Clock()
    restarts = Restarts(clock)
    assert {die(restarts, clock, "triggerer", 60) for _ in range(20)} == {Judgement.NEWS}
    assert {die(restarts, clock, name, 0) for name in ("a", "b", "c") for _ in range(2)} == {Judgement.NEWS}
