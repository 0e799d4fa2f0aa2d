"""The likely cause of a failed command, from its exit code and its last lines. Pure."""

import re
import signal

LAST_LINES = 20


def message(exit_code: int, tail: str, environment: str, log: str, cause: str = "") -> str:
    """What the job's error says: the code, a likely cause (`cause` where it is known), the last lines."""
    text = f"Execution failed. The user's process {ending(exit_code)}. Please check log file '{log}' for error details."
    cause = cause or likely(exit_code, tail, environment)
    if cause:
        text += f" Likely cause: {cause}"
    last = "\n".join(tail.rstrip().splitlines()[-LAST_LINES:])
    return f"{text}\nError: {last}" if last else f"{text}\nThe process wrote nothing."


def ending(exit_code: int) -> str:
    """`exited with status code 1`, or the name of the signal (a shell reports one as 128 + its number)."""
    number = -exit_code if exit_code < 0 else exit_code - 128
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"exited with status code {exit_code}"
    return f"was ended by signal {name} (exit code {128 + number})"


def likely(exit_code: int, tail: str, environment: str) -> str:
    """One sentence, or nothing when there is no good guess."""
    for pattern, sentence in PATTERNS:
        found = re.findall(pattern, tail)
        if found:
            groups = found[-1] if isinstance(found[-1], tuple) else (found[-1],)
            return sentence.format(*groups, environment=environment)
    return EXIT_CODES.get(exit_code if exit_code >= 0 else 128 - exit_code, "").format(environment=environment)


PATTERNS = (
    (
        r"ModuleNotFoundError: No module named '([^'.]+)",
        "the package '{0}' is not in the environment {environment}: add it to the conda_file (or Dockerfile) of the "
        "environment, or choose an environment that has it.",
    ),
    (
        r"ImportError: (cannot import name [^\n]+)",
        "{0}: the version of that package in the environment {environment} does not fit the script.",
    ),
    (
        r"A module that was compiled using NumPy 1\.x|numpy\.dtype size changed|_ARRAY_API not found",
        "a package of the environment {environment} was compiled for NumPy 1: add numpy<2 to its conda_file.",
    ),
    (
        r"can't open file '([^']+)'",
        "the file {0} is not in the code snapshot: check the job's 'code' folder and the command.",
    ),
    (
        r"FileNotFoundError: \[Errno 2\] No such file or directory: '([^']+)'",
        "the file '{0}' does not exist for the job: what it reads must lie in its 'code' folder or be an input, and "
        "folders it writes to must be made first.",
    ),
    (
        r"PermissionError: \[Errno 13\] Permission denied: '(/(?:var/)?tmp(?:/[^']*)?)'",
        "the job may not write to '{0}': where Landlock keeps jobs apart, /tmp is not theirs. Use Python's tempfile or "
        "$TMPDIR, or install bubblewrap on the server's machine.",
    ),
    (
        r"(?:PermissionError: \[Errno 13\] Permission denied|OSError: \[Errno 30\] Read-only file system): '([^']+)'",
        "the job may not write to '{0}': inputs are read-only unless their mode is rw_mount or download; write to an "
        "output or to ./outputs.",
    ),
    (r"error: (the following arguments are required: [^\n]+)", "the command does not match the script: {0}."),
    (r"error: (unrecognized arguments: [^\n]+)", "the command does not match the script: {0}."),
    (r"error: (argument [^\n]+)", "the command does not match the script: {0}."),
    (
        r"(?:bash: line \d+: )?([^\s:]+): command not found",
        "the program '{0}' is not in the environment {environment}.",
    ),
    (r"MemoryError", "the process ran out of memory: use less data at once, or a larger VM size."),
    (r"No space left on device", "the disk is full."),
    (r"CERTIFICATE_VERIFY_FAILED", "a server's certificate is not trusted: see REQUESTS_CA_BUNDLE."),
)

EXIT_CODES = {
    2: "the command's arguments are wrong (exit code 2 is what argument parsers and the shell use).",
    126: "the command names a file that is not executable: call it through its interpreter, or set its mode.",
    127: "the command names a program that is not in the environment {environment}.",
    134: "the process aborted itself.",
    137: "the process was killed, mostly for using more memory than there is.",
    139: "the process crashed in native code (segmentation fault).",
    143: "the process was asked to end from outside.",
}
