"""A sandbox's workspace: one user at a time, and how others find it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandbox.addresses import Addresses
from sandbox.errors import SandboxError
from sandbox.state import Running, Workspace, find_running, lock_run, lock_workspace, write_running_file


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(home=tmp_path / "home", addresses=Addresses(7))


def test_an_unused_workspace_has_no_running_sandbox(workspace: Workspace) -> None:
    assert find_running(workspace) is None


def test_a_used_workspace_names_its_user_and_refuses_another(workspace: Workspace) -> None:
    with lock_workspace(workspace, "up"):
        running = find_running(workspace)
        assert running is not None
        assert (running.pid, running.command) == (os.getpid(), "up")
        assert running.aws_url == "http://127.7.0.1:5566"
        with (
            pytest.raises(SandboxError, match=rf"Cannot run: `up` \(process {os.getpid()}\)"),
            lock_workspace(workspace, "run"),
        ):
            pytest.fail("the workspace has two users")
    assert find_running(workspace) is None


def test_only_one_run_at_a_time_uses_the_sandbox_of_up(workspace: Workspace) -> None:
    with (
        lock_workspace(workspace, "up"),
        lock_run(workspace),
        pytest.raises(SandboxError, match="Cannot run"),
        lock_run(workspace),
    ):
        pytest.fail("two runs use the sandbox")


def test_a_file_of_a_sandbox_that_was_killed_is_ignored(workspace: Workspace) -> None:
    workspace.home.mkdir()
    write_running_file(workspace, Running(os.getpid(), "up", 0.0, "http://127.7.0.1:5566"))
    assert find_running(workspace) is None


def test_only_the_user_can_read_the_file_with_the_password(workspace: Workspace) -> None:
    workspace.home.mkdir()
    write_running_file(workspace, Running(1, "up", 0.0, "http://aws", "http://airflow", "admin", "word"))
    assert (workspace.home / "running.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("command", "airflow_url", "usable"),
    [("up", "http://airflow", True), ("up", None, False), ("run", "http://airflow", False)],
)
def test_a_run_uses_only_an_up_whose_airflow_is_ready(
    command: str, airflow_url: str | None, usable: bool
) -> None:
    assert Running(1, command, 0.0, "http://aws", airflow_url).serves_runs is usable
