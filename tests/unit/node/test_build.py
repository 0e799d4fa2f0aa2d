import os
from pathlib import Path

import pytest

from lazulite.node import build
from lazulite.node.failure import RunFailure
from lazulite.node.isolation import Confined

PLAN = {
    "requirements": ["six==1.16.0"],
    "constraints": ["numpy<2"],
    "overrides": [],
    "exclude_newer": "2024-06-01",
    "installs": [{"requirements": ["tqdm"], "options": ["--index", "https://packages.example/simple"]}],
}


def test_the_install_command_carries_everything_of_the_plan(tmp_path: Path) -> None:
    command = build.install_command(PLAN, build.lists_of(PLAN, 0, ["six==1.16.0"], []), str(tmp_path), "/venv", "/uv")
    assert command[:5] == ["/uv", "pip", "install", "--python", "/venv/bin/python"]
    assert command[command.index("--requirements") + 1] == str(tmp_path / "requirements.txt")
    assert (tmp_path / "constraints.txt").read_text() == "numpy<2\n"
    assert "--overrides" not in command
    assert command[-2:] == ["--exclude-newer", "2024-06-01"]


def test_each_installation_has_a_file_and_options_of_its_own(tmp_path: Path) -> None:
    found = list(build.installations(PLAN))
    assert found == [(["six==1.16.0"], []), (["tqdm"], ["--index", "https://packages.example/simple"])]
    for number, (requirements, options) in enumerate(found):
        build.install_command(PLAN, build.lists_of(PLAN, number, requirements, options), str(tmp_path), "/v", "/uv")
    assert (tmp_path / "requirements.txt").read_text() == "six==1.16.0\n"
    assert (tmp_path / "requirements-1.txt").read_text() == "tqdm\n"


def test_where_hashes_are_required_no_constraint_without_one_is_given() -> None:
    assert build.lists_of(PLAN, 2, ["six==1.16.0 --hash=sha256:aa"], ["--require-hashes"]) == {
        "requirements-2": ["six==1.16.0 --hash=sha256:aa"]
    }


def test_only_ready_builds_are_tried_first_with_whatever_was_asked_of_them() -> None:
    options = ["--only-binary", ":all:", "--index", "https://packages.example/simple"]
    assert build.ready_builds_alone(options) == ["--no-build", "--index", "https://packages.example/simple"]


