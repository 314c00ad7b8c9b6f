"""Every SQL template: it renders, is Redshift's SQL, and belongs to a declaration."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from sqlglot import exp

from airflow_lib.pipeline import Pipeline
from airflow_lib.warehouse.sql import ROOT, render, statements
from tests.sql.declarations import declared_pipelines
from tests.sql.parsing import VALUES, columns_of, own_columns_of, parse

PIPELINES = declared_pipelines()
TEMPLATES = sorted(str(path.relative_to(ROOT).with_suffix("")) for path in ROOT.rglob("*.sql"))

# What PostgreSQL has and Redshift has not, or (TRUNCATE) what commits in the middle of a load.
NOT_REDSHIFT = (exp.OnConflict, exp.Returning, exp.Filter, exp.TruncateTable, exp.Lateral, exp.Values)


@pytest.fixture(autouse=True)
def _quiet_sqlglot(caplog: pytest.LogCaptureFixture) -> None:
    """LOCK and UNLOAD are Redshift's, but sqlglot knows them as commands only, and says so."""
    caplog.set_level(logging.ERROR, logger="sqlglot")


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_redshifts_sql_and_splits_into_its_statements(name: str) -> None:
    parsed = parse(name)
    split = statements(render(name, **VALUES))

    assert parsed
    assert len(split) == len(parsed)
    commands = {statement.this for statement in parsed if isinstance(statement, exp.Command)}
    assert commands <= {"LOCK", "UNLOAD"}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_uses_nothing_that_redshift_lacks(name: str) -> None:
    for statement in parse(name):
        found = list(statement.find_all(*NOT_REDSHIFT))
        if isinstance(statement, exp.Insert):  # INSERT … VALUES is fine, VALUES as a table is not
            found = [node for node in found if node is not statement.expression]
        assert found == []
        assert not any(distinct.args.get("on") for distinct in statement.find_all(exp.Distinct))
        if isinstance(statement, exp.Delete):
            assert statement.this.alias == "", "Redshift's DELETE takes no alias for its target"


@pytest.mark.parametrize("name", TEMPLATES)
def test_jinja_inserts_values_and_identifiers_only(name: str) -> None:
    text = (ROOT / f"{name}.sql").read_text()

    assert "{%" not in text
    assert "{#" not in text


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_comment_has_lines_of_its_own(name: str) -> None:
    for line in (ROOT / f"{name}.sql").read_text().splitlines():
        assert "--" not in line or line.lstrip().startswith("--"), line


@pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda pipeline: pipeline.name)
def test_every_declared_table_and_answer_has_its_templates_and_none_is_left_over(pipeline: Pipeline) -> None:
    assert {name for name in TEMPLATES if name.startswith(f"{pipeline.name}/")} == templates_of(pipeline)


def templates_of(pipeline: Pipeline) -> set[str]:
    return {
        *(f"{pipeline.name}/create/{table.name}" for table in pipeline.tables),
        *(f"{pipeline.name}/load/{table.name}" for table in pipeline.warehouse_tables),
        *(f"{pipeline.name}/answers/{answer.name}" for answer in pipeline.answers),
    }


def test_every_shared_template_is_used_by_the_library() -> None:
    library = "".join(path.read_text() for path in (ROOT.parent / "plugins" / "airflow_lib").rglob("*.py"))
    folders = ("shared/checks/", "shared/create/", "shared/load/")
    by_name = {name for name in TEMPLATES if name.startswith(folders)}
    unused = [name for name in TEMPLATES if name.startswith("shared/") and f'"{name}"' not in library]

    assert set(unused) <= by_name
    assert [name for name in unused if f'"{Path(name).name}"' not in library] == []


@pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda pipeline: pipeline.name)
def test_a_table_is_created_under_its_declared_name_with_its_key(pipeline: Pipeline) -> None:
    for table in pipeline.tables:
        (create,) = parse(f"{pipeline.name}/create/{table.name}")
        assert create.this.this.name == table.name
    for table in pipeline.warehouse_tables:
        assert set(table.key) <= set(columns_of(pipeline, table.name))
    for table, window in pipeline.windows.items():
        assert window.column in columns_of(pipeline, table)


@pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda pipeline: pipeline.name)
def test_a_load_fills_every_column_but_the_identity(pipeline: Pipeline) -> None:
    for table in pipeline.warehouse_tables:
        (select,) = parse(f"{pipeline.name}/load/{table.name}")
        given = [name.lower() for name in select.named_selects]
        assert sorted(given) == sorted(name.lower() for name in own_columns_of(pipeline, table.name))


@pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda pipeline: pipeline.name)
def test_a_create_template_says_how_its_rows_are_distributed_and_why(pipeline: Pipeline) -> None:
    for table in pipeline.tables:
        text = (ROOT / f"{pipeline.name}/create/{table.name}.sql").read_text()
        head, _, body = text.partition("CREATE TABLE")
        word = "DISTSTYLE" if "DISTSTYLE" in body else "DISTKEY"
        assert word in body
        assert word in head, f"{table.name}: the head of its file explains {word}"
        assert ("SORTKEY" in body) <= ("SORTKEY" in head)
