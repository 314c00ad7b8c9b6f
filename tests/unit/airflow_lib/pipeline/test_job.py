"""Jobs and their sources."""

from airflow_lib.pipeline import (
    Source,
)


def test_a_source_in_more_than_one_form_keeps_their_order():
    assert Source("sas_data/", "arrivals.csv").names == ("sas_data/", "arrivals.csv")
