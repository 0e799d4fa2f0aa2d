"""What the server hands to the agent beside a user's process, and what it reads back: JSON in the run's folder.

    <run_dir>/plan.json      RunPlan, written by the server before the agent starts
    <run_dir>/secrets.json   RunSecrets (mode 0600): whatever must never stand in a plan, a log or a status
    <run_dir>/status.json    RunStatus, replaced whole by the agent at every change
    <run_dir>/cancel         asks the agent to end the job (SIGTERM to the agent does the same); a number in it is the
                             time of grace in seconds, in place of the plan's

The agent imports nothing of this package: it reads the same JSON as plain dictionaries. A field added here is
optional, so that an agent started by an older server goes on.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

VERSION = 1
INHERITED = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "LD_LIBRARY_PATH",
    "TZ",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_CERT",
    "PIP_CONFIG_FILE",
    "PIP_DEFAULT_TIMEOUT",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
)
"""Of the machine's own variables, what a job gets when they are set: hardware, package index, proxy."""


class Install(msgspec.Struct, kw_only=True):
    """One installation with options of its own, as a `pip install` line asks for it."""

    requirements: list[str]
    """PEP 508, and the hashes if they are to be checked: `six==1.16.0 --hash=sha256:...`."""
    options: list[str] = []
    """uv's own, flattened: `--index URL`, `--find-links URL`, `--prerelease allow`, `--no-deps`."""


class EnvironmentPlan(msgspec.Struct, kw_only=True):
    """How to build one Python environment. `key` is the hash of everything here that decides its content."""

    key: str
    name: str
    """`sklearn-1.5:4`, for messages."""
    python: str
    """The minor version that was asked for, `3.10`; `interpreter` may be another one, which `notes` then says."""
    interpreter: str
    requirements: list[str] = []
    """PEP 508, in order, without options."""
    constraints: list[str] = []
    overrides: list[str] = []
    installs: list[Install] = []
    """What is installed after `requirements`, one after the other."""
    exclude_newer: str | None = None
    """`2024-06-01`: packages uploaded later do not exist."""
    context: str | None = None
    """The folder that a Dockerfile's COPY reads."""
    context_root: str | None = None
    """The folder of the whole datastore that it lies in: no link may lead out of it."""
    copies: list[CopyStep] = []
    variables: dict[str, str] = {}
    notes: list[str] = []
    """Every approximation, one sentence each, for the job's system log."""
    image: ImagePlan | None = None
    """The container image that is the environment; nothing else is built then, and `RunPlan.container` is set."""


class ImagePlan(msgspec.Struct, kw_only=True):
    """`name` is what to pull where it is missing; with a `context` it is the tag of what is built from that."""

    name: str
    context: str | None = None
    dockerfile: str | None = None
    """Path below the context."""


class ContainerEngine(msgspec.Struct, kw_only=True):
    """What runs containers on this machine, as the agent's `--probe-containers` found it."""

    kind: str
    """`podman` or `docker`."""
    command: list[str]
    """The program, and its options before the verb."""
    run_options: list[str] = []
    """Options without which `run` does not work here."""
    log_driver: str = "none"
    user: str = "0:0"
    """`UID:GID` in the container that is the invoking user outside."""
    limits: bool = True
    """Whether it can limit memory and processes here."""
    detail: str = ""
    """For people: name and version."""


class CopyStep(msgspec.Struct, kw_only=True):
    """A Dockerfile's COPY: `source` below the context, `destination` absolute in the image."""

    source: str
    destination: str


class Code(msgspec.Struct, kw_only=True):
    """A code snapshot: a folder on this machine, or the listing of a blob folder to fetch."""

    path: str | None = None
    root: str | None = None
    """The folder of the whole datastore that `path` lies in: no link may lead out of it."""
    url: str | None = None
    """`https://host/container/prefix`; its SAS query stands in `RunSecrets.queries["code"]`."""
    hash: str | None = None
    """The SDK's content hash (algorithm 202208) of the folder; checked when given."""


class DataKind(StrEnum):
    LITERAL = "literal"
    PATH = "path"
    """A file or folder of this machine: a local datastore's own files."""
    BLOB = "blob"
    """`https://host/container/path`, with the query in the secrets. A file, or every blob below the path."""
    HTTP = "http"
    """A public address of one file."""


class Input(msgspec.Struct, kw_only=True):
    """`type` and `mode` are Azure's words in the SDK's spelling: `uri_file`, `ro_mount`, ..."""

    kind: DataKind
    type: str = "uri_folder"
    mode: str = "ro_mount"
    value: str | None = None
    """The literal as text, as it goes into the command."""
    path: str | None = None
    root: str | None = None
    """The datastore's folder that `path` lies in: a link that leads out of it is refused."""
    url: str | None = None
    uri: str | None = None
    """The address as the user knows it (`azureml://...`): messages name it, and mode `direct` passes it on."""


class Output(msgspec.Struct, kw_only=True):
    """Where an output goes: `path` (a local datastore's folder, or file for `uri_file`) or `url` (kind blob)."""

    kind: DataKind = DataKind.PATH
    type: str = "uri_folder"
    mode: str = "rw_mount"
    path: str | None = None
    root: str | None = None
    """As of an input."""
    url: str | None = None
    uri: str | None = None


class Distribution(msgspec.Struct, kw_only=True):
    """How many processes, and which variables tell them who they are. `type` is None for a plain command."""

    type: str | None = None
    """`pytorch`, `mpi` or `tensorflow`."""
    nodes: int = 1
    processes_per_node: int = 1
    worker_count: int = 1
    parameter_server_count: int = 0


