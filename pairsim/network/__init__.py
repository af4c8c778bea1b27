"""The HTTP and WebSocket API of a process, and its Python client."""
