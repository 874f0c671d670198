"""Random and damaged input of every kind, in any number: `PYTHONPATH=tests python -m fuzz --help`."""
