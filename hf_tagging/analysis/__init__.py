"""Analysis of predictions, as reports show it."""
