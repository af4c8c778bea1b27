"""Chaos experiments against a world; none is shipped yet."""
