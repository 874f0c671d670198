"""Comparison of runs: plan them, run them, read them and test their differences."""
