"""The membership of a process in an area, from generation to generation."""
