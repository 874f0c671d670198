"""Rules beside a model: phrases and token patterns, and what they say of the words that they match."""
