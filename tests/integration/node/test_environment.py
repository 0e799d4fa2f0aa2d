"""Building, sharing and protecting environments."""

import contextlib
import functools
import hashlib
import http.server
import json
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from lazulite.model.run_plan import Code, CopyStep, Install, Isolation

from .conftest import AgentRun, an_environment

ARun = Callable[..., AgentRun]
LOG = "azureml-logs/20_image_build_log.txt"
AGENT_LOG = "system_logs/agent.log"


def test_built_once_and_shared(a_run: ARun, environments_root: Path) -> None:
    environment = an_environment(key="test-once")
    first = a_run("python -c 'import six; print(six.__version__)'", environment=environment).start()
    assert first.wait()["outcome"] == "completed"
    assert first.log() == "1.16.0\n"
    assert "six==1.16.0" in first.log(LOG)
    assert "\n + six==1.16.0" in first.log("azureml-logs/image_build_whole.txt")
    assert "\n + " not in first.log(LOG)
    facts = json.loads((environments_root / "test-once" / "ready.json").read_text())
    assert facts["bytes"] > 1_000_000
    second = a_run("which python pip", environment=environment).start()
    second.wait()
    assert second.log().split() == [str(second.folder / "env/bin/python"), str(second.folder / "env/bin/pip")]
    assert not (second.artifacts / LOG).exists()


def test_two_jobs_that_need_it_at_once_build_it_once(a_run: ARun) -> None:
    runs = [a_run("python -c 'import six'", environment=an_environment(key="test-race")).start() for _ in range(2)]
    assert [run.wait()["outcome"] for run in runs] == ["completed", "completed"]
    built = [run for run in runs if "built in" in run.log("system_logs/agent.log")]
    assert len(built) == 1


def test_a_failing_build_names_the_package_and_leaves_nothing(a_run: ARun, environments_root: Path) -> None:
    environment = an_environment(key="test-broken", requirements=["six==99.99"])
    run = a_run("echo never", environment=environment).start()
    status = run.wait()
    assert status["outcome"] == "failed"
    assert status["error"]["code"] == "EnvironmentBuildFailed"
    assert "'six' has no version ==99.99" in status["error"]["message"]
    assert "99.99" in run.log(LOG)
    assert not (run.artifacts / "user_logs").exists()
    assert [path.name for path in environments_root.glob("test-broken*") if path.is_dir()] == []


def test_pip_install_in_a_job_leaves_the_shared_environment_alone(
    a_run: ARun, isolation: Isolation, tmp_path: Path, environments_root: Path
) -> None:
    wheel = a_wheel(tmp_path / "wheels", "six", "1.99.0")
    install = f"pip install -q --no-index --disable-pip-version-check ./{wheel.name}"
    command = f"{install} && python -c 'import six; print(six.MARK)'"
    run = a_run(command, isolation=isolation, code=Code(path=str(wheel.parent))).start()
    assert run.wait()["outcome"] == "completed", run.log()
    assert run.log().splitlines()[-1] == "1.99.0"
    after = a_run("python -c 'import six; print(six.__version__)'", isolation=isolation).start()
    after.wait()
    assert after.log() == "1.16.0\n"
    shared = environments_root / "test-six"
    assert [path for path in shared.rglob("six-*.dist-info") if "1.16.0" not in path.name] == []


def test_the_shared_environment_stays_as_it_is(a_run: ARun, isolation: Isolation, environments_root: Path) -> None:
    run = a_run("echo X=1 >> $(python -c 'import six; print(six.__file__)'); echo $?", isolation=isolation).start()
    assert run.wait()["outcome"] == "completed"
    assert run.log().endswith("0\n") == (isolation.kind == "process")
    (module,) = (environments_root / "test-six").rglob("six.py")
    assert "X=1" not in module.read_text()
    assert "nothing here would keep" in run.log(AGENT_LOG) or isolation.kind != "process"


