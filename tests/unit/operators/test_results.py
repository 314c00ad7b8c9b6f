"""What a step answers passes through all that Airflow 3.3 does to an XCom and to a trigger's state."""

from __future__ import annotations

import json
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_lib.steps import Done, Failed, Waiting
from airflow_lib.steps.serialization import from_json, to_json

ODD: dict[str, Any] = {
    "NaN": float("nan"),
    "Infinity": float("inf"),
    "decimal NaN": Decimal("NaN"),
    "time": time(12, 30),
    "interval": timedelta(days=10**6),
    "date": date(9999, 12, 31),
    "NUL": "a\x00b",
    "lone surrogate": "a\ud800b",
    "bytes": b"\x00\xff",
    "memoryview": memoryview(b"ab"),
    "huge text": "é" * 10**6,
    "huge integer": 10**5000,
    "more than 64 bits": 2**64,
    "a set": {1},
    "no JSON at all": object(),
    "a reserved key": {
        "__classname__": "os.system",
        "__id__": 1,
        "__kind__": "airflow_lib.errors:MayflyError",
    },
    "a key that is no text": {1: 2, None: 3, (1, 2): 4},
    "a key that cannot be encoded": {"\ud800\x00": 1},
}


def send(value: Any) -> Any:
    """What PostgreSQL would be given to store: from `BaseXCom.set` in the task to the API server's `set_xcom`."""
    import msgspec
    from airflow.sdk.bases.xcom import BaseXCom
    from airflow.sdk.execution_time.comms import SetXCom, _new_encoder

    serialized = BaseXCom.serialize_value(value)
    message = SetXCom(key="return_value", value=serialized, dag_id="d", run_id="r", task_id="t")  # type: ignore[arg-type]
    in_supervisor = msgspec.msgpack.decode(_new_encoder().encode(message.model_dump()))
    body = json.dumps(in_supervisor["value"], ensure_ascii=False, allow_nan=False).encode()  # as httpx does
    received = json.loads(body)
    assert "\\u0000" not in json.dumps(received)  # PostgreSQL: unsupported Unicode escape sequence
    return received


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
def test_a_result_reaches_the_database_whatever_is_in_it(value: Any) -> None:
    for outcome in (Done({"value": value}), Failed({"value": value}, "no")):
        assert set(send(outcome.result)) == {"value"}


@pytest.mark.parametrize("name", [name for name in ODD if name != "huge text"])
def test_airflow_would_refuse_it_or_change_it_without_us(name: str) -> None:
    """So that the test above can fail."""
    try:
        received = send({"value": ODD[name]})
    except Exception:  # noqa: BLE001  each refuses in a way of its own
        return
    assert received != {"value": ODD[name]}


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
def test_a_result_and_a_state_come_back_from_the_triggerer(value: Any) -> None:
    done = Done({"value": value})
    assert from_json(json.loads(json.dumps(to_json(done)))).result.keys() == {"value"}
    waiting = Waiting("Livy", {"last_log_line": value}, 20)
    assert json.dumps(waiting.state, allow_nan=False).encode()


def test_the_message_of_a_failed_step_can_be_logged_anywhere() -> None:
    failed = Failed({}, "such as \ud800\x00" + "x" * 10**6)
    assert failed.message.startswith("such as \ufffd\ufffdxx")
    assert len(failed.message.encode()) < 25_000


@settings(derandomize=True, database=None, deadline=None, max_examples=200)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.decimals()
        | st.text()
        | st.binary()
        | st.timedeltas(),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_any_result_reaches_the_database(value: Any) -> None:
    assert set(send(Done({"value": value}).result)) == {"value"}
