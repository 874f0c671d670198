"""Tag a file, or a text, with a trained tagger.

    python recipes/predict.py --model runs/ner --input my.conll --output my.tagged.conll
    python recipes/predict.py --model runs/ner --input posts.jsonl --output tagged.jsonl
    python recipes/predict.py --model runs/pos --input notes.txt --format text --output notes.jsonl
    python recipes/predict.py --model runs/ner --input texts.csv --text_column body --output tagged.csv
    python recipes/predict.py --model runs/ner --text "Jordan will book a table in Lisbon."
    python recipes/predict.py --model runs/ner runs/ner-2 --input my.conll
    python recipes/predict.py --model runs/ner-int8 --input my.conll    (from: hf-tagging export runs/ner --to int8)

Column files come back with the tag as their last column. JSON Lines with "tokens" get "tags"; with "text" they get
"words" with their places, "tags" and "entities". Plain text, a text per line, becomes such JSON Lines. Rows of CSV keep
their columns and get "entities" as JSON. Text is tagged sentence by sentence. A file may have any size.
"""

import argparse

from hf_tagging.console import plain_errors
from hf_tagging.inference.command import NOTHING_WRITTEN, add_arguments, add_model, run


def main() -> None:
    summary, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add_model(parser)
    add_arguments(parser)
    run(parser.parse_args())


if __name__ == "__main__":
    with plain_errors(interrupted=NOTHING_WRITTEN):
        main()
