"""setup_backend.md, followed from an empty machine: its files, its commands, and the processes of its units."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import amqp
import psycopg2
import pytest
import requests
from setup_deployment import UNITS, Deployment, listens, missing
from setup_document import ROOT, Block, block, blocks_of, read_environment_file, read_unit

from tests.sandbox.nets import unused_net

PROBE = '''
from datetime import UTC, datetime, timedelta
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import DAG, BaseOperator


class Probe(BaseOperator):
    """Waits in the triggerer, and then reads the Variables in a worker, with Mayfly's own code."""

    def execute(self, context):
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=1)), method_name="resume")

    def resume(self, context, event=None):
        from operators.airflow_run import read_settings

        return read_settings().mayfly.deployment


with DAG("probe", schedule="@once", start_date=datetime(2016, 4, 1, tzinfo=UTC), is_paused_upon_creation=False):
    Probe(task_id="probe")
'''

# What the test does not do, and why.
LEFT_OUT = {
    "apt-get install -y git": "root's: packages, the user and the folders of a host",
    "/opt/mayfly/\n": "a picture of the folders",
    "python3.11 -m venv": "the environment that runs this test was made from the same requirements.txt",
    "cp /opt/mayfly/deploy/systemd": "systemd's: the units' own commands are run instead",
    "AIRFLOW__LOGGING__REMOTE_LOGGING": "needs a bucket: tests/unit/operators/test_secrets_backend.py has them",
    '{\n  "Version"': "a policy: tests/unit/operators/test_secrets_backend.py has it",
    "/etc/systemd/system/": "a unit, compared with the file of deploy/systemd",
}
DONE = {
    "cd /etc/mayfly/tls",
    "CREATE DATABASE airflow",
    "/etc/postgresql/15/main/conf.d/mayfly.conf",
    "/etc/postgresql/15/main/pg_hba.conf",
    "/etc/rabbitmq/rabbitmq.conf",
    "/etc/rabbitmq/rabbitmq-env.conf",
    "rabbitmqctl add_user",
    "/etc/mayfly/airflow.env",
    "/opt/mayfly/.venv/bin/python -c 'from cryptography",
    "/etc/mayfly/api-server.env",
    "/var/lib/airflow/config/airflow_local_settings.py",
    "set -a; . /etc/mayfly/airflow.env",
}
BLOCKS = [one for section in "23456" for one in blocks_of(section)]


@pytest.mark.parametrize("found", BLOCKS, ids=lambda found: f"{found.section}: {found.first_line}")
def test_every_block_up_to_the_start_is_followed_or_left_out_for_a_reason(found: Block) -> None:
    begins = [start for start in {*LEFT_OUT, *DONE} if found.text.startswith((start, f"# {start}"))]
    assert len(begins) == 1, f"nothing here follows this block of section {found.section}:\n{found.text}"


def test_the_celery_executor_can_be_imported_by_the_documents_line() -> None:
    last = block("2", "python3.11 -m venv").text.splitlines()[-1]
    command = last.replace("/opt/mayfly/.venv/bin/python", shutil.which("python") or "python3")
    assert "import airflow.providers.celery" in command


@pytest.mark.parametrize("unit", sorted(UNITS.glob("*.service")), ids=lambda unit: unit.stem)
def test_each_unit_runs_the_command_of_the_table(unit: Path) -> None:
    section = (ROOT / "setup_backend.md").read_text().split("\n## 6. ", 1)[1].split("\n## ", 1)[0]
    if unit.stem == "airflow-scheduler":
        assert f"# /etc/systemd/system/{unit.name}\n{unit.read_text()}```" in section
        return
    (command,) = read_unit(unit)["ExecStart"]
    row = next(line for line in section.splitlines() if line.startswith(f"| `{unit.stem}` |"))
    assert f"| `{command.removeprefix('/opt/mayfly/.venv/bin/')}` |" in row


def test_the_processes_of_the_first_section_have_a_unit_each() -> None:
    section = (ROOT / "setup_backend.md").read_text().split("\n## 1. ", 1)[1].split("\n## ", 1)[0]
    commands = [read_unit(unit)["ExecStart"][0].split("bin/", 1)[1] for unit in UNITS.glob("*.service")]
    for command in commands:
        assert f"| `{command.removesuffix(' --skip-serve-logs')}` |" in section
    assert len(commands) == section.count("| `airflow ")


def test_systemd_reads_the_units(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("left out: this machine has no systemd-analyze (apt-get install systemd)")
    for unit in UNITS.glob("*.service"):
        text = unit.read_text().replace("/opt/mayfly/.venv/bin/airflow", shutil.which("true") or "/bin/true")
        (tmp_path / unit.name).write_text(text)
    names = [str(path) for path in tmp_path.iterdir()]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *names], capture_output=True, text=True, check=False
    )
    told = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "airflow-" in line]
    assert (done.returncode, told) == (0, [])


def test_a_shell_and_systemd_read_the_same_from_the_files_of_variables() -> None:
    for path in ("/etc/mayfly/airflow.env", "/etc/mayfly/api-server.env"):
        text = block("5", path).text.replace("…", "secret")
        script = f"set -a\n{text}\nset +a\nexec env -0"
        shown = subprocess.run(
            ["sh", "-c", script], env={}, capture_output=True, text=True, check=True
        ).stdout
        of_shell = dict(line.split("=", 1) for line in shown.split("\0") if line.startswith("AIRFLOW"))
        assert of_shell == read_environment_file(text)


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    if why := missing():
        pytest.skip(why)
    root = Path(tempfile.mkdtemp(prefix="mayfly-setup-"))
    root.chmod(0o755)
    made = Deployment(root, unused_net(), {"probe.py": PROBE})
    try:
        made.set_up()
        yield made
    finally:
        made.stop()
        shutil.rmtree(root)


@pytest.mark.sandbox
@pytest.mark.timeout(900)
def test_a_task_waits_in_the_triggerer_and_reads_the_variables_on_a_celery_worker(
    deployment: Deployment,
) -> None:
    assert deployment.wait_for_task("probe") == "success"
    example = json.loads((ROOT / "variables.example.json").read_text())
    told = deployment.psql("-c", "SELECT value FROM xcom WHERE dag_id = 'probe' AND key = 'return_value'")
    assert json.loads(told) == example["mayfly"]["deployment"]
    # Once to defer, once to resume: both as messages of RabbitMQ, whose ends Celery has in PostgreSQL.
    deployment.wait_for_answer("SELECT status FROM celery_taskmeta", ["SUCCESS", "SUCCESS"])
    assert deployment.psql("-c", "SELECT count(*) FROM import_error") == "0"
    deployment.wait_for_answer("SELECT count(*) FROM dag WHERE dag_id IN ('immigration', 'janitor')", ["2"])


@pytest.mark.sandbox
def test_the_variables_are_encrypted_in_the_database(deployment: Deployment) -> None:
    assert deployment.psql("-c", "SELECT DISTINCT is_encrypted FROM variable") == "t"


@pytest.mark.sandbox
def test_every_connection_to_postgresql_is_encrypted_and_no_other_is_let_in(deployment: Deployment) -> None:
    query = "SELECT DISTINCT ssl FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE usename = 'airflow'"
    assert deployment.psql("-c", query) == "t"
    with pytest.raises(psycopg2.OperationalError, match="no pg_hba.conf entry"):
        psycopg2.connect(
            host=deployment.postgres,
            user="airflow",
            dbname="airflow",
            password=deployment.password,
            sslmode="disable",
        )


ASYNC = """
import asyncio, sys
from sqlalchemy import text
from airflow import settings
from airflow.utils.session import create_session_async

async def ask():
    async with create_session_async() as session:
        query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        return (await session.execute(text(query))).scalar()

settings.initialize()
print("encrypted:", asyncio.run(ask()))
"""


@pytest.mark.sandbox
@pytest.mark.parametrize("trusted", [True, False])
def test_the_asynchronous_driver_verifies_the_server(
    deployment: Deployment, tmp_path: Path, trusted: bool
) -> None:
    settings = deployment.home / "config/airflow_local_settings.py"
    home = tmp_path / "home"
    (home / "config").mkdir(parents=True)
    ca = "etc/mayfly/tls/ca.pem" if trusted else "etc/mayfly/tls/airflow.pem"
    text = settings.read_text().replace("etc/mayfly/tls/ca.pem", ca)
    (home / "config/airflow_local_settings.py").write_text(text)
    done = subprocess.run(
        [shutil.which("python", path=deployment.environment()["PATH"]) or "python", "-c", ASYNC],
        env={**deployment.environment(), "AIRFLOW_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    if trusted:
        assert "encrypted: True" in done.stdout, done.stderr
    else:
        assert "CERTIFICATE_VERIFY_FAILED" in done.stderr


def open_broker(deployment: Deployment, user: str, password: str, host: str, **tls: object) -> None:
    context = {
        "ca_certs": str(deployment.root / "etc/mayfly/tls/ca.pem"),
        "cert_reqs": ssl.CERT_REQUIRED,
        **tls,
    }
    connection = amqp.Connection(
        f"{host}:5671", userid=user, password=password, virtual_host="airflow", ssl=context, connect_timeout=5
    )
    connection.connect()
    connection.close()


@pytest.mark.sandbox
def test_rabbitmq_lets_in_airflow_alone_and_over_tls_alone(deployment: Deployment) -> None:
    open_broker(deployment, "airflow", deployment.password, deployment.rabbitmq)
    with pytest.raises(amqp.AccessRefused):
        open_broker(deployment, "guest", "guest", deployment.rabbitmq)
    assert not listens(deployment.rabbitmq, 5672)
    assert not listens("127.0.0.1", 5671)


@pytest.mark.sandbox
def test_celery_verifies_that_the_certificate_is_for_the_brokers_host(deployment: Deployment) -> None:
    config = json.loads(deployment.environment()["AIRFLOW__CELERY__EXTRA_CELERY_CONFIG"])
    script = (
        "from kombu import Connection; import json, sys\n"
        "opened = Connection(sys.argv[1], ssl=json.loads(sys.argv[2]), connect_timeout=5)\n"
        "opened.connect()\n"
        "print('connected to', opened.ssl['server_hostname'])\n"
    )
    url = deployment.environment()["AIRFLOW__CELERY__BROKER_URL"]
    for host, tls, answer in (
        (deployment.rabbitmq, config["broker_use_ssl"], f"connected to {deployment.rabbitmq}"),
        (
            deployment.rabbitmq,
            {**config["broker_use_ssl"], "server_hostname": "127.0.0.1"},
            "certificate is not valid",
        ),
    ):
        done = subprocess.run(
            [
                shutil.which("python", path=deployment.environment()["PATH"]) or "python",
                "-c",
                script,
                url,
                json.dumps(tls),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer in done.stdout + done.stderr, host


@pytest.mark.sandbox
def test_the_api_server_answers_over_tls_under_its_own_name_alone(deployment: Deployment) -> None:
    ca = deployment.root / "etc/mayfly/tls/ca.pem"
    address = f"https://{deployment.api}:8443/api/v2/monitor/health"
    health = requests.get(address, verify=str(ca), timeout=10).json()
    states = {name: part["status"] for name, part in health.items()}
    assert set(states.values()) == {"healthy"}, states
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(address, timeout=10)
