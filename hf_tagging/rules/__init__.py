"""Rules beside a model: phrases and patterns of words, and what they say of the words that they match."""
