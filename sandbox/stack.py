"""The whole sandbox as one thing: AWS, and Airflow pointed at it."""

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
from sandbox.state import Place, Running, announce

log = logging.getLogger(__name__)

_AWS_START_TIMEOUT_S = 60.0
_POLL_S = 0.1


class Aws:
    """The AWS process, with every cluster it starts below it."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._child: Child | None = None
        self._stopping = threading.Event()
        self.account = Account(place.addresses.aws_url)

    def start(self, *, fresh: bool) -> None:
        """Return once the account answers and has its bucket; `fresh` empties it first."""
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
                    f"The sandbox's AWS does not answer after {_AWS_START_TIMEOUT_S:.0f} s. "
                    f"The end of {log_file}:\n{self._child.log_tail()}"
                )
            time.sleep(_POLL_S)
        self.account.prepare()

    def check(self) -> None:
        """Raise SandboxError, with the end of its log, where it is dead."""
        if self._child is not None and not self._child.alive:
            raise SandboxError(
                f"The sandbox's AWS ended with code {self._child.returncode}. "
                f"The end of {self._child.log}:\n{self._child.log_tail(30)}"
            )

    def stop(self) -> None:
        """End it and every cluster in it; twice is fine."""
        self._stopping.set()
        child, self._child = self._child, None
        if child is not None:
            child.stop(timeout_s=30)


class Sandbox:
    """AWS and Airflow together. `start()`, `check()` or `supervise()` now and then, `stop()`."""

    def __init__(self, place: Place, command: str) -> None:
        self.place, self._command = place, command
        self._aws = Aws(place)
        self._airflow = Airflow(
            addresses=place.addresses,
            home=place.airflow,
            dags=place.dags,
            plugins=place.plugins,
            root=place.root,
        )

    @property
    def account(self) -> Account:
        return self._aws.account

    @property
    def running(self) -> Running:
        """How to reach it, for people and for other commands."""
        return Running(
            pid=os.getpid(),
            command=self._command,
            started=time.time(),
            aws_url=self.place.addresses.aws_url,
            airflow_url=self._airflow.plan.url,
            user=USER,
            password=self._airflow.password,
        )

    def client(self) -> AirflowClient:
        return self._airflow.client()

    def start(self, *, fresh: bool, meanwhile: Callable[[Account], None] | None = None) -> None:
        """Return once all of it is ready and the Variables are set.

        `meanwhile` is called with the account while Airflow still boots. Raises SandboxError, or what
        `meanwhile` raises; then nothing runs.
        """
        try:
            self._start_both(fresh, meanwhile)
            client = self.client()
            for name, value in variables().items():
                client.set_variable(name, value)
            announce(self.place, self.running)
        except BaseException:
            self.stop()
            raise

    def check(self) -> None:
        """Raise SandboxError, naming it and with the end of its log, where a component is dead."""
        self._aws.check()
        self._airflow.check()

    def supervise(self) -> list[str]:
        """Keep Airflow's components going, and tell of each that died; raises SandboxError where AWS is dead."""
        self._aws.check()
        return self._airflow.supervise()

    def stop(self) -> None:
        """End everything; twice is fine."""
        stopping = threading.Thread(target=self._aws.stop)
        stopping.start()
        self._airflow.stop()
        stopping.join()

    def _start_both(self, fresh: bool, meanwhile: Callable[[Account], None] | None) -> None:
        with ThreadPoolExecutor(2) as pool:
            works = [pool.submit(self._start_aws, fresh, meanwhile), pool.submit(self._airflow.start)]
            try:
                wait(works, return_when=FIRST_EXCEPTION)
                for work in works:
                    if work.done():
                        work.result()
            except BaseException:
                self.stop()  # the other one notices, instead of booting to its end first
                raise

    def _start_aws(self, fresh: bool, meanwhile: Callable[[Account], None] | None) -> None:
        self._aws.start(fresh=fresh)
        if meanwhile is not None:
            meanwhile(self.account)


def aws_process_environment(caller: Mapping[str, str]) -> dict[str, str]:
    """The AWS process's environment: none of the caller's own AWS settings, its proxy kept for fetching jars."""
    proxies = {name: value for name, value in caller.items() if name.lower().endswith("_proxy")}
    return {**clean_environment(caller), **proxies, "AWS_DEFAULT_REGION": REGION}
