"""What needs RabbitMQ. Where it is not installed, every test here says so and is left out.

The helpers for tests of a running sandbox are those of tests/sandbox.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sandbox.airflow.rabbitmq import missing

sys.path.append(str(Path(__file__).parents[1] / "sandbox"))


@pytest.fixture(autouse=True, scope="session")
def _rabbitmq() -> None:
    if why := missing():
        pytest.skip(f"{why}. Nothing of Celery is tested here")
