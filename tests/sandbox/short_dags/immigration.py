"""The immigration pipeline with two checks and one answer, and the janitor.

Each task costs Airflow a second of CPU time, and the tests that use these DAGs do not need the other checks.
"""

from dataclasses import replace

from subdags import build_dag
from subdags.janitor import build_janitor_dag
from tests.sql.declarations import declared_pipeline

IMMIGRATION = declared_pipeline("immigration")

dag = build_dag(replace(IMMIGRATION, checks=IMMIGRATION.checks[:2], answers=IMMIGRATION.answers[:1]))
janitor = build_janitor_dag()
