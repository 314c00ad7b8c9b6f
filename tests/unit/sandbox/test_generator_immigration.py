from __future__ import annotations

import csv
import hashlib

import polars as pl
import pytest

from sandbox.data import immigration
from sandbox.data.immigration import generate

ROWS = 20_000


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    generate(folder, rows=ROWS)
    return folder


@pytest.fixture(scope="module")
def arrivals(made):
    return pl.read_parquet(made / "sas_data" / "*.parquet")


def test_every_source_file_of_the_pipeline_is_generated_under_its_published_name(made):
    assert sorted(path.name for path in made.iterdir()) == [
        "GlobalLandTemperaturesByState.csv",
        "I94_SAS_Labels_Descriptions.SAS",
        "airport-codes_csv.csv",
        "sas_data",
        "us-cities-demographics.csv",
    ]


def test_the_same_seed_gives_the_same_files_and_another_seed_gives_others(made, tmp_path):
    generate(tmp_path / "again", rows=ROWS)
    generate(tmp_path / "other", rows=ROWS, seed=2)
    assert digests(tmp_path / "again") == digests(made)
    different = {
        name for name, digest in digests(tmp_path / "other").items() if digest != digests(made)[name]
    }
    assert different == set(digests(made)) - {"I94_SAS_Labels_Descriptions.SAS"}


def test_the_rows_do_not_depend_on_the_chunk_size(tmp_path, monkeypatch, arrivals):
    monkeypatch.setattr(immigration, "CHUNK_ROWS", 7_000)
    generate(tmp_path, rows=ROWS)
    assert len(list((tmp_path / "sas_data").iterdir())) == 3
    in_chunks = pl.read_parquet(tmp_path / "sas_data" / "*.parquet")
    # Except that the first row of a chunk cannot be a copy of the row before it.
    assert in_chunks.height == ROWS
    assert (in_chunks["admnum"] != arrivals["admnum"]).sum() <= 3


def test_arrivals_have_the_published_columns_and_types(arrivals):
    assert arrivals.height == ROWS
    assert len(arrivals.columns) == 28
    assert (arrivals.columns[0], arrivals.columns[-1]) == ("cicid", "visatype")
    assert set(arrivals.schema.values()) == {pl.Float64, pl.String}
    assert arrivals.schema["admnum"] == pl.Float64


def test_arrivals_have_the_quirks_of_the_real_data(arrivals):
    assert 0 < arrivals["cicid"].is_duplicated().sum() < ROWS * 0.01
    assert (arrivals["i94bir"] < 0).sum() > 0
    assert (arrivals["depdate"] < arrivals["arrdate"]).sum() > 0
    assert {1.0, 2.0, 3.0} <= set(arrivals["i94mode"])
    assert 0.05 < (arrivals["i94cit"].is_in([148.0, 252.0, 254.0])).mean() < 0.2
    assert {"..", "US", "NY NEW YORK", None} <= set(arrivals["i94addr"])
    assert "D/S" in set(arrivals["dtaddto"])
    assert 0 < arrivals["entdepu"].is_not_null().sum() < ROWS * 0.01
    assert arrivals["fltno"].str.starts_with("0").mean() > 0.9
    assert arrivals.filter(pl.col("arrdate").is_not_null())["arrdate"].is_between(20545, 20574).all()


def test_the_csv_format_has_an_unnamed_index_column_and_doubles_as_published(tmp_path):
    generate(tmp_path, rows=50, form="csv")
    with (tmp_path / "immigrationData.csv").open(newline="") as source:
        header, first, *rest = csv.reader(source)
    assert header[:2] == ["", "cicid"]
    assert first[:3] == ["0", "2.0", "2016.0"]
    assert len(rest) == 49
    assert rest[-1][0] == "49"


def test_zero_rows_give_an_empty_table_with_all_columns(tmp_path):
    generate(tmp_path, rows=0)
    assert pl.read_parquet(tmp_path / "sas_data" / "*.parquet").shape == (0, 28)


def test_an_unknown_format_is_an_error_that_names_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match="'parquet' or 'csv'"):
        generate(tmp_path, form="orc")


def test_the_label_file_has_the_quirks_of_the_published_one(made):
    text = (made / "I94_SAS_Labels_Descriptions.SAS").read_text()
    assert "'INT'\t=\t'INT''L FALLS, MN      '" in text
    assert "value i94cntyl" in text
    assert "value $i94prtl" in text
    assert "WASHINGTON DC " in text


def test_a_city_is_listed_once_per_race_with_the_same_figures(made):
    cities = pl.read_csv(made / "us-cities-demographics.csv", separator=";", infer_schema=False)
    per_city = cities.group_by("City", "State").agg(
        pl.len(), pl.col("Total Population").n_unique().alias("figures")
    )
    assert per_city["len"].min() >= 3
    assert per_city["figures"].max() == 1
    assert cities["Average Household Size"].null_count() > 0


def test_temperatures_have_two_date_formats_and_are_not_only_from_the_us(made):
    months = pl.read_csv(made / "GlobalLandTemperaturesByState.csv", infer_schema=False)
    forms = set(months["dt"].str.replace_all(r"\d", "9"))
    assert forms == {"9999-99-99", "9/9/9999", "99/9/9999"}
    assert {"United States", "Brazil"} <= set(months["Country"])
    assert months["AverageTemperature"].null_count() > 0
    assert "9/1/2013" in set(months["dt"])
    assert "10/1/2013" not in set(months["dt"])


def test_airports_include_closed_ones_and_one_that_is_listed_twice(made):
    airports = pl.read_csv(made / "airport-codes_csv.csv", infer_schema=False)
    assert "closed" in set(airports["type"])
    assert airports["ident"].is_duplicated().sum() == 2
    assert airports.filter(pl.col("iata_code") == "GUM")["iso_region"].to_list() == ["GU-U-A"]
