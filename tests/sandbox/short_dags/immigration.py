"""The immigration pipeline with few checks and one answer, and the janitor.

Each task costs Airflow a second of CPU time, and the tests that use these DAGs do not need the other checks.
"""

from dataclasses import replace

from airflow_lib.pipeline import References
from subdags import build_dag
from subdags.janitor import build_janitor_dag
from tests.sql.declarations import declared_pipeline

IMMIGRATION = declared_pipeline("immigration")
# What is pruned is what nothing references, by these.
REFERENCES = tuple(check for check in IMMIGRATION.checks if isinstance(check, References))

checks = (*IMMIGRATION.checks[:2], *REFERENCES)
dag = build_dag(replace(IMMIGRATION, checks=checks, answers=IMMIGRATION.answers[:1]))
janitor = build_janitor_dag()
