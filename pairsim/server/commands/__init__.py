"""How commands come in: requests and sessions, one gateway for both, and the relay to the active."""
