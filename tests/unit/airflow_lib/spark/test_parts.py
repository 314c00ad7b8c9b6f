"""What an attempt wrote is taken for its output only where its files hold what the job says, and fit together."""

from __future__ import annotations

import io
from datetime import date
from threading import Barrier
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_lib.aws.s3_location import S3Location
from airflow_lib.errors import OutputError, OutputRefused
from airflow_lib.pipeline import SparkJob
from airflow_lib.spark.counts import Counts
from airflow_lib.spark.outputs import Output
from airflow_lib.spark.parts import Dataset, Part, read_datasets
from tests.world.memory_s3 import MemoryS3
from tests.world.spark import parquet_of

ONE = SparkJob("arrivals", ("arrivals.csv",))
TWO = SparkJob("arrivals", ("arrivals.csv",), outputs=("arrivals", "seen"))
BY_DAY = SparkJob("arrivals", ("arrivals.csv",), partitioned_by="seen_on")
OUTPUT = Output(S3Location("lake", "out/immigration"), "arrivals", "a1")
FOLDER = "out/immigration/arrivals/a1"
PART = parquet_of([{"id": 1, "airport": "JFK"}])
EMPTY = parquet_of([])


@pytest.fixture
def s3() -> MemoryS3:
    return MemoryS3(page_size=2)


def put(s3: MemoryS3, files: dict[str, bytes], *committed: str) -> None:
    """An attempt's files, and the marker of each output that is `committed`."""
    for name, body in {**files, **{f"{name}/_SUCCESS": b"" for name in committed}}.items():
        s3.put("lake", f"{FOLDER}/t1/{name}", body)


def read(s3: MemoryS3, job: SparkJob, **written: int) -> dict[str, Dataset]:
    return read_datasets(s3, job, OUTPUT, "t1", Counts(read=99, written=written))


def test_of_an_attempt_the_parquet_files_with_rows_are_told(s3: MemoryS3) -> None:
    other = parquet_of([{"id": 1, "airport": "JFK"}] * 9)
    put(
        s3,
        {
            "arrivals/year=2016/month=4/part-0.parquet": PART,
            "arrivals/year=2016/month=5/part-0.parquet": other,
            "arrivals/_temporary/x.parquet": b"12",
            "arrivals/.part-0.crc": b"1",
            "arrivals/empty.parquet": b"",
            "_temporary/y.parquet": b"12",
        },
        "arrivals",
    )
    s3.put("lake", f"{FOLDER}/t10/arrivals/part-0.parquet", b"another attempt")
    s3.put("lake", f"{FOLDER}/t1-rejected/part-0.parquet", b"rejected")
    assert read(s3, ONE, arrivals=10)["arrivals"].parts == (
        Part("arrivals/year=2016/month=4/part-0.parquet", len(PART), 1),
        Part("arrivals/year=2016/month=5/part-0.parquet", len(other), 9),
    )


def test_each_output_has_the_files_of_its_own_folder(s3: MemoryS3) -> None:
    cities = parquet_of([{"city": "Oslo"}] * 3)
    put(s3, {"arrivals/part-0.parquet": PART, "seen/part-0.parquet": cities}, "arrivals", "seen")
    found = read(s3, TWO, arrivals=1, seen=3)
    assert [(part.file, part.rows) for part in found["arrivals"].parts] == [("arrivals/part-0.parquet", 1)]
    assert [(part.file, part.rows) for part in found["seen"].parts] == [("seen/part-0.parquet", 3)]
    assert [column.name for column in found["seen"].columns] == ["city"]


def test_one_of_two_outputs_may_have_no_row(s3: MemoryS3) -> None:
    put(s3, {"arrivals/part-0.parquet": PART, "seen/part-0.parquet": EMPTY}, "arrivals", "seen")
    assert read(s3, TWO, arrivals=1, seen=0)["seen"] == Dataset((), ())


def test_files_without_rows_are_left_out_since_copy_needs_none(s3: MemoryS3) -> None:
    put(s3, {"arrivals/part-0.parquet": EMPTY}, "arrivals")
    assert read(s3, ONE, arrivals=0)["arrivals"].parts == ()


@pytest.mark.parametrize(
    ("committed", "missing"), [(("arrivals",), "seen"), (("seen",), "arrivals"), ((), "arrivals")]
)
def test_an_output_that_spark_has_not_committed_is_incomplete(
    s3: MemoryS3, committed: tuple[str, ...], missing: str
) -> None:
    put(s3, {"arrivals/part-0.parquet": PART, "seen/part-0.parquet": PART}, *committed)
    with pytest.raises(OutputError, match=rf"a1/t1/{missing}/ has no _SUCCESS") as caught:
        read(s3, TWO, arrivals=1, seen=1)
    assert not isinstance(caught.value, OutputRefused)  # another attempt may do


