"""python -m tests.proof.mutants: the product with one safeguard removed, again and again: the proof must kill each.

Every mutant is a copy of the product in which one piece of text is replaced. First the baseline is checked,
then branches of it, the likely ones first, until something does not hold. Exit code 0 only where all are caught.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.proof.first_breach import CAUGHT, SURVIVES
from tests.proof.safeguards import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]
_LIMIT_S = 300
_COPIED = ("plugins", "sql_templates", "sparkjobs")


def main() -> int:
    options = _parse()
    chosen = [mutant for mutant in MUTANTS if options.only in mutant.name]
    started, survivors = time.monotonic(), []
    for mutant in chosen:
        caught, breach = _find_breach(mutant)
        print(f"{'caught' if caught else 'SURVIVES'}: {mutant.name}: {breach}", flush=True)
        if not caught:
            survivors.append(mutant.name)
    print(
        f"proof-mutants: {len(chosen)} mutants, {len(survivors)} survive, {time.monotonic() - started:.0f} s"
    )
    return 1 if survivors or not chosen else 0


def _find_breach(mutant: Mutant) -> tuple[bool, str]:
    """Whether the proof catches the mutant, and by what."""
    with _mutated(mutant) as product:
        environment = {**os.environ, "PYTHONPATH": f"{product / 'plugins'}{os.pathsep}{ROOT}"}
        command = [sys.executable, "-m", "tests.proof.first_breach", "--likely", mutant.likely]
        try:
            done = subprocess.run(
                command,
                env=environment,
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False, f"not caught within {_LIMIT_S} s"
    breach = (done.stdout.strip().splitlines() or ["nothing was printed"])[-1]
    if done.returncode not in (CAUGHT, SURVIVES):
        raise RuntimeError(f"{mutant.name}: the search ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.returncode == CAUGHT, breach


@contextmanager
def _mutated(mutant: Mutant) -> Iterator[Path]:
    """A copy of the product with the mutation. Raises ValueError where its text is not there exactly once."""
    with tempfile.TemporaryDirectory() as folder:
        product = Path(folder)
        for name in _COPIED:
            shutil.copytree(ROOT / name, product / name, ignore=shutil.ignore_patterns("__pycache__"))
        file = product / mutant.file
        text = file.read_text()
        if text.count(mutant.old) != 1:
            raise ValueError(f"{mutant.name}: its text is {text.count(mutant.old)} times in {mutant.file}")
        file.write_text(text.replace(mutant.old, mutant.new))
        yield product


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Shows that the proof kills every mutant.")
    parser.add_argument("--only", default="", help="mutants whose name holds this")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
