"""The environment of Airflow's processes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.addresses import Addresses
from sandbox.airflow.celery import CeleryPlan
from sandbox.airflow.configuration import AirflowPlan, Secrets, airflow_environment

PLAN = AirflowPlan(
    addresses=Addresses(7),
    home=Path("/h/airflow"),
    dags=Path("/c/dags"),
    plugins=Path("/c/plugins"),
    root=Path("/c"),
    database_url="airflow@127.7.0.1:5432/airflow",
    secrets=Secrets(password="p", jwt="j", api="a", fernet="f"),
)


@pytest.mark.parametrize(
    "name",
    [
        "AWS_PROFILE",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ROLE_ARN",
        "AIRFLOW__CORE__LOAD_EXAMPLES",
        "AIRFLOW_CONN_AWS_DEFAULT",
        "AIRFLOW_VAR_MAYFLY",
        "HTTPS_PROXY",
        "https_proxy",
        "PYTHONPATH",
        "SPARK_HOME",
    ],
)
def test_the_callers_own_configuration_is_left_out(name: str) -> None:
    environment = airflow_environment(PLAN, {name: "the-callers-own", "LANG": "C.UTF-8"})
    assert "the-callers-own" not in environment.values()
    assert environment["LANG"] == "C.UTF-8"


def test_boto3_uses_the_sandbox_and_no_profile_file_or_instance_role() -> None:
    environment = airflow_environment(PLAN, {})
    assert {name: value for name, value in environment.items() if name.startswith("AWS_")} == {
        "AWS_ENDPOINT_URL": "http://127.7.0.1:5566",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def test_product_code_is_imported_from_plugins_and_from_the_root() -> None:
    assert airflow_environment(PLAN, {})["PYTHONPATH"] == "/c/plugins:/c"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("CORE__EXECUTION_API_SERVER_URL", "http://127.7.0.1:8080/execution/"),
        ("CORE__DAGS_FOLDER", "/c/dags"),
        ("API__HOST", "127.7.0.1"),
        ("SCHEDULER__USE_JOB_SCHEDULE", "False"),
        ("DATABASE__SQL_ALCHEMY_CONN", "postgresql+psycopg2://airflow@127.7.0.1:5432/airflow"),
    ],
)
def test_airflow_options_are_set(option: str, value: str) -> None:
    assert airflow_environment(PLAN, {})[f"AIRFLOW__{option}"] == value


CELERY = replace(
    PLAN, celery=CeleryPlan("amqp://a:p@127.7.0.1/a", "airflow@127.7.0.1:5432/r", workers=3, slots=8)
)


def test_without_workers_tasks_run_in_a_local_executor_and_logs_stay_in_the_home() -> None:
    environment = airflow_environment(PLAN, {})
    assert environment["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    celery = ("AIRFLOW__CELERY__", "AIRFLOW__LOGGING__REMOTE_", "AIRFLOW_CONN_")
    assert not [name for name in environment if name.startswith(celery)]


def test_with_workers_tasks_go_through_the_broker_and_logs_to_s3() -> None:
    environment = airflow_environment(CELERY, {})
    assert environment["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert environment["AIRFLOW__CELERY__BROKER_URL"] == "amqp://a:p@127.7.0.1/a"
    assert (
        environment["AIRFLOW__CELERY__RESULT_BACKEND"] == "db+postgresql+psycopg2://airflow@127.7.0.1:5432/r"
    )
    assert environment["AIRFLOW__LOGGING__REMOTE_LOGGING"] == "True"


def test_all_workers_together_have_at_least_the_slots_that_airflow_fills() -> None:
    assert airflow_environment(CELERY, {})["AIRFLOW__CELERY__WORKER_CONCURRENCY"] == "3"


def test_a_worker_has_a_home_and_local_logs_of_its_own() -> None:
    environment = airflow_environment(CELERY, {}, Path("/h/airflow/worker-w1"))
    assert environment["AIRFLOW_HOME"] == "/h/airflow/worker-w1"
    assert environment["AIRFLOW__LOGGING__BASE_LOG_FOLDER"] == "/h/airflow/worker-w1/logs"


def test_a_schedule_makes_runs_only_where_the_caller_asks_for_it() -> None:
    names = ("AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE", "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION")
    usual, scheduled = (airflow_environment(PLAN, caller) for caller in ({}, {"SANDBOX_SCHEDULED": "1"}))
    assert [usual[name] for name in names] == ["False", "False"]
    assert [scheduled[name] for name in names] == ["True", "True"]
