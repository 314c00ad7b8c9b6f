"""docs/add-a-pipeline.md: what its pipeline comes to in a checkout."""

from __future__ import annotations

from tests.add_a_pipeline import PAGE, files_of_the_page

MAX_LINES = 80


def test_the_pages_pipeline_is_short_and_touches_no_file_of_the_library():
    files = files_of_the_page()
    assert len(files) == 9
    assert sum(len(text.splitlines()) for text in files.values()) <= MAX_LINES
    assert all(
        re_path.startswith(("dags/", "sparkjobs/weather/", "sql_templates/weather/")) for re_path in files
    )


def test_every_block_of_code_on_the_page_is_a_file_or_a_command():
    blocks = PAGE.read_text().count("```") // 2
    commands = PAGE.read_text().count("```sh")
    assert blocks == commands + sum(bool(text) for text in files_of_the_page().values())
