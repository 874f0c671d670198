"""The line of a running annotation: rows done, rows a second, and the time that is left."""

from __future__ import annotations

import sys
import time

from hf_tagging.annotating.shards import ShardRecord
from hf_tagging.atomic import Json

_EVERY_ON_TERMINAL, _EVERY_IN_LOG = 1.0, 30.0  # seconds


class Dashboard:
    """One line on standard error: on a terminal it is replaced, elsewhere a new one is written every half minute.

    Args:
        rows: Of the whole annotation.
        before: Rows of shards that an earlier start has written.
        workers: Number of workers.
    """

    def __init__(self, rows: int, before: int, workers: int):
        self._rows, self._before, self._workers = rows, before, workers
        self._done = self._rejected = 0
        self._doing: dict[int, int] = {}
        self._first: tuple[float, int] | None = None  # when and at how many rows the first worker was at work
        self._last = time.monotonic()
        self._in_place = sys.stderr.isatty()

    def __enter__(self) -> Dashboard:
        return self

    def __exit__(self, *error: object) -> None:
        if self._in_place:
            print("\r\x1b[2K", end="", file=sys.stderr, flush=True)

    @property
    def _now(self) -> int:
        return self._done + sum(self._doing.values())

    def doing(self, shard: int, rows: int) -> None:
        """Take note of the rows of a shard that are done."""
        self._doing[shard] = rows
        self._begin()

    def finished(self, record: ShardRecord) -> None:
        """Take note of a shard that is written."""
        self._doing.pop(record.shard, None)
        self._done += record.rows
        self._rejected += sum(record.rejected.values())
        self._begin()
        self.show()

    def _begin(self) -> None:
        if self._first is None:
            self._first = time.monotonic(), self._now

    def speed(self) -> dict[str, Json]:
        """Return the rows a second since the first rows were done, once there were more."""
        per_second = self._per_second()
        return {"rows": self._done, "rows_per_second": per_second and round(per_second, 1)}

    def _per_second(self) -> float | None:
        if self._first is None:
            return None
        since, at = self._first
        passed, rows = time.monotonic() - since, self._now - at
        return rows / passed if rows > 0 and passed > 0 else None

    def show(self) -> None:
        """Show the line, if it is time for it."""
        now = time.monotonic()
        if now - self._last < (_EVERY_ON_TERMINAL if self._in_place else _EVERY_IN_LOG):
            return
        self._last = now
        line = self.line()
        print(f"\r\x1b[2K{line[:120]}" if self._in_place else line, end="" if self._in_place else "\n",
              file=sys.stderr, flush=True)  # fmt: skip

    def line(self) -> str:
        """Return the line."""
        done = self._before + self._now
        parts = [f"{done:,} of {self._rows:,} rows ({done / max(1, self._rows):.0%})"]
        if per_second := self._per_second():
            parts.append(f"{per_second:,.0f} rows/s")
            parts.append(f"about {_duration((self._rows - done) / per_second)} left")
        elif not self._now:
            parts.append(f"{self._workers} worker{'s' * (self._workers > 1)} starting")
        if self._rejected:
            parts.append(f"{self._rejected:,} set aside")
        return ", ".join(parts)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
