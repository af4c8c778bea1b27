"""Programs of the user's machine that work on a cluster: kubectl, docker, kind."""

from __future__ import annotations

import subprocess

from tests.cluster.native.sandbox import ClusterError


def run(*command: str, stdin: bytes = b"", seconds: float = 60.0) -> str:
    """Runs a command and returns its output.

    Raises:
        ClusterError: The command failed, is not installed, or took too long.
    """
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=seconds, check=False)
    except FileNotFoundError:
        raise ClusterError(f"{command[0]} is not installed; install it, or see docs/kubernetes.md") from None
    except subprocess.TimeoutExpired:
        raise ClusterError(f"{' '.join(command)}: no answer after {seconds:.0f} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise ClusterError(f"{' '.join(command)}: {said}")
    return done.stdout.decode(errors="replace")
