"""What a job sees of the machine: one list of what is shown, which bubblewrap and Landlock both follow.

Nothing else of the machine is there: no home folder, no other user's, no mounted disk, no state of other programs.
"""

import contextlib
import glob
import os
import stat
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .run import Mount, Run

SYSTEM = ("/usr", "/bin", "/sbin", "/lib*", "/etc", "/opt", "/sys", "/nix/store", "/gnu/store")
#: Of /var, what programs read and nobody keeps a secret in.
STATE = ("/var/lib/ca-certificates", "/var/cache/fontconfig")
#: Links out of /etc: where the machine keeps what the network needs.
NETWORK = ("/etc/resolv.conf", "/etc/hosts")
DEVICES = (
    "/dev/nvidiactl",
    "/dev/nvidia-uvm",
    "/dev/nvidia-uvm-tools",
    "/dev/nvidia-modeset",
    "/dev/nvidia-caps",
    "/dev/dri",
    "/dev/kfd",
    "/dev/dxg",
)
#: Variables that name certificates, configuration and libraries, separated by colons.
NAMING = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "PIP_CONFIG_FILE",
    "UV_CONFIG_FILE",
    "LD_LIBRARY_PATH",
)
#: Never shown as a whole, whoever names them.
PRIVATE = ("/tmp", "/var/tmp", "/run", "/proc", "/dev")  # noqa: S108


class View(NamedTuple):
    """Absolute paths that exist. `own` and `writable` are shown also below what is hidden; `mounts` come last."""

    shown: list[str]
    hidden: list[str]
    own: list[str]
    writable: list[str]
    #: The folder that is the job's /tmp.
    temporary: str
    mounts: "list[Mount]"


def of_job(run: "Run") -> View:
    folders = [*(run.path(name) for name in ("exe", "cap", "home")), run.layer]
    return make(run.plan, folders, run.path("tmp"), run.mounts)


def of_build(run: "Run", program: str, read: str, folders: list[str]) -> View:
    """uv compiling packages: it sees no job and no key, reads `read`, and writes to `folders` and a /tmp of its own."""
    from . import indexes

    named = [*indexes.of_plan(run.plan["environment"]), *indexes.settings_files(), program]
    view = make(run.plan, folders, run.path("tmp"), [])
    return view._replace(own=[*view.own, *filter(may_be_shown, named), read])


def make(plan: Mapping[str, Any], folders: list[str], temporary: str, mounts: "list[Mount]") -> View:
    asked = plan["isolation"]
    shown = list(system())
    own = [*asked["show"], plan["ca_bundle"] or "", *interpreter(plan["environment"]["interpreter"])]
    # By their real paths: a link leads nowhere where what it leads to is not there.
    real = dict.fromkeys(map(os.path.realpath, [*asked["hide"], *kept_for_root()]))
    tops = [*shown, *map(os.path.realpath, shown)]
    hidden = [path for path in real if any(is_below(path, top) for top in tops)]
    return View(
        shown,
        list(filter(os.path.exists, hidden)),
        list(filter(os.path.exists, own)),
        folders,
        temporary,
        mounts,
    )


def system() -> Iterator[str]:
    for pattern in (*SYSTEM, *STATE):
        yield from sorted(glob.glob(pattern))
    for path in map(os.path.realpath, NETWORK):
        if not path.startswith("/etc/") and os.path.exists(path):
            yield path


def named(environ: Mapping[str, str]) -> list[str]:
    """What variables and settings name and programs must be able to read: certificates, libraries, packages.

    It takes some reading, and is the same for all jobs: the probe finds it, and plans name it as what is to be shown.
    """
    from . import indexes

    found = [path for name in NAMING for path in environ.get(name, "").split(":") if os.path.isabs(path)]
    tops = list(system())
    outside = [path for path in (*found, *indexes.of_settings(environ)) if not any(is_below(path, top) for top in tops)]
    return list(filter(may_be_shown, dict.fromkeys(outside)))


def may_be_shown(path: str) -> bool:
    """Whether it is there and holds neither the user's whole home nor what is private."""
    real = os.path.realpath(path)
    kept = (os.path.realpath(os.path.expanduser("~")), *PRIVATE)
    return os.path.exists(path) and not any(is_below(place, real) for place in kept)


def interpreter(path: str) -> list[str]:
    """The interpreter's own folder; of one that lies in a home itself, what it runs with."""
    real = os.path.realpath(path)
    prefix = os.path.dirname(os.path.dirname(real))
    if any(is_below(prefix, top) for top in ("/usr", "/opt")):
        return []
    if may_be_shown(prefix):
        return [prefix]
    library = os.path.join(prefix, "lib")
    return [real, *glob.glob(f"{glob.escape(library)}/python3*"), *glob.glob(f"{glob.escape(library)}/libpython3*")]


def is_below(path: str, top: str) -> bool:
    """Whether `path` is `top` or lies in it."""
    return path == top or path.startswith(top.rstrip("/") + "/")


def parents(path: str) -> Iterator[str]:
    """The folders that a path lies in."""
    while path != "/":
        path = os.path.dirname(path)
        yield path


def devices() -> list[str]:
    """Of graphics cards and the like."""
    numbered = glob.glob("/dev/nvidia[0-9]*")
    return [device for device in (*DEVICES, *numbered) if os.path.exists(device)]


def kept_for_root(top: str = "/etc") -> list[str]:
    """What only root may read there: shadow passwords, host keys. Empty where this process is not root's."""
    return list(_closed(top)) if os.geteuid() == 0 else []


def _closed(folder: str) -> Iterator[str]:
    """What vanishes meanwhile is passed over."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                mode = entry.stat(follow_symlinks=False).st_mode
                if stat.S_ISLNK(mode):
                    continue
                if not mode & (stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH):
                    yield entry.path
                elif stat.S_ISDIR(mode):
                    yield from _closed(entry.path)
