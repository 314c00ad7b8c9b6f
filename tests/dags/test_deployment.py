"""A deployment says when its pipelines run, without an edit of a DAG file."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_lib import declaration
from airflow_lib.errors import DeclarationError, SettingsError
from airflow_lib.pipeline import UNKNOWN_ZONE, Pipeline, Window
from airflow_lib.steps.serialization import to_json
from subdags import build_dag
from subdags.deployment import SCHEDULES, with_deployment
from subdags.schedule import schedule_mistakes
from tests.dags.flats import FLATS, INSTANTS, write_templates

NOON = {
    "schedule": "0 7 * * *",
    "timezone": "Europe/Berlin",
    "start": "2016-04-01",
    "catchup": True,
    "max_active_runs": 3,
}
Say = Callable[[Any], None]


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> Say:
    """Let the deployment say this: text as it is, anything else as JSON."""

    def set_variable(said: Any) -> None:
        monkeypatch.setenv(SCHEDULES, said if isinstance(said, str) else json.dumps(said))

    return set_variable


@pytest.fixture(autouse=True)
def code(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipelines that have code, besides the one that is asked about."""
    monkeypatch.setattr("subdags.deployment.list_pipelines", lambda: ["sightings"])


@pytest.fixture
def checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A checkout that has the files of FLATS, and those of no pipeline else."""
    write_templates(tmp_path / "sql_templates/flats")
    for job in FLATS.jobs:
        path = tmp_path / f"sparkjobs/flats/{job.name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "COLUMNS = ('flat', 'city')\ndef run(spark, inputs, targets, rejected, window): ...\n"
        )
    validate = declaration.validate

    def here(pipeline: Pipeline, **given: Any) -> None:
        validate(pipeline, templates=tmp_path / "sql_templates", sparkjobs=tmp_path / "sparkjobs", **given)

    monkeypatch.setattr(declaration, "validate", here)


@pytest.fixture
def a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is parsed to run one task, and Airflow tells which."""
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "flats")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", "transform.release_emr")


def mistakes_of(pipeline: Pipeline = FLATS) -> str:
    with pytest.raises(DeclarationError) as caught:
        build_dag(pipeline)
    return str(caught.value)


@pytest.mark.usefixtures("checkout")
def test_without_the_variable_a_pipeline_runs_as_it_is_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SCHEDULES, raising=False)
    dag = build_dag(
        replace(FLATS, schedule="1 0 * * *", catchup=True, max_active_runs=2, timezone="Asia/Tokyo")
    )
    assert (dag.catchup, dag.max_active_runs) == (True, 2)
    assert timetable_of(dag) == {"expression": "1 0 * * *", "timezone": "Asia/Tokyo"}


def timetable_of(dag: DAG) -> Any:
    """The timetable as the scheduler gets it."""
    return json.loads(json.dumps(DagSerialization.to_dict(dag)))["dag"]["timetable"]["__var"]


@pytest.mark.usefixtures("checkout")
def test_what_a_deployment_says_is_what_the_scheduler_gets(say: Say) -> None:
    say({"flats": NOON})
    dag = build_dag(replace(FLATS, schedule="1 0 * * *"))
    assert timetable_of(dag) == {"expression": "0 7 * * *", "timezone": "Europe/Berlin"}
    assert (dag.catchup, dag.max_active_runs) == (True, 3)
    assert dag.start_date == datetime(2016, 3, 31, 22, tzinfo=UTC)  # 1 April begins in Berlin
    assert dag.get_task("load.load_window").pipeline.timezone == "Europe/Berlin"
    assert dag.params.get_param("window_start").description == "YYYY-MM-DD, Europe/Berlin"


@pytest.mark.usefixtures("checkout")
def test_a_file_may_hold_it(say: Say, tmp_path: Path) -> None:
    path = tmp_path / "schedules.json"
    path.write_text(json.dumps({"flats": NOON}))
    say(str(path))
    assert build_dag(FLATS).max_active_runs == 3


@pytest.mark.usefixtures("checkout")
def test_a_key_that_is_left_out_keeps_the_declaration(say: Say) -> None:
    say({"flats": {"timezone": "Europe/Berlin"}})
    declared = replace(FLATS, schedule="1 0 * * *", catchup=True)
    assert with_deployment(declared).pipeline == replace(declared, timezone="Europe/Berlin")


