"""The list of what a job sees."""

import os
from pathlib import Path

import pytest

from lazulite.node import bubblewrap, indexes, landlock, view


def a_plan(**isolation: list[str]) -> dict[str, object]:
    asked = {"hide": [], "show": [], **isolation}
    return {"isolation": asked, "ca_bundle": None, "environment": {"interpreter": "/usr/bin/python3"}}


def test_no_home_and_no_state_is_in_the_system() -> None:
    shown = list(view.system())
    assert "/usr" in shown
    assert "/etc" in shown
    for path in ("/home/x", "/root/x", "/mnt/x", "/media/x", "/srv/x", "/var/lib/postgresql", "/tmp/x", "/run/x"):
        assert not any(view.is_below(path, top) for top in shown)


def test_a_home_below_the_system_is_hidden_and_its_own_folders_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    seen = view.make(a_plan(hide=["/usr/lib", "/not/shown"], show=[str(tmp_path), "/not/there"]), ["/w"], "/t", [])
    assert seen.hidden == ["/usr/lib"]
    assert seen.own == [str(tmp_path)]
    rights = {rule.path: rule.rights for rule in landlock.rules(seen)}
    assert rights["/usr"] == landlock.READ_DIR
    assert rights["/usr/bin"] == landlock.READ
    assert "/usr/lib" not in rights
    assert rights["/w"] == rights["/t"] == landlock.WRITE
    assert rights[str(tmp_path)] == landlock.READ
    told = bubblewrap.arguments(seen, ["--unshare-user"])
    assert "--unshare-user" in told
    assert told.index("--tmpfs", 20) < told.index(str(tmp_path))
    assert told[-4:] == ["--remount-ro", "/usr/lib", "--remount-ro", "/"]


def test_a_home_that_a_link_leads_to_is_hidden(tmp_path: Path) -> None:
    (tmp_path / "home").symlink_to("/usr/lib")
    (tmp_path / "parent").symlink_to("/usr")
    for home in ("home", "parent/lib"):
        assert "/usr/lib" in view.make(a_plan(hide=[str(tmp_path / home)]), ["/w"], "/t", []).hidden


def test_what_only_root_may_read_is_found_anew_for_each_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replaced file is not shown by the mount of its folder: what is shown of it is mounted one by one."""
    monkeypatch.setattr(view, "SYSTEM", (str(tmp_path),))
    monkeypatch.setattr(bubblewrap, "SETTINGS", str(tmp_path))
    monkeypatch.setattr(view, "kept_for_root", lambda: list(view._closed(str(tmp_path))))
    (tmp_path / "ssh").mkdir()
    for name, mode in (("shadow", 0o640), ("passwd", 0o644), ("ssh/key", 0o600), ("ssh/config", 0o644)):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(mode)
    (tmp_path / "link").symlink_to("passwd")
    seen = view.make(a_plan(), ["/w"], "/t", [])
    assert set(seen.hidden) == {f"{tmp_path}/shadow", f"{tmp_path}/ssh/key"}
    told = " ".join(bubblewrap.arguments(seen, []))
    assert f"--ro-bind {tmp_path} " not in told
    assert f"--tmpfs {tmp_path} --symlink passwd {tmp_path}/link --ro-bind-try {tmp_path}/passwd " in told
    assert f"--tmpfs {tmp_path}/ssh --ro-bind-try {tmp_path}/ssh/config " in told
    assert f"--ro-bind /dev/null {tmp_path}/shadow" in told
    assert told.endswith(f"--remount-ro {tmp_path} --remount-ro {tmp_path}/ssh --remount-ro /")


def test_what_holds_a_whole_home_is_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "ana"))
    for folder in ("home/ana/wheels", "home/ana/bin", "home/ana/lib/python3.11", "certificates"):
        (tmp_path / folder).mkdir(parents=True)
    assert not view.may_be_shown(str(tmp_path / "home" / "ana"))
    assert not view.may_be_shown(str(tmp_path / "home"))
    assert not view.may_be_shown("/")
    assert not view.may_be_shown("/tmp")
    assert view.may_be_shown(str(tmp_path / "home" / "ana" / "wheels"))
    wheels = tmp_path / "home" / "ana" / "wheels"
    environ = {"SSL_CERT_DIR": f"{tmp_path}/certificates:/not/there", "PIP_FIND_LINKS": f"{wheels} https://x.example"}
    assert view.named(environ) == [f"{tmp_path}/certificates", str(wheels)]
    python = tmp_path / "home" / "ana" / "bin" / "python3.11"
    python.touch()
    assert view.interpreter(str(python)) == [str(python), str(tmp_path / "home" / "ana" / "lib" / "python3.11")]


def test_what_only_root_may_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ssl" / "private").mkdir(parents=True, mode=0o755)
    (tmp_path / "ssl" / "private").chmod(0o710)
    for name, mode in (("shadow", 0o640), ("passwd", 0o644), ("ssl/key", 0o600)):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(mode)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    kept = {f"{tmp_path}/{name}" for name in ("shadow", "ssl/key", "ssl/private")}
    assert set(view.kept_for_root(str(tmp_path))) == kept
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert view.kept_for_root(str(tmp_path)) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/wheels", ["/wheels"]),
        ("main=file:///index/simple other=https://x.example/y", ["/index/simple"]),
        ("six @ file:///a%20b/six.whl#sha256=1", ["/a b/six.whl"]),
        ("--find-links=/wheels/", ["/wheels"]),
        ("https://x.example/simple numpy<2 ./relative", []),
    ],
)
def test_words_that_are_paths(text: str, found: list[str]) -> None:
    assert list(indexes.paths(text)) == found


def test_folders_of_an_environment_and_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = {
        "requirements": ["a @ file:///one/a.whl"],
        "installs": [{"requirements": ["b"], "options": ["--find-links", "/two", "--index", "file:///three"]}],
    }
    assert indexes.of_plan(plan) == ["/one/a.whl", "/two", "/three"]
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv" / "uv.toml").write_text('find-links = ["/four"]\n[[index]]\nname = "i"\nurl = "file:///five"\n')
    (tmp_path / "pip.conf").write_text("[global]\nextra-index-url =\n  file:///six\n  https://x.example\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    for name in indexes.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    found = indexes.of_settings({"UV_INDEX": "/seven"})
    assert {"/four", "/five", "/six", "/seven"} <= set(found)
