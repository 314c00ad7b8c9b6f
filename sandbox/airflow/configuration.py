"""The configuration of Airflow's processes, as environment variables; no airflow.cfg is read or written.

Everything listens on the sandbox's loopback address, and none of the caller's own AWS or Airflow configuration
reaches the processes.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.addresses import Addresses
from sandbox.airflow.celery import CeleryPlan, celery_options, celery_variables

USER = "admin"
DATABASE = "airflow"

# The caller's variable that lets Airflow make the runs of a schedule, of DAGs that somebody unpauses.
SCHEDULED = "SANDBOX_SCHEDULED"

# Tasks defer while they wait, so few of them need a slot at the same time; each is a process of about 150 MB.
PARALLELISM = 8

# How soon Airflow notices that one of its processes was killed, in seconds. Heartbeats come every 5 s: a scheduler or
# triggerer counts as dead after three missed ones (default: 30 s). Tasks orphaned by a dead scheduler are looked for
# every 10 s (default: 300 s). A task whose worker died sends no heartbeat, and counts as dead after 60 s (default:
# 300 s).
_QUICK_RECOVERY = {
    "scheduler": {
        "scheduler_health_check_threshold": "15",
        "orphaned_tasks_check_interval": "10",
        "task_instance_heartbeat_timeout": "60",
    },
    "triggerer": {"triggerer_health_check_threshold": "15"},
}

# On a machine that is busy with other work, importing a DAG file takes a minute. By default that ends after 30 s,
# in a task as well, and the DAG counts as deleted soon after: its runs then stand still without a word.
_PATIENT_IMPORT_S = "600"

# The caller's variables with these prefixes would reach the product as configuration.
_FOREIGN_PREFIXES = ("AWS_", "AIRFLOW_", "BOTO", "SPARK_", "PYSPARK_")
# A proxy cannot reach loopback; a foreign Python path must not be imported from; and without
# PYTHONDONTWRITEBYTECODE packages are compiled once, not at each start.
_FOREIGN = frozenset(
    {
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "ftp_proxy",
        "pythondontwritebytecode",
        "pythonhome",
        "pythonpath",
        "pythonstartup",
    }
)

# Keeps boto3 from using a profile, key or role of this machine.
NO_FOREIGN_AWS = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True)
class Secrets:
    """Generated at random at each start of Airflow."""

    password: str
    jwt: str
    api: str
    fernet: str


@dataclass(frozen=True)
class AirflowPlan:
    """The directories, addresses and secrets of one sandbox's Airflow; without `celery` a LocalExecutor runs tasks."""

    addresses: Addresses
    home: Path
    dags: Path
    plugins: Path
    root: Path
    database_url: str
    secrets: Secrets
    celery: CeleryPlan | None = None

    @property
    def url(self) -> str:
        return f"http://{self.addresses.host}:{self.addresses.airflow_port}"

    @property
    def password_file(self) -> Path:
        return self.home / "passwords.json"

    @property
    def logs(self) -> Path:
        return self.home / "logs"


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` without the caller's AWS, Airflow, Spark, proxy and Python settings."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(_FOREIGN_PREFIXES) and name.lower() not in _FOREIGN
    }


def airflow_environment(
    plan: AirflowPlan, caller: Mapping[str, str], home: Path | None = None
) -> dict[str, str]:
    """The complete environment of Airflow's processes; `caller` is that of this process.

    `home` is that of a process with a home of its own, such as a Celery worker; the others share `plan.home`.
    """
    home = home or plan.home
    scheduled = caller.get(SCHEDULED) == "1"
    sections = [
        _options(plan, home, scheduled=scheduled),
        *([celery_options(plan.celery)] if plan.celery else []),
    ]
    options = {
        f"AIRFLOW__{section.upper()}__{key.upper()}": value
        for part in sections
        for section, keys in part.items()
        for key, value in keys.items()
    }
    return {
        **clean_environment(caller),
        **NO_FOREIGN_AWS,
        "AWS_ENDPOINT_URL": plan.addresses.aws_url,
        **options,
        **(celery_variables() if plan.celery else {}),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW_CONFIG": str(home / "airflow.cfg"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), caller.get("PATH", os.defpath)]),
        "PYTHONPATH": os.pathsep.join([str(plan.plugins), str(plan.root)]),
        "PYTHONUNBUFFERED": "1",
        "TZ": "UTC",
    }


def _options(plan: AirflowPlan, home: Path, *, scheduled: bool) -> dict[str, dict[str, str]]:
    return {
        "core": {
            "dags_folder": str(plan.dags),
            "plugins_folder": str(plan.plugins),
            "executor": "LocalExecutor",
            "parallelism": str(PARALLELISM),
            "load_examples": "False",
            # The SQL of a load is longer than Airflow's 4096 characters.
            "max_templated_field_length": "65536",
            "dagbag_import_timeout": _PATIENT_IMPORT_S,
            "dags_are_paused_at_creation": str(scheduled),
            "fernet_key": plan.secrets.fernet,
            # The default asks the network's DNS server for this host's name.
            "hostname_callable": "socket.gethostname",
            "auth_manager": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
            "simple_auth_manager_users": f"{USER}:admin",
            "simple_auth_manager_passwords_file": str(plan.password_file),
            # Without it, each task connects to localhost:8080, and fails after 10 s.
            "execution_api_server_url": f"{plan.url}/execution/",
        },
        "database": {
            "sql_alchemy_conn": f"postgresql+psycopg2://{plan.database_url}",
            "sql_alchemy_conn_async": f"postgresql+asyncpg://{plan.database_url}",
        },
        "api": {
            "host": plan.addresses.host,
            "port": str(plan.addresses.airflow_port),
            "base_url": plan.url,
            "workers": "1",
            "secret_key": plan.secrets.api,
            "maximum_page_limit": "1000",
            "expose_config": "False",
        },
        "api_auth": {"jwt_secret": plan.secrets.jwt, "jwt_expiration_time": str(7 * 24 * 3600)},
        "logging": {
            "base_log_folder": str(home / "logs"),
            "dag_processor_child_process_log_directory": str(home / "logs" / "dag_processor"),
            "colored_console_log": "False",
        },
        "scheduler": {
            "scheduler_idle_sleep_time": "0.1",
            # By default nothing is scheduled: a run is triggered by REST, in the UI, or by a backfill.
            "use_job_schedule": str(scheduled),
            **_QUICK_RECOVERY["scheduler"],
        },
        "triggerer": _QUICK_RECOVERY["triggerer"],
        "dag_processor": {
            "parsing_processes": "1",
            "refresh_interval": "5",
            "min_file_process_interval": "30",
            "dag_file_processor_timeout": _PATIENT_IMPORT_S,
            "stale_dag_threshold": _PATIENT_IMPORT_S,
            "dag_bundle_config_list": json.dumps(
                [
                    {
                        "name": "dags-folder",
                        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                        "kwargs": {"path": str(plan.dags)},
                    }
                ]
            ),
        },
        "usage_data_collection": {"enabled": "False"},
    }
