"""Load: the tables, one COPY for each staging table, one transaction."""

from __future__ import annotations

import pytest

from subdags.load import load
from tests.dags.graph import tasks, upstream

COPIES = ("load.staging_flats", "load.staging_rents")


def test_each_staging_table_has_a_copy_and_no_other_table_has_one(build):
    assert tasks(build(load)) == {"load.create_tables", *COPIES, "load.load_window"}


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_waits_for_the_tables_and_for_no_other_copy(build, copy):
    assert upstream(build(load), copy) == {"load.create_tables"}


def test_the_load_transaction_comes_after_every_copy(build):
    assert upstream(build(load), "load.load_window") == {"load.create_tables", *COPIES}


def test_a_table_that_no_check_is_of_is_an_asset_of_the_load_transaction(build):
    window = build(load).get_task("load.load_window")
    assert [asset.uri for asset in window.outlets] == ["mayfly://flats/tables/dim_flats"]
