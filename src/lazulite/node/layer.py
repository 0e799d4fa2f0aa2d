"""A virtual environment of the job's own in some milliseconds: its packages first, the shared ones behind them.

`pip install` inside the command writes into the layer; the shared environment is only read. The scripts are copies
that find their interpreter beside themselves.
"""

import glob
import os
import shutil
from collections.abc import Iterator

RESERVED = ("python", "activate", "deactivate", "pydoc")


def create(shared: str, interpreter: str, folder: str) -> None:
    """Lay the environment in `folder` over `<shared>/venv`."""
    base = os.path.join(shared, "venv")
    if os.path.exists(os.path.join(folder, "pyvenv.cfg")):
        return
    packages = glob.glob(os.path.join(base, "lib", "python*", "site-packages"))[0]
    version = os.path.basename(os.path.dirname(packages)).removeprefix("python")
    own = os.path.join(folder, "lib", f"python{version}", "site-packages")
    scripts = os.path.join(folder, "bin")
    os.makedirs(own, exist_ok=True)
    os.makedirs(scripts, exist_ok=True)
    with open(os.path.join(own, "_shared.pth"), "w", encoding="utf-8") as file:
        file.write(f"import site; site.addsitedir({packages!r})\n")
    place_python(interpreter, scripts, version)
    for path in console_scripts(os.path.join(base, "bin")):
        place_script(path, os.path.join(scripts, os.path.basename(path)))
    with open(os.path.join(folder, "pyvenv.cfg"), "w", encoding="utf-8") as file:
        file.write(
            f"home = {os.path.dirname(interpreter)}\ninclude-system-site-packages = false\nversion = {version}\n"
        )


def place_python(interpreter: str, scripts: str, version: str) -> None:
    for name in ("python", "python3", f"python{version}"):
        link = os.path.join(scripts, name)
        if not os.path.lexists(link):
            os.symlink(interpreter, link)


def console_scripts(folder: str) -> Iterator[str]:
    for entry in os.scandir(folder):
        if entry.is_file(follow_symlinks=False) and not entry.name.startswith(RESERVED):
            yield entry.path


def place_script(source: str, target: str) -> None:
    """Copy a script; a compiled program is linked, since its size would cost time."""
    with open(source, "rb") as file:
        is_script = file.read(2) == b"#!"
    if is_script:
        shutil.copyfile(source, target)
        shutil.copymode(source, target)
    else:
        os.symlink(source, target)
