"""An Airflow with PostgreSQL, RabbitMQ and a Celery worker, set up as setup_backend.md says, on this machine.

What the document says is taken from it as it stands. Replaced are its addresses, its passwords (…) and the folders
that only root may write to; what Debian's packages do is done here (an empty cluster of PostgreSQL and its
postgresql.conf, RabbitMQ's folders). Everything listens on loopback, and ends with this process.
"""

from __future__ import annotations

import os
import pwd
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from setup_document import ROOT, Block, block, read_environment_file, read_unit

from sandbox.airflow.configuration import NO_FOREIGN_AWS, clean_environment
from sandbox.processes import Child

UNITS = ROOT / "deploy" / "systemd"
_RABBITMQ = Path("/usr/lib/rabbitmq/bin")
_FOLDERS = ("/opt/mayfly", "/var/lib/airflow", "/etc/mayfly", "/etc/postgresql", "/etc/rabbitmq")
_TIMEOUT_S = 240.0


def postgres_binaries() -> Path | None:
    """The folder of Debian's newest PostgreSQL server; the wheel's one is built without TLS."""
    found = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "postgres").exists()]
    return max(found, key=lambda path: int(path.parent.name), default=None)


def missing() -> str:
    """What this machine lacks, with the command that installs it; empty if nothing."""
    lacks = [
        package
        for package, there in (
            ("postgresql", postgres_binaries()),
            ("rabbitmq-server", (_RABBITMQ / "rabbitmq-server").exists()),
            ("openssl", shutil.which("openssl")),
        )
        if not there
    ]
    return (
        f"left out: this machine has no {', '.join(lacks)} (apt-get install {' '.join(lacks)})"
        if lacks
        else ""
    )


