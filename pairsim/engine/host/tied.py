"""Executes a program that the kernel ends together with its node: `python -I -S tied.py PROGRAM`.

A program in another language need not know of prctl(2): the request that this script makes outlives execve(2). The
script runs by itself, without the rest of pairsim, and is gone when the program runs.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
NODE_PID, UNEXECUTABLE_EXIT_CODE = "PAIRSIM_ENGINE_NODE", 77
"""As in `pairsim.engine.descriptors`."""


def main() -> None:
    """Replaces this process by the program."""
    if len(sys.argv) != 2 or not os.path.isabs(sys.argv[1]):  # noqa: PTH117 - pathlib takes as long as all the rest
        sys.stderr.write("usage: tied.py /PATH/OF/PROGRAM\n")
        sys.exit(2)
    program = sys.argv[1]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(os.environ[NODE_PID]):  # the node ended before the request
        return
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execv(program, [program])  # noqa: S606 - a path without a shell is the intent
    except OSError as error:
        sys.stderr.write(f"{program} cannot be executed: {error.strerror}\n")
        sys.exit(UNEXECUTABLE_EXIT_CODE)


if __name__ == "__main__":
    main()
