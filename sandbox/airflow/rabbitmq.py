"""A private RabbitMQ on a loopback address, from Debian's package: what hands Airflow's tasks to the Celery workers.

It is started as setup_backend.md says of a real one: a user with a password and a virtual host of its own, no
`guest`, every port bound to one address. The user is the only one, and the password is new at each start, so nobody
else on this machine can put a task into its queues. There is no management plugin.

Erlang's distribution cannot be turned off in RabbitMQ, so it listens, too, behind a cookie; and it needs an epmd.
Ours is a child with a port of its own (`epmd` always listens on 127.0.0.1 and ::1 as well), so no other one is used
and none stays behind.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import time
from pathlib import Path
from typing import Any

import amqp
import psutil

from sandbox.addresses import Addresses, check_free
from sandbox.errors import SandboxError
from sandbox.processes import Child, end_tree
from sandbox.unprivileged import drop_root, own_privately

USER = "airflow"
VIRTUAL_HOST = "airflow"
INSTALL = "apt-get install rabbitmq-server"

_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_START_TIMEOUT_S = 120.0
_POLL_S = 0.2

# setup_backend.md explains consumer_timeout (milliseconds).
_CONFIGURATION = """\
listeners.tcp.airflow = {host}:{port}
default_user = {user}
default_pass = {password}
default_vhost = {virtual_host}
default_user_tags.administrator = false
consumer_timeout = 14400000
disk_free_limit.absolute = 50MB
log.file = false
log.console = true
log.console.level = info
"""


def missing() -> str:
    """Why RabbitMQ cannot be started here, with the line that installs it; empty if it can."""
    if _SERVER.exists() and shutil.which("epmd"):
        return ""
    return (
        f"RabbitMQ is not installed: {_SERVER} or epmd is missing. "
        f"On Debian `{INSTALL}` (as root) installs both; a server that this starts is not needed"
    )


class RabbitMq:
    """One RabbitMQ: `start()` it, connect with `url`, `stop()` it. It ends with this process, even by kill -9.

    `home` holds all its files; a second `start()` finds there the queues and the messages of the first.
    """

    def __init__(self, home: Path, addresses: Addresses) -> None:
        self.home, self._addresses = home.resolve(), addresses
        self.log = self.home.with_name(self.home.name + ".log")
        self._password = secrets.token_urlsafe(24)
        self._children: list[Child] = []

    @property
    def url(self) -> str:
        """For `[celery] broker_url`, with the password."""
        host, port = self._addresses.host, self._addresses.amqp_port
        return f"amqp://{USER}:{self._password}@{host}:{port}/{VIRTUAL_HOST}"

    @property
    def alive(self) -> bool:
        return bool(self._children) and all(child.alive for child in self._children)

    def check_can_start(self) -> None:
        """Raise SandboxError if RabbitMQ is not installed, or one of its ports is taken."""
        if why := missing():
            raise SandboxError(why)
        addresses = self._addresses
        for port in (addresses.amqp_port, addresses.erlang_port, addresses.epmd_port):
            check_free(addresses.host, port, "Airflow's RabbitMQ")

    def start(self) -> None:
        """Return once it lets us in. Raises SandboxError with the end of its log if it does not."""
        self._write_files()
        host, port = self._addresses.host, str(self._addresses.epmd_port)
        self._children = [
            self._launch("epmd", str(shutil.which("epmd")), "-address", host, "-port", port),
            self._launch("RabbitMQ", str(_SERVER)),
        ]
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._lets_us_in():
            if not self.alive or time.monotonic() > deadline:
                tail = self.log_tail()
                self.stop()
                raise SandboxError(
                    f"RabbitMQ did not start on {host}:{self._addresses.amqp_port}. "
                    f"The end of {self.log}:\n{tail}"
                )
            time.sleep(_POLL_S)

    def consumers(self, queue: str) -> int:
        """How many take messages from the queue; 0 if there is no such queue yet."""
        connection = connect(self._addresses, USER, self._password)
        with connection:
            try:
                return int(connection.channel().queue_declare(queue, passive=True).consumer_count)
            except amqp.NotFound:
                return 0

    def log_tail(self, lines: int = 30) -> str:
        """The end of its log, for an error message."""
        return self._children[0].log_tail(lines) if self._children else ""

    def stop(self) -> None:
        """End it at once: what it has acknowledged is on the disk. Calling it again has no effect."""
        children, self._children = self._children, []
        for child in reversed(children):
            with contextlib.suppress(psutil.NoSuchProcess):
                end_tree(psutil.Process(child.process.pid), grace_s=0)
            child.stop()

    def _launch(self, name: str, *command: str) -> Child:
        prefix = drop_root(self.home, _SERVER, death_signal="TERM")
        return Child(
            [*prefix, *command], name=name, log=self.log, environment=self._environment(), cwd=self.home
        )

    def _write_files(self) -> None:
        addresses = self._addresses
        self.home.mkdir(parents=True, exist_ok=True)
        own_privately(self.home)
        cookie = self.home / ".erlang.cookie"
        configuration = _CONFIGURATION.format(
            host=addresses.host,
            port=addresses.amqp_port,
            user=USER,
            password=self._password,
            virtual_host=VIRTUAL_HOST,
        )
        contents = {
            self.home / "rabbitmq.conf": configuration,
            self.home / "enabled_plugins": "[].\n",
            **({} if cookie.exists() else {cookie: secrets.token_hex(32)}),
        }
        for path, content in contents.items():
            path.touch(mode=0o600)
            path.write_text(content)
        own_privately(self.home)

    def _environment(self) -> dict[str, str]:
        addresses, home = self._addresses, self.home
        interface = f"{{{addresses.host.replace('.', ',')}}}"
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(home),  # of the cookie
            "LC_ALL": "C.UTF-8",
            "RUNNING_UNDER_SYSTEMD": "true",  # its script then becomes the server, without a shell above it
            "RABBITMQ_NODENAME": f"mayfly@{addresses.host}",
            "RABBITMQ_USE_LONGNAME": "true",
            "RABBITMQ_CONF_ENV_FILE": str(home / "none"),  # not the machine's in /etc
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "none.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(home / "pid"),
            "RABBITMQ_DIST_PORT": str(addresses.erlang_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-kernel inet_dist_use_interface {interface}",
            "ERL_EPMD_ADDRESS": addresses.host,
            "ERL_EPMD_PORT": str(addresses.epmd_port),
            "ERL_FLAGS": "-start_epmd false",  # otherwise Erlang starts one that outlives it
            "ERL_CRASH_DUMP_SECONDS": "0",
        }

    def _lets_us_in(self) -> bool:
        try:
            connect(self._addresses, USER, self._password).close()
        except (OSError, amqp.AMQPError):
            return False
        return True


def connect(addresses: Addresses, user: str, password: str) -> Any:
    """An open connection to the virtual host. Raises OSError, or amqp.AccessRefused for a wrong user or password."""
    connection = amqp.Connection(
        f"{addresses.host}:{addresses.amqp_port}",
        userid=user,
        password=password,
        virtual_host=VIRTUAL_HOST,
        connect_timeout=5,
        read_timeout=5,
        write_timeout=5,
    )
    connection.connect()
    return connection
