"""Tag a file, or a text, with a trained tagger.

    python recipes/predict.py --model runs/ner --input my.conll --output my.tagged.conll
    python recipes/predict.py --model runs/ner --input posts.jsonl --output tagged.jsonl
    python recipes/predict.py --model runs/pos --input notes.txt --format text --output notes.jsonl
    python recipes/predict.py --model runs/ner --text "Jordan will book a table in Lisbon."

Column files come back with the tag as their last column. JSON Lines with "tokens" get "tags"; with "text" they get
"words" with their places, "tags" and "entities". Plain text, a text per line, becomes such JSON Lines. A file may have
any size.
"""

import argparse
import os
import sys

from hf_tagging.console import plain_errors


def arguments() -> argparse.Namespace:
    summary, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--model", required=True, metavar="DIR", help="output folder of a run, or a name on the Hub")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--input", metavar="FILE", help="the file to tag")
    what.add_argument("--text", help="a text to tag instead of a file")
    parser.add_argument("--output", metavar="FILE", help="where to write; left out or -: standard output")
    parser.add_argument("--overwrite", action="store_true", help="replace the output file if it is there")
    parser.add_argument(
        "--format", choices=("column", "jsonl", "text"), help="of the input; left out: by its suffix, or its lines"
    )
    parser.add_argument(
        "--tokens_column", metavar="N|NAME", help="column of the words (0 is the first), or their key in JSON Lines"
    )
    parser.add_argument("--separator", help="between columns: tab, space or a literal; left out: found")
    parser.add_argument("--revision", help="of a name on the Hub")
    parser.add_argument("--trust_remote_code", action="store_true", help="run code that comes with the model")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 ...; left out: the accelerator if there is one")
    parser.add_argument(
        "--batch_subwords",
        type=int,
        help="subwords per batch, padding counted; left out: 1024 on a CPU, 8192 elsewhere",
    )
    return parser.parse_args()


def main() -> None:
    args = arguments()
    # Imported here: it takes seconds, which --help and a mistyped flag need not wait for.
    from hf_tagging.inference import Tagger, check_paths, tag_file, tag_text_to

    check_paths(args.input, args.output, overwrite=args.overwrite)
    tagger = Tagger.from_pretrained(
        args.model,
        revision=args.revision,
        trust_remote_code=args.trust_remote_code,
        device=args.device,
        batch_subwords=args.batch_subwords,
    )
    if args.text is not None:
        tag_text_to(tagger, args.text, args.output, overwrite=args.overwrite)
        return
    counts = tag_file(
        tagger,
        args.input,
        args.output,
        format=args.format,
        tokens_column=args.tokens_column,
        separator=args.separator,
        overwrite=args.overwrite,
    )
    print(f"Tagged {counts.words:,} words in {counts.sentences:,} sentences.", file=sys.stderr)


if __name__ == "__main__":
    with plain_errors():
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]  # whatever the terminal says
        try:
            main()
            sys.stdout.flush()
        except KeyboardInterrupt:
            raise SystemExit("Interrupted; nothing was written to --output.") from None
        except BrokenPipeError:  # `| head` has read enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
