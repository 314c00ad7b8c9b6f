"""Wrong arguments are reported before anything is started."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sandbox import cli
from sandbox.addresses import check_free
from sandbox.cli import main
from sandbox.errors import SandboxError
from sandbox.source import choose_window

WINDOW = ("--window-start", "2016-04-01", "--window-end", "2016-05-01")

DAYS = ("--from", "2016-04-01", "--to", "2016-04-05")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "trivial.py").touch()
    (tmp_path / "dags" / "janitor.py").touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("SANDBOX_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SANDBOX_DAGS", str(tmp_path / "dags"))
    return tmp_path / "home"


def exit_code(arguments: list[str]) -> int | str | None:
    try:
        return main(arguments)
    except SystemExit as error:  # argparse's own
        return error.code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "nosuch"), "no pipeline 'nosuch'; {dags} has: trivial"),
        (("run", "janitor"), "no pipeline 'janitor'"),
        (("run", "trivial"), "give --window-start and --window-end"),
        (("run", "trivial", "--window-start", "2016-04-01"), "both --window-start and --window-end"),
        (
            ("run", "trivial", "--window-start", "2016-05-01", "--window-end", "2016-04-01"),
            "ends (2016-04-01) before it starts (2016-05-01): swap",
        ),
        (
            ("run", "trivial", "--window-start", "2016-05-01", "--window-end", "2016-05-01"),
            "empty: --window-end is the first that is not loaded",
        ),
        (
            ("run", "trivial", "--window-start", "2016-05-01", "--window-end", "2016-05-01T10:20"),
            "both as dates, or both with a time",
        ),
        (("run", "trivial", "--window-start", "1.4.2016"), "'1.4.2016' is not a date; write YYYY-MM-DD"),
        (("run", "trivial", "--window-start", "2016-04-01T25:00"), "is not a date; write YYYY-MM-DD, or"),
        (("run", "trivial", "--rows", "0"), "'0' is not a number that can be used"),
        (("up", "--workers", "2"), "--workers is the number of Celery workers: add --celery"),
        (("run", "trivial", *WINDOW, "--workers", "2"), "add --celery"),
        (("up", "--celery", "--workers", "none"), "'none' is not a number that can be used"),
        (("run", "trivial", *WINDOW, "--source", "{empty}/nosuch"), "nosuch is not a directory"),
        (("run", "trivial", *WINDOW, "--source", "{empty}"), "holds no files"),
        (("run", "trivial", *WINDOW), "There is no generator for trivial: give --source DIR"),
        (("backfill", "trivial", "--from", "2016-04-01"), "--to"),
        (
            ("backfill", "trivial", "--from", "1.4.2016", "--to", "2016-04-02"),
            "'1.4.2016' is not a day; write",
        ),
        (("backfill", "nosuch", *DAYS), "no pipeline 'nosuch'"),
        (
            ("backfill", "trivial", "--from", "2016-04-05", "--to", "2016-04-01"),
            "--to (2016-04-01) is before --from (2016-04-05): swap",
        ),
        (("backfill", "trivial", *DAYS, "--max-active-runs", "0"), "'0' is not a number that can be used"),
        (("backfill", "trivial", *DAYS, "--reprocess", "all"), "invalid choice: 'all'"),
        (("backfill", "trivial", *DAYS), "There is no generator for trivial: give --source DIR"),
        (("sql", "trivial"), "-c"),
        ((), "COMMAND"),
    ],
)
def test_a_wrong_argument_is_reported_with_a_hint(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    paths = {"dags": home.with_name("dags"), "empty": home.with_name("empty")}
    assert exit_code([part.format(**paths) for part in arguments]) == 2
    assert message.format(**paths) in capsys.readouterr().err
    assert not home.exists()


def test_if_no_sandbox_runs_down_succeeds_and_status_exits_with_3(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["down"]) == 0
    assert main(["status"]) == 3
    assert capsys.readouterr().out.count("No sandbox is running") == 2


@pytest.mark.parametrize("net", ["x", "-1", "255", "1.5"])
def test_an_invalid_net_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], net: str
) -> None:
    monkeypatch.setenv("SANDBOX_NET", net)
    assert main(["status"]) == 2
    assert f"SANDBOX_NET is '{net}': write a whole number from 0 to 254" in capsys.readouterr().err


def test_a_port_in_use_is_reported_with_the_part_that_needs_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        host, port = taken.getsockname()
        with pytest.raises(SandboxError, match=f"The part cannot listen on {host}:{port}"):
            check_free(host, port, "The part")


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (("2016-04-01", "2016-05-01"), ("2016-04-01", "2016-05-01")),
        (
            ("2016-04-01T10:20", "2016-04-01T12:30+02:00"),
            ("2016-04-01T10:20:00+00:00", "2016-04-01T10:30:00+00:00"),
        ),
    ],
)
def test_a_window_of_dates_or_of_instants_in_utc_is_handed_to_the_dag(
    given: tuple[str, str], sent: tuple[str, str]
) -> None:
    options = cli._parser().parse_args(["run", "x", "--window-start", given[0], "--window-end", given[1]])
    conf = choose_window("x", options.window_start, options.window_end).conf
    assert tuple(conf.values()) == sent
