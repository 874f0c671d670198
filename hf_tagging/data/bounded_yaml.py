"""Untrusted YAML within bounds: few levels, and nothing that multiplies."""

from __future__ import annotations

import yaml

_DEEPEST = 20


class BoundedLoader(yaml.SafeLoader):
    """Composes nodes, but no alias: a few levels of them expand to more values than any memory holds."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose a node as PyYAML does.

        Raises:
            yaml.MarkedYAMLError: It is an alias, or too deep.
        """
        mark = self.peek_event().start_mark
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="an alias (*name); write the value itself there", problem_mark=mark)
        if self.depth >= _DEEPEST:
            raise yaml.MarkedYAMLError(problem=f"more than {_DEEPEST} levels in one another", problem_mark=mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1
