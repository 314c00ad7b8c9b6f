"""What a CeleryExecutor needs beside the rest of Airflow's configuration: broker, results, logs in S3, and workers.

Each worker has a home, a working directory and a host name of its own, as on a host of its own. They share what
setup_backend.md says hosts share: the checkout, the API server, RabbitMQ, PostgreSQL and the logs in S3.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.account import BUCKET, OBSERVER_KEY, REGION

RESULTS = "celery_results"  # a database of its own, beside Airflow's
QUEUE = "default"  # Airflow's [operators] default_queue
LOG_PREFIX = "airflow-logs"
_LOG_CONNECTION = "airflow_logs"
HOST_NAME_MODULE = "own_host"


@dataclass(frozen=True)
class CeleryPlan:
    """The broker's URL with its password, the results' database (`user@host:port/database`), and the workers."""

    broker_url: str
    results_url: str
    workers: int
    slots: int

    @property
    def names(self) -> tuple[str, ...]:
        """The workers' host names: w1, w2, …"""
        return tuple(f"w{n}" for n in range(1, self.workers + 1))

    @property
    def slots_each(self) -> int:
        """How many tasks a worker runs at a time, so that all workers together run at least `slots`."""
        return -(-self.slots // self.workers)


def celery_options(plan: CeleryPlan) -> dict[str, dict[str, str]]:
    """Airflow's options by section and key, as setup_backend.md has them."""
    return {
        "core": {"executor": "CeleryExecutor", "hostname_callable": f"{HOST_NAME_MODULE}.name"},
        "celery": {
            "broker_url": plan.broker_url,
            "result_backend": f"db+postgresql+psycopg2://{plan.results_url}",
            "worker_concurrency": str(plan.slots_each),
        },
        # A task whose message is lost (the result backend is away while it is sent, say) stays `queued`; Airflow sends
        # it again after this time (default: 600 s).
        "scheduler": {"task_queued_timeout": "90", "task_queued_timeout_check_interval": "15"},
        "logging": {
            "remote_logging": "True",
            "remote_base_log_folder": f"s3://{BUCKET}/{LOG_PREFIX}",
            "remote_log_conn_id": _LOG_CONNECTION,
        },
    }


def celery_variables() -> Mapping[str, str]:
    """Environment variables that are no options: the connection to the logs in S3, with the sandbox's own key."""
    connection = {
        "conn_type": "aws",
        "login": OBSERVER_KEY,
        "password": "sandbox",
        "extra": {"region_name": REGION},
    }
    return {f"AIRFLOW_CONN_{_LOG_CONNECTION.upper()}": json.dumps(connection)}


def worker_command(name: str, host: str) -> tuple[str, ...]:
    """Arguments of `airflow` for one worker; its log server would listen on every address."""
    return ("celery", "worker", "--skip-serve-logs", "--celery-hostname", f"{name}@{host}")


def host_name_module(name: str) -> str:
    """The source of a module in a component's AIRFLOW_HOME: this machine's name is the same for all of them."""
    return f'def name() -> str:\n    return "{name}"\n'
