"""Search for the best arguments of a run: space, study, trials, and the best trials again with further seeds."""