def test_a_pipeline_that_is_not_named_keeps_its_declaration(say: Say) -> None:
    say({"sightings": NOON})
    assert with_deployment(FLATS).pipeline is FLATS
    assert with_deployment(FLATS).mistakes == ()


@pytest.mark.usefixtures("checkout")
def test_a_schedule_that_is_null_leaves_only_triggered_runs(say: Say) -> None:
    say({"flats": {"schedule": None}})
    assert build_dag(replace(FLATS, schedule="1 0 * * *")).schedule is None


@pytest.mark.parametrize(
    ("start", "timezone", "meant"),
    [
        ("2016-04-01", "Europe/Berlin", "2016-03-31T22:00:00+00:00"),
        ("2016-04-01T07:00", "Europe/Berlin", "2016-04-01T05:00:00+00:00"),
        ("2016-04-01T07:00:00Z", "Europe/Berlin", "2016-04-01T07:00:00+00:00"),
        ("2016-04-01", "UTC", "2016-04-01T00:00:00+00:00"),
    ],
)
def test_a_start_without_an_offset_is_in_the_time_zone(
    say: Say, start: str, timezone: str, meant: str
) -> None:
    say({"flats": {"start": start, "timezone": timezone}})
    assert with_deployment(FLATS).pipeline.start.isoformat() == meant


WRONG = [
    ({"flats": {"schedul": "@daily"}}, "flats.schedul: no such key; did you mean flats.schedule?"),
    ({"flats": {"schedule": "0 99 * * *"}}, "flats.schedule: '0 99 * * *': "),
    ({"flats": {"schedule": "0 99 * * *"}}, "write a cron expression, or null"),
    ({"flats": {"schedule": 7}}, "flats.schedule: text is expected, a number was found"),
    ({"flats": {"timezone": "Europe/Berln"}}, "did you mean 'Europe/Berlin'?"),
    ({"flats": {"timezone": "../../etc/passwd"}}, "is no time zone; write a name of the IANA database"),
    ({"flats": {"timezone": ""}}, "flats.timezone: '' is no time zone"),
    ({"flats": {"timezone": "Europe"}}, "flats.timezone: 'Europe' is no time zone"),
    ({"flats": {"timezone": None}}, "flats.timezone: text is expected, null was found"),
    ({"flats": {"start": "1.4.2016"}}, "flats.start: '1.4.2016' is no date; write one such as 2016-04-01"),
    ({"flats": {"start": "0001-01-01T00:00+14:00"}}, "flats.start: '0001-01-01T00:00+14:00' is no date"),
    ({"flats": {"catchup": "yes"}}, "flats.catchup: true or false is expected, text was found"),
    ({"flats": {"catchup": 1}}, "flats.catchup: true or false is expected, a number was found"),
    ({"flats": {"max_active_runs": 0}}, "flats.max_active_runs: Input should be greater than or equal to 1"),
    ({"flats": {"max_active_runs": True}}, "flats.max_active_runs: a whole number is expected"),
    ({"flats": []}, "flats: a JSON object is expected, a list was found"),
    ({"flast": {}}, "flast: no pipeline of this name has code in sparkjobs/; did you mean 'flats'?"),
    ({"bookkeeping": {}}, "bookkeeping: no pipeline of this name has code in sparkjobs/: Correct the name"),
    ("[1]", "a JSON object is expected, a list was found. Write a JSON object such as {"),
    ("schedules.json", "not JSON (line 1, column 1"),
    ("schedules.json", "or the absolute path of a file"),
    ("/no/such/schedules.json", "(/no/such/schedules.json): the file cannot be read ("),
    ('{"flats": {}, "flats": {}}', "the key 'flats' is there twice"),
    ("[" * 5000, "nested deeper than"),
]


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize(("said", "told"), WRONG)
def test_a_mistake_is_an_import_error_that_names_variable_key_and_remedy(
    say: Say, said: Any, told: str
) -> None:
    say(said)
    message = mistakes_of()
    assert told in message
    assert f"- {SCHEDULES}" in message


