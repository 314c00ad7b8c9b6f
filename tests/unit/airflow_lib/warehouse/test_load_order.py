"""In which order tables are loaded and pruned."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_lib.errors import WarehouseError
from airflow_lib.pipeline import Pipeline, Rebuild, References, Severity, Staging, Table
from airflow_lib.warehouse.load_order import order_loads, order_prunes, references_to, sort_loads
from tests.sql.declarations import declared_pipeline
from tests.unit.airflow_lib.warehouse.shop import SHOP
from tests.world import upserts
from tests.world.pipeline import TEMPLATES


def tables(*names: str, prune: bool = False) -> tuple[Table, ...]:
    return tuple(Table(name, Rebuild(), prune=prune) for name in names)


def sort(names: str, reads: dict[str, str] | None = None, references: dict[str, str] | None = None) -> str:
    """The order of tables of one letter each; `reads` and `references` by table, the others' letters."""
    given = [{name: set(others) for name, others in (edges or {}).items()} for edges in (reads, references)]
    return "".join(table.name for table in sort_loads(tables(*names), *given))


@pytest.mark.parametrize(
    ("names", "reads", "references", "expected"),
    [
        ("cab", {}, {}, "cab"),
        ("abc", {"a": "c"}, {}, "bca"),
        ("abc", {"a": "b", "b": "c"}, {}, "cba"),
        ("fad", {}, {"f": "ad"}, "adf"),
        ("fad", {"d": "f"}, {"f": "ad"}, "afd"),
        ("fade", {"d": "f", "e": "d"}, {"f": "ae"}, "afde"),
        ("abc", {}, {"a": "b", "b": "a"}, "cab"),
        ("ab", {}, {"a": "a", "b": "a"}, "ab"),
        ("abc", {"b": "x"}, {"c": "y"}, "abc"),
    ],
    ids=[
        "as declared",
        "after what it reads",
        "a chain",
        "after what it references",
        "what is read counts more than what is referenced",
        "also where it is read by way of another",
        "references in a circle keep the order of declaration",
        "a table may reference itself",
        "tables that are not the pipeline's do not matter",
    ],
)
def test_a_table_is_loaded_after_those_it_is_made_of(
    names: str, reads: dict[str, str], references: dict[str, str], expected: str
) -> None:
    assert sort(names, reads, references) == expected


def test_selects_that_read_each_others_tables_are_told() -> None:
    with pytest.raises(WarehouseError, match="tables b -> c -> b: each one's SELECT reads the next"):
        sort("abcd", {"b": "ac", "c": "b", "d": "b"})


def test_a_select_that_reads_its_own_table_is_told() -> None:
    with pytest.raises(WarehouseError, match="table 'b': its SELECT reads the table itself"):
        sort("abc", {"b": "b"})


def test_the_immigration_tables_that_read_the_fact_are_loaded_after_it() -> None:
    pipeline = declared_pipeline("immigration")
    assert [table.name for table in order_loads(pipeline)] == [
        "dimTourist",
        "factArrivetheUsa",
        "dimStateDestination",
        "dimAirport",
        "dimArriveDate",
    ]
    assert [table.name for table in order_prunes(pipeline)] == ["dimTourist"]


def test_a_table_is_pruned_after_those_that_reference_it() -> None:
    loads = order_loads(upserts.PIPELINE, root=TEMPLATES)
    assert [table.name for table in loads] == ["authors", "books", "reviews", "popular", "review_log"]
    assert [table.name for table in order_prunes(upserts.PIPELINE)] == ["books", "authors"]


def chain(*checks: References) -> Pipeline:
    return replace(
        SHOP, tables=(Staging("s", output="sales"), *tables("a", "b", "c", prune=True)), checks=checks
    )


def test_a_staging_table_keeps_no_row_from_being_pruned_since_it_is_of_one_run() -> None:
    pipeline = chain(References("s", "x", "a", "x"), References("b", "x", "a", "x", Severity.WARN))
    (a, *_) = pipeline.warehouse_tables
    assert [check.table for check in references_to(pipeline, a)] == ["b"]
    assert [table.name for table in order_prunes(pipeline)] == ["a"]
