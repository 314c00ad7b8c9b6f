"""A pipeline as the DAG files of this host declare it, and as `MAYFLY_SCHEDULES` has it, for commands without Airflow.

    python -m subdags.declared PIPELINE

It prints the declaration as JSON (`airflow_lib.steps.serialization`), in the last line of stdout. Only the DAG file can
tell it, for what is built from it is Airflow's: so whoever must not import Airflow asks this in a process of its own
(`airflow_lib.backfill`). Neither Airflow's database nor AWS is asked anything.
"""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

from airflow.configuration import conf
from airflow.sdk import DAG

from airflow_lib.errors import SettingsError, did_you_mean
from airflow_lib.pipeline import Pipeline
from airflow_lib.steps.serialization import to_json

_CHECKOUT = Path(__file__).resolve().parents[2] / "dags"


def find_folder() -> Path:
    """Airflow's folder of DAG files, or the checkout's where this host's configuration names none that is there."""
    named = Path(conf.get("core", "dags_folder"))
    return named if named.is_dir() else _CHECKOUT


def find_pipeline(name: str, folder: Path) -> Pipeline:
    """The pipeline whose DAG has the name. A file that cannot be read matters only where no other declares it.

    Raises SettingsError where none does.
    """
    sys.path.append(str(folder))  # as Airflow does
    known: list[str] = []
    broken: list[str] = []
    for path in _list_files(name, folder):
        try:
            content = runpy.run_path(str(path))
        except Exception as error:  # noqa: BLE001  it is somebody's code
            broken.append(f"{path}: {error}")
            continue
        for dag in content.values():
            pipeline = _pipeline_of(dag)
            if pipeline is not None and pipeline.name == name:
                return pipeline
            known += [pipeline.name] if pipeline is not None else []
    lines = [
        f"No DAG file below {folder} declares a pipeline {name!r:.100}{did_you_mean(name, known) or '.'}",
        f"There are: {', '.join(sorted(set(known))) or 'none'}.",
        *(f"This one cannot be read: {line}" for line in broken),
    ]
    raise SettingsError("\n".join(lines))


def _list_files(name: str, folder: Path) -> Iterator[Path]:
    """The files that build a DAG of ours, the one that is named like the pipeline first."""
    paths = sorted(folder.rglob("*.py"), key=lambda path: (path.stem != name, path))
    for path in paths:
        if b"build_dag" in path.read_bytes():
            yield path


def _pipeline_of(value: object) -> Pipeline | None:
    if not isinstance(value, DAG):
        return None
    pipeline = getattr(value.task_dict.get("plan"), "pipeline", None)
    return pipeline if isinstance(pipeline, Pipeline) else None


def main(arguments: list[str]) -> int:
    """Print the declaration, or say on stderr what is wrong; returns the exit code."""
    (name,) = arguments
    try:
        pipeline = find_pipeline(name, find_folder())
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"\n{json.dumps(to_json(pipeline))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
