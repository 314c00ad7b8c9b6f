"""One Jupyter kernel, used to call functions in a separate Python process.

Messages go over Unix sockets in Linux's abstract namespace, which need no ports and leave no files. Jupyter signs
each message with the kernel's own key, so messages of other processes are ignored.
Only the shell and control channels are used. `progress` and `cancel` run in a subshell, a second thread of the
kernel (Jupyter message protocol 5.5, JEP 91), while a statement runs in the first one.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from jupyter_client import AsyncKernelManager
from jupyter_client.asynchronous.client import AsyncKernelClient

from sandbox.errors import KernelDied, KernelError

_MODULE = "_livy_kernel"
_LOAD = f"""\
import importlib.util as _util, sys as _sys
_spec = _util.spec_from_file_location({_MODULE!r}, {str(Path(__file__).with_name("kernel.py"))!r})
{_MODULE} = _sys.modules[{_MODULE!r}] = _util.module_from_spec(_spec)
_spec.loader.exec_module({_MODULE})
"""


class Kernel:
    """A running kernel; create it with `start`."""

    def __init__(self, manager: AsyncKernelManager, client: AsyncKernelClient) -> None:
        self._manager, self._client = manager, client
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._subshell: str | None = None
        self._reader = asyncio.create_task(self._read())
        self.ended = asyncio.Event()
        self._process = os.pidfd_open(manager.provisioner.pid)  # readable once the process has ended
        asyncio.get_running_loop().add_reader(self._process, self._on_end)

    @classmethod
    async def start(
        cls,
        *,
        environment: Mapping[str, str],
        cwd: Path,
        connection: Path,
        out: IO[bytes],
        err: IO[bytes],
    ) -> Kernel:
        """Start the process; calls are answered once it is up. `connection` is the path of Jupyter's file."""
        manager = AsyncKernelManager(
            transport="ipc", ip=f"@livy-{uuid.uuid4().hex}", connection_file=str(connection)
        )
        await manager.start_kernel(
            env=dict(environment),
            cwd=str(cwd),
            stdout=out,
            stderr=err,
            extra_arguments=["--HistoryManager.enabled=False"],
        )
        client = manager.client()
        client.start_channels(iopub=False, stdin=False, hb=False)
        return cls(manager, client)

    async def load(self) -> None:
        """Load `kernel.py` into it, and create the subshell that `call(..., in_subshell=True)` uses."""
        await self._execute(_LOAD, {})
        await self._send(self._client.control_channel, self._client.session.msg("create_subshell_request"))
        reply = await self._client.control_channel.get_msg(timeout=30)
        self._subshell = reply["content"]["subshell_id"]

    async def call(self, function: str, *arguments: Any, in_subshell: bool = False) -> dict[str, Any]:
        """The result of `kernel.function(*arguments)`; `in_subshell` runs it while a statement runs.

        Raises KernelError if it raises, KernelDied if the process ends before it returns.
        """
        values = ", ".join(map(repr, arguments))
        content = await self._execute(
            "", {"value": f"{_MODULE}.{function}({values})"}, in_subshell=in_subshell
        )
        value = content["user_expressions"]["value"]
        if value["status"] != "ok":
            raise KernelError("\n".join(value["traceback"]))
        return value["data"]["application/json"]

    async def _execute(
        self, code: str, expressions: dict[str, str], *, in_subshell: bool = False
    ) -> dict[str, Any]:
        if self.ended.is_set():
            raise KernelDied
        message = self._client.session.msg(
            "execute_request",
            {
                "code": code,
                "silent": True,
                "store_history": False,
                "user_expressions": expressions,
                "allow_stdin": False,
                "stop_on_error": False,
            },
        )
        if in_subshell:
            message["header"]["subshell_id"] = self._subshell
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[message["header"]["msg_id"]] = answer
        await self._send(self._client.shell_channel, message)
        content = await answer
        if content["status"] != "ok":
            raise KernelError("\n".join(content.get("traceback", [])))
        return content

    async def _send(self, channel: Any, message: dict[str, Any]) -> None:
        """Send with the socket's own asyncio method.

        The channel's `send` bypasses it, and can lose the wake-up for an answer that arrives at that moment: the
        reader would then wait forever.
        """
        await channel.socket.send_multipart(self._client.session.serialize(message))

    async def _read(self) -> None:
        """Give each answer to the call that waits for it."""
        while True:
            message = await self._client.shell_channel.get_msg()
            answer = self._answers.pop(message["parent_header"].get("msg_id", ""), None)
            if answer is not None and not answer.done():
                answer.set_result(message["content"])

    def _on_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._process)
        os.close(self._process)
        self.ended.set()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(KernelDied())
        self._answers.clear()

    async def kill(self) -> None:
        """End the process at once, and close the sockets."""
        self._reader.cancel()
        if not self.ended.is_set():
            await self._manager.shutdown_kernel(now=True)
            await self.ended.wait()
        self._client.stop_channels()
