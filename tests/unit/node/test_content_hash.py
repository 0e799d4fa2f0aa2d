from pathlib import Path

from azure.ai.ml._utils._asset_utils import get_content_hash

from lazulite.node import content_hash


def test_the_hash_is_the_sdks(tmp_path: Path) -> None:
    for name, text in {
        "b.py": "b",
        "A.py": "aa",
        "sub/Deep/x.txt": "x" * 70000,
        "sub/y": "",
        "sub2/z ü.txt": "z",
    }.items():
        path = tmp_path / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "code" / "link.py").symlink_to("b.py")
    assert content_hash.of_folder(str(tmp_path / "code")) == get_content_hash(tmp_path / "code")


def test_a_changed_byte_changes_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = content_hash.of_folder(str(tmp_path))
    (tmp_path / "a").write_text("2")
    assert content_hash.of_folder(str(tmp_path)) != before
