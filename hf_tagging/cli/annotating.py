"""`suggest`: which texts to annotate next."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

from hf_tagging.cli.answers import Answer, show_table
from hf_tagging.cli.command import Command, add_json, add_model_options
from hf_tagging.cli.quiet import quiet_libraries
from hf_tagging.console import working
from hf_tagging.errors import ConfigError
from hf_tagging.inference.command import (
    NOTHING_WRITTEN,
    add_computing,
    add_input_format,
    add_reading_exports,
    tagger_options,
)

if TYPE_CHECKING:
    from hf_tagging.data.formats.base import Document, Format
    from hf_tagging.inference.suggestions import Suggestion, Suggestions
    from hf_tagging.inference.tagger import Tagger

_LONGEST = 60  # characters of a text in the table
_FORMAT = "doccano"


def _add_suggest(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="DIR", help="tagger that is to be trained further")
    parser.add_argument(
        "texts",
        metavar="TEXTS",
        help="texts to choose from: plain text with a text per line, CSV, JSON Lines, columns, or an export of an "
        "annotation tool, of which texts with annotated spans are left out",
    )
    parser.add_argument("--number", type=int, default=100, metavar="N", help="how many texts; default: 100")
    parser.add_argument(
        "--by",
        choices=("uncertainty", "diversity", "disagreement"),
        default="uncertainty",
        help="uncertainty: texts with the least certain words (default); diversity: texts that differ from each other "
        "and from what is annotated; disagreement: texts that several models tag differently",
    )
    parser.add_argument(
        "--measure", choices=("entropy", "margin"), default="entropy", help="of uncertainty; default: entropy"
    )
    parser.add_argument("--models", nargs="+", default=[], metavar="DIR", help="further taggers, for disagreement")
    parser.add_argument(
        "--annotated",
        nargs="+",
        default=[],
        metavar="PATH",
        help="files with texts that are annotated already, in any format that is read; these are left out",
    )
    add_input_format(parser)
    parser.add_argument(
        "--text_column", metavar="NAME", help="column of the texts in CSV, or their key in JSON Lines; default: text"
    )
    parser.add_argument("--tokens_column", metavar="NAME", help="of an export whose tasks have several texts, the one")
    add_reading_exports(parser)
    parser.add_argument("--seed", type=int, default=0, help="of what diversity draws; default: 0")
    output = parser.add_argument_group("output")
    output.add_argument("--output", metavar="FILE", help="write the texts there, with predictions to be corrected")
    output.add_argument(
        "--format",
        metavar="NAME",
        help="format of the output: label-studio, doccano, prodigy, brat ...; default: that of TEXTS if it is an "
        f"export of an annotation tool, else {_FORMAT}; without --output, to standard output",
    )
    output.add_argument("--overwrite", action="store_true", help="replace an existing output file")
    add_json(output)  # type: ignore[arg-type]  # a group takes arguments as a parser does
    model = parser.add_argument_group("model")
    model.add_argument("--revision", help="branch, tag or commit of a model on the Hub")
    add_model_options(model)  # type: ignore[arg-type]
    add_computing(model)


def _suggest(args: argparse.Namespace) -> Answer | None:
    from hf_tagging.data.formats import format_of
    from hf_tagging.data.spool import Spool
    from hf_tagging.inference.suggesting import suggest_texts
    from hf_tagging.inference.texts import annotated_texts, read_documents
    from hf_tagging.tasks import task_of_tags

    if args.overwrite and not args.output:
        raise ConfigError("--overwrite: goes with --output. Leave it out.")
    if args.json and args.format and not args.output:
        raise ConfigError("--json and --format both ask for standard output. Give --output FILE.")
    with Spool() as spool:
        path = spool.file(args.texts)
        source = format_of(path) if args.input_format is None else None
        form = _output_format(args, source)
        texts = read_documents(
            path,
            input_format=args.input_format,
            text_column=args.text_column,
            tokens_column=args.tokens_column,
            layer=args.layer,
            encoding=args.encoding,
        )
        first = next(texts, None)  # a file that cannot be read is refused before a model is loaded
        quiet_libraries()
        with working("Loading the model"):
            tagger, *others = (_load(name, args) for name in (args.model, *args.models))
        task = task_of_tags(has_entities=bool(tagger.schema.entity_types))
        done = (annotated_texts(spool.file(name), task=task) for name in args.annotated)
        with working(f"Choosing from {args.texts}"):
            found = suggest_texts(
                tagger,
                chain([first] if first else [], texts),
                number=args.number,
                by=args.by,
                measure=args.measure,
                models=others,
                annotated=chain.from_iterable(done),
                seed=args.seed,
            )
    if form is not None:
        _write(found, form, source, args)
    return _answer(found, args, form)


def _output_format(args: argparse.Namespace, source: Format | None) -> Format | None:
    """Return the format to write; None where a table is asked for."""
    from hf_tagging.inference.exports import takes_documents, written_format
    from hf_tagging.inference.files import check_paths

    if not (args.output or args.format):
        return None
    own = source.name if source is not None and takes_documents(source) else _FORMAT
    form = written_format(args.format or own)
    check_paths(None, args.output, overwrite=args.overwrite, format=form.name)
    return form


def _load(name: str, args: argparse.Namespace) -> Tagger:
    from hf_tagging.inference.tagger import Tagger

    return Tagger.from_pretrained(name, **tagger_options(args))


def _write(found: Suggestions, form: Format, source: Format | None, args: argparse.Namespace) -> None:
    from hf_tagging.data.notes import FileNotes
    from hf_tagging.inference.exports import log_notes, write_export

    notes = FileNotes(args.output or "standard output", form.title)
    documents = _documents(found, same=source is form, by=args.by)
    write_export(form, documents, args.output, notes, overwrite=args.overwrite)
    log_notes(notes)


def _documents(found: Suggestions, *, same: bool, by: str) -> Iterator[Document]:
    """Yield the chosen texts, with their scores among the values that a format can hold."""
    from dataclasses import replace

    for suggestion in found.chosen:
        document = suggestion.document
        extra = {**document.extra, by: round(suggestion.score, 6)}
        yield replace(document, extra=extra, source=document.source if same else {})


def _answer(found: Suggestions, args: argparse.Namespace, form: Format | None) -> Answer | None:
    written = f" Written to {args.output}." if args.output else ""
    if form is not None and not args.output:
        import sys

        print(found.note(), file=sys.stderr)
        return None

    def show() -> None:
        if form is None:
            header = ("text", args.by, "", "least certain")
            show_table(header, [_row(suggestion) for suggestion in found.chosen], right=[0, 1])
            print()
        print(found.note() + written)

    return Answer({"output": args.output} | found.as_dict(), show)


def _row(suggestion: Suggestion) -> tuple[str, str, str, str]:
    text = " ".join(suggestion.document.text.split())
    text = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    doubt = suggestion.doubts[0]
    least = f"{doubt.word}: {doubt.tag} {doubt.score:.2f}, {doubt.other} {doubt.other_score:.2f}"
    return (f"{suggestion.number:,}", f"{suggestion.score:.3f}", text, least)


COMMANDS = (
    Command(
        name="suggest",
        summary="Choose the texts to annotate next, and write them for an annotation tool with predictions.",
        details="Texts that are annotated already, repeated ones and near repetitions are left out. Without --output "
        "and --format, a table of the texts is printed.",
        add=_add_suggest,
        run=_suggest,
        interrupted=NOTHING_WRITTEN,
        examples=(
            "hf-tagging suggest runs/ner texts.txt --number 20",
            "hf-tagging suggest runs/ner texts.txt --annotated my.conll --output next.json --format label-studio",
            "hf-tagging suggest runs/ner texts.txt --by disagreement --models runs/ner-2 --format doccano > next.jsonl",
        ),
    ),
)
