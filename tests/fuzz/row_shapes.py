"""Tables, rows of JSON, Parquet and folders."""

from __future__ import annotations

import csv
import io
import json
import random

import datasets

from fuzz.corpora import Corpus
from fuzz.shapes import Case, Files, Shape, Tagged, Unreadable, encoded, json_file, json_rows, tagged


def _csv(rows: list[list[str]], draw: random.Random, *, delimiter: str = ",") -> bytes:
    stream = io.StringIO()
    quoting = draw.choice([csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
    csv.writer(stream, delimiter=delimiter, quoting=quoting, lineterminator="\n").writerows(rows)
    return encoded(stream.getvalue(), draw)


def _words(rows: list[list[str]], column: int) -> int:
    return sum(bool(row[column].strip()) for row in rows if len(row) > column)


def _count_csv(delimiter: str, column: int) -> object:
    def count(files: Files) -> int | None:
        try:
            text = next(iter(files.values())).decode("utf-8-sig")
            rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
        except (UnicodeDecodeError, csv.Error):
            return None
        width = len(rows[0]) if rows else 0
        if any(row and len(row) != width for row in rows):
            return None  # where something is missing, it is refused or read in another way
        return max(0, _words(rows, column) - 1)

    return count


def kaggle(corpus: Corpus, draw: random.Random) -> Case:
    """The table of Kaggle's corpus: the sentence is named in its first row."""
    rows = [["Sentence #", "Word", "POS", "Tag"]]
    for number, sentence in enumerate(corpus.sentences, start=1):
        for i, parts in enumerate(zip(sentence.words, sentence.pos, sentence.tags(), strict=True)):
            rows.append(["" if i else f"Sentence: {number}", *parts])
    return Case({"ner_dataset.csv": _csv(rows, draw)}, tagged=tagged(corpus), count=_count_csv(",", 1))


def sentence_ids(corpus: Corpus, draw: random.Random) -> Case:
    """A word a row, with the number of its sentence."""
    header = draw.choice([["sentence_id", "words", "labels"], ["sentence", "word", "tag"], ["sent_id", "token", "ner"]])
    rows = [header]
    for number, sentence in enumerate(corpus.sentences):
        rows += [[str(number), word, tag] for word, tag in zip(sentence.words, sentence.tags(), strict=True)]
    delimiter, name = draw.choice([(",", "train.csv"), (";", "train.csv"), ("\t", "train.tsv")])
    return Case({name: _csv(rows, draw, delimiter=delimiter)}, tagged=tagged(corpus), count=_count_csv(delimiter, 1))


def words_and_tags(corpus: Corpus, draw: random.Random) -> Case:
    """A word a row, and blank rows between sentences."""
    rows = [draw.choice([["word", "tag"], ["token", "ner_tag"]])]
    for sentence in corpus.sentences:
        rows += [list(pair) for pair in zip(sentence.words, sentence.tags(), strict=True)] + [[]]
    return Case({"train.csv": _csv(rows, draw)}, tagged=tagged(corpus), count=_count_csv(",", 0))


def lists_in_cells(corpus: Corpus, draw: random.Random) -> Case:
    """A sentence a row, as lists of Python or JSON in two cells."""
    write = draw.choice([repr, json.dumps, lambda items: json.dumps(items, ensure_ascii=False)])
    rows = [["tokens", "ner_tags"], *([write(s.words), write(s.tags())] for s in corpus.sentences)]
    return Case({"train.csv": _csv(rows, draw)}, tagged=tagged(corpus))


def joined_in_cells(corpus: Corpus, draw: random.Random) -> Case:
    """A sentence a row, its words and tags between blanks."""
    rows = [draw.choice([["text", "labels"], ["sentence", "tags"], ["text", "tags"]])]
    kept = [s for s in corpus.sentences if len(s.words) > 1]  # rows of single words are a sentence of all, and said
    rows += [[" ".join(s.words), " ".join(s.tags())] for s in kept]
    return Case({"train.csv": _csv(rows, draw)}, tagged=[(s.words, s.tags()) for s in kept])


def _count_rows(files: Files) -> int | None:
    rows = json_rows(next(iter(files.values())))
    if not all(isinstance(row, dict) and isinstance(row.get("tokens"), list) for row in rows):
        return None
    return sum(len(row["tokens"]) for row in rows)


def json_tokens(corpus: Corpus, draw: random.Random) -> Case:
    """Rows of words and tags."""
    name = draw.choice(["ner_tags", "tags", "labels"])
    rows = [{"id": i, "tokens": s.words, name: s.tags()} for i, s in enumerate(corpus.sentences)]
    lines = draw.random() < 0.5
    file = draw.choice(["train.jsonl", "train.json", "train"] if lines else ["train.json", "train"])
    return Case({file: json_file(rows, draw, lines=lines)}, tagged=tagged(corpus), count=_count_rows)


def json_ids(corpus: Corpus, draw: random.Random) -> Case:
    """Rows of words and integers, with their names as an argument or in a file beside."""
    names = ["O", *(f"{prefix}-{kind}" for kind in corpus.types for prefix in "BI")]
    rows = [{"tokens": s.words, "tags": [names.index(tag) for tag in s.tags()]} for s in corpus.sentences]
    files = {"train.json": json_file(rows, draw, lines=True)}
    if draw.random() < 0.5:
        return Case(files, tagged=tagged(corpus), arguments={"tag_names": names}, count=_count_rows)
    files["label.json"] = json.dumps({name: index for index, name in enumerate(names)}).encode()
    return Case(files, tagged=tagged(corpus), arguments={}, count=_count_rows)


def splits_in_one(corpus: Corpus, draw: random.Random) -> Case:
    """An object of splits."""
    half = max(1, len(corpus.sentences) // 2)
    parts = {"train": corpus.sentences[:half], "test": corpus.sentences[half:] or corpus.sentences[:1]}
    rows = {split: [{"tokens": s.words, "ner_tags": s.tags()} for s in part] for split, part in parts.items()}
    truth: Tagged = [(s.words, s.tags()) for part in parts.values() for s in part]
    return Case({"corpus.json": encoded(json.dumps(rows, indent=draw.choice([None, 1])), draw)}, tagged=truth)


def columns_of_lists(corpus: Corpus, draw: random.Random) -> Case:
    """An object of columns."""
    whole = {"tokens": [s.words for s in corpus.sentences], "tags": [s.tags() for s in corpus.sentences]}
    return Case({"train.json": encoded(json.dumps(whole), draw)}, tagged=tagged(corpus))


def pairs(corpus: Corpus, draw: random.Random) -> Case:
    """A sentence as a list of pairs."""
    rows = [[list(pair) for pair in zip(s.words, s.tags(), strict=True)] for s in corpus.sentences]
    return Case({"train.json": json_file(rows, draw)}, tagged=tagged(corpus))


def rows_of_words(corpus: Corpus, draw: random.Random) -> Case:
    """A row of JSON per word, with the id of its sentence."""
    rows = [
        {"sentence_id": i, "word": word, "tag": tag}
        for i, s in enumerate(corpus.sentences)
        for word, tag in zip(s.words, s.tags(), strict=True)
    ]
    return Case({"train.jsonl": json_file(rows, draw, lines=True)}, tagged=tagged(corpus))


def parquet(corpus: Corpus, draw: random.Random) -> Case:
    """Parquet of sentences, with strings or named integers as tags; now and then of words."""
    stream = io.BytesIO()
    kind = draw.choice(["strings", "names", "words"])
    if kind == "words":
        rows = [(i, w, t) for i, s in enumerate(corpus.sentences) for w, t in zip(s.words, s.tags(), strict=True)]
        columns = dict(zip(("sentence_id", "word", "tag"), map(list, zip(*rows, strict=True)), strict=True))
        datasets.Dataset.from_dict(columns).to_parquet(stream)
    else:
        split = datasets.Dataset.from_dict(
            {"tokens": [s.words for s in corpus.sentences], "ner_tags": [s.tags() for s in corpus.sentences]}
        )
        if kind == "names":
            names = sorted({tag for s in corpus.sentences for tag in s.tags()} | {"O"})
            features = {
                "tokens": datasets.List(datasets.Value("string")),
                "ner_tags": datasets.List(datasets.ClassLabel(names=names)),
            }
            split = split.cast(datasets.Features(features))
        split.to_parquet(stream)
    return Case({draw.choice(["train.parquet", "train"]): stream.getvalue()}, tagged=tagged(corpus))


def folder(corpus: Corpus, draw: random.Random) -> Case:
    """Files of splits in a folder, or folders of splits."""
    names = draw.choice([("train.txt", "dev.txt", "test.txt"), ("train/a.txt", "dev/a.txt", "test/a.txt")])
    kind = draw.choice(["columns", "json"])
    files: Files = {}
    truth: Tagged = []
    size = -(-len(corpus.sentences) // 3)
    for index, name in enumerate(names):
        part = corpus.sentences[index * size : (index + 1) * size] or corpus.sentences[:1]
        truth += [(s.words, s.tags()) for s in part]
        if kind == "columns":
            text = "\n".join(
                "".join(f"{word}\t{tag}\n" for word, tag in zip(s.words, s.tags(), strict=True)) for s in part
            )
            files[name] = encoded(text, draw)
        else:
            rows = [{"tokens": s.words, "ner_tags": s.tags()} for s in part]
            files[name.replace(".txt", ".jsonl")] = json_file(rows, draw, lines=True)
    return Case(files, tagged=truth)


ROW_SHAPES: dict[str, Shape] = {
    "kaggle": kaggle,
    "csv of sentence ids": sentence_ids,
    "csv of words and tags": words_and_tags,
    "csv of lists": lists_in_cells,
    "csv of joined words": joined_in_cells,
    "json tokens": json_tokens,
    "json ids": json_ids,
    "json of splits": splits_in_one,
    "json of columns": columns_of_lists,
    "json pairs": pairs,
    "json rows of words": rows_of_words,
    "parquet": parquet,
    "folder": folder,
}
__all__ = ["ROW_SHAPES", "Unreadable"]
