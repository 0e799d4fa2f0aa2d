from pathlib import Path

from conformance.manifest import Case, Mirror
from conformance.mirror import lay_out

from lazulite.model.url_mirror import find
from lazulite.server import settings


def test_the_public_files_of_cases_are_mapped_in_the_settings_of_the_home(tmp_path: Path) -> None:
    checkout, home = tmp_path / "checkout", tmp_path / "home"
    (checkout / "data").mkdir(parents=True)
    (checkout / "data" / "iris.csv").write_text("5.1,3.5")
    (checkout / "data" / "ship.csv").write_text("1,0")
    public = (
        Mirror("https://Host.example/sets/iris.csv", "data/iris.csv"),
        Mirror("wasbs://demo@host.example/Titanic.csv", "data/ship.csv"),
        Mirror("https://other.example/none.csv", "data/none.csv"),
    )
    case = Case(name="a", root="examples", path="job.yml", kind="job", mirrors=public)
    lay_out(home, [case], {"examples": checkout})
    mapped = settings.load({"home": home}, {}).url_mirror
    assert len(mapped) == 2
    for url, text in (
        ("wasbs://sets@host.example/iris.csv", "5.1,3.5"),
        ("https://host.example/demo/Titanic.csv", "1,0"),
    ):
        folder, below = find(mapped, url) or ("", "")
        assert Path(folder, below).read_text() == text
