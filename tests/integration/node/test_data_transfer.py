"""Steps of data transfer: the agent copies, and says file by file what stands in the way."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lazulite.model.run_plan import EnvironmentPlan, Input, Output, Transfer

from .conftest import AgentRun, Blobs

#: Nothing is built of it.
NONE = EnvironmentPlan(key="none", name="none", python="", interpreter="/absent")


@pytest.fixture
def transfer(a_run: Callable[..., AgentRun], tmp_path: Path) -> Callable[..., AgentRun]:
    """A run that copies the inputs, which are paths below `tmp_path`, with their types, or inputs as a plan has them."""

    def made(
        output: Output, *, overwrite: bool = True, resumed: bool = False, secrets: Any = None, **given: Any
    ) -> Any:
        inputs = {}
        for name, value in given.items():
            if isinstance(value, str):
                kind, _, path = value.partition(":")
                value = Input(kind="path", type=kind, path=str(tmp_path / path), root=str(tmp_path))
            inputs[name] = value
        what = Transfer(overwrite=overwrite, resumed=resumed)
        return a_run("", environment=NONE, inputs=inputs, outputs={"o": output}, transfer=what, secrets=secrets)

    return made


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name, text in {
        "one/a.csv": "one a", "one/sub/b.csv": "one b", "two/a.csv": "two a", "two/c.csv": "two c", "late.csv": "late"
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "empty").mkdir()
    return tmp_path


def content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


Transferred = Callable[..., AgentRun]


def test_several_inputs_are_merged_the_later_over_the_earlier(transfer: Transferred, files: Path) -> None:
    out = Output(path=str(files / "out" / "deep"), root=str(files))
    run = transfer(out, two="uri_folder:two", one="uri_folder:one", late="uri_file:late.csv").start()
    assert run.wait()["outcome"] == "completed", run.log("system_logs/agent.log")
    assert content(files / "out" / "deep") == {
        "a.csv": "one a", "c.csv": "two c", "late.csv": "late", "sub/b.csv": "one b"
    }  # fmt: skip
    said = run.log()
    assert "'a.csv' is in the inputs 'two' and 'one': the latter is taken" in said
    assert f"Done: 4 files, 0.0 MB at {files}/out/deep." in said
    assert not (run.folder / "env").exists()


@pytest.mark.parametrize("kind", ["uri_folder", "mltable", "custom_model"])
def test_a_folder_of_any_kind_and_what_was_there_stays(transfer: Transferred, files: Path, kind: str) -> None:
    run = transfer(Output(type=kind, path=str(files / "two")), one=f"{kind}:one").start()
    assert run.wait()["outcome"] == "completed", run.log()
    assert content(files / "two") == {"a.csv": "one a", "c.csv": "two c", "sub/b.csv": "one b"}


def test_one_file_gets_the_outputs_name(transfer: Transferred, files: Path) -> None:
    out = Output(type="uri_file", path=str(files / "out" / "renamed.csv"))
    assert transfer(out, x="uri_file:late.csv").start().wait()["outcome"] == "completed"
    assert content(files / "out") == {"renamed.csv": "late"}
    error = transfer(out, x="uri_folder:one").start().wait()["error"]
    assert error["code"] == "UserError/NotOneFile"
    assert "has 2" in error["message"]


def test_a_folder_without_files_makes_an_empty_one(transfer: Transferred, files: Path) -> None:
    assert transfer(Output(path=str(files / "out")), x="uri_folder:empty").start().wait()["outcome"] == "completed"
    assert list((files / "out").iterdir()) == []


def test_conflicts_are_named_file_by_file_and_nothing_is_copied(transfer: Transferred, files: Path) -> None:
    (files / "out").mkdir()
    (files / "out" / "c.csv").write_text("mine")
    run = transfer(Output(path=str(files / "out")), one="uri_folder:one", two="uri_folder:two", overwrite=False).start()
    error = run.wait()["error"]
    assert error["code"] == "UserError/TransferConflict"
    assert "'a.csv' is in the inputs 'one' and 'two'; 'c.csv' is there already" in error["message"]
    assert "sub/b.csv" not in error["message"]
    assert content(files / "out") == {"c.csv": "mine"}
    assert "Conflict: 'c.csv' is there already." in run.log()
    fresh = transfer(Output(path=str(files / "fresh")), one="uri_folder:one", overwrite=False).start()
    assert fresh.wait()["outcome"] == "completed"


def test_what_a_lost_attempt_copied_is_no_conflict(transfer: Transferred, files: Path) -> None:
    (files / "out").mkdir()
    (files / "out" / "a.csv").write_text("one a")
    out = Output(path=str(files / "out"))
    error = transfer(out, one="uri_folder:one", overwrite=False).start().wait()["error"]
    assert "'a.csv' is there already" in error["message"]
    again = transfer(out, one="uri_folder:one", overwrite=False, resumed=True).start()
    assert again.wait()["outcome"] == "completed", again.log()
    (files / "out" / "a.csv").write_text("one A")
    error = transfer(out, one="uri_folder:one", overwrite=False, resumed=True).start().wait()["error"]
    assert "'a.csv' is there already; 'sub" not in error["message"]
    assert error["code"] == "UserError/TransferConflict"


def test_what_is_missing_is_named(transfer: Transferred, files: Path) -> None:
    error = transfer(Output(path=str(files / "out")), table="uri_folder:absent").start().wait()["error"]
    assert error["code"] == "UserError/InputNotFound"
    assert f"Input 'table' was not found at {files}/absent" in error["message"]


def test_no_link_is_followed(transfer: Transferred, files: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "key").write_text("secret")
    (files / "one" / "planted").symlink_to(outside / "key")
    (files / "one" / "folder").symlink_to(outside)
    assert transfer(Output(path=str(files / "out")), x="uri_folder:one").start().wait()["outcome"] == "completed"
    assert content(files / "out") == {"a.csv": "one a", "sub/b.csv": "one b"}
    (files / "led").symlink_to(outside)
    error = transfer(Output(path=str(files / "out")), x="uri_folder:led").start().wait()["error"]
    assert error["code"] == "UserError/InputNotFound"
    (files / "out2").mkdir()
    (files / "out2" / "sub").symlink_to(outside)
    status = transfer(Output(path=str(files / "out2"), root=str(files)), x="uri_folder:one").start().wait()
    assert status["error"]["code"] == "OutputUploadFailed"
    assert content(outside) == {"key": "secret"}


def test_blobs_both_ways(transfer: Transferred, blobs: str, files: Path) -> None:
    folder = Input(kind="blob", type="uri_folder", url=f"{blobs}/data")
    out = Output(path=str(files / "out"))
    web = Input(kind="http", type="uri_file", url=f"{blobs}/data/sub/b%20c.csv")
    assert transfer(out, x=folder, y=web).start().wait()["outcome"] == "completed"
    assert content(files / "out") == {"a.csv": "a\n", "b c.csv": "b\n", "sub/b c.csv": "b\n"}
    far = Output(kind="blob", url=f"{blobs}/far")
    secrets = {"queries": {"outputs.o": "sig=good"}}
    status = transfer(far, x=folder, one="uri_folder:one", secrets=secrets).start().wait()
    assert status["outcome"] == "completed", status
    assert {name: text for name, text in Blobs.content.items() if name.startswith("/c/far")} == {
        "/c/far/a.csv": b"one a", "/c/far/sub/b c.csv": b"b\n", "/c/far/sub/b.csv": b"one b"
    }  # fmt: skip
    error = transfer(far, x=folder, overwrite=False, secrets=secrets).start().wait()["error"]
    assert "'a.csv' is there already; 'sub/b c.csv' is there already" in error["message"]
    one = Output(kind="blob", type="uri_file", url=f"{blobs}/far/one.csv")
    assert transfer(one, x="uri_file:late.csv", secrets=secrets).start().wait()["outcome"] == "completed"
    assert Blobs.content["/c/far/one.csv"] == b"late"
    gone = Input(kind="blob", type="uri_folder", url=f"{blobs}/absent")
    error = transfer(out, x=gone).start().wait()["error"]
    assert error["code"] == "UserError/InputNotFound"


def test_the_end_can_be_asked_for_within_a_file(transfer: Transferred, files: Path) -> None:
    os.mkfifo(files / "pipe")  # no regular file: passed over
    with (files / "one" / "large").open("wb") as file:
        file.truncate(64 << 30)  # a hole: nothing lies on the disk, until it is copied
    run = transfer(Output(path=str(files / "out")), x="uri_folder:one").start()
    run.wait("running")
    (run.folder / "cancel").touch()
    assert run.wait()["outcome"] == "canceled"
    assert "large" not in content(files / "out")
    assert list((files / "out").rglob("*.tmp")) == []
