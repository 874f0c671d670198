"""Annotate a corpus of any size with a trained tagger, shard by shard.

    python recipes/annotate.py --model runs/ner --input news.parquet --output annotated
    python recipes/annotate.py --model runs/ner --input corpus/*.jsonl --output annotated --format jsonl
    python recipes/annotate.py --model runs/ner --input texts.csv --text_column body --output annotated --workers 2
    python recipes/annotate.py --model runs/ner --input owner/dataset --split train --output annotated
    python recipes/annotate.py --model runs/ner --input news.parquet --output annotated --engine ray

Every row comes back with its columns and those of the annotation: "words" with their places and scores, "tags" and
"entities"; rows of "tokens" get "tags", "scores" and "entities". Rows that cannot be tagged go into rejected.jsonl with
the reason. Typed again after an interruption, the same command goes on with the first shard that is not written.
"""

import argparse

from hf_tagging.annotating.command import add_arguments, run
from hf_tagging.console import plain_errors
from hf_tagging.inference.command import add_model


def main() -> None:
    summary, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add_model(parser)
    add_arguments(parser)
    run(parser.parse_args())


if __name__ == "__main__":
    with plain_errors(interrupted="The shards that are written stay. The same command goes on with the others."):
        main()
