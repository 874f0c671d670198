"""Label Studio: JSON of tasks with annotations and predictions (https://labelstud.io/guide/task_format).

A task may have several annotations: the one marked as ground truth is read, else the latest; cancelled ones are not.
Each result belongs to a control of the labeling interface (``from_name``), a layer here. Offsets are code points;
releases before 2022 counted as JavaScript does (https://github.com/HumanSignal/label-studio/pull/1559). Predictions
are written as https://labelstud.io/guide/predictions tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from hf_tagging.atomic import json_text
from hf_tagging.data.formats.base import Document, Format, Head
from hf_tagging.data.formats.json_values import checked_text, list_in, name_of, objects, without, wrong
from hf_tagging.data.formats.label_studio_results import chosen_layer, found_in, layers_of, text_key, whole_labels
from hf_tagging.data.formats.offsets import checked_spans
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest

_ANNOTATIONS = ("annotations", "completions")
_OWN = frozenset({"text", "document_id"})


def _recognizes(head: Head) -> bool:
    rows = head.objects
    return bool(rows) and all(
        isinstance(row.get("data"), dict)
        and any(isinstance(row.get(key), list) for key in (*_ANNOTATIONS, "predictions"))
        for row in rows
    )


def _read(path: Path, file: str, request: ReadRequest, notes: FileNotes) -> Iterator[Document]:
    tasks = list(objects(path, file, request.encoding))
    layers = layers_of(
        result for place, task in tasks for result in _results(_annotation(task, file, place), file, place)
    )
    layer = chosen_layer(layers, file=file, request=request, notes=notes)
    every = (result for place, task in tasks for result in _results(_annotation(task, file, place), file, place))
    annotates = next((str(one["to_name"]) for one in every if _is_of(one, layer) and one.get("to_name")), None)
    before: list[object] = []  # the key of the text in the tasks before
    for place, task in tasks:
        annotations = _annotations(task, file, place)
        data = task.get("data")
        if not isinstance(data, dict):
            raise wrong(file, place, task, 'expected a task with "data"')
        annotation = _annotation(task, file, place)
        if len([one for one in annotations if not one.get("was_cancelled")]) > 1:
            notes.count("annotators", "texts with several annotations: the one that is marked as ground truth is read, "
                        "else the latest", severity="suspicious", example=place)  # fmt: skip
        results = _results(annotation, file, place)
        found = found_in(results, layer, file=file, place=place, notes=notes)
        names = [*before, *(result.get("to_name") for result in results)]
        key = text_key(data, found, names, file=file, place=place, request=request)
        before = [key]
        text = checked_text(data[key], file, place)
        yield Document(
            text=text,
            spans=checked_spans(text, found, file=file, place=place, request=request, notes=notes),
            id=name_of(data, "document_id") or name_of(task, "id"),
            unused="" if annotation else "with a cancelled annotation" if annotations else "without an annotation",
            place=place,
            source=task,
            extra={name: value for name, value in data.items() if name not in (key, "document_id")},
            layer=layer,
            annotates=annotates,
        )


def _annotations(task: dict[str, Any], file: str, place: str) -> list[dict[str, Any]]:
    key = next((key for key in _ANNOTATIONS if key in task), None)
    annotations = list_in(task, key, file, place) if key else []
    if not all(isinstance(annotation, dict) for annotation in annotations):  # an export may have their numbers alone
        raise wrong(file, place, annotations, "expected annotations with results; export the project as JSON")
    return annotations


def _annotation(task: dict[str, Any], file: str, place: str) -> dict[str, Any] | None:
    """Return the annotation that is read of a task, None where there is none."""
    there = [one for one in _annotations(task, file, place) if not one.get("was_cancelled")]

    def rank(numbered: tuple[int, dict[str, Any]]) -> tuple[bool, str, int]:
        index, one = numbered
        return bool(one.get("ground_truth")), str(one.get("updated_at") or one.get("created_at") or ""), index

    return max(enumerate(there), key=rank)[1] if there else None


def _results(annotation: dict[str, Any] | None, file: str, place: str) -> list[dict[str, Any]]:
    results = list_in(annotation, "result", file, place) if annotation else []
    if not all(isinstance(result, dict) for result in results):
        raise wrong(file, place, results, "expected results that are objects")
    return results


def _write(documents: Iterable[Document], stream: IO[str], notes: FileNotes) -> None:
    begin = "[\n"
    for document in documents:
        stream.write(begin + json_text(_task(document, notes), indent=None))
        begin = ",\n"
    stream.write("\n]\n" if begin != "[\n" else "[]\n")


def _task(document: Document, notes: FileNotes) -> dict[str, Any]:
    """Return a task: gold spans as its annotation, those of a model as a prediction beside the annotations it has."""
    task = dict(document.source)
    if task and document.unused and document.model is None:
        return task
    if not task:
        data = {**without(document.extra, _OWN), "text": document.text}
        number = document.id if document.id is not None and re.fullmatch(r"\d{1,15}", document.id, re.ASCII) else None
        if document.id is not None and number is None:
            data["document_id"] = document.id
        task = {"data": data} | ({"id": int(number)} if number is not None else {})
    key = next((key for key in _ANNOTATIONS if key in task), "annotations")
    annotation = _annotation(task, "", "")
    there = [result for one in task.get(key) or () for result in one.get("result") or ()]
    spans = _regions(document, there)
    if document.model is not None:
        scores = [span.score for span in document.spans if span.score is not None]
        score = {"score": sum(scores) / len(scores)} if scores else {}
        others = [one for one in task.get("predictions") or () if one.get("model_version") != document.model]
        return task | {"predictions": [*others, {"model_version": document.model, "result": spans, **score}]}
    if annotation is None:
        return task | {key: [*(task.get(key) or ()), {"result": spans}]}
    rest = [result for result in annotation.get("result") or () if not _is_of(result, document.layer)]
    written = annotation | {"result": spans + _still_there(rest, annotation, spans, document, notes)}
    return task | {key: [written if one is annotation else one for one in task[key]]}


def _is_of(result: dict[str, Any], layer: str | None) -> bool:
    return result.get("type") == "labels" and layer in (None, result.get("from_name"))


def _regions(document: Document, there: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return spans as results; one that is there already keeps its id and whatever else it has."""
    of_layer = [result for result in there if _is_of(result, document.layer)]
    names = {"from_name": document.layer or "label", "to_name": document.annotates or "text"}
    if of_layer:
        names = {key: of_layer[0].get(key, names[key]) for key in names}
    waiting = {index: (span.start, span.end, span.type) for index, span in enumerate(document.spans)}
    known: dict[int, dict[str, Any]] = {}
    for result in of_layer:  # one of several labels is several spans
        found = [next((i for i, at in waiting.items() if at == label), None) for label in whole_labels(result)]
        if found and None not in found:
            places = [index for index in found if index is not None]
            known[min(places)] = result
            waiting = {i: at for i, at in waiting.items() if i not in places}
    taken = {str(result.get("id")) for result in there}
    regions = []
    for number, span in enumerate(document.spans):
        if number not in known and number not in waiting:
            continue
        name = f"span-{number}" if f"span-{number}" not in taken else f"span-{number}-{len(taken)}"
        value = {"start": span.start, "end": span.end, "text": document.text[span.start : span.end]}
        fresh = {"id": name, **names, "type": "labels", "value": value | {"labels": [span.type]}}
        region = known.get(number, fresh)
        regions.append(region if span.score is None else region | {"score": span.score})
    return regions


def _still_there(
    rest: list[dict[str, Any]],
    before: dict[str, Any],
    spans: list[dict[str, Any]],
    document: Document,
    notes: FileNotes,
) -> list[dict[str, Any]]:
    """Return other results of an annotation without those of regions that are gone."""
    regions = [one for one in before.get("result") or () if _is_of(one, document.layer)]
    gone = {str(one["id"]) for one in regions if "id" in one} - {str(one.get("id")) for one in spans}
    kept = [one for one in rest if gone.isdisjoint(str(one.get(key)) for key in ("id", "from_id", "to_id"))]
    if lost := len(rest) - len(kept):
        notes.count("relations", "results of entities that are gone: left out", by=lost, example=document.place)
    return kept


LABEL_STUDIO = Format(
    name="label-studio",
    title="Label Studio JSON",
    recognizes=_recognizes,
    read=_read,
    write=_write,
    suffix=".json",
    holds=frozenset({"texts", "overlaps", "scores", "ids", "extra", "predictions"}),
    takes=frozenset({"encoding", "layer", "tokens_column"}),
    own=_OWN,
)
