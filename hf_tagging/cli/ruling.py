"""`rules`: check rules, measure what they change, and save them with a model."""

from __future__ import annotations

import argparse
from pathlib import Path

from hf_tagging.cli.answers import Answer, show_figures
from hf_tagging.cli.command import Command, add_json, add_model_options, add_reading
from hf_tagging.cli.quiet import quiet_libraries
from hf_tagging.console import working
from hf_tagging.data.request import READ_OPTIONS

_OPTIONS = {
    "dataset_config": "config_name",
    "dataset_revision": "dataset_revision",
    "validation_file": "validation_file",
    "device": "device",
    "trust_remote_code": "trust_remote_code",
    **{name: name for name in READ_OPTIONS},
}


def _add_rules(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="DIR", help="output folder of a run, or any other tagger")
    parser.add_argument("rules", metavar="FILE", help="rules, a JSON object a line")
    parser.add_argument("--save", action="store_true", help="save the rules with the model, in DIR/rules.jsonl")
    parser.add_argument("--overwrite", action="store_true", help="replace rules that are there")
    data = parser.add_argument_group("data", "default: the validation data of the run in DIR")
    data.add_argument("--dataset", metavar="NAME|PATH", help="name on the Hub, sample, a folder or a file")
    data.add_argument("--dataset_config", metavar="NAME", help="configuration of a dataset on the Hub")
    data.add_argument("--dataset_revision", metavar="NAME", help="branch, tag or commit of a dataset on the Hub")
    data.add_argument("--validation_file", nargs="+", metavar="FILE", help="files instead of the validation split")
    data.add_argument("--split", choices=("train", "validation", "test"), help="default: validation")
    add_reading(data)
    add_model_options(parser)
    add_json(parser)


def _rules(args: argparse.Namespace) -> Answer:
    from hf_tagging.disk import expanded
    from hf_tagging.rule_effects import check_saving, measure_rules, save_rules

    quiet_libraries()
    if args.save:
        check_saving(expanded(args.model), Path(args.rules), overwrite=args.overwrite)
    given = {theirs: getattr(args, ours) for ours, theirs in _OPTIONS.items()}
    split = args.split or ("validation" if args.dataset or args.validation_file else None)
    with working("Measuring the rules"):
        found = measure_rules(
            args.model, args.rules, args.dataset, split=split, **{n: value for n, value in given.items() if value}
        )
    saved = None
    if args.save:
        with working("Saving the rules, the card and the report"):
            saved = save_rules(
                args.model,
                args.rules,
                found,
                overwrite=args.overwrite,
                trust_remote_code=args.trust_remote_code,
            )
    written = f"\n\nSaved as {saved}" if saved else ""
    return Answer(found.as_dict() | {"saved": saved}, lambda: show_figures(found.table() + written))


COMMANDS = (
    Command(
        name="rules",
        summary="Check rules beside a model, measure what they change on validation data, and save them with it.",
        details="The data is tagged by the model alone and with the rules. Shown are the figures of both, sentences "
        "and entities that change, and how many words each rule has made right or wrong. With --save, taggers find the "
        "rules by themselves, and card and report say so.",
        add=_add_rules,
        run=_rules,
        examples=(
            "hf-tagging rules runs/ner rules.jsonl",
            "hf-tagging rules runs/ner rules.jsonl --dataset sample --split test",
            "hf-tagging rules runs/ner-2 rules.jsonl --save --overwrite",
        ),
    ),
)