def test_rows_without_a_file_are_refused(s3: MemoryS3) -> None:
    put(s3, {"arrivals/notes.txt": b"1234"}, "arrivals")
    with pytest.raises(
        OutputRefused, match=r"wrote 7 rows of output 'arrivals', but .*t1/arrivals/ holds no Parq"
    ):
        read(s3, ONE, arrivals=7)


@pytest.mark.parametrize(("counted", "held"), [(2, 1), (0, 1)])
def test_footers_with_other_rows_than_the_job_counted_are_refused_with_both_numbers(
    s3: MemoryS3, counted: int, held: int
) -> None:
    put(s3, {"arrivals/part-0.parquet": PART}, "arrivals")
    with pytest.raises(
        OutputRefused,
        match=rf"wrote {counted} rows of output 'arrivals', but the files in .*/arrivals/ hold {held} by their foot",
    ):
        read(s3, ONE, arrivals=counted)


def test_rows_of_one_output_are_not_made_up_for_by_those_of_another(s3: MemoryS3) -> None:
    put(s3, {"arrivals/part-0.parquet": PART, "seen/part-0.parquet": PART}, "arrivals", "seen")
    with pytest.raises(OutputRefused, match="wrote 2 rows of output 'arrivals'"):
        read(s3, TWO, arrivals=2, seen=0)


@pytest.mark.parametrize("stray", ["part-0.parquet", "sean/part-0.parquet", "arrival/part-0.parquet"])
def test_a_file_in_no_outputs_folder_is_refused_with_the_folders_to_write_to(
    s3: MemoryS3, stray: str
) -> None:
    put(s3, {"arrivals/part-0.parquet": PART, stray: PART}, "arrivals", "seen")
    with pytest.raises(
        OutputRefused,
        match=rf"t1/{stray}, which lies in no output's folder.*targets\['arrivals'\], targets\['seen'\]",
    ):
        read(s3, TWO, arrivals=1, seen=0)


@pytest.mark.parametrize(
    ("row", "difference"),
    [
        ({"airport": "JFK", "id": 1}, r"column 1 is 'id' \(INT64\) and 'airport' \(BYTE_ARRAY STRING\)"),
        (
            {"id": 1, "port": "JFK"},
            r"column 2 is 'airport' \(BYTE_ARRAY STRING\) and 'port' \(BYTE_ARRAY STRING\)",
        ),
        ({"id": 1, "airport": 1.5}, r"column 2 is 'airport' \(BYTE_ARRAY STRING\) and 'airport' \(DOUBLE\)"),
        ({"id": 1}, r"column 2 is 'airport' \(BYTE_ARRAY STRING\) and not there"),
        ({"id": 1, "airport": "JFK", "n": 1}, r"column 3 is not there and 'n' \(INT64\)"),
    ],
    ids=["other order", "other name", "other type", "one less", "one more"],
)
def test_parts_with_different_columns_are_refused_by_name(
    s3: MemoryS3, row: dict[str, object], difference: str
) -> None:
    names = [f"arrivals/part-{number}.parquet" for number in range(3)]
    put(s3, dict(zip(names, [PART, PART, parquet_of([row])], strict=True)), "arrivals")
    with pytest.raises(
        OutputRefused, match=difference + r" in .*arrivals/part-0\.parquet and in .*arrivals/part-2\.parquet"
    ):
        read(s3, ONE, arrivals=3)


@pytest.mark.parametrize(
    "body", [b'{"id": 1}', b"PAR1", PART[:-1], PART[:20] + PART[21:-30] + b"x" * 22 + PART[-8:]]
)
def test_a_part_that_is_no_parquet_is_refused_by_name(s3: MemoryS3, body: bytes) -> None:
    put(s3, {"arrivals/part-0.parquet": PART, "arrivals/part-1.parquet": body}, "arrivals")
    with pytest.raises(
        OutputRefused, match=r"arrivals/part-1\.parquet, a part of what job 'arrivals' wrote, .*Correct"
    ):
        read(s3, ONE, arrivals=2)


def test_of_each_part_only_its_end_is_read_by_one_request(s3: MemoryS3) -> None:
    large = parquet_of([{"id": number, "airport": f"{number:09}"} for number in range(20_000)])
    assert len(large) > 200_000
    put(s3, {f"arrivals/part-{number}.parquet": large for number in range(5)}, "arrivals")
    sizes: list[int] = []
    answer = s3.get_object

    def counted(**asked: str) -> dict[str, object]:
        found = answer(**asked)
        sizes.append(int(found["ContentLength"]))
        return found

    s3.get_object = counted  # type: ignore[method-assign,assignment]
    read(s3, ONE, arrivals=100_000)
    assert len(sizes) == 5
    assert max(sizes) <= 64 * 1024


def wait_for(barrier: Barrier) -> None:
    barrier.wait(timeout=30)


