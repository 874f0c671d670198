"""What can go wrong by the user's hand, in four kinds. Each message names the value, the place, and what to do."""


class TaggingError(Exception):
    """Base of every error that this package raises on purpose.

    A command prints its message alone, without a traceback; anything else that escapes is a bug of ours.
    """


class ConfigError(TaggingError):
    """Flags or YAML keys that are unknown, of the wrong type or contradictory; all of them in one message."""


class DataError(TaggingError):
    """Data that cannot be read as words and tags."""


class ModelError(TaggingError):
    """A model or tokenizer that is not there, or that cannot do what was asked of it."""


class OutputError(TaggingError):
    """An output folder that holds something which would be lost, or a Hub that does not take what was made."""
