"""Where the code finds the folders beside plugins/, or in it."""

from pathlib import Path

import pytest

from airflow_lib.checkout import find_in_checkout


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    folder = tmp_path / "plugins"
    folder.mkdir()
    return folder


def test_a_folder_is_found_beside_plugins(plugins: Path) -> None:
    (plugins.parent / "sparkjobs").mkdir()
    (plugins / "sparkjobs").mkdir()
    assert find_in_checkout("sparkjobs", plugins) == plugins.parent / "sparkjobs"


def test_a_folder_that_travelled_in_plugins_is_found_there(plugins: Path) -> None:
    (plugins / "sparkjobs").mkdir()
    assert find_in_checkout("sparkjobs", plugins) == plugins / "sparkjobs"


def test_a_folder_that_is_missing_is_missed_beside_plugins(plugins: Path) -> None:
    assert find_in_checkout("sparkjobs", plugins) == plugins.parent / "sparkjobs"