def test_uv_gets_pips_index_and_nothing_else_of_the_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text(
        "[global]\nextra-index-url =\n    https://one.example\n    https://two.example\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_INDEX_URL", "https://main.example")
    monkeypatch.setenv("SERVER_SECRET", "hidden")
    for name in ("PIP_EXTRA_INDEX_URL", "UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_STRATEGY"):
        monkeypatch.delenv(name, raising=False)
    found = build.uv_variables("/cache")
    assert found["UV_DEFAULT_INDEX"] == "https://main.example"
    assert found["UV_INDEX"] == "https://one.example https://two.example"
    assert found["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert found["UV_PYTHON_DOWNLOADS"] == "never"
    assert found["UV_CACHE_DIR"] == "/cache"
    assert "SERVER_SECRET" not in found


def test_what_comes_after_a_compiled_package_is_confined_whatever_that_removed(tmp_path: Path) -> None:
    """The package's code takes its own scratch folder away."""
    (tmp_path / "log").touch()
    run = build.UvRun(PLAN, str(tmp_path), str(tmp_path / "log"), {"PATH": "/usr/bin:/bin"}, lambda: None)
    scratch = tmp_path / "scratch"
    uv = ["/bin/sh", "-c", f'case "$*" in *--no-build*) echo --no-build; exit 1;; esac; rm -rf {scratch}', "uv"]
    confined: list[list[str]] = []

    def confine(command: list[str], folder: str, writable: list[str]) -> Confined:
        assert folder == str(tmp_path)
        assert all(os.path.isdir(path) for path in writable)
        confined.append(writable)
        return Confined(command)

    writable = [str(tmp_path / "venv"), str(scratch)]
    (tmp_path / "venv").mkdir()
    for _ in range(2):
        build.install(run, uv, [], confine, writable)
        assert not scratch.exists()
    assert confined == [writable, writable]


def test_no_link_of_a_context_leads_out_of_it_or_is_written_through(tmp_path: Path) -> None:
    context, secret, target = tmp_path / "store" / "context", tmp_path / "secret", tmp_path / "files"
    (context / "tree").mkdir(parents=True)
    secret.mkdir()
    (secret / "key").write_text("secret")
    (context / "note").write_text("note")
    (context / "swapped").symlink_to(secret / "key")
    (context / "tree" / "way").symlink_to(secret)
    (context / "tree" / "near").symlink_to("file")
    (context / "tree" / "file").write_text("file")
    plan = {"context": str(context), "context_root": str(tmp_path / "store"), "copies": []}
    plan["copies"] = [{"source": "tree", "destination": "/app"}, {"source": "note", "destination": "/app/way/note"}]
    build.copy_context(plan, str(target))
    assert (target / "app" / "near").read_text() == "file"
    assert (target / "app" / "way" / "note").read_text() == "note"
    assert [path.name for path in secret.iterdir()] == ["key"]
    plan["copies"] = [{"source": "swapped", "destination": "/app/key"}]
    with pytest.raises(RunFailure, match="COPY swapped /app/key: a link leads out"):
        build.copy_context(plan, str(target))
    (tmp_path / "store" / "context").rename(tmp_path / "moved")
    context.symlink_to(secret)
    plan["copies"] = [{"source": "key", "destination": "/app/key"}]
    with pytest.raises(RunFailure, match="a link leads out"):
        build.copy_context(plan, str(target))
    assert not (target / "app" / "key").exists()


def test_a_pipe_for_a_list_of_files_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "six-1.0.dist-info").mkdir()
    os.mkfifo(tmp_path / "six-1.0.dist-info" / "RECORD")
    assert build.import_names(str(tmp_path), ["six"]) == []


def test_what_was_asked_for_is_found_by_what_it_installed(tmp_path: Path) -> None:
    for name, record in {
        "scikit_learn-1.5.2": "sklearn/__init__.py,,\nscikit_learn.libs/x.so,,\n",
        "numpy-1.26.0": "numpy/__init__.py,,\nbin/f2py,,\n",
        "other-1.0": "other/__init__.py,,\n",
    }.items():
        (tmp_path / f"{name}.dist-info").mkdir()
        (tmp_path / f"{name}.dist-info" / "RECORD").write_text(record)
    names = build.import_names(str(tmp_path), ["numpy<2; python_version < '3.12'", "scikit-learn>=1.5"])
    assert names[0] == "numpy"
    assert "sklearn" in names
    assert "other" not in names


def test_packages_of_an_installation_are_counted_and_named_elsewhere() -> None:
    said = "Resolved 3 packages in 5ms\n - six==1.15.0\n + numpy==2.0\n + six==1.16.0\nwarning: slow disk\n"
    folded = build.folded(said, "whole.txt")
    assert (
        folded
        == "Resolved 3 packages in 5ms\nwarning: slow disk\nPackages installed or removed (3): see azureml-logs/whole.txt\n"
    )
    assert build.folded("Audited 3 packages in 1ms\n", "whole.txt") == "Audited 3 packages in 1ms\n"


def test_a_failure_is_told_whole(tmp_path: Path) -> None:
    log = tmp_path / "20_image_build_log.txt"
    log.write_text("Building\n")
    run = build.UvRun(PLAN, str(tmp_path), str(log), {"PATH": "/usr/bin:/bin"}, lambda: None)
    said = run.attempt(["/bin/sh", "-c", "echo ' + six==1.16.0'; echo 'error: no disk'; exit 2"])
    assert said == " + six==1.16.0\nerror: no disk\n"
    assert log.read_text() == f"Building\n{said}"
    assert run.attempt(["/bin/sh", "-c", "echo ' + six==1.16.0'"]) is None
    assert log.read_text().endswith("Packages installed or removed (1): see azureml-logs/image_build_whole.txt\n")
