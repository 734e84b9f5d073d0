"""Measurements: one script for each claim; `python -m benchmarks` runs a version of all of them."""
