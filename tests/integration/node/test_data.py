"""Code, inputs and outputs in all their modes."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from lazulite.model.run_plan import Code, Input, Isolation, Output
from lazulite.node import content_hash

from .conftest import AgentRun, Blobs, level, until

ARun = Callable[..., AgentRun]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "store" / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.csv").write_text("a\n")
    (folder / "sub" / "b.csv").write_text("b\n")
    return folder


def test_code_is_copied_and_checked(a_run: ARun, tmp_path: Path, isolation: Isolation) -> None:
    code = tmp_path / "code"
    (code / "pkg").mkdir(parents=True)
    (code / "main.py").write_text("import pkg.m, pathlib; pathlib.Path('main.py').write_text('x'); print(pkg.m.X)")
    (code / "pkg" / "m.py").write_text("X = 'from code'")
    good = Code(path=str(code), hash=content_hash.of_folder(str(code)))
    run = a_run("python main.py", code=good, isolation=isolation).start()
    assert run.wait()["outcome"] == "completed", run.log()
    assert run.log() == "from code\n"
    assert "import pkg.m" in (code / "main.py").read_text()
    status = a_run("echo no", code=Code(path=str(code), hash="0" * 64)).start().wait()
    assert status["error"]["code"] == "CodeHashMismatch"
    assert "0000" in status["error"]["message"]


@pytest.mark.parametrize("mode", ["ro_mount", "download", "eval_mount"])
def test_folder_and_file_inputs(a_run: ARun, data: Path, isolation: Isolation, mode: str) -> None:
    inputs = {
        "folder": Input(kind="path", type="uri_folder", mode=mode, path=str(data)),
        "file": Input(kind="path", type="uri_file", mode=mode, path=str(data / "a.csv")),
        "rate": Input(kind="literal", value="0.5"),
    }
    command = (
        "cat ${{inputs.folder}}/sub/b.csv ${{inputs.file}}; "
        "echo ${{inputs.rate}} $AZURE_ML_INPUT_rate; echo ${{inputs.file}}"
    )
    run = a_run(command, inputs=inputs, isolation=isolation).start()
    assert run.wait()["outcome"] == "completed", run.log()
    assert run.log().splitlines() == ["b", "a", "0.5 0.5", f"{run.folder}/cap/data-capability/wd/INPUT_file/a.csv"]


def test_writing_to_inputs(a_run: ARun, data: Path, isolation: Isolation) -> None:
    def attempt(mode: str) -> str:
        inputs = {"d": Input(kind="path", mode=mode, path=str(data))}
        status = a_run("echo x > ${{inputs.d}}/new.txt", inputs=inputs, isolation=isolation).start().wait()
        return str(status["outcome"])

    assert attempt("download") == "completed"
    assert not (data / "new.txt").exists()
    assert attempt("ro_mount") == ("completed" if isolation.kind == "process" else "failed")
    assert not (data / "new.txt").exists()
    assert attempt("rw_mount") == "completed"
    assert (data / "new.txt").exists()


def test_with_mounts_alone_the_machine_is_as_it_is_but_for_inputs(a_run: ARun, data: Path, tmp_path: Path) -> None:
    isolation = msgspec.structs.replace(level("bubblewrap"), kind="mounts", hide=[str(tmp_path)])
    command = f"readlink -f ${{{{inputs.d}}}}; ls {tmp_path}; echo x > ${{{{inputs.d}}}}/new.txt"
    run = a_run(command, inputs={"d": Input(kind="path", path=str(data))}, isolation=isolation).start()
    assert run.wait()["outcome"] == "failed"
    assert f"{run.folder}/cap/data-capability/wd/INPUT_d\n" in run.log()
    assert "runs\n" in run.log()
    assert "Read-only file system" in run.log()
    assert not (data / "new.txt").exists()


def test_direct_passes_the_address(a_run: ARun, data: Path) -> None:
    uri = "azureml://datastores/d/paths/data"
    run = a_run("echo ${{inputs.d}}", inputs={"d": Input(kind="path", mode="direct", path=str(data), uri=uri)}).start()
    run.wait()
    assert run.log() == uri + "\n"


def test_a_missing_input_is_named_with_its_address(a_run: ARun, tmp_path: Path) -> None:
    given = Input(kind="path", path=str(tmp_path / "absent"), uri="azureml://datastores/d/paths/absent")
    status = a_run("echo no", inputs={"table": given}).start().wait()
    assert status["error"]["code"] == "UserError/InputNotFound"
    assert "'table'" in status["error"]["message"]
    assert "azureml://datastores/d/paths/absent" in status["error"]["message"]


@pytest.mark.parametrize("mode", ["rw_mount", "upload"])
@pytest.mark.parametrize("ending", ["true", "false"])
def test_folder_outputs(a_run: ARun, tmp_path: Path, isolation: Isolation, mode: str, ending: str) -> None:
    place = tmp_path / "store" / "out"
    outputs = {"o": Output(mode=mode, path=str(place))}
    command = "mkdir ${{outputs.o}}/sub && echo hi > $AZURE_ML_OUTPUT_o/sub/f.txt; " + ending
    status = a_run(command, outputs=outputs, isolation=isolation).start().wait()
    assert status["outcome"] == ("completed" if ending == "true" else "failed")
    assert (place / "sub" / "f.txt").read_text() == "hi\n"
    assert [path.name for path in place.rglob("*") if ".tmp" in path.name] == []


def test_file_output(a_run: ARun, tmp_path: Path, isolation: Isolation) -> None:
    place = tmp_path / "store" / "result.csv"
    run = a_run("echo 1 > ${{outputs.o}}", outputs={"o": Output(type="uri_file", path=str(place))}, isolation=isolation)
    assert run.start().wait()["outcome"] == "completed"
    assert place.read_text() == "1\n"


def test_links_planted_on_the_way_to_outputs_and_logs_bring_nothing_home(
    a_run: ARun, tmp_path: Path, isolation: Isolation
) -> None:
    secret = tmp_path / "secret"
    for place in ("o", "f", "outputs", "logs"):
        (secret / place).mkdir(parents=True)
        (secret / place / "key").write_text("secret")
    store = tmp_path / "store"
    outputs = {"o": Output(mode="upload", path=str(store / "o")), "f": Output(type="uri_file", path=str(store / "key"))}
    command = (
        "inputs=$(dirname $AZURE_ML_OUTPUT_o); work=$(pwd); cd /; "
        f"for place in $inputs $work; do mv $place $place.old && ln -s {secret} $place || exit 1; done"
    )
    run = a_run(command, outputs=outputs, isolation=isolation).start()
    assert run.wait()["outcome"] == "completed", run.log()
    assert list(store.rglob("key")) == []
    assert list(run.artifacts.rglob("key")) == []
    assert "output o: its folder is not there any more" in run.log("system_logs/agent.log")


def test_a_pipe_in_place_of_a_file_is_named(a_run: ARun, tmp_path: Path) -> None:
    outputs = {"o": Output(type="uri_file", path=str(tmp_path / "store" / "result.csv"))}
    status = a_run("mkfifo ${{outputs.o}}", outputs=outputs).start().wait(seconds=20)
    assert status["error"]["code"] == "UserError/OutputNotAFile"
    assert "made something else than a file there" in status["error"]["message"]


def test_a_folder_in_place_of_a_file_is_named(a_run: ARun, tmp_path: Path) -> None:
    outputs = {"o": Output(type="uri_file", path=str(tmp_path / "store" / "result.csv"))}
    status = a_run("mkdir ${{outputs.o}}", outputs=outputs).start().wait()
    assert status["error"]["code"] == "UserError/OutputNotAFile"
    assert "Output 'o' is a uri_file, and the command made a folder there" in status["error"]["message"]


def test_outputs_and_logs_are_collected_live(a_run: ARun, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("private")
    command = (
        f"echo early > outputs/early.txt; ln -s {tmp_path}/outside outputs/link; "
        "until [ -e go ]; do sleep 0.02; done; mkdir -p outputs/m; echo late > outputs/m/late.txt; echo l > logs/l.txt"
    )
    run = a_run(command).start()
    until(lambda: (run.artifacts / "outputs/early.txt").exists(), 15)
    assert run.status()["phase"] == "running"
    (run.folder / "exe" / "wd" / "go").touch()
    run.wait()
    assert run.log("outputs/m/late.txt") == "late\n"
    assert run.log("logs/l.txt") == "l\n"
    assert not (run.artifacts / "outputs/link").exists()


def test_the_home_and_other_jobs_are_hidden(a_run: ARun, tmp_path: Path, isolation: Isolation, data: Path) -> None:
    home = tmp_path
    (home / "vault").mkdir()
    (home / "vault" / "key").write_text("secret")
    bundle = home / "ca.pem"
    bundle.write_text("certificate")
    hidden = msgspec.structs.replace(isolation, hide=[*isolation.hide, str(home)], show=[*isolation.show, str(bundle)])
    command = f"cat {home}/vault/key; ls {home}; cat {bundle} ${{{{inputs.d}}}}/a.csv; ls {home}/runs/1"
    run = a_run(command, isolation=hidden, inputs={"d": Input(kind="path", path=str(data))}).start()
    run.wait()
    if isolation.kind == "process":
        assert "secret" in run.log()
        return
    assert "secret" not in run.log()
    assert "vault\n" not in run.log()
    assert "certificate" in run.log()
    assert "plan.json" not in run.log()
    assert "a\n" in run.log()


def test_inputs_by_address(a_run: ARun, blobs: str) -> None:
    inputs = {
        "file": Input(kind="http", type="uri_file", url=f"{blobs}/data/a.csv"),
        "folder": Input(kind="blob", type="uri_folder", url=f"{blobs}/data"),
        "blob": Input(kind="blob", type="uri_file", url=f"{blobs}/data/sub/b%20c.csv"),
    }
    Blobs.flaky = [503]
    run = a_run("cat ${{inputs.file}} '${{inputs.folder}}/sub/b c.csv' '${{inputs.blob}}'", inputs=inputs).start()
    assert run.wait()["outcome"] == "completed", run.status()
    assert run.log() == "a\nb\nb\n"
    gone = {"x": Input(kind="http", type="uri_file", url=f"{blobs}/absent.csv")}
    error = a_run("true", inputs=gone).start().wait()["error"]
    assert error["code"] == "UserError/InputNotFound"
    assert f"{blobs}/absent.csv" in error["message"]


def test_outputs_by_address(a_run: ARun, blobs: str) -> None:
    outputs = {
        "o": Output(kind="blob", mode="upload", url=f"{blobs}/out"),
        "f": Output(kind="blob", type="uri_file", url=f"{blobs}/f.txt"),
    }
    secrets = {"queries": {"outputs.o": "sig=good", "outputs.f": "sig=good"}}
    command = "mkdir ${{outputs.o}}/s; echo 1 > '${{outputs.o}}/s/x y'; echo 2 > ${{outputs.f}}"
    assert a_run(command, outputs=outputs, secrets=secrets).start().wait()["outcome"] == "completed"
    assert Blobs.content["/c/out/s/x y"] == b"1\n"
    assert Blobs.content["/c/f.txt"] == b"2\n"
    refused = a_run(command, outputs=outputs, secrets={"queries": {"outputs.o": "sig=bad"}}).start().wait()
    assert refused["outcome"] == "failed"
    assert refused["error"]["code"] == "OutputUploadFailed"
    assert "sig=" not in str(refused)


def test_code_by_address(a_run: ARun, blobs: str) -> None:
    run = a_run("cat a.csv 'sub/b c.csv'", code=Code(url=f"{blobs}/data")).start()
    assert run.wait()["outcome"] == "completed"
    assert run.log() == "a\nb\n"


def test_code_that_has_become_a_link_is_refused(a_run: ARun, tmp_path: Path, data: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "code").symlink_to(data)
    code = Code(path=str(tmp_path / "other" / "code"), root=str(tmp_path / "other"))
    status = a_run("cat a.csv", code=code).start().wait()
    assert status["error"]["code"] == "CodeNotFound"
    assert "a link leads out of the datastore" in status["error"]["message"]


def test_a_link_out_of_the_datastore_is_refused(a_run: ARun, tmp_path: Path, data: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "key").write_text("secret")
    (data / "planted").symlink_to(tmp_path / "keys")
    given = Input(kind="path", path=str(data / "planted"), root=str(data))
    error = a_run("cat ${{inputs.x}}/key", inputs={"x": given}).start().wait()["error"]
    assert error["code"] == "UserError/InputNotFound"
    copied = Input(kind="path", mode="download", path=str(data), root=str(data))
    run = a_run("cat ${{inputs.x}}/planted/key", inputs={"x": copied}).start()
    assert run.wait()["outcome"] == "failed"
    assert "secret" not in run.log()
    outputs = {"o": Output(mode="upload", path=str(data), root=str(data))}
    status = a_run("mkdir ${{outputs.o}}/planted; echo x > ${{outputs.o}}/planted/key", outputs=outputs).start().wait()
    assert status["error"]["code"] == "OutputUploadFailed"
    assert (tmp_path / "keys" / "key").read_text() == "secret"
