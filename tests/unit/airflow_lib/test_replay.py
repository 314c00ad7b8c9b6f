"""Rejected rows come back: what the command tells, which windows it loads again, and how it ends."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_lib import replay
from airflow_lib.janitor import SETTINGS_FILE
from airflow_lib.naming import run_key
from airflow_lib.pipeline import Window
from airflow_lib.steps import Run
from airflow_lib.steps.transform import RunJob, resolve_job
from tests.unit.airflow_lib.settings_file import use_settings_file
from tests.unit.airflow_lib.steps.emr_of_a_run import use_emr
from tests.world import World
from tests.world.account import BUCKET
from tests.world.pipeline import PIPELINE, rows_of, tables_of
from tests.world.spark import put, write_rows
from tests.world.walk import drive, walk

Command = Callable[..., tuple[int, list[str], list[str]]]


def day(number: int, days: int = 1) -> Window:
    return Window(date(2016, 4, number), date(2016, 4, number) + timedelta(days=days))


def ran(world: World, run_id: str, window: Window) -> Run:
    """A run that has transformed its window."""
    run = use_emr(world, world.run(run_id, pipeline=PIPELINE, window=window))
    for job in PIPELINE.jobs:
        drive(RunJob(job.name), run, world)
    world.advance(60)
    return run


def mend(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code of the pipeline's jobs is another from now on."""
    monkeypatch.setattr("airflow_lib.steps.transform.hash_code", lambda _: "0dd1" * 16)


