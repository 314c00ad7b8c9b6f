"""Each sandbox of a test has a loopback net of its own."""

from __future__ import annotations

import socket

from nets import is_used, unused_net


def test_no_net_is_given_twice() -> None:
    assert len({unused_net() for _ in range(20)}) == 20


def test_a_net_on_which_a_sandbox_listens_is_used() -> None:
    net = unused_net()
    assert not is_used(net)
    with socket.create_server((f"127.{net}.0.1", 5566)):
        assert is_used(net)