class Parallel(msgspec.Struct, kw_only=True):
    """What the driver of a parallel job does: the command runs it, and the agent lays it beside the code.

    `input` and `append_to` name an input and an output of the job. Seconds, and thresholds below zero that bear any
    number of failures.
    """

    entry_script: str
    input: str
    as_files: bool = False
    """A table's files are wanted, whatever they hold."""
    append_to: str | None = None
    mini_batch_size: int | None = None
    """Files, or bytes of a table."""
    partition_keys: list[str] = []
    instances: int = 1
    workers_per_instance: int = 1
    max_retries: int = 2
    timeout: float = 60.0
    error_threshold: int = -1
    mini_batch_error_threshold: int = -1
    logging_level: str = "INFO"


class Transfer(msgspec.Struct, kw_only=True):
    """What a step of data transfer does: the agent copies every input into the one output. No command runs.

    Without `overwrite` a file that two inputs have, or that is there already, fails the run before anything is copied;
    when `resumed`, an earlier attempt may have copied some: a file of the same content is no conflict then.
    """

    overwrite: bool = True
    resumed: bool = False


class Isolation(msgspec.Struct, kw_only=True):
    kind: str = "process"
    """`bubblewrap`, `landlock` or `process`; `container` where the environment is an image; `mounts`, for who steps into
    a job, is a process that sees the machine as it is, and its inputs as bubblewrap mounts them: they cannot be written
    to. A `process` has copies of its inputs and environment."""
    bwrap: str = "bwrap"
    options: list[str] = []
    """bubblewrap's own, that work on this machine."""
    hide: list[str] = []
    """Folders and files no job may see, also below what is shown: the platform's home, what only root may read."""
    show: list[str] = []
    """Files or folders outside of the system that the job may read, such as the CA bundle."""


class ControlGroup(msgspec.Struct, kw_only=True):
    """Where groups of runs are made for one controller: version 1 or 2, and the folder."""

    version: int
    folder: str


class ControlGroups(msgspec.Struct, kw_only=True):
    """What the agent's `--probe-limits` found to work; None where that controller does not."""

    memory: ControlGroup | None = None
    pids: ControlGroup | None = None


class Limits(msgspec.Struct, kw_only=True):
    """None sets no limit. Memory and processes are of a node, open files of a process, the disk of the whole job."""

    memory_bytes: int | None = None
    memory_from: str = "the server's setting job_memory"
    """Where that figure is from, for messages: `the memory of STANDARD_DS3_v2`."""
    processes: int | None = None
    """With their threads."""
    open_files: int | None = None
    disk_bytes: int | None = None
    """What the job may write to its folder, its artifacts and its outputs."""
    groups: ControlGroups | None = None
    """None: limits are kept by rlimits and by the agent's watch."""


class RunPlan(msgspec.Struct, kw_only=True):
    """One job on this machine. Paths are absolute. Holds no secret."""

    job: str
    command: str
    """With `${{inputs.x}}`, `${{outputs.x}}`, `$[[optional ${{inputs.x}}]]` still in it: the agent knows the paths."""
    environment: EnvironmentPlan
    environments_root: str
    artifacts: str
    """A plain folder: the run's artifacts (`user_logs/`, `azureml-logs/`, `system_logs/`, `outputs/`, `logs/`)."""
    uv: str = "uv"
    uv_cache: str | None = None
    version: int = VERSION
    code: Code | None = None
    inputs: dict[str, Input] = {}
    outputs: dict[str, Output] = {}
    variables: dict[str, str] = {}
    inherit: list[str] = msgspec.field(default_factory=lambda: list(INHERITED))
    """Names of the machine's own variables that the job gets, when they are set."""
    timeout_s: float | None = None
    grace_s: float = 10.0
    """Seconds between SIGTERM and SIGKILL."""
    distribution: Distribution = msgspec.field(default_factory=Distribution)
    parallel: Parallel | None = None
    transfer: Transfer | None = None
    isolation: Isolation = msgspec.field(default_factory=Isolation)
    limits: Limits = msgspec.field(default_factory=Limits)
    container: ContainerEngine | None = None
    """Set when the environment is an image."""
    shm_size: str | None = None
    """Of a container's /dev/shm: `2g`."""
    ca_bundle: str | None = None
    """PEM file that the agent's own downloads and uploads trust."""


class RunSecrets(msgspec.Struct, kw_only=True):
    variables: dict[str, str] = {}
    """Environment variables of the job, over the plan's."""
    queries: dict[str, str] = {}
    """SAS queries without `?`, by `code`, `inputs.<name>` or `outputs.<name>`."""


class RunPhase(StrEnum):
    PREPARING = "preparing"
    """Environment, code, inputs."""
    RUNNING = "running"
    FINALIZING = "finalizing"
    """Outputs and artifacts."""
    DONE = "done"


class RunOutcome(StrEnum):
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


class RunError(msgspec.Struct, kw_only=True):
    code: str
    """`UserError/CommandFailed`, `EnvironmentBuildFailed`, `UserError/InputNotFound`, `JobTimeout`, ..."""
    message: str


class RunStatus(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The agent's last word. `outcome` is set exactly when `phase` is done. Times are ISO 8601 in UTC."""

    phase: RunPhase
    pid: int
    """The agent's."""
    start_ticks: int
    """Field 22 of /proc/<pid>/stat: with the pid and `boot` it names one process for ever."""
    heartbeat: str
    times: dict[str, str] = {}
    """When each phase began, by its name, plus `environment`, `code`, `inputs`, `process` and `outputs`."""
    activity: str | None = None
    """What a preparing run is doing: `building the environment`, `downloading input x`."""
    boot: str = ""
    """The id of the machine's start."""
    outcome: RunOutcome | None = None
    exit_code: int | None = None
    """The process's, or minus the number of the signal that ended it."""
    error: RunError | None = None
    notes: list[str] = []