@pytest.fixture
def command(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs the command: its exit code, and the lines on stdout and stderr."""
    use_settings_file(tmp_path, monkeypatch)
    monkeypatch.setattr(replay, "open_aws", lambda _: world.aws)

    def run(*arguments: str) -> tuple[int, list[str], list[str]]:
        code = replay.main(["immigration", *arguments])
        told = capsys.readouterr()
        return code, told.out.splitlines(), told.err.splitlines()

    return run


def commands(lines: list[str]) -> list[list[str]]:
    return [shlex.split(line) for line in lines if line.startswith("airflow ")]


def test_rejected_rows_are_told_and_nothing_is_loaded_again_while_nothing_changed(
    world: World, command: Command
) -> None:
    ran(world, "run1", day(1))
    code, told, wrong = command()
    assert (code, wrong, commands(told)) == (replay.FOUND, [], [])
    (arrivals,) = (line for line in told if "job arrivals" in line)
    assert (
        "run run1, window 2016-04-01 to 2016-04-02: job arrivals rejected 1 rows (age below 0 1), in s3://"
        in arrivals
    )
    assert arrivals.endswith("nothing changed since: mend the job or the file that it reads first")


def test_mended_code_brings_the_window_back_by_a_trigger_with_its_params(
    world: World, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(world, "run1", day(1))
    mend(monkeypatch)
    code, told, _ = command()
    assert code == replay.FOUND
    (words,) = commands(told)
    assert words[:5] == ["airflow", "dags", "trigger", "immigration", "--run-id"]
    assert words[5].startswith("replay__2016-04-01_2016-04-02_")
    assert words[6] == "--conf"
    assert json.loads(words[7]) == {"window_start": "2016-04-01", "window_end": "2016-04-02"}


def test_a_mended_label_file_brings_back_the_jobs_alone_that_read_it(world: World, command: Command) -> None:
    ran(world, "run1", day(1))
    put(f"s3://{BUCKET}/source/immigration/labels.sas", b"mended")
    _, told, _ = command()
    assert [line.endswith("to be loaded again") for line in told if " job " in line] == [False, True]
    assert len(commands(told)) == 1


def test_days_that_follow_each_other_are_one_run_and_others_are_not(
    world: World, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3, 7):
        ran(world, f"run{number}", day(number))
    mend(monkeypatch)
    _, told, _ = command()
    confs = [json.loads(words[-1]) for words in commands(told)]
    assert [(conf["window_start"], conf["window_end"]) for conf in confs] == [
        ("2016-04-01", "2016-04-04"),
        ("2016-04-07", "2016-04-08"),
    ]


def without_the_last(job: str) -> Callable[..., dict[str, Any]]:
    """The job, which rejects the last of its window's rows by mistake."""

    def run(**given: Any) -> dict[str, Any]:
        rows = rows_of(job, Window(*(date.fromisoformat(bound) for bound in given["window"])))
        return {**write_rows(**given, rows=rows[:-1]), "read": len(rows), "rejected": {"no_port": 1}}

    return run


def clean(**given: Any) -> dict[str, Any]:
    return {**write_rows(**given), "rejected": {}}


def test_after_the_replay_each_row_is_in_the_tables_once_and_there_is_nothing_more_to_load(
    world: World, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mended job rejects nothing, and its window replaces those that were loaded before."""
    windows = [day(1, 3), day(4, 3)]
    world.jobs.by_name.update(arrivals=without_the_last("arrivals"), airports=clean)
    for number, window in enumerate(windows):
        assert walk(world, world.run(f"run{number}", pipeline=PIPELINE, window=window)).errors == {}
    assert len(world.tables(PIPELINE)["arrivals"]) == 4
    mend(monkeypatch)
    world.jobs.by_name["arrivals"] = clean
    (words,) = commands(command()[1])
    bounds = json.loads(words[-1]).values()
    again = Window(*(date.fromisoformat(bound) for bound in bounds))
    assert walk(world, world.run(words[5], pipeline=PIPELINE, window=again)).errors == {}
    assert world.tables(PIPELINE) == tables_of(*windows)
    assert command() == (replay.CLEAN, ["immigration: no row of what is loaded was rejected"], [])


def rejecting(**reasons: int) -> Callable[..., dict[str, Any]]:
    return lambda **given: {**write_rows(**given), "read": 100, "rejected": reasons}


def test_a_reason_chooses_the_rows_and_their_windows(
    world: World, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.jobs.by_name["airports"] = rejecting()
    world.jobs.by_name["arrivals"] = rejecting(no_port=2, bad_date=1)
    ran(world, "run1", day(1))
    world.jobs.by_name["arrivals"] = rejecting(bad_date=5)
    ran(world, "run3", day(3))
    mend(monkeypatch)
    code, told, _ = command("--reason", "no_port")
    assert code == replay.FOUND
    assert "rejected 2 rows (no_port 2)" in told[0]
    assert [json.loads(words[-1])["window_start"] for words in commands(told)] == ["2016-04-01"]
    code, told, wrong = command("--reason", "no_prot")
    assert (code, told) == (replay.ERROR, [])
    assert wrong == [
        "No row was rejected for 'no_prot'; did you mean 'no_port'? The reasons there are: bad_date, no_port."
    ]


def test_a_run_chooses_what_it_loads_and_one_that_is_not_there_is_an_error(
    world: World, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(world, "run1", day(1))
    ran(world, "run2", day(2))
    mend(monkeypatch)
    _, told, _ = command("--run", "run1")
    assert [json.loads(words[-1])["window_start"] for words in commands(told)] == ["2016-04-01"]
    code, told, wrong = command("--run", "run9")
    assert (code, told) == (replay.ERROR, [])
    assert "No run 'run9' of immigration" in wrong[0]


def test_a_note_of_an_earlier_version_is_told_and_left_to_a_person(
    world: World, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(world, "run1", day(1))
    for job in PIPELINE.jobs:
        key = f"logs/immigration/runs/{run_key('run1')}/outputs/{job.name}.json"
        content = json.loads(world.others.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
        old = {name: content[name] for name in ("run_id", "address")}
        world.others.s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(old).encode())
    mend(monkeypatch)
    code, told, wrong = command()
    assert (code, wrong, commands(told)) == (replay.FOUND, [], [])
    assert all(
        "an earlier version noted no window: look up the run's, and trigger it by hand" in one for one in told
    )


def test_a_note_that_is_malformed_is_named_on_stderr_and_the_others_count(
    world: World, command: Command
) -> None:
    ran(world, "run1", day(1))
    key = f"logs/immigration/runs/{run_key('run1')}/outputs/airports.json"
    put(f"s3://{BUCKET}/{key}", b"\xff")
    code, told, wrong = command()
    assert (code, len(told), len(wrong)) == (replay.FOUND, 1, 1)
    assert f"s3://{BUCKET}/{key} is no note of a run" in wrong[0]


def test_a_note_with_jobs_that_cannot_be_used_is_an_error(world: World, command: Command) -> None:
    ran(world, "run1", day(1))
    for job in PIPELINE.jobs:
        key = f"logs/immigration/runs/{run_key('run1')}/outputs/{job.name}.json"
        content = json.loads(world.others.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
        content["jobs"][0]["sources"] = [7]
        world.others.s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(content).encode())
    code, told, wrong = command()
    assert (code, commands(told)) == (replay.ERROR, [])
    assert "what its run wrote down cannot be used: SparkJob('arrivals', …): sources is (7,)" in wrong[0]


def test_an_intake_that_this_version_does_not_know_is_an_error(world: World, command: Command) -> None:
    ran(world, "run1", day(1))
    key = f"logs/immigration/runs/{run_key('run1')}/outputs/arrivals.json"
    content = json.loads(world.others.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    body = json.dumps({**content, "intake": "Pigeon"}).encode()
    world.others.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    code, _, wrong = command()
    assert code == replay.ERROR
    assert "does not know how rows come back to an intake 'Pigeon'" in wrong[0]


def test_a_source_that_is_gone_is_an_error_and_the_other_jobs_come_back(
    world: World, command: Command
) -> None:
    ran(world, "run1", day(1))
    world.others.s3.delete_object(Bucket=BUCKET, Key="source/immigration/arrivals.csv")
    put(f"s3://{BUCKET}/source/immigration/airports.csv", b"mended")
    code, told, wrong = command()
    assert code == replay.ERROR
    assert "it cannot be computed again: Job 'arrivals' cannot read its input" in wrong[0]
    assert len(commands(told)) == 1


def test_a_job_that_is_no_longer_declared_is_told(world: World, command: Command) -> None:
    ran(world, "run1", day(1))
    without = replace(PIPELINE, jobs=PIPELINE.jobs[:1])
    run = use_emr(world, world.run("run2", pipeline=without, window=day(2)))
    drive(RunJob("arrivals"), run, world)
    code, told, _ = command()
    assert code == replay.FOUND
    assert any("job airports" in line and line.endswith("no longer declared: nothing to do") for line in told)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "imigration",
            "No run of a pipeline 'imigration' wrote anything below s3://mayfly-world/logs; did you mean",
        ),
        ("../x", "'../x' is no pipeline's name"),
    ],
)
def test_a_pipeline_that_is_not_there_is_an_error(
    world: World, command: Command, capsys: pytest.CaptureFixture[str], name: str, told: str
) -> None:
    ran(world, "run1", day(1))
    assert replay.main([name]) == replay.ERROR
    assert told in capsys.readouterr().err


def test_settings_that_cannot_be_used_are_an_error(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTINGS_FILE, "/no/such/file.json")
    code, _, wrong = command()
    assert (code, "cannot be read" in wrong[0]) == (replay.ERROR, True)


def test_what_nobody_foresaw_is_an_error_and_not_taken_for_something_found(
    world: World, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(world, "run1", day(1))

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(replay, "make_plan", broken)
    code, _, wrong = command()
    assert (code, wrong[-1]) == (replay.ERROR, "unexpected ZeroDivisionError: a bug")


def test_whatever_a_run_is_called_it_is_one_line(world: World, command: Command) -> None:
    ran(world, "run\x1b[2J\n1", day(1))
    _, told, _ = command()
    assert len(told) == 2
    assert all(line.isprintable() for line in told)


def test_nothing_is_changed_in_s3(world: World, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    ran(world, "run1", day(1))
    mend(monkeypatch)
    before = {key: world.others.s3.head_object(Bucket=BUCKET, Key=key)["ETag"] for key in world.objects()}
    command()
    assert {
        key: world.others.s3.head_object(Bucket=BUCKET, Key=key)["ETag"] for key in world.objects()
    } == before


def test_windows_of_instants_are_joined_and_never_with_days() -> None:
    hours = [datetime(2016, 4, 1, hour, tzinfo=UTC) for hour in range(4)]
    windows = [
        Window(hours[2], hours[3]),
        day(1),
        Window(hours[0], hours[1]),
        Window(hours[1], hours[2]),
        day(1, 3),
    ]
    assert replay.join_windows(windows) == [day(1, 3), Window(hours[0], hours[3])]
    assert replay.join_windows([]) == []


def test_a_run_is_named_by_what_it_brings_back() -> None:
    """Airflow refuses a second run of the same name, so the same replay is not started twice."""
    one = replay.trigger_command("flats", day(1), {"a", "b"})
    assert one == replay.trigger_command("flats", day(1), {"b", "a"})
    assert one[5] != replay.trigger_command("flats", day(1), {"c"})[5]
    assert one[5] != replay.trigger_command("flats", day(2), {"a", "b"})[5]


STUB = """#!/bin/sh
for word in "$@"; do printf '%s\\n' "$word"; done >> {log}
echo "a secret of Airflow's" >&2
exit {code}
"""


@pytest.fixture
def airflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Path]:
    """Puts a command `airflow` on PATH that notes its arguments, and ends with a code."""

    def install(code: int) -> Path:
        folder, log = tmp_path / "bin", tmp_path / "arguments"
        folder.mkdir(exist_ok=True)
        (folder / "airflow").write_text(STUB.format(log=log, code=code))
        (folder / "airflow").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return log

    return install


def test_with_start_the_commands_that_are_told_are_run(
    world: World, command: Command, airflow: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(world, "run1", day(1))
    log = airflow(0)
    assert command("--start")[0] == replay.FOUND
    assert not log.exists()  # nothing changed
    mend(monkeypatch)
    code, told, wrong = command("--start")
    assert (code, wrong) == (replay.FOUND, [])
    (words,) = commands(told)
    assert log.read_text().splitlines() == words[1:]
    assert told[-1] == f"started: {shlex.join(words)}"


def test_without_start_nothing_is_run(
    world: World, command: Command, airflow: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(world, "run1", day(1))
    log = airflow(0)
    mend(monkeypatch)
    assert commands(command()[1])
    assert not log.exists()


def test_a_start_that_airflow_refuses_is_an_error_with_what_it_said_and_the_others_are_started(
    world: World, command: Command, airflow: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(world, "run1", day(1))
    ran(world, "run5", day(5))
    log = airflow(3)
    mend(monkeypatch)
    code, _, wrong = command("--start")
    assert code == replay.ERROR
    assert len(wrong) == 2
    assert "ended with 3: a secret of Airflow's" in wrong[0]
    assert log.read_text().count("trigger\n") == 2


def test_where_there_is_no_airflow_start_is_an_error_and_the_commands_are_told(
    world: World, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran(world, "run1", day(1))
    mend(monkeypatch)
    monkeypatch.setenv("PATH", str(tmp_path))
    code, told, wrong = command("--start")
    assert (code, len(commands(told))) == (replay.ERROR, 1)
    assert "--start needs the command airflow, which is not on PATH" in wrong[0]


def test_an_airflow_that_does_not_end_is_an_error(
    world: World, command: Command, airflow: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("airflow", 300)

    ran(world, "run1", day(1))
    airflow(0)
    mend(monkeypatch)
    monkeypatch.setattr(replay.subprocess, "run", hang)
    code, _, wrong = command("--start")
    assert (code, "timed out after 300 seconds" in wrong[0]) == (replay.ERROR, True)


def test_the_address_that_is_compared_is_the_one_that_a_run_would_have(
    world: World, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ran(world, "run1", day(1))
    mend(monkeypatch)
    _, told, _ = command("--run", "run1")
    (words,) = commands(told)
    addresses = {resolve_job(run, job).output.address for job in PIPELINE.jobs}
    assert words == replay.trigger_command("immigration", day(1), addresses)
