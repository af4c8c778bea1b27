"""Benchmarks on real processes over loopback; `make bench`."""
