"""The settings file that a command without Airflow reads, with a world's locations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_lib.janitor import REGION, SETTINGS_FILE
from tests.world.account import BUCKET
from tests.world.account import REGION as WORLD_REGION


def use_settings_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the file into the folder, and let the environment name it and the world's region."""
    locations = {
        name: f"s3://{BUCKET}/{name}" for name in ("source", "processed", "published", "state", "logs")
    }
    settings = {"deployment": "dev", "s3": locations, "network": {"client_cidr": "10.0.0.0/16"}}
    path = folder / "settings.json"
    path.write_text(json.dumps({"mayfly": settings}))
    monkeypatch.setenv(SETTINGS_FILE, str(path))
    monkeypatch.setenv(REGION, WORLD_REGION)
