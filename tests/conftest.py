"""Airflow reads its home once, when it is first imported: so it is set before any test file is."""

import gc
import os
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_home = tempfile.TemporaryDirectory(prefix="mayfly-airflow-")
os.environ.update(
    AIRFLOW_HOME=_home.name,
    AIRFLOW__CORE__DAGS_FOLDER=str(ROOT / "dags"),
    AIRFLOW__CORE__PLUGINS_FOLDER=str(ROOT / "plugins"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
)
# Nothing may reach a real account, whatever the machine holds.
os.environ.update(
    AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE="/dev/null", AWS_SHARED_CREDENTIALS_FILE="/dev/null"
)

# Airflow and moto are a large heap. To look through it for garbage as often as by default takes a fifth of the time.
gc.set_threshold(20_000, 10, 10)
