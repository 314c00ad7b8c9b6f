"""A session's driver: a JVM, and a Jupyter kernel attached to it; `kill` ends both."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.errors import DriverFailed, KernelDied
from sandbox.livy import spark
from sandbox.livy.channel import Kernel
from sandbox.livy.create_request import CreateRequest

_LOG_LINES = 200  # livy.cache-log.size
_PROGRESS_TIMEOUT_S = 2.0
_MASTER_ENV = "spark.yarn.appMasterEnv."


class Driver:
    """The processes behind one session, and their log."""

    def __init__(
        self, request: CreateRequest, *, name: str, folder: Path, environment: Mapping[str, str]
    ) -> None:
        self._creation, self._name, self._folder = request, name, folder
        self._scratch = folder / "scratch"
        self._environment = _session_environment(
            {**environment, **_master_environment(request.conf)}, self._scratch
        )
        self._jvm: asyncio.subprocess.Process | None = None
        self._launching: asyncio.Task[Kernel] | None = None
        self._kernel: Kernel | None = None
        self._ending: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the JVM and the kernel at the same time; return when the SparkSession exists. Raises DriverFailed."""
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(parents=True)
        gateway = self._scratch / "gateway"
        # Shielded in its own task: if it were cancelled half-way, the process it started would be lost.
        self._launching = asyncio.create_task(self._launch_kernel())
        kernel = await asyncio.shield(self._launching)
        self._jvm = await self._launch_jvm(gateway)
        starting = asyncio.create_task(self._attach(kernel, gateway))
        jvm_end = asyncio.create_task(self._jvm.wait())
        await asyncio.wait({starting, jvm_end}, return_when=asyncio.FIRST_COMPLETED)
        jvm_end.cancel()
        if not starting.done():
            starting.cancel()
            raise DriverFailed(f"the driver JVM ended with code {self._jvm.returncode}")
        if (error := starting.exception()) is not None:
            raise DriverFailed(str(error)) from error
        self._kernel = kernel

    async def _launch_kernel(self) -> Kernel:
        with self._open("stdout.log") as out, self._open("stderr.log") as err:
            return await Kernel.start(
                environment=self._environment,
                cwd=self._folder,
                connection=self._scratch / "kernel.json",
                out=out,
                err=err,
            )

    async def _launch_jvm(self, gateway: Path) -> asyncio.subprocess.Process:
        command = spark.driver_command(
            self._creation.spark_conf(self._name),
            self._creation.submit_arguments(),
            conf_dir=Path(self._environment["SPARK_CONF_DIR"]),
            scratch=self._scratch,
        )
        with self._open("stdout.log") as out, self._open("stderr.log") as err:
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,  # the JVM ends when this pipe closes: PythonGatewayServer.scala
                stdout=out,
                stderr=err,
                cwd=self._folder,
                env={**self._environment, "_PYSPARK_DRIVER_CONN_INFO_PATH": str(gateway)},
            )

    @staticmethod
    async def _attach(kernel: Kernel, gateway: Path) -> None:
        await kernel.load()
        await kernel.call("start", str(gateway))

    def _open(self, name: str) -> Any:
        return (self._folder / name).open("ab")

    async def wait_jvm(self) -> None:
        """Return when the JVM has ended."""
        if self._jvm is not None:
            await self._jvm.wait()

    async def run(self, number: int, code: str, kind: str) -> dict[str, Any]:
        """A statement's output. Raises KernelDied if the Python process ends."""
        if self._kernel is None:
            raise KernelDied
        return await self._kernel.call("run", number, code, kind)

    async def progress(self, number: int) -> float | None:
        """The share of a running statement's Spark tasks that are done (0 to 1), or None if there is no answer."""
        answer = await self._call_in_subshell("progress", number)
        return None if answer is None else answer["progress"]

    async def cancel(self, number: int) -> None:
        """Cancel a statement's Spark jobs."""
        await self._call_in_subshell("cancel", number)

    async def _call_in_subshell(self, function: str, number: int) -> dict[str, Any] | None:
        if self._kernel is None:
            return None
        with contextlib.suppress(TimeoutError, KernelDied):
            return await asyncio.wait_for(
                self._kernel.call(function, number, in_subshell=True), _PROGRESS_TIMEOUT_S
            )
        return None

    async def kill(self) -> None:
        """End both processes and delete their scratch files, but not the log. Calling it again has no effect."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())
        await asyncio.shield(self._ending)

    async def _end(self) -> None:
        if self._launching is not None:
            await (await self._launching).kill()
        if self._jvm is not None:
            with contextlib.suppress(ProcessLookupError):
                self._jvm.kill()
            await self._jvm.wait()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def log(self) -> list[str]:
        """The last lines of the driver's output, in Livy's format."""
        out, err = (tail(self._folder / name, _LOG_LINES) for name in ("stdout.log", "stderr.log"))
        return ["stdout: ", *out, "\nstderr: ", *err]


def tail(path: Path, lines: int, max_bytes: int = 256 * 1024) -> list[str]:
    """The last `lines` lines of a file, read from its last `max_bytes` bytes."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - max_bytes))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []


def _master_environment(conf: Mapping[str, str]) -> dict[str, str]:
    """What YARN adds to the environment of the application master, which in cluster mode is the driver."""
    return {
        key.removeprefix(_MASTER_ENV): value for key, value in conf.items() if key.startswith(_MASTER_ENV)
    }


def _session_environment(environment: Mapping[str, str], scratch: Path) -> dict[str, str]:
    """The environment of a session's processes: own scratch directories, and no import path to this checkout."""
    result = {key: value for key, value in environment.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    return result | {
        "IPYTHONDIR": str(scratch / "ipython"),
        "JUPYTER_CONFIG_DIR": str(scratch / "jupyter"),
        "JUPYTER_DATA_DIR": str(scratch / "jupyter"),
        "PYTHONHASHSEED": "0",  # as in the shell scripts of bin/, so that hashes are the same in all processes
        "PYTHONUNBUFFERED": "YES",
        "SPARK_LOCAL_DIRS": str(scratch),
        "TMPDIR": str(scratch),
    }
