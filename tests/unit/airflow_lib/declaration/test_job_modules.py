"""A job's code is read before a cluster is made for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_lib.declaration.job_modules import job_module_mistakes
from airflow_lib.pipeline import Pipeline, SparkJob
from tests.unit.airflow_lib.declaration.birds import BIRDS, Files

MODULE = "sparkjobs/birds/sightings.py"


def mistakes(files: Files, pipeline: Pipeline = BIRDS) -> list[str]:
    return list(job_module_mistakes(pipeline, root=files.sparkjobs))


@pytest.mark.parametrize(
    "code",
    [
        "def run(spark, inputs, targets, rejected, window):\n    pass\n",
        "def run(spark: 'S', *, window, inputs, targets, rejected=None) -> dict:\n    pass\n",
        "def run(**given):\n    pass\n",
        "def run(spark, inputs, targets, rejected, window, more=1, *, other=2):\n    pass\n",
    ],
)
def test_a_run_that_the_session_can_call_is_right(files: Files, code: str) -> None:
    files.write(MODULE, code)
    assert mistakes(files) == []


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (
            "def main():\n    pass\n",
            "has no function run(spark, inputs, targets, rejected, window): write it",
        ),
        ("class A:\n    def run(self): pass\n", "has no function run"),
        ("def run(spark, inputs, targets, rejected):\n    pass\n", "line 1: its run takes other arguments"),
        ("\ndef run(spark, inputs, targets, reject, window):\n    pass\n", "line 2: its run takes other"),
        (
            "def run(spark, inputs, targets, rejected, window, more):\n    pass\n",
            "its run takes other arguments",
        ),
        (
            "def run(spark, /, inputs, targets, rejected, window):\n    pass\n",
            "its run takes other arguments",
        ),
        ("def run(spark, inputs, targets, rejected, window, *, more):\n    pass\n", "takes other arguments"),
        (
            "def run(spark, inputs, target, rejected, window):\n    pass\n",
            (
                "let it be run(spark, inputs, targets, rejected, window); `target` is now targets['sightings'], a "
                "folder for each output; `inputs` has a list of URIs for each source; `window` is None unless the job"
            ),
        ),
        ("def run(spark:\n", "cannot be read: "),
        (b"\xff\xfe", "cannot be read: "),
        (b"a = '\0'", "cannot be read: "),
    ],
)
def test_a_module_that_no_session_could_run_is_told(files: Files, code: str | bytes, told: str) -> None:
    files.write(MODULE, code)
    (mistake,) = mistakes(files)
    assert mistake.startswith("job 'sightings': sparkjobs/birds/sightings.py")
    assert told in mistake


def test_a_missing_module_is_told_with_the_one_that_looks_like_it(files: Files) -> None:
    (mistake,) = mistakes(files, replace(BIRDS, jobs=(SparkJob("sigtings", ("x",)),)))
    assert mistake == (
        "job 'sigtings': sparkjobs/birds/sigtings.py is missing: write it, or correct the name; "
        "did you mean 'sightings'?"
    )


def test_a_missing_folder_is_told_once(files: Files) -> None:
    (mistake,) = mistakes(files, replace(BIRDS, name="brids", jobs=BIRDS.jobs * 3))
    assert mistake == "sparkjobs/brids/ is missing: write the jobs there; did you mean 'birds'?"


def test_a_checkout_without_any_jobs_is_told(files: Files) -> None:
    (mistake,) = job_module_mistakes(BIRDS, root=files.folder / "nowhere")
    assert mistake == "nowhere/birds/ is missing: write the jobs there"


def test_a_pipeline_of_the_name_of_a_shared_module_is_told_since_one_would_hide_the_other(
    files: Files,
) -> None:
    files.write("sparkjobs/birds.py", "")
    (mistake,) = mistakes(files)
    assert mistake == "name 'birds' is that of the module sparkjobs/birds.py, which hides it: choose another"


def test_a_word_of_python_is_no_name_of_a_module(files: Files) -> None:
    files.write("sparkjobs/birds/import.py", "def run(**given): pass\n")
    (mistake,) = mistakes(files, replace(BIRDS, jobs=(SparkJob("import", ("x",)),)))
    assert "name 'import' is a word of Python" in mistake
