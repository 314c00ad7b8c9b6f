"""The AWS process's state directory, and what of it is kept at a start.

s3/          objects and their journal           kept until `--fresh`
snapshots/   Redshift snapshots with their data  kept until `--fresh`
redshift/    data of running warehouses          emptied
emr/         work directories of Livy servers    emptied
logs/        of every child process              kept until `--fresh`
"""

from __future__ import annotations

import shutil
from pathlib import Path

_KEPT = ("s3", "snapshots", "logs")
_EMPTIED = ("redshift", "emr")


class State:
    """The paths in the state directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.s3 = root / "s3"
        self.snapshots = root / "snapshots"
        self.redshift = root / "redshift"
        self.emr = root / "emr"
        self.logs = root / "logs"

    def prepare(self, *, fresh: bool) -> None:
        """Create the directories, and empty those that are not kept, or all of them if `fresh`.

        Others may enter them, because PostgreSQL runs as another user if we are root.
        """
        for name in (*_EMPTIED, *(_KEPT if fresh else ())):
            shutil.rmtree(self.root / name, ignore_errors=True)
        for name in (*_KEPT, *_EMPTIED):
            (self.root / name).mkdir(parents=True, exist_ok=True)
            (self.root / name).chmod(0o755)
        self.root.chmod(0o755)
