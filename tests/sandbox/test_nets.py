"""Each sandbox of a test has a loopback net of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from nets import is_used, unused_net


def test_no_net_is_given_twice() -> None:
    assert len({unused_net() for _ in range(20)}) == 20


def test_a_net_on_which_a_sandbox_listens_is_used() -> None:
    net = unused_net()
    assert not is_used(net)
    with socket.create_server((f"127.{net}.0.1", 5566)):
        assert is_used(net)


def test_a_net_that_was_given_to_one_process_is_not_given_to_another() -> None:
    given = unused_net()
    ask = f"import nets; nets._NETS = iter([{given}]); print(nets.unused_net())"
    command = [sys.executable, "-c", ask]
    asked = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    assert "StopIteration" in asked.stderr
    assert asked.stdout == ""
