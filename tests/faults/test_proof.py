"""A part of the leak proof; the whole is `make proof` and `make proof-mutants`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.proof.safeguards import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]


def run_module(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'plugins'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.timeout(900)
def test_a_part_of_the_proof_holds() -> None:
    done = run_module("tests.proof", "--quick")
    results = done.stdout.strip().splitlines()[-2:]
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    nothing = "0 leaks, 0 foreign touched, 0 rows lost or loaded twice, 0 refused rows published"
    faults = r"\(\d+ calls, \d+ faults\)"
    assert re.fullmatch(
        rf"proof of the windowed pipeline {faults}: \d+ runs \(\d+ with one fault, \d+ with an odd answer of Livy, "
        rf"\d+ with two, \d+ with rows that a check refuses, \d+ with nothing to do\): {nothing}",
        results[0],
    )
    assert re.fullmatch(
        rf"proof of the upserting pipeline {faults}: \d+ runs "
        rf"\(\d+ with one fault, \d+ with nothing to do\): {nothing}",
        results[1],
    )


@pytest.mark.timeout(300)
def test_the_proof_can_fail() -> None:
    done = run_module("tests.proof.mutants", "--only", "the subnet group is not deleted")
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "caught: the subnet group is not deleted: leak: left at the end" in done.stdout


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_each_safeguard_is_where_the_mutant_takes_it_away(mutant: Mutant) -> None:
    assert (ROOT / mutant.file).read_text().count(mutant.old) == 1
