"""Push a model to the Hub."""
