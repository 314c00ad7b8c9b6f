"""Whatever is written where Mayfly reads, it ends in a value or in one of our errors, which can be encoded.

The inputs are drawn by hypothesis, the same in each run: bytes and JSON of any kind, and documents that are valid but
for what was put into one place of them. Livy's answers have tests of their own (`spark/test_livy.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_lib.aws.s3_location import S3Location
from airflow_lib.bounded_json import MAX_TEXT, as_json
from airflow_lib.errors import MayflyError, SettingsError
from airflow_lib.janitor import SETTINGS_FILE, load_settings
from airflow_lib.lifecycle.document import VERSION, decode_document, encode_document
from airflow_lib.lifecycle.rules import Caller, acquire, release, take_over
from airflow_lib.naming import Environment, Names, Slot, generation_of, is_ours, run_key, slot_of
from airflow_lib.pipeline import Source, SparkJob
from airflow_lib.resources.owned import Owned, as_tags
from airflow_lib.settings import parse_settings
from airflow_lib.spark.counts import Counts
from airflow_lib.spark.manifest import parse_manifest
from airflow_lib.spark.outputs import Output
from airflow_lib.steps.pinned_output import parse_pin
from airflow_lib.steps.rejected_rows import parse_note
from airflow_lib.steps.serialization import to_json
from airflow_lib.steps.statement import parse_answer

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ENVIRONMENT = Environment("dev", "birds")
HEX = "0123456789abcdef" * 2
OUTPUT = Output(S3Location("lake", "clean/birds"), "sightings", HEX)
VARIABLES = json.loads((Path(__file__).resolve().parents[3] / "variables.example.json").read_text())

NUMBERS = {"lease_s": 1800, "poll_s": 20.0, "max_age_s": 14400, "livy": {"session_timeout_s": 600}}
MAYFLY = {**VARIABLES["mayfly"], **NUMBERS}

# Derandomized: no run meets what another one did not. Each test is to take a few seconds.
fuzzed = settings(
    max_examples=400,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

ODD = st.sampled_from(
    [
        *(
            None,
            True,
            -1,
            0,
            0.5,
            1e-300,
            1e308,
            2**63,
            10**19,
            float("nan"),
            float("inf"),
            "",
            "never",
            "\x00",
            "\ud800",
        ),
        *(
            "2026-01-01",
            "9999-12-31T23:59:59Z",
            "0001-01-01T00:00:00+14:00",
            "١",
            "g01",
            "x" * 10_000,
            [],
            {},
            [[]],
        ),
    ]
)
SCALARS = st.one_of(
    ODD, st.integers(), st.floats(), st.text(max_size=20), st.datetimes().map(datetime.isoformat)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.text(max_size=8) | st.sampled_from(["a\x00b", "x" * 30_000])
RAW = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        [b"[" * 100_000, b'{"a":' * 2000, b"9" * 5000, b'{"a": 1, "a": 2}', b'"\\ud800"', b"\xef\xbb\xbf{}"]
    ),
)


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value, the whole included."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in items for found in paths_of(item, (*path, key)))]


def value_at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def with_put(value: Any, path: tuple[Any, ...], put: Any) -> Any:
    if not path:
        return put
    key, *rest = path
    if isinstance(value, dict):
        return {**value, key: with_put(value[key], tuple(rest), put)}
    return [with_put(item, tuple(rest), put) if index == key else item for index, item in enumerate(value)]


def without(value: Any, path: tuple[Any, ...]) -> Any:
    if len(path) == 1 and isinstance(value, dict):
        return {key: item for key, item in value.items() if key != path[0]}
    return with_put(value, path[:1], without(value[path[0]], path[1:])) if path else value


def like(valid: Any) -> st.SearchStrategy[bytes]:
    """The document with anything put in one or two of its places, one taken out, a key added, or cut off."""
    places = st.sampled_from(paths_of(valid))
    leaves = st.sampled_from(
        [path for path in paths_of(valid) if not isinstance(value_at(valid, path), dict | list)]
    )

    def put_two(first: Any, second: Any, where: tuple[Any, ...], there: tuple[Any, ...]) -> Any:
        changed = with_put(valid, where, first)
        return with_put(changed, there, second) if there in paths_of(changed) else changed

    changed = st.one_of(
        st.builds(with_put, st.just(valid), leaves, SCALARS),
        st.builds(with_put, st.just(valid), places, VALUES),
        st.builds(put_two, VALUES, VALUES, places, places),
        st.builds(without, st.just(valid), places),
        st.builds(lambda key, item: {**valid, key: item}, KEYS, VALUES),
    ).map(lambda value: json.dumps(value).encode())
    whole = json.dumps(valid).encode()
    cut = st.integers(0, len(whole)).map(lambda length: whole[:length])
    damaged = st.builds(
        lambda at, byte: whole[:at] + bytes([byte]) + whole[at + 1 :],
        st.integers(0, len(whole)),
        st.integers(0, 255),
    )
    return st.one_of(
        changed, changed, cut, damaged, RAW, VALUES.map(lambda value: json.dumps(value).encode())
    )


def ends_in_a_value_or_one_of_our_errors(read: Callable[[], Any]) -> Any:
    """The value, or None for an error, whose message can be written to any log and database."""
    try:
        return read()
    except MayflyError as error:
        message = error.message
    assert message.encode()
    assert "\x00" not in message
    assert len(message) <= MAX_TEXT
    return None


REGISTER = {
    "environment": "dev-birds",
    "version": VERSION,
    "emr": {
        "slot": "emr",
        "phase": "creating",
        "generation": 3,
        "owner": "run1",
        "leases": [
            {"run": "run1", "until": "2026-11-21T12:30:00Z"},
            {"run": "run2", "until": "2026-11-21T12:10:00Z"},
        ],
        "keep_alive_until": None,
        "requested_at": "2026-11-21T11:59:00Z",
        "cluster_id": None,
    },
    "warehouse": {
        "slot": "warehouse",
        "phase": "ready",
        "generation": 7,
        "owner": None,
        "leases": [{"run": "run1", "until": "2026-11-21T12:30:00Z"}],
        "keep_alive_until": "2026-11-21T13:00:00Z",
        "snapshot": "mayfly-dev-birds-warehouse-final-g6",
        "predecessor": None,
        "pending_snapshot": None,
        "unsaved": True,
    },
    "nonces": ["n1", "n2"],
}


@fuzzed
@given(like(REGISTER))
@example(b"[" * 100_000)
@example(json.dumps(with_put(REGISTER, ("emr", "generation"), -5)).encode())
@example(json.dumps(with_put(REGISTER, ("warehouse", "generation"), 10**9)).encode())
def test_a_register(body: bytes) -> None:
    document = ends_in_a_value_or_one_of_our_errors(
        lambda: decode_document(body, "s3://ops/state/birds/register.json", ENVIRONMENT.name)
    )
    if document is None:
        return
    # What is read can be worked with, written, and read again.
    caller = Caller("janitor-1", NOW, 240)
    for slot in Slot:
        state = document.slot(slot)
        assert all(
            is_ours(ENVIRONMENT, name, {"mayfly:environment": "dev-birds"}) for name in names_of(state)
        )
        for rule in (acquire, take_over, release):
            after = ends_in_a_value_or_one_of_our_errors(lambda rule=rule, state=state: rule(state, caller))
            if after is not None:
                document = document.with_slot(after[0])
    assert decode_document(encode_document(document), "s3://b/k", ENVIRONMENT.name) == document


def names_of(state: Any) -> list[str]:
    names = Names(ENVIRONMENT, state.slot, state.generation)
    return [names.cluster, names.service_role, names.final_snapshot]


@fuzzed
@given(
    like(MAYFLY),
    like({"access_key_id": "AKIA", "secret_access_key": "wJalr"}),
    st.text(max_size=40),
)
@example(json.dumps({**MAYFLY, "lease_s": 10**9}).encode(), b"{}", "us-east-1")
@example(json.dumps({**MAYFLY, "a\x00b": 1, "x" * 30_000: 2}).encode(), b"{}", "us-east-1")
@example(b'{"poll_s": ' + b"1" * 5000 + b"}", b"{}", "us-east-1")
def test_the_variables(mayfly: bytes, credentials: bytes, region: str) -> None:
    given_region = region if len(region) % 2 else "us-east-1"
    texts = {
        "aws_region": given_region,
        "mayfly": mayfly.decode(errors="surrogateescape"),
        "aws_credentials": credentials.decode(errors="surrogateescape"),
    }
    ends_in_a_value_or_one_of_our_errors(lambda: parse_settings(texts))
    alone = {"aws_region": "us-east-1", "mayfly": texts["mayfly"]}  # so that its mistakes are the only ones
    found = ends_in_a_value_or_one_of_our_errors(lambda: parse_settings(alone))
    if found is not None:
        numbers = found.mayfly
        assert 0.1 <= numbers.poll_s <= 120
        assert 60 <= numbers.lease_s <= 86_400
        assert 600 <= numbers.max_age_s <= 30 * 86_400
        ends_in_a_value_or_one_of_our_errors(lambda: found.for_pipeline("immigration"))


@fuzzed
@given(like(VARIABLES))
def test_the_settings_file(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "settings.json"
    path.write_bytes(content)
    ends_in_a_value_or_one_of_our_errors(lambda: load_settings({SETTINGS_FILE: str(path)}))


@fuzzed
@given(like({"emr": {"core_count": 2}, "warehouse": {"nodes": 2}, "source": "s3://lake/raw"}))
def test_the_overrides_of_a_pipeline(override: bytes) -> None:
    text = json.dumps(VARIABLES["mayfly"])[:-1] + ', "pipelines": {"birds": '
    texts = {"aws_region": "us-east-1", "mayfly": text + override.decode(errors="replace") + "}}"}
    ends_in_a_value_or_one_of_our_errors(lambda: parse_settings(texts).for_pipeline("birds"))


MANIFEST = {
    "version": 3,
    "job": "sightings",
    "address": HEX,
    "attempt": HEX,
    "outputs": {
        "sightings": {
            "columns": [{"name": "bird", "type": "BYTE_ARRAY STRING"}],
            "entries": [
                {
                    "file": "sightings/day=2020-01-01/part-0.parquet",
                    "length": 9,
                    "rows": 2,
                    "day": "2020-01-01",
                }
            ],
        }
    },
    "read": 3,
    "written": {"sightings": 2},
    "rejected": {"no date": 1},
    "notes": {},
}


@fuzzed
@given(like(MANIFEST))
def test_a_manifest(body: bytes) -> None:
    ends_in_a_value_or_one_of_our_errors(lambda: parse_manifest(OUTPUT, body))


@fuzzed
@given(like({"run_id": "run1", "address": HEX}))
def test_a_pin(body: bytes) -> None:
    address = ends_in_a_value_or_one_of_our_errors(lambda: parse_pin(body, "sightings"))
    assert address is None or len(address) == 32


NOTE = {
    "run_id": "run1",
    "address": HEX,
    "window": ["2016-04-01", "2016-04-02"],
    "jobs": to_json(
        (SparkJob("sightings", ("a.csv", Source("b/", "c.csv", columns=("x",))), windowed=True),)
    ),
    "intake": "Standing",
}


@fuzzed
@given(like(NOTE))
def test_a_note_of_what_a_run_loads(body: bytes) -> None:
    note = ends_in_a_value_or_one_of_our_errors(lambda: parse_note(body, run_key("run1"), "sightings", NOW))
    assert note is None or (note.run_id, len(note.address)) == ("run1", 32)


ANSWER = {"read": 3, "written": 2, "rejected": {"no date": 1}, "mayfly": 1, "attempt": HEX, "address": HEX}


@fuzzed
@given(like(ANSWER) | like({**ANSWER, "written": {"sightings": 2}}), st.text(max_size=30))
def test_a_jobs_answer(line: bytes, before: str) -> None:
    def read() -> Counts:
        answer = parse_answer(f"{before}\n{line.decode(errors='surrogateescape')}\n", "sightings")
        assert (len(answer["attempt"]), len(answer["address"])) == (32, 32)
        return Counts.parse(answer, ["sightings"])

    ends_in_a_value_or_one_of_our_errors(read)


@fuzzed
@given(VALUES, st.text(max_size=12))
def test_the_tags_of_a_thing(value: Any, name: str) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    thing = Owned("IAM role", "arn", name, {"mayfly:expires-at": text})
    assert thing.expires_at is None or thing.expires_at.tzinfo is not None
    assert str(thing)
    pairs: list[Any] = [{"Key": text}, {"Value": text}, {}, {"Key": "a", "Value": None}]
    assert as_tags(pairs)["a"] == ""


@fuzzed
@given(st.sampled_from(["emr", "warehouse", "emr-service", "x"]), st.text("0123456789-g١", max_size=12))
def test_a_name(what: str, generation: str) -> None:
    name = f"{ENVIRONMENT.prefix}{what}-g{generation}"
    number = generation_of(ENVIRONMENT, name)
    assert (number is None) == (slot_of(ENVIRONMENT, name) is None)
    # Ours is only what ends as `Names` writes it.
    assert number is None or str(number) == name.rpartition("g")[2]


@fuzzed
@given(VALUES | st.decimals() | st.binary() | st.timedeltas() | st.times())
def test_any_value_of_a_row(value: Any) -> None:
    text = json.dumps(as_json(value), allow_nan=False)
    assert "\\u0000" not in text
    assert as_json(json.loads(text)) == json.loads(text)


def test_a_setting_that_is_wrong_is_told_without_its_text() -> None:
    with pytest.raises(SettingsError) as caught:
        parse_settings({"aws_region": "us-east-1", "mayfly": '{"deployment": ' + "9" * 5000 + "}"})
    assert "mayfly: an integer of more than 64 bits; correct it there" in str(caught.value)