class Deployment:
    """`root` stands for `/`, and must be open to every user: PostgreSQL and RabbitMQ do not run as root.

    `dags` are files besides those of the checkout, by name.
    """

    def __init__(self, root: Path, net: int, dags: Mapping[str, str]) -> None:
        self.root, self.net, self.dags = root, net, dags
        self.password = secrets.token_hex(24)
        self.postgres, self.rabbitmq, self.api = (f"127.{net}.1.{last}" for last in (10, 11, 12))
        self.logs = root / "logs"
        self.home = root / "var/lib/airflow"
        self._fernet = ""
        self._children: dict[str, Child] = {}

    def replaced(self, text: str) -> str:
        """The document's text with the addresses, passwords and folders of this machine."""
        for old, new in (
            ("10.0.1.0/24", "127.0.0.1/32"),
            ("10.0.1.", f"127.{self.net}.1."),
            ("10,0,1,", f"127,{self.net},1,"),
            ("DNS:airflow.internal", f"IP:{self.api}"),
            ("airflow.internal", self.api),
            *((folder, f"{self.root}{folder}") for folder in _FOLDERS),
        ):
            text = text.replace(old, new)
        return re.sub(r"(?<=FERNET_KEY=)…", self._fernet, text).replace("…", self.password)

    def write(self, file: Block) -> Path:
        """The block as the file that it names."""
        path = Path(self.replaced(file.path))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.replaced(file.text))
        return path

    def run(
        self, commands: Block, environment: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> str:
        """The output of the block's commands; each must end with 0."""
        return self._run(["bash", "-euc", self.replaced(commands.text)], environment, cwd)

    def _run(
        self, command: list[str], environment: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> str:
        done = subprocess.run(
            command,
            env={**self._clean(), **(environment or {})},
            cwd=cwd or self.root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def set_up(self) -> None:
        """Sections 2 to 6, and the Variables of section 9, in the document's order."""
        self._lay_out_the_checkout()
        self.run(block("2", "cd /etc/mayfly/tls"))
        self._start_postgres()
        self._start_rabbitmq()
        self._configure_airflow()
        self.run(block("6", "set -a; . /etc/mayfly/airflow.env"))
        first = UNITS / "airflow-api-server.service"
        self._start_unit(first)
        self._wait("the API server", lambda: listens(self.api, 8443), first.stem)
        for unit in sorted({*UNITS.glob("*.service")} - {first}):
            self._start_unit(unit)
        shutil.copy(ROOT / "variables.example.json", self.home / "my-variables.json")
        self.run(block("9", "airflow variables import"), self.environment(), cwd=self.home)

    def _lay_out_the_checkout(self) -> None:
        """/opt/mayfly; its environment is the one that runs this, made from the same requirements.txt."""
        checkout = self.root / "opt/mayfly"
        shutil.copytree(ROOT / "dags", checkout / "dags", ignore=shutil.ignore_patterns("__pycache__"))
        for name, text in self.dags.items():
            (checkout / "dags" / name).write_text(text)
        for name in ("plugins", "sparkjobs", "sql_templates", "deploy"):
            (checkout / name).symlink_to(ROOT / name)
        (checkout / ".venv").symlink_to(sys.prefix)
        for folder in (self.root / "etc/mayfly/tls", self.home / "config", self.logs):
            folder.mkdir(parents=True)

    def _start_postgres(self) -> None:
        binaries, data = postgres_binaries(), self.root / "postgresql"
        assert binaries is not None
        data.mkdir(mode=0o700)
        give_away(data)
        command = [
            *as_nobody("INT"),
            str(binaries / "initdb"),
            "-D",
            str(data),
            "-U",
            "postgres",
            "--auth=trust",
        ]
        self._run([*command, "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"], cwd=Path("/"))
        folder = self.root / "etc/postgresql/15/main"
        self.write(block("3", "/etc/postgresql/15/main/conf.d/mayfly.conf"))
        rules = self.write(block("3", "/etc/postgresql/15/main/pg_hba.conf"))
        rules.write_text(f"local all postgres trust\n{rules.read_text()}")  # Debian's own line has `peer`
        (folder / "postgresql.conf").write_text(
            f"data_directory = '{data}'\nhba_file = '{rules}'\nunix_socket_directories = '{data}'\n"
            "include_dir = 'conf.d'\n"
        )
        give_away(self.root / "etc/mayfly/tls/postgres.key")
        server = str(binaries / "postgres")
        self._start("postgres", [*as_nobody("INT"), server, "-D", str(folder)], cwd=Path("/"))
        self._wait("PostgreSQL", lambda: listens(self.postgres, 5432), "postgres")
        script = self.root / "database.sql"
        script.write_text(self.replaced(block("3", "CREATE DATABASE airflow").text))
        self.psql("-v", "ON_ERROR_STOP=1", "-f", str(script), database="postgres")

    def psql(self, *arguments: str, database: str = "airflow") -> str:
        """The answer to psql's superuser."""
        command = ["psql", "-XAtq", "-h", str(self.root / "postgresql"), "-U", "postgres", "-d", database]
        return self._run([*command, *arguments]).strip()

    def _start_rabbitmq(self) -> None:
        home = self.root / "var/lib/rabbitmq"
        home.mkdir(parents=True, mode=0o700)
        (home / "enabled_plugins").write_text("[].\n")
        cookie = home / ".erlang.cookie"
        cookie.touch(mode=0o400)
        cookie.write_text(secrets.token_hex(32))
        self.write(block("4", "/etc/rabbitmq/rabbitmq.conf"))
        self.write(block("4", "/etc/rabbitmq/rabbitmq-env.conf"))
        for path in (home, *home.iterdir(), self.root / "etc/mayfly/tls/rabbitmq.key"):
            give_away(path)
        environment = self.rabbitmq_environment(home)
        port_mapper = [
            *as_nobody("TERM"),
            "epmd",
            "-address",
            self.rabbitmq,
            "-port",
            environment["ERL_EPMD_PORT"],
        ]
        self._start("epmd", port_mapper, environment, cwd=home)
        server = str(_RABBITMQ / "rabbitmq-server")
        self._start("rabbitmq", [*as_nobody("TERM"), server], environment, cwd=home)
        self._wait("RabbitMQ", lambda: listens(self.rabbitmq, 5671), "rabbitmq")
        self.run(block("4", "rabbitmqctl add_user"), environment, cwd=home)

    def rabbitmq_environment(self, home: Path) -> dict[str, str]:
        """Where Debian's package would have its files, and an epmd of our own."""
        etc = self.root / "etc/rabbitmq"
        interface = self.rabbitmq.replace(".", ",")
        return {
            "PATH": f"{_RABBITMQ}:{os.defpath}",
            "HOME": str(home),  # of the cookie
            "RABBITMQ_CONF_ENV_FILE": str(etc / "rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(etc / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "none.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(home / "pid"),
            "RABBITMQ_CTL_ERL_ARGS": f"-kernel inet_dist_use_interface {{{interface}}}",
            "RUNNING_UNDER_SYSTEMD": "true",  # its script then becomes the server
            # Ports of our own: epmd listens on 127.0.0.1, too, and another RabbitMQ may listen on every address.
            "ERL_EPMD_PORT": str(14500 + self.net),
            "RABBITMQ_DIST_PORT": str(14800 + self.net),
            "ERL_FLAGS": "-start_epmd false",  # otherwise Erlang starts one that outlives it
            "ERL_CRASH_DUMP_SECONDS": "0",
        }

    def _configure_airflow(self) -> None:
        self._fernet = self.run(block("5", "/opt/mayfly/.venv/bin/python -c 'from cryptography")).strip()
        for path in (
            "/etc/mayfly/airflow.env",
            "/etc/mayfly/api-server.env",
            "/var/lib/airflow/config/airflow_local_settings.py",
        ):
            self.write(block("5", path))

    def environment(self, *files: str) -> dict[str, str]:
        """What a process of Airflow is given: airflow.env, or these files."""
        found: dict[str, str] = {"PATH": f"{sys.prefix}/bin:{os.defpath}"}
        for file in files or (f"{self.root}/etc/mayfly/airflow.env",):
            found |= read_environment_file(Path(file).read_text())
        return found

    def _start_unit(self, unit: Path) -> None:
        values = read_unit(unit)
        files = [self.replaced(file) for file in values["EnvironmentFile"]]
        (command,) = values["ExecStart"]
        # Only the guard above it has this checkout in its Python path.
        started = ["env", "-u", "PYTHONPATH", *self.replaced(command).split()]
        self._start(unit.stem, started, self.environment(*files), cwd=self.home)

    def _start(
        self, name: str, command: list[str], environment: Mapping[str, str] | None = None, *, cwd: Path
    ) -> None:
        self._children[name] = Child(
            command,
            name=name,
            log=self.logs / f"{name}.log",
            environment={**self._clean(), **(environment or {})},
            cwd=cwd,
        )

    def _clean(self) -> dict[str, str]:
        return {**clean_environment({"PATH": os.defpath, "LC_ALL": "C.UTF-8"}), **NO_FOREIGN_AWS}

    def wait_for_task(self, dag_id: str) -> str:
        """The end state of the DAG's one task."""
        query = f"SELECT state FROM task_instance WHERE dag_id = '{dag_id}'"
        self._wait("the task", lambda: self.psql("-c", query) in {"success", "failed"}, *self._children)
        return self.psql("-c", query)

    def wait_for_answer(self, query: str, expected: list[str]) -> None:
        """Until PostgreSQL answers so: what Airflow and Celery write follows the task's own end."""
        self._wait(
            f"{expected} of {query}", lambda: self.psql("-c", query).split() == expected, *self._children
        )

    def _wait(self, what: str, there: Callable[[], bool], *names: str) -> None:
        deadline = time.monotonic() + _TIMEOUT_S
        while not there():
            ended = [name for name in names if not self._children[name].alive]
            assert not ended, f"{ended[0]} ended:\n{self._children[ended[0]].log_tail(40)}"
            tails = [f"{name}:\n{self._children[name].log_tail(15)}" for name in names]
            assert time.monotonic() < deadline, f"waited too long for {what}\n" + "\n".join(tails)
            time.sleep(0.2)

    def stop(self) -> None:
        for child in reversed(self._children.values()):
            child.stop()


def listens(host: str, port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as connection:
        connection.settimeout(2)
        return connection.connect_ex((host, port)) == 0


def give_away(path: Path) -> None:
    """Give the file to `nobody` if we are root."""
    if os.geteuid() == 0:
        user = pwd.getpwnam("nobody")
        os.chown(path, user.pw_uid, user.pw_gid)


def as_nobody(death_signal: str) -> list[str]:
    """The command prefix that drops from root to `nobody`; empty if we are not root."""
    if os.geteuid() != 0:
        return []
    group = str(pwd.getpwnam("nobody").pw_gid)
    # Changing the user clears the parent-death signal that the guard set, so set it again.
    return [
        "setpriv",
        "--reuid=nobody",
        f"--regid={group}",
        "--clear-groups",
        f"--pdeathsig={death_signal}",
        "--",
    ]
