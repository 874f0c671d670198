"""Limits of a server: sizes of requests, the queue, and times."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

from hf_tagging.errors import ConfigError, Problem


@dataclass(frozen=True)
class Limits:
    """Limits of a server; requests beyond one are refused with its name and value.

    Raises:
        ConfigError: One of them is not a finite number above 0; `drain_seconds` may be 0.
    """

    max_bytes: int = field(default=256 * 1024, metadata={"help": "bytes of the body of a request"})
    max_sentences: int = field(default=1000, metadata={"help": "sentences of a request"})
    max_words: int = field(default=10_000, metadata={"help": "words of a request"})
    max_seconds: float = field(
        default=30.0, metadata={"help": "seconds that a request may take, from the end of its headers to its tags"}
    )
    queue_words: int = field(
        default=50_000, metadata={"help": "words that may wait for a model; more are refused with 429"}
    )
    drain_seconds: float = field(
        default=2.0,
        metadata={
            "help": "seconds after SIGTERM in which new requests are answered with 503 before the port closes; 0: none"
        },
    )

    def __post_init__(self) -> None:
        problems = []
        for limit in fields(self):
            value, may_be_0 = getattr(self, limit.name), limit.name == "drain_seconds"
            if not 0 <= value < math.inf or (value == 0 and not may_be_0):
                wanted = "a finite number of 0 or more" if may_be_0 else "a finite number above 0"
                problems.append(Problem(limit.name, value, f"{value} is not {wanted}", f"give {limit.default}, say"))
        if problems:
            raise ConfigError(problems)
