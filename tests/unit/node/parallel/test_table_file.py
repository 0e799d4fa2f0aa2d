from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from lazulite.node.parallel import table_file
from lazulite.node.parallel.settings import InputError
from lazulite.node.parallel.table_file import files_below, named_folders, partition


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b/2.csv", "b/1.csv", "a.csv", "a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def paths(folder: Path, text: str) -> list[str]:
    (folder / "MLTable").write_text(text)
    return [str(Path(name).relative_to(folder)) for name in table_file.read(str(folder)).files()]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("- file: ./a.txt\n- file: b/1.csv", ["a.txt", "b/1.csv"]),
        ("- folder: ./b", ["b/1.csv", "b/2.csv"]),
        ("- folder: ./", ["a.csv", "a.txt", "b/1.csv", "b/2.csv"]),
        ("- pattern: ./*.csv", ["a.csv"]),
        ("- pattern: ./**/*.csv", ["a.csv", "b/1.csv", "b/2.csv"]),
    ],
)
def test_paths_lead_to_files_but_never_to_the_table_file(folder: Path, given: str, expected: list[str]) -> None:
    assert paths(folder, f"paths:\n{given}") == expected


def test_absolute_paths(folder: Path) -> None:
    assert paths(folder, f"paths:\n- file: {folder}/a.csv\n- file: file://{folder}/a.txt") == ["a.csv", "a.txt"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("paths:\n- file: ./gone.csv", "names the file './gone.csv', and nothing is there"),
        ("paths:\n- pattern: ./*.parquet", r"names the pattern './\*.parquet'"),
        ("paths:\n- file: azureml://datastores/x/paths/y.csv", "names azureml://datastores/x/paths/y.csv"),
        ("paths: ./a.csv", "needs 'paths'"),
        ("paths: []", "needs 'paths'"),
        ("- a", "needs 'paths'"),
        ("paths: [", "is not YAML"),
        ("paths:\n- file: a.csv\ntransformations:\n- [1]", "neither a name nor"),
    ],
)
def test_what_cannot_be_read_is_said(folder: Path, text: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        paths(folder, text)


def test_a_table_has_rows_where_something_reads_them(folder: Path) -> None:
    paths(folder, "paths:\n- file: a.csv")
    assert not table_file.read(str(folder)).has_rows
    paths(folder, "paths:\n- file: a.csv\ntransformations:\n- take: 3\n- read_delimited:\n    delimiter: ';'")
    table = table_file.read(str(folder))
    assert table.has_rows
    assert table.reader == "read_delimited"
    assert table.option("read_delimited") == {"delimiter": ";"}


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("1000/tropicana/d.csv", "{Store}/{Brand}/{file}.{ext}", ["1000", "tropicana", "d", "csv"]),
        ("x/1000/tropicana/d.csv", "/{Store}/{Brand}/d.csv", ["1000", "tropicana"]),
        ("x/2024/02/29/d.csv", "{day:yyyy/MM/dd}/d.csv", [datetime(2024, 2, 29)]),
        ("x/20240229-1530/d.csv", "{at:yyyyMMdd-HHmm}/d.csv", [datetime(2024, 2, 29, 15, 30)]),
        ("eu/any/d.csv", "{region}/*/d.csv", ["eu"]),
    ],
)
def test_a_partition_format_reads_keys_from_the_end_of_a_path(path: str, pattern: str, expected: list[object]) -> None:
    assert list(partition(path, pattern).values()) == expected


@pytest.mark.parametrize(
    ("path", "pattern"),
    [("a/d.csv", "{x}/{y}/d.csv"), ("a/d.txt", "{x}/d.csv"), ("2024/13/01/d.csv", "{day:yyyy/MM/dd}/d.csv")],
)
def test_a_path_that_does_not_fit_its_format(path: str, pattern: str) -> None:
    with pytest.raises(InputError, match=r"does not fit|is not the date"):
        partition(path, pattern)


def test_folders_with_names_of_keys() -> None:
    assert named_folders("year=2024/month=1/x=y.csv") == {"year": "2024", "month": "1"}
    assert named_folders("a/b.csv") == {}


def test_files_of_a_folder_of_a_file_and_of_nothing(folder: Path) -> None:
    assert files_below(str(folder)) == [str(folder / name) for name in ("a.csv", "a.txt", "b/1.csv", "b/2.csv")]
    assert files_below(str(folder / "a.csv")) == [str(folder / "a.csv")]
    assert files_below(str(folder / "gone")) == []
