"""What the documentation says, checked against the code: settings, policy, links, variables, names of tests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from airflow_lib.settings import VARIABLES, AwsCredentials, MayflySettings, PipelineSettings
from tests.add_a_pipeline import PAGE, files_of_the_page

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "setup_backend.md",
    *sorted((ROOT / "docs").rglob("*.md")),
)
SETUP = (ROOT / "setup_backend.md").read_text()
POLICIES = {
    name: (ROOT / "docs" / f"{name}.json").read_text()
    for name in ("iam-principal-policy", "iam-doctor-policy")
}
EXAMPLE = json.loads((ROOT / "variables.example.json").read_text())

_ROW = re.compile(r"^\| `(?P<key>[^`]+)` \| (?P<type>.*?) \| (?P<default>.*?) \| (?P<meaning>.+) \|$")
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_VARIABLE = re.compile(r"\b(?:SANDBOX|MAYFLY)_[A-Z][A-Z_]*[A-Z]\b")
_VARIABLE_ROW = re.compile(r"^\| `(?P<key>(?:SANDBOX|MAYFLY)_[A-Z_]+)` \|")


def fields_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every key that a person may write, by its path; those of a pipeline's `emr` and `warehouse` are there already."""
    for name, info in model.model_fields.items():
        if info.annotation == dict[str, PipelineSettings]:
            for key, override in PipelineSettings.model_fields.items():
                yield f"{prefix}{name}.<name>.{key}", override
        elif isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from fields_of(info.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, info


def format_default(info: FieldInfo) -> str:
    """A default as the tables write it."""
    if info.is_required():
        return "*required*"
    default = info.get_default(call_default_factory=True)
    if isinstance(default, BaseModel):
        default = default.model_dump(exclude_unset=True)
    return "—" if default is None else f"`{json.dumps(default)}`"


def bounds(info: FieldInfo) -> list[str]:
    """The limits of a number."""
    limits: list[Any] = []
    for item in info.metadata:
        match item:
            case Ge(ge=limit) | Gt(gt=limit) | Le(le=limit) | Lt(lt=limit):
                limits.append(limit)
    return [str(limit) for limit in limits]


def documented(heading: str) -> dict[str, re.Match[str]]:
    """The rows of the table under a heading of section 9, by key."""
    section = SETUP.split(f"### `{heading}`\n", 1)[1].split("\n#", 1)[0]
    rows = [match for line in section.splitlines() if (match := _ROW.match(line))]
    keys = [row["key"] for row in rows]
    assert len(keys) == len(set(keys)), "a key is documented twice"
    return {row["key"]: row for row in rows}


MODELS = {"aws_credentials": AwsCredentials, "mayfly": MayflySettings}
KEYS = [(variable, key, info) for variable, model in MODELS.items() for key, info in fields_of(model)]


@pytest.mark.parametrize(("variable", "key", "info"), KEYS, ids=lambda value: str(value)[:40])
def test_each_setting_is_documented_with_its_default_and_limits(
    variable: str, key: str, info: FieldInfo
) -> None:
    row = documented(variable).get(key)
    assert row is not None, f"setup_backend.md does not document {variable}: {key}"
    assert row["default"] == format_default(info)
    for limit in bounds(info):
        assert re.search(rf"\b{limit}\b", row["type"]), f"{key}: the limit {limit} is not documented"


@pytest.mark.parametrize(("variable", "model"), MODELS.items())
def test_no_setting_is_documented_that_does_not_exist(variable: str, model: type[BaseModel]) -> None:
    assert set(documented(variable)) == {key for key, _ in fields_of(model)}


def test_each_variable_has_a_section() -> None:
    for variable in VARIABLES:
        assert f"### `{variable}`\n" in SETUP


def leaves(value: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, item in value.items():
        yield from leaves(item, f"{prefix}{key}.") if isinstance(item, dict) else [prefix + key]


def test_each_key_of_the_example_is_documented() -> None:
    assert set(EXAMPLE) <= set(VARIABLES)
    assert set(leaves(EXAMPLE["mayfly"])) <= set(documented("mayfly"))


@pytest.mark.parametrize("policy", POLICIES)
def test_the_policy_is_quoted_word_for_word(policy: str) -> None:
    assert f"```json\n{POLICIES[policy].strip()}\n```" in SETUP


@pytest.mark.parametrize(
    "statement",
    [one for policy in POLICIES.values() for one in json.loads(policy)["Statement"]],
    ids=lambda one: one["Sid"],
)
def test_each_statement_of_the_policy_is_explained(statement: dict[str, Any]) -> None:
    rows = [line for line in SETUP.splitlines() if line.startswith("| ")]
    assert any(f"`{statement['Sid']}`" in row for row in rows)


PLACEHOLDERS = sorted(
    {
        (policy, found)
        for policy, text in POLICIES.items()
        for found in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b|\b(?:REGION|TOPIC|PRINCIPAL)\b", text)
    }
)


@pytest.mark.parametrize(("policy", "placeholder"), PLACEHOLDERS)
def test_each_placeholder_of_the_policy_is_named_before_it(policy: str, placeholder: str) -> None:
    own = "iam-doctor-policy" if placeholder == "PRINCIPAL" else "iam-principal-policy"
    assert f"`{placeholder}`" in SETUP.split(f"```json\n{POLICIES[own].strip()}", 1)[0]
    assert policy == own or "Replace the placeholders as in section 8" in SETUP


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = _HEADING.findall(_FENCED.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_to_exists(page: Path) -> None:
    for link in _LINK.finditer(_FENCED.sub("", page.read_text())):
        target, _, anchor = link["target"].partition("#")
        if target.startswith(("http://", "https://")):
            continue
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), f"{page.name} links to {target}"
        assert found.is_relative_to(ROOT)
        if anchor:
            assert anchor in anchors(found), f"{page.name} links to {target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_tests_that_a_page_names_exist(page: Path) -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for name in re.findall(r"`(test_\w+)`", page.read_text()):
        assert f"def {name}(" in sources, f"{page.name} names {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_paths_that_a_page_names_exist(page: Path) -> None:
    folders = "dags|plugins|sparkjobs|sql_templates|sandbox|tests|docs|bench"
    for path in re.findall(rf"`((?:{folders})/[\w./-]*)`", page.read_text()):
        builds = page == PAGE and path in files_of_the_page()
        assert builds or (ROOT / path).exists(), f"{page.name} names {path}"


def read_variables() -> set[str]:
    """The environment variables of ours that the code or the Makefile names."""
    files = [path for folder in ("sandbox", "tests", "bench") for path in (ROOT / folder).rglob("*.py")]
    texts = [path.read_text() for path in (*files, ROOT / "Makefile") if path != Path(__file__)]
    return {name for text in texts for name in _VARIABLE.findall(text)}


def test_each_environment_variable_is_documented_and_no_other() -> None:
    lines = (ROOT / "docs/sandbox.md").read_text().splitlines()
    documented_names = {row["key"] for line in lines if (row := _VARIABLE_ROW.match(line))}
    assert documented_names == read_variables()


def test_the_decisions_are_numbered_one_after_the_other() -> None:
    decisions = sorted((ROOT / "docs/adr").glob("*.md"))
    for number, decision in enumerate(decisions, start=1):
        assert decision.name.startswith(f"{number:04}-")
        assert decision.read_text().startswith(f"# {number}. ")
        for heading in ("Context", "Decision", "Consequences"):
            assert f"\n## {heading}\n" in decision.read_text()
