"""The immigration pipeline with few checks and one question, and the janitor.

A task costs Airflow a second of processor time; the tests that use these DAGs are about all the other tasks.
"""

from dataclasses import replace

from subdags import build_dag
from subdags.janitor import build_janitor_dag
from tests.sql.declarations import declared_pipeline

IMMIGRATION = declared_pipeline("immigration")

dag = build_dag(replace(IMMIGRATION, checks=IMMIGRATION.checks[:2], answers=IMMIGRATION.answers[:1]))
janitor = build_janitor_dag()
