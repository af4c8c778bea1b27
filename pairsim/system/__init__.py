"""The machine around a process: signals, output, ports and limits that it inherits or shares with other programs."""
