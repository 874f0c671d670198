"""Layers in the header of WebAnno TSV 3, and the column that is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest
from hf_tagging.errors import DataError
from hf_tagging.problems import argument

_ENTITIES = "NamedEntity"
_FIRST = ("value", "label", "PosValue")  # features that hold the type, where a layer has several


@dataclass(frozen=True)
class Column:
    """A feature of a layer.

    Args:
        layer: Short name of the layer: `NamedEntity`.
        feature: Name of the feature, empty for a layer without any.
        index: Position of the column behind the word.
        is_span: Whether the layer annotates spans; not so relations, chains and slots.
    """

    layer: str
    feature: str
    index: int
    is_span: bool

    @property
    def name(self) -> str:
        """Name as `layer` takes it."""
        return f"{self.layer}|{self.feature}"


def columns_of(header: Sequence[str], file: str) -> list[Column]:
    """Return the columns that a header names.

    Raises:
        DataError: It has no layer.
    """
    found: list[Column] = []
    for line in header:
        kind, _, names = line.partition("=")
        layer, *features = names.split("|")
        slots = {index for index, feature in enumerate(features) if feature.startswith("ROLE_")}
        for index, feature in enumerate(features or [""]):
            in_slot = index in slots or index - 1 in slots  # its role, and then what fills it
            found.append(Column(layer.rsplit(".", 1)[-1], feature, len(found), kind == "#T_SP" and not in_slot))
    if not found:
        raise DataError(f"{file}: no layer in its header; expected a line as #T_SP=...NamedEntity|value")
    return found


def chosen_column(columns: Sequence[Column], *, file: str, request: ReadRequest, notes: FileNotes) -> Column:
    """Return the column that is read: of the layer asked for, else of named entities, else of the first of spans.

    Raises:
        DataError: There is no layer of the name that was asked for, or none of spans.
    """
    spans = [column for column in columns if column.is_span]
    if request.layer is not None:
        asked = request.layer.rsplit(".", 1)[-1]
        fitting = [column for column in spans if asked in (column.layer, column.name)]
    else:
        first = [column for column in spans if column.layer == _ENTITIES]
        layer = (first or spans)[0].layer if spans else ""
        fitting = [column for column in spans if column.layer == layer]
    if not fitting:
        there = ", ".join(dict.fromkeys(column.layer for column in spans)) or "none of spans"
        what = f"{argument('layer', request.layer)}: no such layer" if request.layer else "no layer of spans"
        raise DataError(f"{file}: {what}; found {there}")
    chosen = next((column for name in _FIRST for column in fitting if column.feature == name), fitting[-1])
    notes.left_out += [column.name for column in columns if column != chosen]
    others = list(dict.fromkeys(column.layer for column in spans if column.layer != chosen.layer))
    if others and request.layer is None:
        text = f"several layers of spans: {chosen.layer} is read and not {', '.join(others)}; choose with "
        notes.remark("layer", text + argument("layer"))
    return chosen
