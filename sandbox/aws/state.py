"""What lies in the state directory, and what of it survives a start.

s3/          objects and their journal           survives
snapshots/   Redshift snapshots with their data  survives
redshift/    data of running warehouses          emptied
emr/         work directories of Livy servers    emptied
logs/        of every child process              kept until `--fresh`
"""

from __future__ import annotations

import shutil
from pathlib import Path

_SURVIVING = ("s3", "snapshots", "logs")
_PASSING = ("redshift", "emr")


class State:
    """The state directory's parts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.s3 = root / "s3"
        self.snapshots = root / "snapshots"
        self.redshift = root / "redshift"
        self.emr = root / "emr"
        self.logs = root / "logs"

    def prepare(self, *, fresh: bool) -> None:
        """Make the directories; empty those that do not survive, or all of them if `fresh`.

        PostgreSQL runs as another user where we are root, so all of them can be traversed.
        """
        for name in (*_PASSING, *(_SURVIVING if fresh else ())):
            shutil.rmtree(self.root / name, ignore_errors=True)
        for name in (*_SURVIVING, *_PASSING):
            (self.root / name).mkdir(parents=True, exist_ok=True)
            (self.root / name).chmod(0o755)
        self.root.chmod(0o755)
