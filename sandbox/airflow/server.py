"""Starts, supervises and stops Airflow: four processes and their PostgreSQL; with Celery, RabbitMQ and workers too."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import shutil
import sys
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import psutil
import requests

from sandbox.addresses import Addresses, check_free
from sandbox.airflow.celery import (
    HOST_NAME_MODULE,
    QUEUE,
    RESULTS,
    CeleryPlan,
    host_name_module,
    worker_command,
)
from sandbox.airflow.client import AirflowClient
from sandbox.airflow.configuration import (
    DATABASE,
    PARALLELISM,
    USER,
    AirflowPlan,
    Secrets,
    airflow_environment,
)
from sandbox.airflow.database import start_database
from sandbox.airflow.rabbitmq import RabbitMq
from sandbox.airflow.restarts import Decision, RestartPolicy
from sandbox.errors import SandboxError
from sandbox.postgres import Postgres
from sandbox.processes import Child, end_tree

log = logging.getLogger(__name__)

_BOOT_TIMEOUT_S = 180.0
_POLL_S = 0.2
_TAIL_LINES = 30
# Imported by every task of a pipeline. Mayfly's own code is not preloaded: it may change while Airflow runs.
_PRELOADED = ("boto3", "jinja2", "psycopg2", "pydantic", "requests", "s3transfer")
# --skip-serve-logs: otherwise the log servers listen on every address of this machine.
_COMMANDS = {
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
    "api-server": ("api-server",),
}


class Airflow:
    """One sandbox's Airflow: `start()`, then `client()`, and `check()` or `supervise()` regularly; then `stop()`."""

    def __init__(
        self, *, addresses: Addresses, home: Path, dags: Path, plugins: Path, root: Path, workers: int = 0
    ) -> None:
        """`home` is emptied at each start; `dags` and `plugins` are used where they are, not copied.

        With `workers` that many Celery workers run the tasks, otherwise the scheduler's LocalExecutor does.
        """
        self._postgres = Postgres(
            home / "postgres", host=addresses.host, port=addresses.airflow_db_port, superuser="airflow"
        )
        self._rabbitmq = RabbitMq(home / "rabbitmq", addresses) if workers else None
        self.plan = AirflowPlan(
            addresses=addresses,
            home=home,
            dags=dags,
            plugins=plugins,
            root=root,
            database_url=self._postgres.url(DATABASE).removeprefix("postgresql://"),
            secrets=_new_secrets(),
            celery=self._celery_plan(workers),
        )
        self._children: dict[str, Child] = {}
        self._restarts = RestartPolicy()
        self._stopping = threading.Event()

    def _celery_plan(self, workers: int) -> CeleryPlan | None:
        if self._rabbitmq is None:
            return None
        results = self._postgres.url(RESULTS).removeprefix("postgresql://")
        return CeleryPlan(self._rabbitmq.url, results, workers, PARALLELISM)

    @property
    def password(self) -> str:
        return self.plan.secrets.password

    def client(self) -> AirflowClient:
        return AirflowClient(self.plan.url, USER, self.password)

    def start(self) -> None:
        """Return once every component reports that it is healthy. Raises SandboxError after stopping everything."""
        addresses = self.plan.addresses
        check_free(addresses.host, addresses.airflow_port, "Airflow's UI")
        check_free(addresses.host, addresses.airflow_db_port, "Airflow's PostgreSQL")
        if self._rabbitmq is not None:
            self._rabbitmq.check_can_start()
        shutil.rmtree(self.plan.home, ignore_errors=True)
        self.plan.logs.mkdir(parents=True)
        self._prepare_homes()
        self._write_password()
        try:
            self._start_services()
            self._raise_if_stopping()
            for name in self._commands:
                self._children[name] = self._launch(name)
            self._wait_healthy(_BOOT_TIMEOUT_S, time.monotonic)
        except BaseException:
            self.stop()
            raise

    def _start_services(self) -> None:
        """RabbitMQ takes about as long as PostgreSQL with a new database, so they start at the same time."""
        with ThreadPoolExecutor(1) as pool:
            broker = pool.submit(self._rabbitmq.start) if self._rabbitmq is not None else None
            start_database(self._postgres, self._environment("scheduler"))
            if broker is not None:
                self._postgres.create_database(RESULTS)
                broker.result()

    def check(self) -> None:
        """Raise SandboxError, with the end of its log, if a component, or a service that they use, has ended."""
        for name in self._dead():
            raise SandboxError(self._exit_message(name))

    def supervise(self) -> list[str]:
        """Restart what died, as a deployment's supervisor does; returns a line for each death and restart.

        Raises SandboxError, with the end of its log, if one dies repeatedly or a service cannot be started again.
        """
        return [line for name in self._dead() if (line := self._handle_death(name))]

    def _dead(self) -> list[str]:
        """The services first: what uses them cannot live without them."""
        services = [name for name, service in self._services.items() if not service.alive]
        return [*services, *(name for name, child in self._children.items() if not child.alive)]

    @cached_property
    def _services(self) -> dict[str, Postgres | RabbitMq]:
        return {"PostgreSQL": self._postgres, **({"RabbitMQ": self._rabbitmq} if self._rabbitmq else {})}

    def _handle_death(self, name: str) -> str | None:
        decision = self._restarts.decide(name)
        if decision is Decision.GIVE_UP:
            raise SandboxError(
                f"The {self._title(name)} dies repeatedly, so it is not restarted. {self._exit_message(name)}"
            )
        if decision is Decision.REPORT:
            log_file = self._log_of(name)
            return f"The {self._title(name)} ended{self._code(name)} and will be restarted ({log_file})"
        if decision is Decision.RESTART:
            self._restart(name)
            return f"The {self._title(name)} was restarted"
        return None

    def _restart(self, name: str) -> None:
        if name in self._services:
            self._services[name].stop()
            self._services[name].start()
        else:
            self._children[name].stop()
            self._children[name] = self._launch(name)

    def _title(self, name: str) -> str:
        return name if name in self._services else self._children[name].name

    def _code(self, name: str) -> str:
        return "" if name in self._services else f" with code {self._children[name].returncode}"

    def _log_of(self, name: str) -> Path:
        return self._services[name].log if name in self._services else self._children[name].log

    def _exit_message(self, name: str) -> str:
        log_file = self._log_of(name)
        return f"The {self._title(name)} ended{self._code(name)}. The end of {log_file}:\n{_tail(log_file)}"

    def _launch(self, name: str) -> Child:
        return Child(
            [sys.executable, "-m", "airflow", *self._commands[name]],
            name=f"airflow {name}",
            log=self.plan.logs / f"{name.replace(' ', '-')}.log",
            environment=self._environment(name),
            cwd=self._home_of(name),
        )

    @cached_property
    def _commands(self) -> dict[str, tuple[str, ...]]:
        """The arguments of `airflow` for each component."""
        workers = self.plan.celery.names if self.plan.celery else ()
        host = self.plan.addresses.host
        return {**_COMMANDS, **{f"worker {name}": worker_command(name, host) for name in workers}}

    def _home_of(self, component: str) -> Path:
        """A worker has a home of its own, the other components share one."""
        return self.plan.home / component.replace(" ", "-") if component not in _COMMANDS else self.plan.home

    def _environment(self, component: str) -> dict[str, str]:
        return airflow_environment(self.plan, os.environ, self._home_of(component))

    def stop(self) -> None:
        """End everything, the services last. Calling it again has no effect."""
        self._stopping.set()
        children, self._children = list(self._children.values()), {}
        if children:
            with ThreadPoolExecutor(len(children)) as pool:
                list(pool.map(_kill, children))
        for service in self._services.values():
            service.stop()

    def _raise_if_stopping(self) -> None:
        if self._stopping.is_set():
            raise SandboxError("Airflow was stopped while it started")

    def _write_password(self) -> None:
        path = self.plan.password_file
        path.touch(mode=0o600)
        path.write_text(json.dumps({USER: self.password}))

    def _missing_workers(self) -> list[str]:
        """Airflow's health says nothing of workers, but those that are ready consume its queue."""
        if self._rabbitmq is None or self.plan.celery is None:
            return []
        ready = self._rabbitmq.consumers(QUEUE)
        return [] if ready >= self.plan.celery.workers else [f"Celery ({ready} workers are ready)"]

    def _prepare_homes(self) -> None:
        """What Airflow finds in `config` of its home when it starts, as importable modules.

        `airflow_local_settings` is imported before tasks are forked, which saves each task 0.1 s of CPU time.
        """
        for component in self._commands:
            config = self._home_of(component) / "config"
            config.mkdir(parents=True, exist_ok=True)
            preload = "".join(f"import {name}\n" for name in _PRELOADED)
            (config / "airflow_local_settings.py").write_text(preload)
            host = component.removeprefix("worker ") if component not in _COMMANDS else "main"
            (config / f"{HOST_NAME_MODULE}.py").write_text(host_name_module(host))

    def _wait_healthy(self, timeout_s: float, clock: Callable[[], float]) -> None:
        client, deadline, status = self.client(), clock() + timeout_s, "nothing listens yet"
        while clock() < deadline:
            self._raise_if_stopping()
            self.check()
            try:
                states = client.health()
            except requests.RequestException as error:
                status = f"no answer ({type(error).__name__})"
            else:
                missing = sorted(name for name, state in states.items() if state != "healthy")
                missing += self._missing_workers()
                if not missing:
                    return
                status = f"not healthy: {', '.join(missing)}"
            time.sleep(_POLL_S)
        raise SandboxError(
            f"Airflow is not up after {timeout_s:.0f} s: {status}. Its logs are in {self.plan.logs}"
        )


def _kill(child: Child) -> None:
    """SIGKILL at once: none of its state outlives the sandbox, and a graceful stop takes four seconds."""
    with contextlib.suppress(psutil.NoSuchProcess):
        end_tree(psutil.Process(child.process.pid), grace_s=0)
    child.stop()


def _new_secrets() -> Secrets:
    return Secrets(
        password=secrets.token_urlsafe(12),
        jwt=secrets.token_urlsafe(48),
        api=secrets.token_urlsafe(32),
        fernet=urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    )


def _tail(path: Path) -> str:
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
    except FileNotFoundError:
        return ""
