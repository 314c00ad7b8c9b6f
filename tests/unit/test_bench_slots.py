"""What the bench of worker slots counts, and what it draws."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from bench.__main__ import MEASURES
from bench.slots import Sample, figures, picture

# 10 s of work, 20 s in which all that goes on waits, and 5 s in which one task works and one waits.
SAMPLES = (
    Sample(0.0, ("provision.emr", "provision.warehouse"), ()),
    Sample(10.0, (), ("provision.emr", "provision.warehouse")),
    Sample(30.0, ("load.create_tables",), ("transform.arrivals",)),
    Sample(35.0, (), ()),
)


def test_waiting_takes_no_slot_and_working_takes_one_for_each_task() -> None:
    assert figures(SAMPLES) == {
        "wall_s": 35.0,
        "slots_peak": 2,
        "slots_mean": 0.71,
        "slot_s": 25.0,
        "waited_without_slot_s": 45.0,
        "no_slot_taken_s": 20.0,
        "slot_s_by_group": {"provision": 20.0, "load": 5.0},
    }


def test_the_picture_is_an_svg_with_both_lines() -> None:
    root = ET.fromstring(picture(SAMPLES))
    assert [path.get("class") for path in root.iter("{http://www.w3.org/2000/svg}path")] == ["r", "d", "a"]


def test_a_run_without_samples_has_figures_and_a_picture() -> None:
    assert figures(())["wall_s"] == 0
    assert ET.fromstring(picture(())).tag.endswith("svg")


def test_the_bench_is_called_by_name() -> None:
    assert "slots" in MEASURES
