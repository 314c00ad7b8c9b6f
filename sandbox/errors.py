"""What the sandbox tells a person instead of a traceback."""

from __future__ import annotations


class SandboxError(RuntimeError):
    """Something the person can act on; `str(error)` is the whole message."""
