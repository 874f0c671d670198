"""Load a saved tagger with the plain Transformers pipeline and show what it says of a text.

    python recipes/tag_with_pipeline.py --model runs/quickstart-pos --text "Jordan will book a table in May."

Nothing of hf_tagging is imported: this is what anybody can do with the folder, or with its name once it is on the Hub.
The pipeline splits words at punctuation and cuts long texts; `hf_tagging.Tagger` gives one tag per word, always.
"""

import argparse

from transformers import logging, pipeline


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, metavar="DIR", help="a folder, or a name on the Hub")
    parser.add_argument("--text", required=True, help="the text to tag")
    args = parser.parse_args()

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    tag = pipeline("token-classification", model=args.model, ignore_labels=[])
    # A subword that continues a word stands directly behind the one before it; the first one carries the word's tag.
    words: list[dict] = []
    for subword in tag(args.text):
        if words and subword["start"] == words[-1]["end"] and subword["word"].startswith("##"):
            words[-1]["end"] = subword["end"]
        else:
            words.append(dict(subword))
    width = max((word["end"] - word["start"] for word in words), default=0)
    for word in words:
        print(f"{args.text[word['start'] : word['end']]:<{width}}  {word['entity']:<7} {word['score']:.3f}")


if __name__ == "__main__":
    main()
