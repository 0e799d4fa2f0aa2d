"""What processes take together, of real ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lazulite.node import processes

pytestmark = pytest.mark.skipif(
    not Path(f"/proc/self/task/{os.getpid()}/children").exists(), reason="the kernel does not tell children"
)
SHARED = 48 << 20
#: Fills memory, shares it with a child, says that it is ready, and waits.
CODE = f"import os, sys; x = b'x' * {SHARED}; os.fork() or print('up', flush=True); sys.stdin.read()"


def test_a_tree_is_found_and_what_it_shares_counts_once() -> None:
    parent = subprocess.Popen([sys.executable, "-c", CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        (child,) = processes.below(parent.pid)
        tree = [parent.pid, child]
        assert set(tree) <= set(processes.below(os.getpid()))
        assert processes.tasks(tree) == 2
        assert processes.resident(tree) >= 2 * SHARED
        assert SHARED <= processes.shared_out(tree) < 2 * SHARED
        assert processes.of_user(os.getuid()) >= 2
    finally:
        parent.communicate()
    assert processes.below(parent.pid) == []
    gone = [parent.pid]
    assert (processes.tasks(gone), processes.resident(gone), processes.shared_out(gone)) == (0, 0, 0)
