"""Comparison of runs: plan, run, read, and test differences."""
