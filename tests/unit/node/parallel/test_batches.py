from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lazulite.node.parallel import rows
from lazulite.node.parallel.batches import divide
from lazulite.node.parallel.settings import InputError, Settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def settings(folder: Path, **more: Any) -> Settings:
    return Settings(**{"entry_script": "s.py", "data": str(folder), "is_table": True, **more})


def table(folder: Path, steps: str, paths: str = "- pattern: ./**/*.csv") -> None:
    (folder / "MLTable").write_text(f"paths:\n{paths}\ntransformations:\n{steps}\n")


def frames(folder: Path, **more: Any) -> list[pd.DataFrame]:
    """What `run` would get for each mini-batch."""
    division = divide(settings(folder, **more))
    assert division.table is not None
    return [rows.load(division.table, batch.pieces) for batch in division.batches]


def numbers(folder: Path, name: str, start: int, count: int, header: str = "x,y\n") -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(header + "".join(f"{n},{n / 2}\n" for n in range(start, start + count)))


@pytest.mark.parametrize(("size", "least", "most"), [(1, 120, 120), (50, 15, 30), (173, 4, 9), (10_000, 3, 3)])
def test_every_row_is_in_one_mini_batch_whatever_the_size(folder: Path, size: int, least: int, most: int) -> None:
    for number in range(3):
        numbers(folder, f"{number}.csv", number * 40, 40)
    table(folder, "- read_delimited")
    found = frames(folder, mini_batch_size=size)
    assert list(pd.concat(found).x) == list(range(120))
    assert all(list(frame.columns) == ["x", "y"] for frame in found)
    assert least <= len(found) <= most


def test_a_mini_batch_has_rows_of_one_file_alone(folder: Path) -> None:
    for number in range(3):
        numbers(folder, f"{number}.csv", number, number + 1)
    table(folder, "- read_delimited")
    assert [len(frame) for frame in frames(folder, mini_batch_size=1000)] == [1, 2, 3]


def test_a_file_whose_last_line_has_no_end(folder: Path) -> None:
    (folder / "a.csv").write_text("x\n1\n2\n3")
    table(folder, "- read_delimited")
    assert [list(frame.x) for frame in frames(folder, mini_batch_size=1)] == [[1], [2], [3]]


