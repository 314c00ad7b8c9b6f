"""A mistake in JSON is told by its key's path, its type and the key that was probably meant; no value is shown."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from airflow_lib.settings_model import SettingsModel, describe, format_key, validate


class Cluster(SettingsModel):
    node_count: int | None = None
    timeout_s: float = 60


class Warehouse(SettingsModel):
    node_type: str | None = None
    timeout_s: float = 60


class Deployment(SettingsModel):
    cluster: Cluster = Cluster()
    warehouse: Warehouse = Warehouse()
    lease_s: int = 60
    password: SecretStr | None = None


def mistakes_of(value: object, *at: str) -> list[str]:
    mistakes: list[str] = []
    found = validate(Deployment, value, "v", mistakes, at)
    assert (found is None) == bool(mistakes)
    return mistakes


def test_what_is_valid_becomes_the_model() -> None:
    mistakes: list[str] = []
    found = validate(Deployment, {"cluster": {"node_count": 3, "timeout_s": 5}}, "v", mistakes)
    assert found == Deployment(cluster=Cluster(node_count=3, timeout_s=5.0))
    assert mistakes == []


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ({"cluster": {"node_cuont": 3}}, "cluster.node_count"),
        ({"clutser": {}}, "cluster"),
        ({"lease": 3}, "lease_s"),
        ({"node_count": 3}, "cluster.node_count"),
        ({"nodecount": 3}, "cluster.node_count"),
        ({"cluster": {"node_type": "x"}}, "warehouse.node_type"),
        ({"cluster": {"lease_s": 3}}, "lease_s"),
        ({"timeout_s": 3}, "cluster.timeout_s or warehouse.timeout_s"),
    ],
)
def test_an_unknown_key_is_told_with_the_key_that_was_probably_meant(value: object, meant: str) -> None:
    (mistake,) = mistakes_of(value)
    assert f": no such key; did you mean {meant}? (setup_backend.md" in mistake


def test_an_unknown_key_that_is_like_no_other_is_to_be_removed() -> None:
    assert mistakes_of({"zzz": 1}) == ["v: zzz: no such key; remove it (setup_backend.md lists the keys)"]


def test_the_place_of_a_part_is_in_its_mistakes_and_in_what_was_meant() -> None:
    (mistake,) = mistakes_of({"cluster": {"node_cuont": 3}}, "pipelines", "birds")
    assert mistake.startswith(
        "v: pipelines.birds.cluster.node_cuont: no such key; did you mean pipelines.birds.cluster.node_count?"
    )


@pytest.mark.parametrize(
    ("value", "mistake"),
    [
        ({"lease_s": True}, "v: lease_s: a whole number is expected, true or false was found"),
        ({"lease_s": "3"}, "v: lease_s: a whole number is expected, text was found"),
        ({"lease_s": 3.5}, "v: lease_s: a whole number is expected, a decimal number was found"),
        ({"lease_s": None}, "v: lease_s: a whole number is expected, null was found"),
        ({"cluster": {"timeout_s": "3"}}, "v: cluster.timeout_s: a number is expected, text was found"),
        ({"cluster": {"timeout_s": float("nan")}}, "v: cluster.timeout_s: Input should be a finite number"),
        ({"warehouse": {"node_type": 3}}, "v: warehouse.node_type: text is expected, a number was found"),
        ({"cluster": ["a"]}, "v: cluster: a JSON object is expected, a list was found"),
        ({"password": {}}, "v: password: text is expected, an object was found"),
        ([], "v: a JSON object is expected, a list was found"),
    ],
)
def test_a_value_of_another_type_is_told_with_both_types(value: object, mistake: str) -> None:
    (found,) = mistakes_of(value)
    assert found.startswith(mistake)


def test_no_value_is_shown() -> None:
    told = "".join(mistakes_of({"password": 4711, "lease_s": "geheim", "cluster": ["geheim"]}))
    assert "geheim" not in told
    assert "4711" not in told
    assert describe("geheim") == "text"
    assert describe(("geheim",)) == "a tuple"  # of a declaration, not of a Variable


def test_thousands_of_unknown_keys_and_a_long_one_are_told_briefly() -> None:
    found = mistakes_of({**{f"key{number}": 1 for number in range(50_000)}, "x" * 100_000: 1})
    assert found[-1] == "v: 49951 further mistakes; correct these first"
    assert sum(len(mistake) for mistake in found) < 10_000


def test_a_key_is_shown_as_one_short_line() -> None:
    assert format_key("emr", "core_count") == "emr.core_count"
    assert format_key("x" * 1000, "a\nb\x1b[2J") == f"{'x' * 64}….a\ufffdb\ufffd[2J"
