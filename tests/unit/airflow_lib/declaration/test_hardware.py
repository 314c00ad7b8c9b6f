"""Declared hardware is held to the Variable's limits, and to what the sessions need."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_lib.declaration.hardware import hardware_mistakes
from airflow_lib.pipeline import Hardware, JobOutput, Pipeline, SparkJob
from tests.unit.airflow_lib.declaration.birds import BIRDS


def on(hardware: Hardware, runs: int = 1) -> Pipeline:
    return replace(BIRDS, hardware=hardware, max_parallel_runs=runs)


def test_the_default_hardware_holds_a_small_pipeline() -> None:
    assert list(hardware_mistakes(BIRDS)) == []


@pytest.mark.parametrize(
    ("hardware", "told"),
    [
        (Hardware(core_count=0), "hardware: core_count: Input should be greater than or equal to 1"),
        (Hardware(ebs_gib=9), "hardware: ebs_gib: Input should be greater than or equal to 15"),
        (Hardware(warehouse_nodes=99), "hardware: warehouse_nodes: Input should be less than or equal to 32"),
        (
            Hardware(warehouse_node_type="dc2.large"),
            "hardware: warehouse_node_type: AWS no longer creates dc2",
        ),
        (Hardware(core_type="m5.tiny"), "hardware: Instance type 'm5.tiny' is not known to Mayfly"),
        (Hardware(master_type="m5.tiny"), "hardware: Instance type 'm5.tiny' is not known to Mayfly"),
    ],
)
def test_hardware_that_the_variable_would_refuse_is_told_by_its_field(hardware: Hardware, told: str) -> None:
    (mistake,) = hardware_mistakes(on(hardware))
    assert mistake.startswith(told)


def test_all_fields_are_told_at_once() -> None:
    assert len(list(hardware_mistakes(on(Hardware(core_count=0, ebs_gib=0, warehouse_nodes=0))))) == 3


def test_sessions_that_do_not_fit_are_told_with_the_arithmetic() -> None:
    (mistake,) = hardware_mistakes(on(Hardware(core_type="c5.xlarge"), runs=50))
    assert "50" in mistake
    assert "MiB" in mistake


def test_jobs_that_wait_for_each_other_need_room_for_those_that_run_at_once_alone() -> None:
    """Four sessions have no room on this hardware; two have."""
    small = on(Hardware(core_type="c5.xlarge"))
    first, second = (SparkJob(name, ("x.csv",)) for name in ("first", "second"))
    alone = [SparkJob(f"more{number}", ("x.csv",)) for number in range(2)]
    chained = [
        SparkJob(f"more{number}", (JobOutput(name),)) for number, name in enumerate(("first", "second"))
    ]
    assert list(hardware_mistakes(replace(small, jobs=(first, second)))) == []
    (mistake,) = hardware_mistakes(replace(small, jobs=(first, second, *alone)))
    assert "4 jobs at once x 1 parallel runs" in mistake
    assert list(hardware_mistakes(replace(small, jobs=(first, second, *chained)))) == []


@pytest.mark.parametrize("change", [{"jobs": ()}, {"max_parallel_runs": 0}])
def test_what_has_no_sessions_is_not_this_checks_matter(change: dict[str, object]) -> None:
    assert list(hardware_mistakes(replace(BIRDS, **change))) == []  # type: ignore[arg-type]
