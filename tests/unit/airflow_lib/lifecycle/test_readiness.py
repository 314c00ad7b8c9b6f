"""A pipeline that is not ready in time is told of once; a backfill, and what is loaded, are nobody's alarm."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest

from airflow_lib.errors import ResourceError
from airflow_lib.janitor import CLEAN, ERROR, judge, make_pass
from airflow_lib.lifecycle.notify import Notice
from airflow_lib.lifecycle.readiness import Readiness, note_ready, tell_if_late
from airflow_lib.pipeline import Window
from airflow_lib.pipeline.ready_by import ReadyBy
from airflow_lib.steps import Run
from airflow_lib.steps.provision import TakeLease
from tests.world import World
from tests.world.account import BUCKET
from tests.world.walk import drive

BY = ReadyBy.parse("06:00 Europe/Berlin")
KEY = "state/immigration/ready.json"
PASS_S = 900
SETTINGS = {"immigration": {"ready_by": "06:00 Europe/Berlin"}}


@pytest.fixture
def told() -> list[Notice]:
    return []


@pytest.fixture
def look(world: World, run: Run, told: list[Notice]) -> Callable[..., None]:
    """A pass's look."""

    def look_now(tell: Any = lambda _, notice: told.append(notice), **options: Any) -> None:
        tell_if_late(run.holder, BY, tell, **options)

    return look_now


@pytest.fixture
def due(world: World, run: Run, look: Callable[..., None]) -> date:
    """A day that is due: it is written down since yesterday what is loaded, and it is 06:00 in Berlin."""
    look()
    today = (world.now() + timedelta(days=2)).astimezone(BY.zone).date()
    world.advance((datetime.combine(today, time(6), BY.zone) - world.now()).total_seconds())
    return today - timedelta(days=1)


def days(first: date, count: int = 1) -> Window:
    return Window(first, first + timedelta(days=count))


def stored(world: World) -> Any:
    return json.loads(world.others.s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read())


def store(world: World, body: bytes) -> None:
    world.others.s3.put_object(Bucket=BUCKET, Key=KEY, Body=body)


def test_a_day_that_no_run_has_loaded_is_told_once(
    world: World, look: Callable[..., None], due: date, told: list[Notice]
) -> None:
    for _ in range(5):
        look()
        world.advance(PASS_S)
    (notice,) = told
    assert notice.about == {"late"}
    assert notice.message.startswith(
        f"Pipeline immigration is late: {due} was to be loaded by 06:00 Europe/Berlin of {due + timedelta(days=1)}"
    )
    assert "No run holds a lease" in notice.message


def test_the_next_day_is_told_again(
    world: World, look: Callable[..., None], due: date, told: list[Notice]
) -> None:
    look()
    world.advance(24 * 3600)
    look()
    assert [str(due + timedelta(days=more)) in one.message for more, one in enumerate(told)] == [True, True]


def test_a_second_before_the_time_nothing_is_late(
    world: World, look: Callable[..., None], due: date, told: list[Notice], run: Run
) -> None:
    note_ready(run.holder, days(due))
    world.advance(24 * 3600 - 1)
    look()
    assert told == []
    world.advance(1)
    look()
    assert len(told) == 1


@pytest.mark.parametrize("windows", ["the day", "a month around it", "instants", "two that touch"])
def test_a_day_that_is_loaded_is_not_told(
    look: Callable[..., None], due: date, told: list[Notice], run: Run, windows: str
) -> None:
    start, end = (
        BY.midnight(day).astimezone(run.services.clock.now().tzinfo) for day in (due, due + timedelta(days=1))
    )
    noted = {
        "the day": [days(due)],
        "a month around it": [days(due - timedelta(days=20), 30)],
        "instants": [Window(start, end)],
        "two that touch": [
            Window(start + timedelta(hours=7), end),
            Window(start, start + timedelta(hours=7)),
        ],
    }[windows]
    for window in noted:
        note_ready(run.holder, window)
    look()
    assert told == []


