"""Starts, supervises and stops Airflow: four processes and their PostgreSQL."""

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
from sandbox.airflow.client import AirflowClient
from sandbox.airflow.configuration import DATABASE, USER, AirflowPlan, Secrets, airflow_environment
from sandbox.airflow.database import start_database
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

    def __init__(self, *, addresses: Addresses, home: Path, dags: Path, plugins: Path, root: Path) -> None:
        """`home` is emptied at each start; `dags` and `plugins` are used where they are, not copied."""
        self._postgres = Postgres(
            home / "postgres", host=addresses.host, port=addresses.airflow_db_port, superuser="airflow"
        )
        self.plan = AirflowPlan(
            addresses=addresses,
            home=home,
            dags=dags,
            plugins=plugins,
            root=root,
            database_url=self._postgres.url(DATABASE).removeprefix("postgresql://"),
            secrets=_new_secrets(),
        )
        self._children: dict[str, Child] = {}
        self._restarts = RestartPolicy()
        self._stopping = threading.Event()

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
        shutil.rmtree(self.plan.home, ignore_errors=True)
        self.plan.logs.mkdir(parents=True)
        self._write_password()
        self._write_preload()
        try:
            start_database(self._postgres, self._environment)
            self._raise_if_stopping()
            for name in _COMMANDS:
                self._children[name] = self._launch(name)
            self._wait_healthy(_BOOT_TIMEOUT_S, time.monotonic)
        except BaseException:
            self.stop()
            raise

    def check(self) -> None:
        """Raise SandboxError, with the end of its log, if a component has ended."""
        for child in self._children.values():
            if not child.alive:
                raise SandboxError(_exit_message(child))
        self._check_database()

    def supervise(self) -> list[str]:
        """Restart components that died, as a deployment's supervisor does; returns a line for each death and restart.

        Raises SandboxError, with the end of its log, if one dies repeatedly or the database has ended.
        """
        self._check_database()
        dead = [name for name, child in self._children.items() if not child.alive]
        return [line for name in dead if (line := self._handle_death(name))]

    def _handle_death(self, name: str) -> str | None:
        child = self._children[name]
        decision = self._restarts.decide(name)
        if decision is Decision.GIVE_UP:
            raise SandboxError(
                f"The {child.name} dies repeatedly, so it is not restarted. {_exit_message(child)}"
            )
        if decision is Decision.REPORT:
            return f"The {child.name} ended with code {child.returncode} and will be restarted ({child.log})"
        if decision is Decision.RESTART:
            child.stop()
            self._children[name] = self._launch(name)
            return f"The {child.name} was restarted"
        return None

    def _launch(self, name: str) -> Child:
        return Child(
            [sys.executable, "-m", "airflow", *_COMMANDS[name]],
            name=f"airflow {name}",
            log=self.plan.logs / f"{name}.log",
            environment=self._environment,
            cwd=self.plan.home,
        )

    @cached_property
    def _environment(self) -> dict[str, str]:
        return airflow_environment(self.plan, os.environ)

    def _check_database(self) -> None:
        if not self._postgres.alive:
            raise SandboxError(
                f"Airflow's PostgreSQL ended. The end of {self._postgres.log}:\n{_tail(self._postgres.log)}"
            )

    def stop(self) -> None:
        """End everything, the database last. Calling it again has no effect."""
        self._stopping.set()
        children, self._children = list(self._children.values()), {}
        if children:
            with ThreadPoolExecutor(len(children)) as pool:
                list(pool.map(_kill, children))
        self._postgres.stop()

    def _raise_if_stopping(self) -> None:
        if self._stopping.is_set():
            raise SandboxError("Airflow was stopped while it started")

    def _write_password(self) -> None:
        path = self.plan.password_file
        path.touch(mode=0o600)
        path.write_text(json.dumps({USER: self.password}))

    def _write_preload(self) -> None:
        """Airflow imports this file when it starts, and forks tasks afterwards: saves each task 0.1 s of CPU time."""
        path = self.plan.home / "config" / "airflow_local_settings.py"
        path.parent.mkdir()
        path.write_text("".join(f"import {name}\n" for name in _PRELOADED))

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
                if not missing:
                    return
                status = f"not healthy: {', '.join(missing)}"
            time.sleep(_POLL_S)
        raise SandboxError(
            f"Airflow is not up after {timeout_s:.0f} s: {status}. Its logs are in {self.plan.logs}"
        )


def _exit_message(child: Child) -> str:
    return (
        f"The {child.name} ended with code {child.returncode}. The end of {child.log}:\n"
        f"{child.log_tail(_TAIL_LINES)}"
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
