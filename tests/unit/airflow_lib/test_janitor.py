"""The janitor from the command line: its settings, what it prints, and its exit code."""

from __future__ import annotations

import json
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
