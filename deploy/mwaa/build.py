"""Builds what Amazon MWAA takes: dags/, plugins.zip, requirements.txt and startup.sh.

    python deploy/mwaa/build.py FOLDER

MWAA unpacks plugins.zip to /usr/local/airflow/plugins, and has no other place for code that is no DAG: so the zip
holds sparkjobs/ and sql_templates/, too, and the policy that the doctor asks about. The same checkout makes the same
bytes.
"""

from __future__ import annotations

import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
_MODE_644 = 0o644 << 16
_IGNORE = ".airflowignore"
_BESIDE = ("sparkjobs", "sql_templates")
_POLICY = "docs/iam-principal-policy.json"


def build(folder: Path) -> None:
    """Write the package into `folder`, which is made; what is in it already is replaced."""
    shutil.rmtree(folder / "dags", ignore_errors=True)
    for path in list_files(ROOT / "dags"):
        target = folder / "dags" / path.relative_to(ROOT / "dags")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    (folder / "plugins.zip").unlink(missing_ok=True)
    with zipfile.ZipFile(folder / "plugins.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _packed():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system, entry.external_attr = 3, _MODE_644  # made on Unix
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    for name in ("requirements.txt", "startup.sh"):
        shutil.copyfile(ROOT / "deploy" / "mwaa" / name, folder / name)


def _packed() -> Iterator[tuple[str, bytes]]:
    plugins = ROOT / "plugins"
    for path in list_files(plugins):
        content = path.read_bytes()
        if path == plugins / _IGNORE:  # Airflow looks for plugins in every file below the folder
            content += "".join(f"{name}\n" for name in _BESIDE).encode()
        yield path.relative_to(plugins).as_posix(), content
    for name in _BESIDE:
        for path in list_files(ROOT / name):
            yield path.relative_to(ROOT).as_posix(), path.read_bytes()
    yield _POLICY, (ROOT / _POLICY).read_bytes()


def list_files(folder: Path) -> list[Path]:
    """The files below the folder, in order, without what Python compiled."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Name the folder to write to: python deploy/mwaa/build.py FOLDER")
    build(Path(sys.argv[1]))
