"""However `python -m sandbox` ends, it leaves no process behind."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from nets import unused_net
from sandbox_process import SandboxProcess, wait_until

pytestmark = pytest.mark.sandbox

WINDOW = ("--window-start", "2016-04-01", "--window-end", "2016-05-01")


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[SandboxProcess]:
    process = SandboxProcess(tmp_path / "home", net=unused_net())
    yield process
    for left in process.processes():
        left.kill()


def has_started_processes(sandbox: SandboxProcess) -> bool:
    """Whether PostgreSQL, AWS and Airflow's processes exist, though they may not be ready."""
    commands = sandbox.commands()
    wanted = ("-m sandbox.aws", "airflow scheduler", "airflow triggerer", "airflow api-server", "postgres -D")
    return all(any(part in command for command in commands) for part in wanted)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_ended_command_leaves_no_process(
    sandbox: SandboxProcess, tmp_path: Path, end: signal.Signals
) -> None:
    (tmp_path / "a.csv").write_text("a\n")
    child = sandbox.start("run", "trivial", "--source", str(tmp_path), *WINDOW)
    wait_until(lambda: has_started_processes(sandbox) or child.poll() is not None, "all processes")
    assert child.poll() is None, sandbox.output
    child.send_signal(end)
    assert child.wait(40) == (-signal.SIGKILL if end is signal.SIGKILL else 130)
    wait_until(lambda: sandbox.processes() == [], "the end of every process", 40)


def test_a_port_in_use_is_reported_with_a_hint_and_no_process_is_left(
    sandbox: SandboxProcess, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("a\n")
    host = f"127.{sandbox.environment['SANDBOX_NET']}.0.1"
    with socket.create_server((host, 8080)):
        refused = sandbox.run("run", "trivial", "--source", str(tmp_path), *WINDOW)
    assert refused.returncode == 2
    assert f"Airflow's UI cannot listen on {host}:8080" in refused.stderr
    assert "python -m sandbox down" in refused.stderr
    assert sandbox.processes() == []