def test_files_of_a_dockerfile_and_its_variables(a_run: ARun, tmp_path: Path, isolation: Isolation) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "note.txt").write_text("copied")
    environment = an_environment(
        key="test-context",
        context=str(tmp_path / "context"),
        copies=[CopyStep(source="note.txt", destination="/lazulite-app/note.txt")],
        variables={"MODE": "fast"},
    )
    run = a_run("echo $MODE; cat /lazulite-app/note.txt || true", environment=environment, isolation=isolation).start()
    run.wait()
    assert run.log().startswith("fast")
    assert ("copied" in run.log()) == (isolation.kind == "bubblewrap")
    assert ("approximated: what the Dockerfile copies" in run.log(AGENT_LOG)) != (isolation.kind == "bubblewrap")


def a_wheel(folder: Path, name: str, version: str) -> Path:
    """A real wheel of one module."""
    import zipfile

    folder.mkdir()
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", f"MARK = '{version}'\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


def test_a_package_that_must_be_compiled_runs_its_code_apart(
    a_run: ARun, isolation: Isolation, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "key").write_text("secret")
    url = served(a_source_package(tmp_path / "source", str(home / "key")), request)
    environment = an_environment(
        key=f"test-source-{isolation.kind}", requirements=["pip", "setuptools<81", f"probe-package @ {url}"]
    )
    asked = msgspec.structs.replace(isolation, hide=[*isolation.hide, str(home)])
    run = a_run("python -c 'import probe_package; print(probe_package.SEEN)'", environment=environment, isolation=asked)
    status = run.start().wait(seconds=120)
    assert status["outcome"] == "completed", status
    assert run.log() == ("True\n" if isolation.kind == "process" else "False\n")


