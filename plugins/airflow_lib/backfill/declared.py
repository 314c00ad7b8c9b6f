"""A pipeline's declaration, for a command that must not import Airflow: told by a process that does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from airflow_lib.backfill.airflow_api import SECRETS
from airflow_lib.bounded_json import as_text, load_json
from airflow_lib.errors import DeclarationError, SettingsError
from airflow_lib.pipeline import PIPELINE_NAME, Pipeline
from airflow_lib.steps.serialization import from_json

_MODULE = "subdags.declared"
_TIMEOUT_S = 300
_PLUGINS = Path(__file__).resolve().parents[2]


def read_declaration(name: str, environ: Mapping[str, str] = os.environ) -> Pipeline:
    """The pipeline as the DAG files of this host declare it, in the environment of Airflow's processes.

    Raises SettingsError where there is none, or its file cannot be read.
    """
    if not PIPELINE_NAME.match(name):
        raise SettingsError(f"{name!r:.100} is no pipeline's name: give that of its DAG.")
    paths = [str(_PLUGINS), *filter(None, [environ.get("PYTHONPATH")])]
    without = {key: value for key, value in environ.items() if key not in SECRETS}
    try:
        done = subprocess.run(  # noqa: S603  a list of our own words, and no shell
            [sys.executable, "-m", _MODULE, name],
            env={**without, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SettingsError(f"The declaration of {name} cannot be read: {error}") from error
    if done.returncode:
        told = done.stderr.strip()[-2000:] or "it told nothing"
        raise SettingsError(
            f"The declaration of {name} cannot be read from the DAG files of this host:\n{told}\n"
            "Run this where Airflow is installed, with the environment of its processes (airflow.env)."
        )
    return parse_declaration(name, done.stdout)


def parse_declaration(name: str, told: str) -> Pipeline:
    """The pipeline in the last line of what was told. Raises SettingsError where there is none."""

    def unusable(cause: str) -> SettingsError:
        return SettingsError(f"The declaration of {name} cannot be read: what was told of it is {cause}.")

    lines = told.strip().splitlines()
    content = load_json(lines[-1] if lines else "", unusable)
    try:
        pipeline = from_json(content)
    except (DeclarationError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise unusable(as_text(f"none of this version ({error})", 300)) from error
    if not isinstance(pipeline, Pipeline) or pipeline.name != name:
        raise unusable("of something else")
    return pipeline