@pytest.mark.parametrize(
    ("header", "second", "columns"),
    [
        ("all_files_same_headers", "x,y\n", ["x", "y"]),
        ("from_first_file", "", ["x", "y"]),
        ("all_files_different_headers", "y,x\n", ["x", "y"]),
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_headers(folder: Path, header: str, second: str, columns: list[str], size: int) -> None:
    numbers(folder, "1.csv", 0, 3)
    numbers(folder, "2.csv", 3, 3, header=second)
    table(folder, f"- read_delimited:\n    header: {header}")
    found = pd.concat(frames(folder, mini_batch_size=size))
    assert list(found.columns) == columns
    assert list(found.x) == ([0, 1, 2, 1.5, 2, 2.5] if second == "y,x\n" else [0, 1, 2, 3, 4, 5])


def test_columns_without_a_header_are_numbered(folder: Path) -> None:
    numbers(folder, "1.csv", 0, 3, header="")
    table(folder, "- read_delimited:\n    header: no_header")
    assert [list(f.columns) for f in frames(folder, mini_batch_size=1)] == [["Column1", "Column2"]] * 3


def test_delimiter_encoding_and_empty_values(folder: Path) -> None:
    (folder / "a.csv").write_bytes("a;b\nä;\nö;NA\n".encode("latin-1"))
    table(folder, "- read_delimited:\n    delimiter: ';'\n    encoding: iso88591\n    empty_as_string: true")
    assert frames(folder)[0].to_numpy().tolist() == [["ä", ""], ["ö", "NA"]]


def test_columns_are_kept_dropped_and_converted(folder: Path) -> None:
    (folder / "a.csv").write_text("a,b,c,d\n1,2024-01-02,yes,9\n2,2024-01-03,no,9\n")
    table(
        folder,
        """- read_delimited:
    include_path_column: true
- drop_columns: d
- convert_column_types:
  - columns: a
    column_type: string
  - columns: [b]
    column_type:
      datetime:
        formats: ['%Y-%m-%d']
  - columns: c
    column_type:
      boolean:
        true_values: ['yes']
- keep_columns: [Path, a, b, c]""",
    )
    frame = frames(folder)[0]
    assert list(frame.Path) == [str(folder / "a.csv")] * 2
    assert list(frame.a) == ["1", "2"]
    assert list(frame.b) == [pd.Timestamp("2024-01-02"), pd.Timestamp("2024-01-03")]
    assert list(frame.c) == [True, False]
    assert list(frame.columns) == ["Path", "a", "b", "c"]


@pytest.mark.parametrize("steps", ["- take: 4\n- skip: 1", "- skip: 1\n- take: 3"])
def test_take_and_skip_are_of_the_whole_table(folder: Path, steps: str) -> None:
    numbers(folder, "1.csv", 0, 3)
    numbers(folder, "2.csv", 3, 3)
    table(folder, f"- read_delimited\n{steps}")
    found = frames(folder, mini_batch_size=1)
    assert [list(frame.x) for frame in found] == [[1], [2], [3]]


def test_lines_of_json(folder: Path) -> None:
    (folder / "a.csv").write_text('{"x": 1}\n{"x": 2, "y": "ü\u2028\x85"}\nno\n')
    table(folder, "- read_json_lines:\n    invalid_lines: drop")
    assert pd.concat(frames(folder, mini_batch_size=1)).x.tolist() == [1, 2]
    assert frames(folder)[0].y.tolist()[1] == "ü\u2028\x85"
    table(folder, "- read_json_lines")
    with pytest.raises(InputError, match="a line that is not JSON: no"):
        frames(folder)


@pytest.mark.parametrize("size", [100, 700, 1 << 20])
def test_parquet_is_cut_between_rows(folder: Path, size: int) -> None:
    pd.DataFrame({"x": range(1000)}).to_parquet(folder / "a.parquet", row_group_size=90)
    table(folder, "- read_parquet", "- file: a.parquet")
    found = frames(folder, mini_batch_size=size)
    assert pd.concat(found).x.tolist() == list(range(1000))
    assert (len(found) > 1) == (size < 1 << 20)


def test_a_packed_file_is_one_piece(folder: Path) -> None:
    (folder / "a.csv.gz").write_bytes(gzip.compress(b"x\n1\n2\n"))
    table(folder, "- read_delimited", "- file: a.csv.gz")
    assert [list(frame.x) for frame in frames(folder, mini_batch_size=1)] == [[1, 2]]


def test_lines_in_quotes_where_the_table_says_so(folder: Path) -> None:
    (folder / "a.csv").write_text('x,y\n1,"two\nlines"\n2,z\n')
    table(folder, "- read_delimited:\n    support_multi_line: true")
    assert frames(folder, mini_batch_size=1)[0].y.tolist() == ["two\nlines", "z"]


PARTITIONED = """- read_delimited:
    include_path_column: true
- extract_columns_from_partition_format:
    partition_format: '{Store}/{Brand}/{file}.{ext}'
- drop_columns: [Path, file, ext]"""


def test_partition_keys_gather_what_has_the_same_values(folder: Path) -> None:
    for number, name in enumerate(["1/a/p.csv", "1/a/q.csv", "1/b/p.csv", "2/a/p.csv"]):
        numbers(folder, name, number, 1)
    table(folder, PARTITIONED)
    division = divide(settings(folder, partition_keys=["Store", "Brand"]))
    assert [batch.key for batch in division.batches] == [
        {"Store": "1", "Brand": "a"},
        {"Store": "1", "Brand": "b"},
        {"Store": "2", "Brand": "a"},
    ]
    found = frames(folder, partition_keys=["Store", "Brand"])
    assert [list(frame.x) for frame in found] == [[0, 1], [2], [3]]
    assert found[0].Store.tolist() == ["1", "1"]
    assert list(found[0].columns) == ["x", "y", "Store", "Brand"]
    assert [list(frame.x) for frame in frames(folder, partition_keys=["Brand"])] == [[0, 1, 3], [2]]


def test_partition_keys_of_a_table_that_is_read_whole(folder: Path) -> None:
    numbers(folder, "1/a/p.csv", 0, 3)
    numbers(folder, "2/a/p.csv", 3, 3)
    table(folder, PARTITIONED + "\n- take: 5")
    division = divide(settings(folder, partition_keys=["Store"]))
    assert [batch.key for batch in division.batches] == [{"Store": "1"}, {"Store": "2"}]
    assert [len(frame) for frame in frames(folder, partition_keys=["Store"])] == [3, 2]


def test_partition_keys_of_files(folder: Path) -> None:
    for name in ("year=1/a.png", "year=1/b.png", "year=2/a.png"):
        numbers(folder, name, 0, 1)
    division = divide(settings(folder, is_table=False, partition_keys=["year"]))
    assert [(batch.key, len(batch.files)) for batch in division.batches] == [({"year": "1"}, 2), ({"year": "2"}, 1)]


def test_a_partition_key_that_no_path_has(folder: Path) -> None:
    numbers(folder, "1/a/p.csv", 0, 1)
    table(folder, PARTITIONED)
    with pytest.raises(InputError, match=r"The partition key 'City' is not in .* \(keys there: Store, Brand"):
        divide(settings(folder, partition_keys=["City"]))


def test_files_of_a_table_as_files(folder: Path) -> None:
    numbers(folder, "1.csv", 0, 1)
    table(folder, "- read_delimited")
    division = divide(settings(folder, as_files=True))
    assert division.table is None
    assert [batch.files for batch in division.batches] == [[str(folder / "1.csv")]]


def test_a_step_that_only_azures_package_knows_names_the_package(folder: Path) -> None:
    numbers(folder, "1.csv", 0, 1)
    table(folder, "- read_delimited\n- filter: 'col(\"x\") > 1'")
    with pytest.raises(InputError, match=r"asks for 'filter'[^\n]*mltable(.|\n)*No module named 'mltable'"):
        divide(settings(folder))


def test_a_table_without_rows(folder: Path) -> None:
    (folder / "a.csv").write_text("x,y\n")
    table(folder, "- read_delimited")
    with pytest.raises(InputError, match="has no rows"):
        divide(settings(folder))
