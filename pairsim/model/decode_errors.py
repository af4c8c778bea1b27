"""The exceptions that decoding untrusted bytes can raise."""

import msgspec

UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Exception types for an `except` clause: msgspec reports bad text and deep nesting by Python's own exceptions."""
