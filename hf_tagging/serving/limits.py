"""Limits of a server: sizes of requests, the queue, and times."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from hf_tagging.errors import ConfigError, Problem


@dataclass(frozen=True)
class Limits:
    """Limits of a server; requests beyond one are refused with its name and value.

    Raises:
        ConfigError: One of them is not positive.
    """

    max_bytes: int = field(default=256 * 1024, metadata={"help": "bytes of the body of a request"})
    max_sentences: int = field(default=1000, metadata={"help": "sentences of a request"})
    max_words: int = field(default=10_000, metadata={"help": "words of a request"})
    max_seconds: float = field(
        default=30.0, metadata={"help": "seconds that a request may take, from its first byte to its tags"}
    )
    queue_words: int = field(
        default=50_000, metadata={"help": "words that may wait for a model; more are refused with 429"}
    )
    drain_seconds: float = field(
        default=2.0,
        metadata={"help": "seconds after SIGTERM in which new requests are answered with 503 before the port closes"},
    )

    def __post_init__(self) -> None:
        problems = [
            Problem(limit.name, value, f"{value} is not positive")
            for limit in fields(self)
            if not (value := getattr(self, limit.name)) > 0
        ]
        if problems:
            raise ConfigError(problems)
