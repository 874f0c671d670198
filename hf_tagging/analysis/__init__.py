"""Analysis of predictions: what a report shows about where a tagger is right and where it is wrong."""
