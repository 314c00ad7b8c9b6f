"""The janitor from the command line: its settings, what it prints, and its exit code."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_lib import janitor
from airflow_lib.errors import ResourceError, SettingsError

EXAMPLE = Path(__file__).resolve().parents[3] / "variables.example.json"


def sweeper(findings: list[str], errors: list[str]) -> Any:
    environment = SimpleNamespace(name="dev-flats")
    return SimpleNamespace(holder=SimpleNamespace(environment=environment), findings=findings, errors=errors)


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], list[dict[str, Any]]]:
    """Lets passes come to something; the answer is what they were asked."""
    monkeypatch.setenv(janitor.SETTINGS_FILE, str(EXAMPLE))

    def let(answer: Any) -> list[dict[str, Any]]:
        asked: list[dict[str, Any]] = []

        def make_pass(*_: Any, **options: Any) -> Any:
            asked.append(options)
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(janitor, "make_pass", make_pass)
        return asked

    return let


def test_the_file_is_in_the_examples_form() -> None:
    settings = janitor.load_settings({janitor.SETTINGS_FILE: str(EXAMPLE)})
    assert settings.region == "us-east-1"
    assert settings.mayfly.deployment == "dev"


def test_the_region_may_come_from_outside_the_file(tmp_path: Path) -> None:
    content = json.loads(EXAMPLE.read_text())
    del content["aws_region"]
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(content))
    settings = janitor.load_settings({janitor.SETTINGS_FILE: str(path), janitor.REGION: "eu-west-1"})
    assert settings.region == "eu-west-1"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "no JSON object"),
        ("{}", "mayfly: the Variable"),
        ('{"mayfly": {}, "Mayfly": {}, "aws_regoin": "x"}', "nothing reads: Mayfly, aws_regoin"),
    ],
)
def test_settings_that_cannot_be_used_are_told(tmp_path: Path, content: str | None, told: str) -> None:
    path = tmp_path / "settings.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=told):
        janitor.load_settings({janitor.SETTINGS_FILE: str(path)})
    with pytest.raises(SettingsError, match="is not set"):
        janitor.load_settings({})


@pytest.mark.parametrize(
    ("findings", "errors", "code", "said"),
    [
        ([], [], 0, "dev-flats: clean\n"),
        (["a role; removed"], [], 1, "dev-flats: a role; removed\n"),
        (["a role; removed"], ["denied"], 2, "dev-flats: a role; removed\n"),
        ([], ["corrupt"], 2, "dev-flats: not checked completely: see the errors\n"),
    ],
)
def test_the_exit_code_tells_what_was_found(
    passing: Callable[[Any], list[Any]],
    capsys: pytest.CaptureFixture[str],
    *,
    findings: list[str],
    errors: list[str],
    code: int,
    said: str,
) -> None:
    passing([sweeper(findings, errors)])
    assert janitor.main([]) == code
    out, err = capsys.readouterr()
    assert out == said
    assert err == "".join(f"dev-flats: {error}\n" for error in errors)


def test_the_options_are_handed_on(passing: Callable[[Any], list[Any]]) -> None:
    asked = passing([])
    assert janitor.main(["--dry-run", "--environment", "flats"]) == 0
    assert (asked[0]["dry_run"], asked[0]["only"]) == (True, "flats")


def test_a_pass_that_cannot_begin_ends_with_an_error(
    passing: Callable[[Any], list[Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    passing(ResourceError("no such bucket"))
    assert janitor.main([]) == 2
    assert capsys.readouterr().err == "no such bucket\n"


def test_no_settings_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(janitor.SETTINGS_FILE, raising=False)
    assert janitor.main([]) == 2


@pytest.mark.parametrize("options", [[], ["--dry-run"], ["--environment", "flats"]])
def test_an_error_that_nobody_foresaw_is_not_taken_for_a_finding(
    passing: Callable[[Any], list[Any]],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    options: list[str],
) -> None:
    """Python ends with 1 where an exception is not caught, and 1 is "something was found"."""
    passing(KeyError("Clusters"))
    assert janitor.main(options) == 2
    assert capsys.readouterr().err == "unexpected KeyError: 'Clusters'\n"
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("environments", "code"),
    [
        ([([], []), ([], [])], 0),
        ([([], []), (["a role"], [])], 1),
        ([(["a role"], []), ([], ["denied"])], 2),
        ([([], ["denied"]), (["a role"], ["denied"])], 2),
        ([], 0),
    ],
)
def test_of_several_environments_the_worst_decides(
    passing: Callable[[Any], list[Any]], environments: list[Any], code: int, dry_run: list[str]
) -> None:
    passing([sweeper(*one) for one in environments])
    assert janitor.main(dry_run) == code


def test_a_command_line_that_cannot_be_used_is_a_failure() -> None:
    with pytest.raises(SystemExit) as caught:
        janitor.main(["--dry-ran"])
    assert caught.value.code == 2


def test_what_a_terminal_cannot_show_does_not_fail_the_command(
    passing: Callable[[Any], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cron may leave us an encoding that has no character of a tag."""
    passing([sweeper(["role of \u017elu\u0165 \ud800"], ["\u20ac"])])
    out, err = io.BytesIO(), io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="latin-1", write_through=True))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(err, encoding="ascii", write_through=True))
    assert janitor.main([]) == 2
    assert out.getvalue() == b"dev-flats: role of \\u017elu\\u0165 \\ud800\n"
    assert err.getvalue() == b"dev-flats: \\u20ac\n"


def test_output_that_nobody_reads_is_a_failure_and_no_finding(
    passing: Callable[[Any], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    passing([sweeper([], [])])

    def write(_: str) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", SimpleNamespace(encoding="utf-8", write=write))
    assert janitor.main([]) == 2


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"[" * 100_000, "nested deeper than 64 levels"),
        (b'{"mayfly": ' + b"1" * 5000 + b"}", "an integer of more than 64 bits"),
        (b" " * (5 * 1024 * 1024), "bytes long, 4194304 at most are read"),
        (b"\xff", "not UTF-8"),
        (b'{"mayfly": {}, "mayfly": {}}', "the key 'mayfly' is there twice"),
    ],
    ids=["deep", "digits", "huge", "bytes", "twice"],
)
def test_a_settings_file_that_is_malformed_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: bytes,
    told: str,
) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    monkeypatch.setenv(janitor.SETTINGS_FILE, str(path))
    assert janitor.main([]) == 2
    assert f"{path} cannot be read: " in (said := capsys.readouterr().err)
    assert told in said