def test_the_ends_of_several_parts_are_asked_for_at_once_and_told_in_order(s3: MemoryS3) -> None:
    files = {
        f"arrivals/part-{number:02}.parquet": parquet_of([{"id": 1}] * (number + 1)) for number in range(24)
    }
    put(s3, files, "arrivals")
    together = Barrier(8)  # nobody is answered before eight have asked
    s3.before["GetObject"] = lambda _: wait_for(together)
    found = read(s3, ONE, arrivals=300)["arrivals"]
    assert [(part.file, part.rows) for part in found.parts] == [
        (file, number) for number, file in enumerate(files, start=1)
    ]


def test_of_several_parts_that_are_no_parquet_the_first_is_told(s3: MemoryS3) -> None:
    put(
        s3,
        {f"arrivals/part-{number}.parquet": PART if number < 3 else b"no" for number in range(9)},
        "arrivals",
    )
    with pytest.raises(OutputRefused, match=r"arrivals/part-3\.parquet, a part of"):
        read(s3, ONE, arrivals=9)


def of(*days: str, **more: Any) -> bytes:
    return parquet_of([{"id": 1, "seen_on": day, **more} for day in days])


def test_the_files_of_a_partitioned_output_have_the_day_of_their_folder(s3: MemoryS3) -> None:
    files = {
        "arrivals/day=2016-04-01/part-0.parquet": of("2016-04-01", "2016-04-01"),
        "arrivals/day=2016-04-02/part-0.parquet": of("2016-04-02"),
        "arrivals/day=2016-04-02/part-1.parquet": of("2016-04-02"),
    }
    put(s3, files, "arrivals")
    found = read(s3, BY_DAY, arrivals=4)["arrivals"]
    assert [(part.day, part.rows) for part in found.parts] == [
        (date(2016, 4, 1), 2),
        (date(2016, 4, 2), 1),
        (date(2016, 4, 2), 1),
    ]
    assert found.rows == 4


def test_a_partitioned_output_without_rows_may_say_its_columns_in_a_file_of_no_day(s3: MemoryS3) -> None:
    """As `sparkjobs.writing.write_by_day` writes it, for the jobs that read the output."""
    sink = io.BytesIO()
    pq.write_table(pa.schema({"id": pa.int64(), "seen_on": pa.date32()}).empty_table(), sink)
    put(s3, {"arrivals/part-0.parquet": sink.getvalue()}, "arrivals")
    found = read(s3, BY_DAY, arrivals=0)["arrivals"]
    assert ([column.name for column in found.columns], found.parts) == (["id", "seen_on"], ())


@pytest.mark.parametrize(
    "folder",
    [
        "",
        "day=2016-04-31/",
        "day=__HIVE_DEFAULT_PARTITION__/",
        "day=2016-4-1/",
        "seen_on=2016-04-01/",
        "x/day=2016-04-01/",
    ],
)
def test_rows_outside_of_a_days_folder_are_refused_since_no_window_would_load_them(
    s3: MemoryS3, folder: str
) -> None:
    put(
        s3,
        {
            "arrivals/day=2016-04-01/part-0.parquet": of("2016-04-01"),
            f"arrivals/{folder}part-1.parquet": of("2016-04-01"),
        },
        "arrivals",
    )
    with pytest.raises(
        OutputRefused, match=r"part-1\.parquet, which lies in no day's folder.*\+ 'day=YYYY-MM-DD/'"
    ):
        read(s3, BY_DAY, arrivals=2)


@pytest.mark.parametrize("days", [["2016-04-02"], ["2016-04-01", "2016-04-02"], ["2016-03-31", "2016-04-01"]])
def test_a_row_of_another_day_than_its_folders_is_refused(s3: MemoryS3, days: list[str]) -> None:
    put(s3, {"arrivals/day=2016-04-01/part-0.parquet": of(*days)}, "arrivals")
    with pytest.raises(
        OutputRefused, match=r"holds a row of 2016-0\d-\d\d: the window of 2016-04-01 would load it"
    ):
        read(s3, BY_DAY, arrivals=len(days))


def test_a_time_without_statistics_is_left_to_the_checks(s3: MemoryS3) -> None:
    put(s3, {"arrivals/day=2016-04-01/part-0.parquet": of("2016-04-01 23:30:00")}, "arrivals")
    assert read(s3, BY_DAY, arrivals=1)["arrivals"].parts[0].day == date(2016, 4, 1)


def test_files_that_leave_the_day_to_their_folders_name_are_refused(s3: MemoryS3) -> None:
    """COPY takes no column from a folder's name."""
    put(s3, {"arrivals/day=2016-04-01/part-0.parquet": PART}, "arrivals")
    with pytest.raises(OutputRefused, match=r"has no such column.*its files must hold 'seen_on' as well"):
        read(s3, BY_DAY, arrivals=1)