def test_a_day_of_which_an_hour_is_missing_is_late(
    look: Callable[..., None], due: date, told: list[Notice], run: Run
) -> None:
    utc = run.services.clock.now().tzinfo
    start, end = (BY.midnight(day).astimezone(utc) for day in (due, due + timedelta(days=1)))
    note_ready(run.holder, Window(start, end - timedelta(hours=1)))
    note_ready(run.holder, Window(end, end + timedelta(hours=5)))
    look()
    assert len(told) == 1


def test_a_backfill_of_days_long_past_alarms_nobody_and_excuses_nothing(
    world: World, look: Callable[..., None], due: date, told: list[Notice], run: Run
) -> None:
    note_ready(run.holder, days(due))
    for day in (date(2016, 4, 1), date(2016, 4, 29)):
        note_ready(run.holder, days(day))
        look()
    assert told == []
    world.advance(24 * 3600)
    look()
    assert len(told) == 1


def test_what_was_due_before_anybody_wrote_down_what_is_loaded_is_not_told(
    world: World, look: Callable[..., None], told: list[Notice]
) -> None:
    look()
    world.advance(60)
    look()
    assert told == []
    assert stored(world)["since"]


def test_a_run_that_is_under_way_is_named(
    world: World, look: Callable[..., None], due: date, told: list[Notice], run: Run
) -> None:
    drive(TakeLease(), run, world)
    look()
    assert told[0].message.endswith("Under way: run1.")


def test_a_register_that_cannot_be_read_is_told_and_keeps_nobody_from_telling(
    world: World, look: Callable[..., None], due: date, told: list[Notice]
) -> None:
    world.others.s3.put_object(Bucket=BUCKET, Key="state/immigration/register.json", Body=b"[]")
    look()
    assert "Whether a run is under way is not known: " in told[0].message


def test_of_two_passes_at_once_one_tells(
    look: Callable[..., None], due: date, told: list[Notice], run: Run
) -> None:
    def tell(_: Any, notice: Notice) -> None:
        told.append(notice)
        look()  # the other one, meanwhile

    look(tell)
    assert len(told) == 1


def test_a_pass_that_was_overtaken_when_it_takes_the_day_tells_nobody(
    world: World, look: Callable[..., None], due: date, told: list[Notice], monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_lib.lifecycle import readiness

    put = readiness.put_object_if

    def overtake(*arguments: Any, **options: Any) -> None:
        monkeypatch.setattr(readiness, "put_object_if", put)
        look()
        put(*arguments, **options)

    monkeypatch.setattr(readiness, "put_object_if", overtake)
    look()
    assert len(told) == 1


def test_what_a_pass_could_not_send_the_next_ones_send_and_not_for_ever(
    world: World, look: Callable[..., None], due: date
) -> None:
    tries: list[Notice] = []

    def fail(_: Any, notice: Notice) -> None:
        tries.append(notice)
        raise ResourceError("no topic")

    for _ in range(3):
        with pytest.raises(ResourceError, match="no topic"):
            look(fail)
        world.advance(PASS_S)
    look(fail)
    assert len(tries) == 3


def test_what_a_pass_that_died_took_upon_itself_is_told_by_a_later_one(
    world: World, look: Callable[..., None], due: date, told: list[Notice]
) -> None:
    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look(die)
    look()  # it may be at it yet
    assert told == []
    world.advance(PASS_S)
    look()
    assert len(told) == 1


def test_a_dry_run_writes_and_tells_nothing(
    world: World,
    look: Callable[..., None],
    due: date,
    told: list[Notice],
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = stored(world)
    with caplog.at_level(logging.WARNING):
        look(dry_run=True)
    assert told == []
    assert stored(world) == before
    assert "is late" in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"version": 2}',
        b'{"version": 1}',
        b'{"version": 1, "since": "2026-01-01"}',
        b'{"version": 1, "since": "2026-01-01T00:00:00Z", "days": [["a", "b"]]}',
        b'{"version": 1, "since": "2026-01-01T00:00:00Z", "days": [["2026-01-01"]]}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_what_is_not_ours_is_not_known_and_never_written_over(
    world: World, look: Callable[..., None], due: date, run: Run, body: bytes
) -> None:
    store(world, body)
    with pytest.raises(ResourceError, match=r"ready\.json is not what Mayfly wrote .* Delete it"):
        look()
    with pytest.raises(ResourceError):
        note_ready(run.holder, days(due))
    assert world.others.s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read() == body


