"""A backfill's plan before it is made, and its start: `python -m airflow_lib.backfill` (docs/backfill.md).

`declared` knows the pipeline, `judge` what the warehouse holds, `airflow_api` how runs are started.
"""
