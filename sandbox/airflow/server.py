"""Starts, watches and stops Airflow: four processes and their PostgreSQL."""

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
from sandbox.airflow.restarts import Judgement, Restarts
from sandbox.errors import SandboxError
from sandbox.postgres import Postgres
from sandbox.processes import Child, end_tree

log = logging.getLogger(__name__)

_BOOT_TIMEOUT_S = 180.0
_POLL_S = 0.2
_TAIL_LINES = 30
# What each task of a pipeline imports; none of the product's own code, which may change while Airflow runs.
_PRELOADED = ("boto3", "jinja2", "psycopg2", "pydantic", "requests", "s3transfer")
# --skip-serve-logs: the log servers would listen on every address of the machine.
_COMMANDS = {
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
    "api-server": ("api-server",),
}


class Airflow:
    """One sandbox's Airflow. `start()`, then `client()`; `check()` or `supervise()` now and then; `stop()`."""

    def __init__(self, *, addresses: Addresses, home: Path, dags: Path, plugins: Path, root: Path) -> None:
        """`home` is emptied at each start; `dags` and `plugins` are read where they are."""
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
        self._restarts = Restarts()
        self._stopping = threading.Event()

    @property
    def password(self) -> str:
        return self.plan.secrets.password

    def client(self) -> AirflowClient:
        return AirflowClient(self.plan.url, USER, self.password)

    def start(self) -> None:
        """Return once every component reports itself healthy. Raises SandboxError; then nothing runs."""
        addresses = self.plan.addresses
        check_free(addresses.host, addresses.airflow_port, "Airflow's UI")
        check_free(addresses.host, addresses.airflow_db_port, "Airflow's PostgreSQL")
        shutil.rmtree(self.plan.home, ignore_errors=True)
        self.plan.logs.mkdir(parents=True)
        self._write_password()
        self._write_preload()
        try:
            start_database(self._postgres, self._environment)
            self._refuse_when_stopping()
            for name in _COMMANDS:
                self._children[name] = self._launch(name)
            self._wait_healthy(_BOOT_TIMEOUT_S, time.monotonic)
        except BaseException:
            self.stop()
            raise

    def check(self) -> None:
        """Raise SandboxError, with the end of its log, where a component is dead."""
        for child in self._children.values():
            if not child.alive:
                raise SandboxError(_last_words(child))
        self._check_database()

    def supervise(self) -> list[str]:
        """Start a component that died again, as a deployment's supervisor would; one line for each that died or
        was started.

        Raises SandboxError, with the end of its log, where one dies over and over or the database is dead.
        """
        self._check_database()
        dead = [name for name, child in self._children.items() if not child.alive]
        return [line for name in dead if (line := self._attend(name))]

    def _attend(self, name: str) -> str | None:
        child = self._children[name]
        judgement = self._restarts.judge(name)
        if judgement is Judgement.GIVE_UP:
            raise SandboxError(f"It dies over and over. {_last_words(child)}")
        if judgement is Judgement.NEWS:
            return f"The {child.name} ended with code {child.returncode} and is started again ({child.log})"
        if judgement is Judgement.START:
            child.stop()
            self._children[name] = self._launch(name)
            return f"The {child.name} was started again"
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
        """End everything, the database last; twice is fine."""
        self._stopping.set()
        children, self._children = list(self._children.values()), {}
        if children:
            with ThreadPoolExecutor(len(children)) as pool:
                list(pool.map(_end, children))
        self._postgres.stop()

    def _refuse_when_stopping(self) -> None:
        if self._stopping.is_set():
            raise SandboxError("Airflow was stopped while it started")

    def _write_password(self) -> None:
        path = self.plan.password_file
        path.touch(mode=0o600)
        path.write_text(json.dumps({USER: self.password}))

    def _write_preload(self) -> None:
        """Airflow imports this file at its start, and every task is forked from there: 0.1 s of CPU saved each."""
        path = self.plan.home / "config" / "airflow_local_settings.py"
        path.parent.mkdir()
        path.write_text("".join(f"import {name}\n" for name in _PRELOADED))

    def _wait_healthy(self, timeout_s: float, clock: Callable[[], float]) -> None:
        client, deadline, seen = self.client(), clock() + timeout_s, "nothing listens yet"
        while clock() < deadline:
            self._refuse_when_stopping()
            self.check()
            try:
                states = client.health()
            except requests.RequestException as error:
                seen = f"no answer ({type(error).__name__})"
            else:
                missing = sorted(name for name, state in states.items() if state != "healthy")
                if not missing:
                    return
                seen = f"not healthy: {', '.join(missing)}"
            time.sleep(_POLL_S)
        raise SandboxError(
            f"Airflow is not up after {timeout_s:.0f} s: {seen}. Its logs are in {self.plan.logs}"
        )


def _last_words(child: Child) -> str:
    return (
        f"The {child.name} ended with code {child.returncode}. The end of {child.log}:\n"
        f"{child.log_tail(_TAIL_LINES)}"
    )


def _end(child: Child) -> None:
    """End it at once: nothing of Airflow outlives its sandbox, and asking politely takes it four seconds."""
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