def test_runs_that_end_at_once_are_all_written_down(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_lib.lifecycle import readiness

    put = readiness.put_object_if

    def overtake(*arguments: Any, **options: Any) -> None:
        monkeypatch.setattr(readiness, "put_object_if", put)
        note_ready(run.holder, days(date(2026, 1, 3)))
        put(*arguments, **options)

    monkeypatch.setattr(readiness, "put_object_if", overtake)
    note_ready(run.holder, days(date(2026, 1, 1)))
    assert stored(world)["days"] == [["2026-01-01", "2026-01-02"], ["2026-01-03", "2026-01-04"]]


def test_of_days_that_lie_apart_the_latest_hundred_are_kept_and_those_that_touch_are_one() -> None:
    found = Readiness(since=datetime.fromisoformat("2026-01-01T00:00:00+00:00"))
    for number in range(150):
        found = found.with_window(days(date(2020, 1, 1) + timedelta(days=2 * number)))
    assert len(found.days) == 100
    assert found.days[-1][0] == date(2020, 1, 1) + timedelta(days=298)
    joined = found.with_window(days(found.days[0][0], 300))
    assert len(joined.days) == 1


def test_a_pass_looks_at_each_pipeline_that_is_to_be_ready_also_where_no_run_ever_was(
    world: World, make_run: Callable[..., Run]
) -> None:
    """With the janitor's own Holder, from the settings: as cron does on another host, where no Airflow is."""
    told: list[str] = []
    pipelines = {**SETTINGS, "birds": {"ready_by": "06:00 Europe/Berlin"}, "flats": {"keep_alive_s": 0}}
    run = make_run(pipelines=pipelines)

    def go() -> int:
        clock = run.services.clock
        tell = lambda _, notice: told.append(notice.message.split(" is late")[0])  # noqa: E731
        return judge(make_pass(run.settings, run.aws, clock, sleep=world.advance, tell=tell))

    assert go() == CLEAN
    world.advance(2 * 24 * 3600)
    assert [go(), go()] == [CLEAN, CLEAN]
    assert told == ["Pipeline birds", "Pipeline immigration"]


def test_that_it_is_not_known_is_an_error_of_the_pass_and_is_told(
    world: World, make_run: Callable[..., Run]
) -> None:
    told: list[Notice] = []
    run = make_run(pipelines=SETTINGS)
    store(world, b"[]")
    passed = make_pass(
        run.settings,
        run.aws,
        run.services.clock,
        sleep=world.advance,
        tell=lambda _, notice: told.append(notice),
    )
    assert judge(passed) == ERROR
    (notice,) = told
    assert notice.about == {"leftovers"}
    assert (
        "whether it is ready by 06:00 Europe/Berlin: Whether immigration is ready is not known"
        in notice.message
    )


def test_without_a_time_nothing_is_read_or_written(world: World, run: Run) -> None:
    make_pass(run.settings, run.aws, run.services.clock, sleep=world.advance)
    keys = [str(call.params.get("Key")) for call in world.wire.calls]
    assert not any(key.endswith("ready.json") for key in keys)


def test_the_zone_of_the_holder_does_not_matter(look: Callable[..., None], due: date, run: Run) -> None:
    note_ready(replace(run.holder, id="another"), days(due))
    look(lambda *_: pytest.fail("it is loaded"))
