"""Load a saved tagger with the plain Transformers pipeline and show its tags for a text.

    python recipes/tag_with_pipeline.py --model runs/quickstart-pos --text "Jordan will book a table in May."

Nothing of hf_tagging is imported: this works for everybody with the folder, or with its name once it is on the Hub.
The pipeline splits words at punctuation and cuts long texts; `hf_tagging.Tagger` gives one tag per word, always.
"""

import argparse
from contextlib import suppress
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError
from transformers import logging, pipeline

SECONDS = 10  # to wait for the Hub, which the libraries would ask again and again


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, metavar="DIR", help="a folder, or a name on the Hub")
    parser.add_argument("--text", required=True, help="the text to tag")
    args = parser.parse_args()

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        tag = pipeline("token-classification", model=find(args.model), ignore_labels=[])
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise SystemExit(f"{args.model}: {printable(str(error))}") from None
    # A subword that continues a word follows directly on the one before it; the first one carries the word's tag.
    words: list[dict] = []
    for subword in tag(args.text):
        if words and subword["start"] == words[-1]["end"] and subword["word"].startswith("##"):
            words[-1]["end"] = subword["end"]
        else:
            words.append(dict(subword))
    rows = [(args.text[word["start"] : word["end"]], word["entity"], word["score"]) for word in words]
    width = max((len(printable(text)) for text, _, _ in rows), default=0)
    for text, entity, score in rows:
        print(f"{printable(text):<{width}}  {printable(entity):<7} {score:.3f}")


def find(name: str) -> str:
    """Return a folder, or a name on the Hub that it knows.

    Raises:
        OSError: If there is nothing to load.
    """
    folder = Path(name).expanduser()
    if folder.exists():
        if not (folder / "config.json").is_file():
            raise OSError("there is no config.json in it, so it holds no model. Give the folder of a finished run.")
        return str(folder)
    try:
        HfApi().model_info(name, timeout=SECONDS)
    except HfHubHTTPError:
        raise OSError("there is no such folder, and the Hub has no model of this name for you.") from None
    except Exception as error:  # the network's own kinds of errors, and that of a name that only a folder can have
        with suppress(OSError, ValueError):
            return snapshot_download(name, local_files_only=True)
        reason = str(error).partition("\n")[0]
        raise OSError(f"there is no such folder, and the Hub cannot be asked for it ({reason}).") from None
    return name


def printable(text: str) -> str:
    """Return a text without control characters: tags and words of others could hold commands to the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


if __name__ == "__main__":
    main()
