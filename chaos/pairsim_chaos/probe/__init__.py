"""Watches a world from outside, as its users do, and keeps what is needed to judge it afterwards."""
