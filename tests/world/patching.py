"""Undoes what the sandbox's modules patch in moto's classes: the sandbox never needs to, each world does."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any


def restore_after(patches: ExitStack, *classes: type) -> None:
    """Give these classes back their present attributes when `patches` is closed."""
    for owner in classes:
        patches.callback(_restore, owner, dict(vars(owner)))


def _restore(owner: type, before: dict[str, Any]) -> None:
    for name, value in list(vars(owner).items()):
        if name not in before:
            delattr(owner, name)
        elif value is not before[name]:
            setattr(owner, name, before[name])
