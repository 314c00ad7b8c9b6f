"""The janitor (airflow_lib.janitor), every quarter of an hour."""

from subdags.janitor import build_janitor_dag

dag = build_janitor_dag()