def test_an_installation_with_hashes_and_options_of_its_own(
    a_run: ARun, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    wheel = a_wheel(tmp_path / "wheels", "probe_hashed", "1.0")
    url = served(wheel, request)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    options = ["--require-hashes", "--no-deps", "--only-binary", ":all:"]
    for key, hashed, outcome in (("right", digest, "completed"), ("wrong", "0" * 64, "failed")):
        line = f"probe_hashed @ {url} --hash=sha256:{hashed}"
        environment = an_environment(
            key=f"test-hash-{key}",
            requirements=["pip"],
            constraints=["setuptools<81"],
            installs=[Install(requirements=[line], options=options)],
        )
        run = a_run("python -c 'import probe_hashed; print(probe_hashed.MARK)'", environment=environment).start()
        status = run.wait(seconds=60)
        assert status["outcome"] == outcome, status
        assert outcome == "failed" or run.log() == "1.0\n"
        log = (run.artifacts / LOG).read_text()
        assert "(--require-hashes --no-deps --only-binary :all:)" in log
    assert "Hash mismatch" in log


def test_a_package_that_must_be_compiled_reaches_no_other_environment(
    a_run: ARun, isolation: Isolation, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """It writes into every copy of a package that it finds in the cache, and into its environment's start."""
    cache, key = tmp_path / "cache", f"test-poison-{isolation.kind}"
    requirements = ["setuptools<81", "six==1.16.0"]
    fields = {"isolation": isolation, "uv_cache": str(cache)}
    clean = a_run("true", environment=an_environment(key=f"{key}-0", requirements=requirements), **fields).start()
    assert clean.wait(seconds=120)["outcome"] == "completed"
    places = ["os.environ['UV_CACHE_DIR']", *([repr(str(cache))] if isolation.kind != "process" else [])]
    setup = (
        "import glob, os, setuptools, sys\n"
        f"for place in ({', '.join(places)},):\n"
        "    for path in glob.glob(place + '/**/six.py', recursive=True):\n"
        "        try: open(path, 'a').write('POISON = 1')\n"
        "        except OSError: pass\n"
        "open('probe_package.py', 'w').write('')\n"
        "setuptools.setup(name='probe-package', version='1.0', py_modules=['probe_package'])\n"
    )
    url = served(a_source_package(tmp_path / "source", "", setup), request)
    bad = an_environment(key=f"{key}-1", requirements=[*requirements, f"probe-package @ {url}"])
    run = a_run("python -c 'import probe_package'", environment=bad, **fields).start()
    assert run.wait(seconds=120)["outcome"] == "completed", run.log(LOG)
    again = an_environment(key=f"{key}-2", requirements=["six==1.16.0"])
    run = a_run("python -c 'import six; print(hasattr(six, \"POISON\"))'", environment=again, **fields).start()
    assert run.wait(seconds=120)["outcome"] == "completed"
    assert run.log() == "False\n"
    assert [path for path in cache.rglob("six.py") if "POISON" in path.read_text()] == []


def test_a_package_that_is_compiled_plants_nothing_in_the_way_of_the_agent(
    a_run: ARun, isolation: Isolation, tmp_path: Path, environments_root: Path, request: pytest.FixtureRequest
) -> None:
    """It makes links and a pipe where the agent writes, takes its own cache away, and leaves a process behind."""
    if isolation.kind == "process":
        pytest.skip("nothing keeps a package's code from anything there")
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "note.txt").write_text("copied")
    setup = (
        "import os, setuptools, shutil, subprocess, sys\n"
        "def plant(path):\n"
        f"    try: os.symlink({str(secret)!r} + '/' + os.path.basename(path), path)\n"
        "    except OSError: pass\n"
        "scratch = os.path.dirname(os.environ['UV_CACHE_DIR'])\n"
        "folder = os.path.dirname(scratch)\n"
        "for name in ('build.log', 'build_whole.log', 'requirements-1.txt', 'ready.json'): plant(folder + '/' + name)\n"
        f"try: os.symlink({str(secret)!r}, folder + '/files')\n"
        "except OSError: pass\n"
        "late = 'import time, sys; time.sleep(4); open(sys.argv[1], \"w\")'\n"
        "subprocess.Popen([sys.executable, '-c', late, folder + '/venv/late'], start_new_session=True,\n"
        "    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "open('probe_package.py', 'w').write('')\n"
        "setuptools.setup(name='probe-package', version='1.0', py_modules=['probe_package'])\n"
    )
    url = served(a_source_package(tmp_path / "source", "", setup), request)
    environment = an_environment(
        key=f"test-plant-{isolation.kind}",
        requirements=["setuptools<81", f"probe-package @ {url}"],
        installs=[Install(requirements=["six==1.16.0"])],
        context=str(tmp_path / "context"),
        copies=[CopyStep(source="note.txt", destination="/lazulite-app/note.txt")],
    )
    run = a_run("cat /key; python -c 'import six, probe_package'", environment=environment, isolation=isolation)
    status = run.start().wait(seconds=120)
    assert status["outcome"] == "completed", (status, run.log(LOG))
    assert "secret" not in run.log()
    assert [path.name for path in secret.iterdir()] == ["key"]
    shared = environments_root / environment.key
    assert not [path for path in (*shared.iterdir(), shared) if path.is_symlink()]
    assert (shared / "files" / "lazulite-app" / "note.txt").read_text() == "copied"
    assert list(shared.rglob("probe_package*.pyc"))
    assert not [line for line in _command_lines() if str(shared) in line and "time.sleep" in line]


def _command_lines() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


def a_source_package(folder: Path, looked_at: str, setup: str = "") -> Path:
    """A source distribution whose setup.py notes whether it could read a file."""
    inner = "probe_package-1.0"
    (folder / inner).mkdir(parents=True)
    (folder / inner / "setup.py").write_text(
        setup
        or "import os, setuptools\n"
        f"try: seen = bool(open({looked_at!r}).read())\n"
        "except OSError: seen = False\n"
        "open('probe_package.py', 'w').write(f'SEEN = {seen}')\n"
        "setuptools.setup(name='probe-package', version='1.0', py_modules=['probe_package'])\n"
    )
    (folder / inner / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: probe-package\nVersion: 1.0\n")
    path = folder / f"{inner}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder / inner, inner)
    return path


def served(path: Path, request: pytest.FixtureRequest) -> str:
    """The file's address on a loopback server that ends with the test."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(path.parent))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    request.addfinalizer(server.shutdown)
    return f"http://127.0.0.1:{server.server_port}/{path.name}"
