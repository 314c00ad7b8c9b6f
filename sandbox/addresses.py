"""The loopback address that each part of the sandbox listens on.

Every address is in 127.0.0.0/8. `SANDBOX_NET` (0 to 254) is the second byte, so that the sandbox of a test
and that of a user can run at the same time.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from sandbox.errors import SandboxError

LIVY_PORT = 8998
REDSHIFT_PORT = 5439


@dataclass(frozen=True)
class Addresses:
    """The addresses of one sandbox."""

    net: int = 0

    @classmethod
    def from_environment(cls) -> Addresses:
        """The addresses that SANDBOX_NET selects. Raises SandboxError if it is not a number from 0 to 254."""
        text = os.environ.get("SANDBOX_NET") or "0"
        if not text.isdecimal() or int(text) > 254:
            raise SandboxError(f"SANDBOX_NET is {text!r}: write a whole number from 0 to 254")
        return cls(int(text))

    @property
    def host(self) -> str:
        """The address of AWS's API, of Airflow, and of its PostgreSQL and RabbitMQ."""
        return f"127.{self.net}.0.1"

    @property
    def aws_port(self) -> int:
        return 5566

    @property
    def aws_url(self) -> str:
        return f"http://{self.host}:{self.aws_port}"

    @property
    def airflow_port(self) -> int:
        return 8080

    @property
    def airflow_db_port(self) -> int:
        return 5432

    @property
    def amqp_port(self) -> int:
        return 5672

    @property
    def erlang_port(self) -> int:
        """Erlang's distribution, which RabbitMQ cannot do without.

        A port for each net: RabbitMQ does not start if one is used on any address of the machine.
        """
        return 14600 + self.net

    @property
    def epmd_port(self) -> int:
        """Erlang's port mapper; a port for each net, since epmd always listens on 127.0.0.1 as well."""
        return 14300 + self.net

    def redshift(self, n: int) -> str:
        """The address of the n-th warehouse (n from 1)."""
        return f"127.{self.net}.1.{n}"

    def emr(self, n: int) -> str:
        """The address of the n-th EMR cluster's master (n from 1)."""
        return f"127.{self.net}.2.{n}"


def check_free(host: str, port: int, what: str) -> None:
    """Raise SandboxError if something listens there already; `what` names in the message who needs the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SandboxError(
                f"{what} cannot listen on {host}:{port} ({error.strerror}). "
                "Is a sandbox running already? `python -m sandbox down` stops it; "
                "SANDBOX_NET=1 starts a second one beside it."
            ) from None
