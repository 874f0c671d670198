"""Private names of `evaluate`. Seen in evaluate 0.4.6."""

from __future__ import annotations

import evaluate


class InMemoryMetric(evaluate.Metric):
    """A metric that makes no folder in `HF_HOME` as long as it stays in memory.

    Upstream: `EvaluationModule._build_data_dir`, which the constructor calls, and which makes a folder in any case.
    """

    def _build_data_dir(self) -> str:
        return "" if self.keep_in_memory else super()._build_data_dir()
