"""What decoding hostile bytes can raise."""

import msgspec

UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""For `except`: msgspec reports bad text and deep nesting by Python's own exceptions."""
