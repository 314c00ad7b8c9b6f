"""The sandbox's RabbitMQ: who gets in, where it listens, what it keeps, and how it ends."""

from __future__ import annotations

import ipaddress
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import amqp
import psutil
import pytest
from nets import unused_net
from sandbox_process import ROOT, wait_until

from sandbox.addresses import Addresses
from sandbox.airflow import rabbitmq
from sandbox.airflow.rabbitmq import USER, RabbitMq, connect
from sandbox.errors import SandboxError

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def addresses() -> Addresses:
    return Addresses(unused_net())


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, addresses: Addresses) -> Iterator[RabbitMq]:
    server = RabbitMq(tmp_path_factory.mktemp("broker") / "rabbitmq", addresses)
    server.check_can_start()
    server.start()
    yield server
    server.stop()


def password(broker: RabbitMq) -> str:
    return broker.url.partition(f"{USER}:")[2].partition("@")[0]


def processes(home: Path) -> list[psutil.Process]:
    """RabbitMQ's processes, with epmd: their working directory is its home."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd() == str(home):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_it_listens_on_loopback_only(broker: RabbitMq, addresses: Addresses) -> None:
    listening = {
        connection.laddr
        for process in processes(broker.home)
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    wanted = {addresses.amqp_port, addresses.erlang_port, addresses.epmd_port}
    assert {address.port for address in listening} == wanted
    assert [address for address in listening if not ipaddress.ip_address(address.ip).is_loopback] == []


@pytest.mark.parametrize(("user", "word"), [(USER, "wrong"), (USER, ""), ("guest", "guest")])
def test_nobody_gets_in_without_the_password_and_there_is_no_guest(
    broker: RabbitMq, addresses: Addresses, user: str, word: str
) -> None:
    connect(addresses, USER, password(broker)).close()
    with pytest.raises(amqp.AccessRefused):
        connect(addresses, user, word)


def test_only_its_user_may_read_its_files(broker: RabbitMq) -> None:
    secret = [broker.home, broker.home / ".erlang.cookie", broker.home / "rabbitmq.conf"]
    assert [path.stat().st_mode & 0o077 for path in secret] == [0, 0, 0]


def test_the_password_is_in_no_command_line_and_in_no_log(broker: RabbitMq) -> None:
    lines = [" ".join(process.cmdline()) for process in processes(broker.home)]
    assert lines
    assert not any(password(broker) in text for text in (*lines, broker.log.read_text()))


def test_it_does_not_run_as_root(broker: RabbitMq) -> None:
    servers = [one for one in processes(broker.home) if "sandbox.processes" not in one.cmdline()]
    assert {one.name() for one in servers} >= {"beam.smp", "epmd"}
    assert 0 not in {one.uids().real for one in servers}


def test_messages_outlive_a_kill_of_the_server(broker: RabbitMq, addresses: Addresses) -> None:
    with connect(addresses, USER, password(broker)) as connection:
        channel = connection.channel()
        channel.queue_declare("kept", durable=True, auto_delete=False)
        channel.confirm_select()
        message = amqp.Message("hello", delivery_mode=2)
        channel.basic_publish_confirm(message, routing_key="kept")
    next(one for one in processes(broker.home) if "beam" in one.name()).kill()
    wait_until(lambda: not broker.alive, "the end of the server", 30)
    broker.stop()
    broker.start()
    with connect(addresses, USER, password(broker)) as connection:
        assert connection.channel().basic_get("kept", no_ack=True).body == "hello"


def test_a_port_in_use_is_reported(broker: RabbitMq, addresses: Addresses, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="Airflow's RabbitMQ cannot listen"):
        RabbitMq(tmp_path / "rabbitmq", addresses).check_can_start()


def test_it_ends_with_its_parent_even_by_kill_9(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from sandbox.addresses import Addresses\n"
        "from sandbox.airflow.rabbitmq import RabbitMq\n"
        "server = RabbitMq(Path(sys.argv[1]), Addresses(int(sys.argv[2])))\n"
        "server.start()\n"
        "print('started', flush=True)\n"
        "time.sleep(600)\n"
    )
    home = tmp_path / "rabbitmq"
    command = [sys.executable, "-c", code, str(home), str(unused_net())]
    parent = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "started\n"
        assert len(processes(home)) >= 2
        parent.kill()
    wait_until(lambda: processes(home) == [], "the end of RabbitMQ", 60)


def test_where_it_is_missing_the_message_has_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(rabbitmq, "_SERVER", tmp_path / "nosuch")
    with pytest.raises(SandboxError, match="apt-get install rabbitmq-server"):
        RabbitMq(tmp_path / "rabbitmq", Addresses(1)).check_can_start()
