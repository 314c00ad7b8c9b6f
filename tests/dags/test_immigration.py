"""What the declaration of the immigration pipeline says of its sources is what its jobs read."""

from __future__ import annotations

import importlib
import inspect

import pytest

from airflow_lib.pipeline import Source
from tests.sql.declarations import declared_pipeline


@pytest.mark.parametrize(
    ("job", "module"),
    [("arrivals", "i94"), ("cities", "cities"), ("temperature", "temperature"), ("airports", "airports")],
)
def test_every_table_that_is_read_declares_its_columns_and_delimiter(job: str, module: str) -> None:
    code = importlib.import_module(f"sparkjobs.immigration.{module}")
    source = declared_pipeline("immigration").job(job).sources[0]
    assert isinstance(source, Source)
    assert source.columns == code.COLUMNS
    assert (f'delimiter="{source.delimiter}"' in inspect.getsource(code)) == (source.delimiter != ",")
