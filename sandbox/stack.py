"""The whole sandbox: AWS, and an Airflow that uses it."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from sandbox.account import REGION, Account, variables
from sandbox.addresses import check_free
from sandbox.airflow.client import AirflowClient
from sandbox.airflow.configuration import USER, clean_environment
from sandbox.airflow.server import Airflow
from sandbox.errors import SandboxError
from sandbox.processes import Child
from sandbox.state import Running, Workspace, write_running_file

log = logging.getLogger(__name__)

_AWS_START_TIMEOUT_S = 60.0
_POLL_S = 0.1


class Aws:
    """The AWS process and the clusters below it."""

    def __init__(self, workspace: Workspace) -> None:
        self._place = workspace
        self._child: Child | None = None
        self._stopping = threading.Event()
        self.account = Account(workspace.addresses.aws_url)

    def start(self, *, fresh: bool) -> None:
        """Return once the account responds and has its bucket; `fresh` empties the account first."""
        addresses = self._place.addresses
        check_free(addresses.host, addresses.aws_port, "The sandbox's AWS")
        command = [sys.executable, "-m", "sandbox.aws"]
        command += ["--host", addresses.host, "--port", str(addresses.aws_port)]
        command += ["--state-dir", str(self._place.aws), *(["--fresh"] if fresh else [])]
        log_file = self._place.logs / "aws.log"
        log_file.unlink(missing_ok=True)
        self._child = Child(
            command, name="AWS", log=log_file, environment=aws_process_environment(os.environ)
        )
        deadline = time.monotonic() + _AWS_START_TIMEOUT_S
        while not self.account.is_up():
            self.check()
            if self._stopping.is_set():
                raise SandboxError("The sandbox was stopped while it started")
            if time.monotonic() > deadline:
                raise SandboxError(
                    f"The sandbox's AWS does not respond after {_AWS_START_TIMEOUT_S:.0f} s. "
                    f"The end of {log_file}:\n{self._child.log_tail()}"
                )
            time.sleep(_POLL_S)
        self.account.prepare()

    def check(self) -> None:
        """Raise SandboxError, with the end of its log, if the process has ended."""
        if self._child is not None and not self._child.alive:
            raise SandboxError(
                f"The sandbox's AWS ended with code {self._child.returncode}. "
                f"The end of {self._child.log}:\n{self._child.log_tail(30)}"
            )

    def stop(self) -> None:
        """Stop the process and every cluster. Calling it again has no effect."""
        self._stopping.set()
        child, self._child = self._child, None
        if child is not None:
            child.stop(timeout_s=30)


class Sandbox:
    """AWS and Airflow together: `start()`, then `check()` or `supervise()` regularly, then `stop()`."""

    def __init__(self, workspace: Workspace, command: str, workers: int = 0) -> None:
        """With `workers` that many Celery workers run Airflow's tasks, otherwise its LocalExecutor does."""
        self.workspace, self._command, self._workers = workspace, command, workers
        self._aws = Aws(workspace)
        self._airflow = Airflow(
            addresses=workspace.addresses,
            home=workspace.airflow,
            dags=workspace.dags,
            plugins=workspace.plugins,
            root=workspace.root,
            workers=workers,
        )

    @property
    def account(self) -> Account:
        return self._aws.account

    @property
    def running(self) -> Running:
        """How to reach this sandbox, for people and for other commands."""
        return Running(
            pid=os.getpid(),
            command=self._command,
            started=time.time(),
            aws_url=self.workspace.addresses.aws_url,
            airflow_url=self._airflow.plan.url,
            user=USER,
            password=self._airflow.password,
            workers=self._workers,
        )

    def client(self) -> AirflowClient:
        return self._airflow.client()

    def start(self, *, fresh: bool, meanwhile: Callable[[Account], None] | None = None) -> None:
        """Return once AWS and Airflow are ready and the Variables are set.

        `meanwhile` is called with the account while Airflow still starts. Raises SandboxError or what `meanwhile`
        raises, after stopping everything.
        """
        try:
            self._start_both(fresh, meanwhile)
            client = self.client()
            for name, value in variables().items():
                client.set_variable(name, value)
            write_running_file(self.workspace, self.running)
        except BaseException:
            self.stop()
            raise

    def check(self) -> None:
        """Raise SandboxError, with the component's name and the end of its log, if one has ended."""
        self._aws.check()
        self._airflow.check()

    def supervise(self) -> list[str]:
        """Restart what died of Airflow; returns a line for each event. Raises SandboxError if AWS has ended."""
        self._aws.check()
        return self._airflow.supervise()

    def stop(self) -> None:
        """Stop everything. Calling it again has no effect."""
        stopping = threading.Thread(target=self._aws.stop)
        stopping.start()
        self._airflow.stop()
        stopping.join()

    def _start_both(self, fresh: bool, meanwhile: Callable[[Account], None] | None) -> None:
        with ThreadPoolExecutor(2) as pool:
            futures = [pool.submit(self._start_aws, fresh, meanwhile), pool.submit(self._airflow.start)]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
                for future in futures:
                    if future.done():
                        future.result()
            except BaseException:
                self.stop()  # the other one notices, instead of completing its start first
                raise

    def _start_aws(self, fresh: bool, meanwhile: Callable[[Account], None] | None) -> None:
        self._aws.start(fresh=fresh)
        if meanwhile is not None:
            meanwhile(self.account)


def aws_process_environment(caller: Mapping[str, str]) -> dict[str, str]:
    """The AWS process's environment: without the caller's AWS settings, with its proxy, which fetching jars needs."""
    proxies = {name: value for name, value in caller.items() if name.lower().endswith("_proxy")}
    return {**clean_environment(caller), **proxies, "AWS_DEFAULT_REGION": REGION}
