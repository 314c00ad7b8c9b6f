"""Root's way to run a server as `nobody`: PostgreSQL refuses to run as root, and RabbitMQ needs no such rights.

If the data or the binaries are below a directory that `nobody` cannot enter (a checkout under root's home), the
server keeps the one capability that lets it in (CAP_DAC_OVERRIDE).
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from pathlib import Path

from sandbox.errors import SandboxError

_USER = "nobody"


def own_privately(directory: Path) -> None:
    """Close the directory to others; if we are root, `nobody` owns it and all that is in it."""
    directory.chmod(0o700)
    if os.geteuid() != 0:
        return
    user = pwd.getpwnam(_USER)
    for path in [directory, *directory.rglob("*")]:
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)


def drop_root(*used: Path, death_signal: str) -> list[str]:
    """The command prefix that drops from root to `nobody`, who can still reach the paths `used`; empty if not root.

    `death_signal` (INT, TERM) is sent to the server when its guard dies. Raises SandboxError if setpriv is missing.
    """
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise SandboxError(
            "PostgreSQL and RabbitMQ do not run as root, and setpriv, which drops root, is missing: "
            "install the package util-linux, or run as another user."
        )
    group = str(pwd.getpwnam(_USER).pw_gid)
    # Changing the user clears the parent-death signal that the guard set, so set it again.
    command = [setpriv, "--reuid", _USER, "--regid", group, "--clear-groups", "--pdeathsig", death_signal]
    if not all(_is_accessible_to_others(path) for path in used):
        command += ["--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"]
        # access(2), by which Erlang asks whether it may write, ignores the capability without this.
        command += ["--securebits", "+no_setuid_fixup"]
    return [*command, "--"]


def _is_accessible_to_others(path: Path) -> bool:
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.parents)
