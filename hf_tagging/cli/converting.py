"""Command `convert`: a corpus from any format that is read to any that is written."""

from __future__ import annotations

import argparse
from pathlib import Path

from hf_tagging.cli.answers import Answer, show_table
from hf_tagging.cli.command import Command, add_json, add_reading
from hf_tagging.cli.quiet import errors_only, quiet_libraries
from hf_tagging.console import working
from hf_tagging.data.request import READ_OPTIONS
from hf_tagging.data.targets import TARGET_NAMES
from hf_tagging.errors import printable
from hf_tagging.inference.command import NOTHING_WRITTEN
from hf_tagging.tasks import TASKS


def _add_convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="IN", help="a file, a folder, or a name on the Hub")
    parser.add_argument(
        "target", metavar="OUT", type=Path, help="file to write; a folder for several splits, and for brat"
    )
    parser.add_argument("--to", required=True, choices=TARGET_NAMES, help="format to write")
    parser.add_argument("--task", choices=tuple(TASKS), default="ner", help="whose tags are read; default: ner")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT")
    add_reading(parser)
    add_json(parser)


def _convert(args: argparse.Namespace) -> Answer:
    from hf_tagging.data.converting import convert

    quiet_libraries()
    with working("Converting"), errors_only("hf_tagging.data"):
        converted = convert(
            args.source,
            args.target,
            to=args.to,
            task=args.task,
            overwrite=args.overwrite,
            **{name: getattr(args, name) for name in READ_OPTIONS},
        )
    notes = [(note.file, remark) for note in converted.notes for remark in note.remarks]
    data = {
        "output": str(converted.path),
        "format": converted.format,
        "splits": converted.splits,
        "notes": [note.as_dict() for note in converted.notes],
    }

    def show() -> None:
        rows = [(split, f"{n['records']:,}", f"{n['entities']:,}") for split, n in converted.splits.items()]
        show_table(("split", "texts", "entities"), rows, right=[1, 2])
        for note in converted.notes:
            if note.left_out:
                print(printable(f"{note.file}: not read: {', '.join(note.left_out)}"))
        for file, remark in notes:
            print(printable(f"{file}: {remark}"))
        print(f"\nWritten to {converted.path}")

    return Answer(data, show)


COMMANDS = (
    Command(
        name="convert",
        summary="Convert a corpus to another format: an annotation tool, a library, columns or JSON.",
        details="Reads whatever training reads. What the other format cannot hold is counted, and said. The target is "
        "written whole or not at all.",
        add=_add_convert,
        run=_convert,
        interrupted=NOTHING_WRITTEN,
        examples=(
            "hf-tagging convert my.conll my-texts.jsonl --to doccano",
            "hf-tagging convert my.conll my-tasks.json --to label-studio --overwrite",
            "hf-tagging convert sample sample-rows --to jsonl --task pos --json",
        ),
    ),
)
