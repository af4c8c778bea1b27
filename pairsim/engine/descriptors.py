"""What a node and the program of its engine agree on: file descriptors, variables, an option, and an exit code."""

from __future__ import annotations

SOCKET, MEMORY, REPORT = 3, 4, 5
"""The connection to the node; the shared memory; and a small file for what an engine leaves behind when it ends."""

HEADER_BYTES = 4096
"""The begin of the shared memory, which belongs to no table."""

REPORT_BYTES = 64 * 2**10
"""The length of the report. The engine's runtime writes into it where its code was, at a fatal signal or SIGQUIT."""

DISCONNECTED_EXIT_CODE = 76
"""The exit code of an engine that cannot talk to its node any more."""

UNEXECUTABLE_EXIT_CODE = 77
"""The exit code of an engine whose program cannot be executed."""

NODE_PID = "PAIRSIM_ENGINE_NODE"
"""The variable with the process id of the node."""

SEARCH_PATH = "PAIRSIM_ENGINE_PATH"
"""The variable with the folders of the author's modules, which are searched last."""

PYTHON_PATH = "PAIRSIM_ENGINE_PYTHONPATH"
"""The variable with the PYTHONPATH that programs get which the author's code starts."""

WARM_OPTION = "--warm"
"""The option that makes an engine load the libraries that take longest while it waits for an area."""
