"""Loopback nets for the sandboxes of tests: no two that run at the same time may listen on one address."""

from __future__ import annotations

import contextlib
import random
import socket

_AWS_PORT = 5566
_CLAIM_PORT = 5565
_NETS = iter(random.sample(range(20, 251), k=231))
_claims: list[socket.socket] = []


def unused_net() -> int:
    """A value for SANDBOX_NET that no process of tests has been given and at which nobody listens.

    It is this process's until it ends: other processes of tests may run beside it, so the order is random, and a
    socket that is bound in the net claims it.
    """
    return next(net for net in _NETS if not is_used(net) and _claim(net))


def is_used(net: int) -> bool:
    """Whether a sandbox's AWS listens there."""
    with socket.socket() as connection:
        return connection.connect_ex((f"127.{net}.0.1", _AWS_PORT)) == 0


def _claim(net: int) -> bool:
    claim = socket.socket()
    with contextlib.suppress(OSError):
        claim.bind((f"127.{net}.0.1", _CLAIM_PORT))
        _claims.append(claim)
        return True
    claim.close()
    return False