@pytest.mark.usefixtures("checkout")
def test_a_file_with_a_mistake_is_named(say: Say, tmp_path: Path) -> None:
    path = tmp_path / "schedules.json"
    path.write_text('{"flats": {"catchup": 1}}')
    say(str(path))
    assert f"{SCHEDULES} ({path}): flats.catchup: " in mistakes_of()
    path.write_bytes(b" " * (4 * 1024 * 1024 + 1))
    assert f"{SCHEDULES} ({path}): " in mistakes_of()
    path.write_bytes(b"\xff{}")
    assert "not UTF-8" in mistakes_of()
    path.unlink()
    path.mkdir()
    assert "the file cannot be read" in mistakes_of()


@pytest.mark.usefixtures("checkout")
def test_all_mistakes_are_told_at_once(say: Say) -> None:
    say({"flats": {"catchup": 1, "timezone": "Berlin"}, "flatz": {}})
    message = mistakes_of(replace(FLATS, max_active_runs=0))
    for told in ("flats.catchup", "flats.timezone", "flatz", "max_active_runs 0"):
        assert told in message


@pytest.mark.usefixtures("checkout")
def test_what_goes_with_the_windows_is_asked_of_what_the_deployment_says(say: Say) -> None:
    say({"flats": {"schedule": "*/10 * * * *"}})
    assert f"- {SCHEDULES}: flats: schedule '*/10 * * * *' runs more than once on one day" in mistakes_of()
    say({"flats": {"timezone": "Europe/Berlin"}})
    told = mistakes_of(replace(FLATS, schedule="30 2 * * *"))
    assert f"- {SCHEDULES}: flats: schedule '30 2 * * *': 2016-03-27 02:30 is a time that" in told
    say({"flats": {"catchup": True}})
    assert "\n- schedule '@hourly' runs more than once" in mistakes_of(replace(FLATS, schedule="@hourly"))
    assert build_dag(INSTANTS).dag_id == "flats"


def test_a_mistake_about_another_pipeline_is_told_by_that_one(say: Say) -> None:
    say({"sightings": {"catchup": 1}, "sightngs": {}})
    assert with_deployment(FLATS).mistakes == ()
    told = with_deployment(replace(FLATS, name="sightings")).mistakes
    assert [line.partition(": ")[2].partition(":")[0] for line in told] == [
        "sightngs",
        "sightings.catchup",
    ]


@pytest.mark.parametrize("declared", [None, replace(FLATS, name=7), replace(FLATS, start="2016")])  # type: ignore[arg-type]
def test_a_declaration_of_wrong_types_is_told_as_such(say: Say, declared: Any) -> None:
    say({"flats": {"catchup": True}})
    with pytest.raises(DeclarationError):
        build_dag(declared)


BROKEN = [said for said, _ in WRONG if said != {"bookkeeping": {}}]


