"""Whether each Spark job has its code: `sparkjobs/<pipeline>/<job>.py` with `run`, which is read, not imported."""

from __future__ import annotations

import ast
import keyword
from collections.abc import Iterator
from pathlib import Path

from airflow_lib.errors import did_you_mean
from airflow_lib.pipeline import Pipeline, SparkJob
from airflow_lib.spark.shipping import SPARKJOBS

# How a session calls it: steps.statement.render_statement.
_SIGNATURE = ("spark", "inputs", "targets", "rejected", "window")
_RUN = f"run({', '.join(_SIGNATURE)})"
_FORMERLY = {"spark", "inputs", "target", "rejected", "window"}


def job_module_mistakes(pipeline: Pipeline, *, root: Path = SPARKJOBS) -> Iterator[str]:
    """The jobs whose module is missing or cannot be read, or has no `run` that a session could call."""
    own = root / pipeline.name
    if not own.is_dir():
        there = [other.name for other in root.glob("*/")]
        yield f"{root.name}/{own.name}/ is missing: write the jobs there{did_you_mean(own.name, there)}"
        return
    shared = root / f"{pipeline.name}.py"
    if shared.is_file():
        yield f"name {pipeline.name!r} is that of the module {root.name}/{shared.name}, which hides it: choose another"
    for name in (pipeline.name, *(job.name for job in pipeline.jobs)):
        if keyword.iskeyword(name):
            yield f"name {name!r} is a word of Python, so no session could import it: choose another"
    for job in pipeline.jobs:
        yield from _module_mistakes(job, root, f"{pipeline.name}/{job.name}.py")


def _module_mistakes(job: SparkJob, root: Path, path: str) -> Iterator[str]:
    where = f"job {job.name!r}: {root.name}/{path}"
    file = root / path
    try:
        module = ast.parse(file.read_bytes())
    except FileNotFoundError:
        there = [other.stem for other in file.parent.glob("*.py")]
        yield f"{where} is missing: write it, or correct the name{did_you_mean(job.name, there)}"
        return
    except (OSError, SyntaxError, ValueError) as error:
        yield f"{where} cannot be read: {error}"
        return
    runs = [one for one in module.body if isinstance(one, ast.FunctionDef) and one.name == "run"]
    if not runs:
        yield f"{where} has no function {_RUN}: write it"
    elif not _can_be_called(runs[-1].args):
        advice = _advice(job, runs[-1])
        yield f"{where}, line {runs[-1].lineno}: its run takes other arguments: let it be {_RUN}{advice}"


def _advice(job: SparkJob, run: ast.FunctionDef) -> str:
    """What to change in a job that was written for the version before, where it is such a one."""
    if {one.arg for one in (*run.args.args, *run.args.kwonlyargs)} != _FORMERLY:
        return ""
    folders = ", ".join(f"targets[{name!r}]" for name in job.output_names)
    return (
        f"; `target` is now {folders}, a folder for each output; `inputs` has a list of URIs for each source; `window` "
        "is None unless the job is declared windowed"
    )


def _can_be_called(arguments: ast.arguments) -> bool:
    """With the five as keywords and nothing else."""
    taken = [one.arg for one in (*arguments.args, *arguments.kwonlyargs)]
    without_default = [
        *arguments.posonlyargs,
        *arguments.args[: len(arguments.args) - len(arguments.defaults)],
        *(
            one
            for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
            if not default
        ),
    ]
    takes_all = arguments.kwarg is not None or set(_SIGNATURE) <= set(taken)
    return takes_all and {one.arg for one in without_default} <= set(_SIGNATURE)
