"""Loopback nets for the sandboxes of tests: no two that run at the same time may listen on one address."""

from __future__ import annotations

import random
import socket

_AWS_PORT = 5566
_NETS = iter(random.sample(range(20, 251), k=231))


def unused_net() -> int:
    """A value for SANDBOX_NET that this session has not given to a test yet, and at which nobody listens.

    Another session of tests may run beside this one, so the order is random.
    """
    return next(net for net in _NETS if not is_used(net))


def is_used(net: int) -> bool:
    """Whether a sandbox's AWS listens there."""
    with socket.socket() as connection:
        return connection.connect_ex((f"127.{net}.0.1", _AWS_PORT)) == 0