@pytest.mark.usefixtures("a_worker")
@pytest.mark.parametrize("said", BROKEN)
def test_what_broke_since_keeps_no_teardown_from_its_work_and_lets_nothing_guess_the_days(
    say: Say, said: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A run of days of Berlin must not load those of UTC because a worker's file is broken."""
    say(said)
    with caplog.at_level(logging.WARNING):
        dag = build_dag(replace(FLATS, schedule="1 0 * * *"))
    assert SCHEDULES in caplog.text
    context = run_of(datetime(2016, 3, 31, 22, tzinfo=UTC), datetime(2016, 4, 1, 22, tzinfo=UTC))
    with pytest.raises(
        SettingsError, match=f"{SCHEDULES} of this host cannot be used.* then clear this task"
    ):
        dag.get_task("load.load_window").window_of(context)
    for task_id in ("transform.release_emr", "release.release_warehouse", "release.inventory"):
        window = dag.get_task(task_id).window_of(context)
        assert window == Window(datetime(2016, 3, 31, 22, tzinfo=UTC), datetime(2016, 4, 1, 22, tzinfo=UTC))


@pytest.mark.usefixtures("a_worker")
def test_a_run_with_a_window_of_its_own_goes_on_whatever_broke(say: Say) -> None:
    say("{")
    context = run_of(datetime(2016, 4, 1, tzinfo=UTC), datetime(2016, 4, 2, tzinfo=UTC))
    context["params"] = {"window_start": "2016-04-01", "window_end": "2016-04-03"}
    window = build_dag(FLATS).get_task("load.load_window").window_of(context)
    assert window == Window(date(2016, 4, 1), date(2016, 4, 3))


@pytest.mark.usefixtures("a_worker")
@pytest.mark.parametrize("said", [{"bookkeeping": {}, "flats": NOON}, {"sightings": [], "flats": NOON}])
def test_what_is_wrong_about_others_keeps_no_run_from_its_days(say: Say, said: Any) -> None:
    say(said)
    assert build_dag(FLATS).get_task("load.load_window").pipeline.timezone == "Europe/Berlin"


def test_a_zone_that_is_not_known_cannot_be_declared() -> None:
    assert "timezone '' is no time zone" in mistakes_of(replace(FLATS, timezone=UNKNOWN_ZONE))


def run_of(start: datetime, end: datetime) -> dict[str, Any]:
    run = SimpleNamespace(data_interval_start=start, data_interval_end=end)
    return {"params": {}, "dag_run": run}


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.datetimes().map(str),
    st.just([]),
)
KEYS = st.sampled_from(["schedule", "timezone", "start", "catchup", "max_active_runs", "scheduel"])
ENTRIES = st.one_of(VALUES, st.dictionaries(KEYS, VALUES, max_size=4))
SAID = st.one_of(
    st.text(max_size=50),
    st.dictionaries(st.sampled_from(["flats", "flast", "sightings"]) | st.text(max_size=8), ENTRIES).map(
        json.dumps
    ),
)


@settings(max_examples=300, derandomize=True, database=None, deadline=None)
@given(SAID)
def test_whatever_is_said_it_is_a_pipeline_or_a_mistake(said: str) -> None:
    deployed = with_deployment(FLATS, {SCHEDULES: said})
    assert deployed.pipeline == FLATS or deployed.is_known
    assert list(schedule_mistakes(deployed.pipeline)) is not None
    json.dumps(to_json(deployed.for_a_task()))
    assert all(SCHEDULES in mistake for mistake in deployed.mistakes)


@pytest.mark.usefixtures("checkout")
def test_a_deployment_says_whose_a_dag_is_and_by_which_tags_it_is_found(say: Say) -> None:
    say({"flats": {"owner": "Data platform", "tags": ["nightly", "eu", "nightly"]}})
    dag = DagSerialization.from_dict(DagSerialization.to_dict(build_dag(FLATS)))
    assert dag.owner == "Data platform"
    assert dag.tags == {"mayfly", "nightly", "eu"}
    assert {task.owner for task in dag.tasks} == {"Data platform"}


@pytest.mark.usefixtures("checkout")
def test_without_an_owner_and_tags_a_dag_has_airflows_default_and_the_tag_mayfly(say: Say) -> None:
    say({"flats": {"catchup": True}})
    dag = build_dag(FLATS)
    assert (dag.owner, dag.tags) == ("airflow", {"mayfly"})


@pytest.mark.usefixtures("checkout", "a_worker")
def test_owner_and_tags_are_no_part_of_the_pipeline_that_travels_with_a_task(say: Say) -> None:
    say({"flats": {"owner": "Data platform", "tags": ["eu"]}})
    assert build_dag(FLATS).get_task("transform.flats").pipeline == FLATS


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize(
    ("said", "key"),
    [
        ({"owner": ""}, "owner"),
        ({"owner": "a, b"}, "owner"),
        ({"owner": "a\nb"}, "owner"),
        ({"owner": " a"}, "owner"),
        ({"owner": "x" * 101}, "owner"),
        ({"owner": 7}, "owner"),
        ({"tags": "eu"}, "tags"),
        ({"tags": ["eu", ""]}, "tags"),
        ({"tags": ["a,b"]}, "tags"),
        ({"tags": ["eu", 7]}, "tags"),
        ({"tags": ["x"] * 21}, "tags"),
    ],
)
def test_an_owner_or_a_tag_that_airflow_cannot_show_is_refused(say: Say, said: Any, key: str) -> None:
    say({"flats": said})
    assert f"{SCHEDULES}: flats.{key}" in mistakes_of()
