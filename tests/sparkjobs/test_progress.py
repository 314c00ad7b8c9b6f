"""How far a job is, told by the driver while it runs: on a real Spark."""

from __future__ import annotations

import re
import threading
import time

import pytest

from sparkjobs.progress import Stages, _Stage, _to_come, progress


def eventually(look, wanted):
    deadline = time.monotonic() + 60
    while not wanted(seen := look()):
        assert time.monotonic() < deadline, f"it was still {seen!r}"
        time.sleep(0.05)
    return seen


def said(path):
    return path.read_text() if path.exists() else ""


def test_the_rows_that_were_read_and_written_are_told_and_the_stages(spark, tmp_path):
    spark.range(1000).write.parquet(f"file://{tmp_path}/in")
    stages = Stages(spark)
    assert numbers(stages.describe()) == [0, 0, 0, 0]
    for name in ("one", "two"):
        spark.read.parquet(f"file://{tmp_path}/in").repartition(2).write.parquet(f"file://{tmp_path}/{name}")
    stage, known, read, _ = eventually(lambda: numbers(stages.describe()), lambda seen: seen[3] >= 2000)
    assert read == 1000, "what is read twice counts once"
    assert stage == known
    assert stage >= 4  # twice one that reads and shuffles, and one that writes


def numbers(text):
    """Stage, stages, rows read, rows written."""
    found = re.fullmatch(
        r"stage ([\d,]+) of ([\d,]+) so far(?: \([\d,]+ of [\d,]+ tasks\))?, ([\d,]+) rows read, ([\d,]+) written",
        text,
    )
    assert found, text
    return [int(number.replace(",", "")) for number in found.groups()]


def test_a_file_says_so_while_the_job_runs_and_goes_on(spark, tmp_path):
    file = tmp_path / "progress.txt"
    with progress(spark, f"file://{file}", every_s=0.05):
        eventually(lambda: said(file), lambda text: text.startswith("stage "))
        assert numbers(said(file)) == [0, 0, 0, 0]
        spark.range(500).write.parquet(f"file://{tmp_path}/out")
        last = eventually(lambda: said(file), lambda text: " 500 written" in text)
    assert numbers(last)[:2] == [1, 1]


def test_what_a_file_said_of_an_earlier_try_is_replaced_at_once(spark, tmp_path):
    file = tmp_path / "progress.txt"
    file.write_text("stage 7 of 7 so far, 1 rows read, 1 written")
    with progress(spark, f"file://{file}", every_s=60):
        assert eventually(lambda: said(file), lambda text: "7" not in text and text) == "begun"


@pytest.mark.parametrize("uri", ["nonsense://bucket/progress.txt", "", "file:///proc/no/such/progress.txt"])
def test_a_file_that_cannot_be_written_fails_no_job(spark, uri):
    with progress(spark, uri, every_s=0.01):
        assert spark.range(3).count() == 3


def test_a_spark_that_tells_nothing_fails_no_job(spark, monkeypatch):
    with progress(object(), "file:///tmp/none", every_s=0.01):
        pass
    asked, died, before = threading.Event(), [], set(threading.enumerate())

    def tell(self):
        asked.set()
        raise ValueError

    monkeypatch.setattr(threading, "excepthook", died.append)
    monkeypatch.setattr(Stages, "describe", tell)
    monkeypatch.setattr("sparkjobs.progress._write", lambda *_: None)
    with progress(spark, "file:///tmp/none", every_s=0.01):
        (thread,) = set(threading.enumerate()) - before
        assert asked.wait(10)
    thread.join(10)
    assert not thread.is_alive()
    assert died == []


def test_what_the_job_raises_is_raised(spark, tmp_path):
    with pytest.raises(ZeroDivisionError), progress(spark, f"file://{tmp_path}/progress.txt"):
        raise ZeroDivisionError


def test_a_stage_below_one_that_has_begun_is_not_expected_any_more():
    pending, active = _Stage("PENDING"), _Stage("ACTIVE")
    assert _to_come({4: pending, 5: active, 6: pending}, {5: active}) == {6}
    assert _to_come({4: pending, 5: pending}, {}) == {5}
    assert _to_come({}, {}) == set()
