"""The engine of a replica: its failures, the orders of operators about it, and what nobody has seen yet."""
