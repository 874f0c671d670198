"""Column files of many layouts."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

from fuzz.corpora import Corpus, Sentence
from fuzz.shapes import Case, Files, Shape, encoded, tagged

Row = Callable[[Sentence, int, Sequence[str], random.Random], Sequence[str]]
_SPELLINGS: tuple[Callable[[str], str], ...] = (
    lambda tag: tag.replace("-", "_", 1),
    lambda tag: tag.lower() if tag == "O" else tag[0].lower() + tag[1:].lower(),
    lambda tag: tag if tag == "O" else f"{tag[2:]}-{tag[0]}",
    lambda tag: tag.replace("-", ":", 1),
)
_LAYOUTS: dict[str, tuple[Row, str]] = {
    "word tag": (lambda s, i, t, d: (s.words[i], t[i]), " \t"),
    "word pos tag": (lambda s, i, t, d: (s.words[i], s.pos[i], t[i]), " \t"),
    "word pos chunk tag": (lambda s, i, t, d: (s.words[i], s.pos[i], "B-NP" if i % 3 == 0 else "I-NP", t[i]), " \t"),
    "number word tag": (lambda s, i, t, d: (str(i + 1), s.words[i], t[i]), "\t "),
    "number word lemma pos tag": (lambda s, i, t, d: (str(i + 1), s.words[i], s.words[i][:3], s.pos[i], t[i]), "\t"),
    "tag word": (lambda s, i, t, d: (t[i], s.words[i]), "\t "),
    "word blank blank tag": (lambda s, i, t, d: (s.words[i], "_", "_", t[i]), " "),
    "word dash dash tag": (lambda s, i, t, d: (s.words[i], "-X-", "_", t[i]), " "),
    "number word outer inner": (lambda s, i, t, d: (str(i + 1), s.words[i], t[i], "O"), "\t"),
    "word tag probability": (lambda s, i, t, d: (s.words[i], t[i], "0.98"), "\t"),
    "iob2 of universal ner": (lambda s, i, t, d: (str(i + 1), s.words[i], t[i], "-", "ann"), "\t"),
}  # fmt: skip


def layout_shapes() -> dict[str, Shape]:
    """Return a shape for each layout of columns."""
    return {name: _shape(*layout) for name, layout in _LAYOUTS.items()}


def _shape(row: Row, separators: str) -> Shape:
    def write(corpus: Corpus, draw: random.Random) -> Case:
        separator = draw.choice(separators)
        scheme = draw.choice(["IOB2", "IOB2", "IOB2", "IOB1", "BIOES", "BILOU", "BMES"])
        spelled = draw.choice(_SPELLINGS) if scheme == "IOB2" and draw.random() < 0.2 else str
        marks, comments = draw.random() < 0.3, draw.choice([None, None, None, "# id {}", "# sent_id = {}", "## {}"])
        lines: list[str] = []
        number = 0
        for document in corpus.documents:
            lines += [separator.join(["-DOCSTART-", "-X-", "O", "O"][: draw.choice([1, 4])]), ""] if marks else []
            for sentence in document:
                number += 1
                lines += [comments.format(number)] if comments else []
                tags = [spelled(tag) for tag in sentence.tags(scheme)]
                lines += [separator.join(row(sentence, i, tags, draw)) for i in range(len(tags))]
                lines += [""] * draw.choice([1, 1, 1, 2])
        name = draw.choice(["train.txt", "train.conll", "train.tsv", "train.iob2", "train.bio", "train", "dev.txt"])
        content = encoded("\n".join(lines) + "\n" * draw.randint(0, 2), draw)
        return Case({name: content}, tagged=_read_as(corpus, spelled), count=_count)

    return write


def _read_as(corpus: Corpus, spelled: Callable[[str], str]) -> list[tuple[list[str], list[str]]]:
    """Return the sentences; types in the case that the spelling leaves them."""
    lower = spelled("B-PER").endswith("per")
    return [(words, [t if t == "O" or not lower else t[:2] + t[2:].lower() for t in tags])
            for words, tags in tagged(corpus)]  # fmt: skip


def _count(files: Files) -> int | None:
    """Return the number of lines that are words for certain."""
    content = next(iter(files.values())).removeprefix(b"\xef\xbb\xbf")
    if not content.isascii():
        try:
            content.decode()
        except UnicodeDecodeError:
            return None
    lines = content.split(b"\n")
    if len(lines) < 3 or b"\r" in re.sub(rb"\r\n", b"", content) or b"\0" in content:
        return None
    return sum(bool(line.strip()) and not line.lstrip().startswith((b"#", b"-DOCSTART-")) for line in lines)


def conllu(corpus: Corpus, draw: random.Random) -> Case:
    """CoNLL-U of parts of speech, with comments, multiword tokens and empty words."""
    lines = []
    for number, sentence in enumerate(corpus.sentences, start=1):
        lines += [f"# sent_id = s{number}", f"# text = {' '.join(sentence.words)}"]
        for i, (word, pos) in enumerate(zip(sentence.words, sentence.pos, strict=True), start=1):
            if draw.random() < 0.05 and i < len(sentence.words):
                lines.append(f"{i}-{i + 1}\t{word}x" + "\t_" * 8)
            lines.append(f"{i}\t{word}\t{word.lower()}\t{pos}\t{pos}\t_\t0\troot\t_\t_")
            if draw.random() < 0.03:
                lines.append(f"{i}.1\tnothing" + "\t_" * 8)
        lines.append("")
    words = [(s.words, list(s.pos)) for s in corpus.sentences]
    return Case({"xx-ud-train.conllu": encoded("\n".join(lines) + "\n", draw)}, tagged=words, task="pos")


def conllu_misc(corpus: Corpus, draw: random.Random) -> Case:
    """CoNLL-U with entities in MISC."""
    key = draw.choice(["NER", "name"])
    lines = []
    for number, sentence in enumerate(corpus.sentences, start=1):
        lines.append(f"# sent_id = {number}")
        for i, (word, tag) in enumerate(zip(sentence.words, sentence.tags(), strict=True), start=1):
            lines.append(f"{i}\t{word}\t_\tNOUN\t_\t_\t0\troot\t_\t{key}={tag}|SpaceAfter=No")
        lines.append("")
    return Case({"train.conllu": encoded("\n".join(lines) + "\n", draw)}, tagged=tagged(corpus))


def conllu_plus(corpus: Corpus, draw: random.Random) -> Case:
    """CoNLL-U Plus with a column of entities."""
    lines = ["# global.columns = ID FORM UPOS NER"]
    for sentence in corpus.sentences:
        for i, (word, tag) in enumerate(zip(sentence.words, sentence.tags(), strict=True), start=1):
            lines.append(f"{i}\t{word}\tNOUN\t{tag}")
        lines.append("")
    return Case({"train.conllup": encoded("\n".join(lines) + "\n", draw)}, tagged=tagged(corpus))


def with_header(corpus: Corpus, draw: random.Random) -> Case:
    """Columns below their names."""
    names = draw.choice([("word", "ner_tags"), ("Token", "NER"), ("token", "label"), ("words", "tags")])
    lines = ["\t".join(names)]
    for sentence in corpus.sentences:
        lines += [f"{word}\t{tag}" for word, tag in zip(sentence.words, sentence.tags(), strict=True)] + [""]
    return Case({"train.tsv": encoded("\n".join(lines) + "\n", draw)}, tagged=tagged(corpus))


def pipes(corpus: Corpus, draw: random.Random) -> Case:
    """A sentence a line, each word with its part of speech and tag behind it."""
    kept = [s for s in corpus.sentences if not any("|" in word for word in s.words)]
    lines = [" ".join(map("|".join, zip(s.words, s.pos, s.tags(), strict=True))) for s in kept]
    truth = [(s.words, s.tags()) for s in kept]
    return Case({"train.txt": encoded("\n".join(lines) + "\n", draw)}, tagged=truth)


def brackets(corpus: Corpus, draw: random.Random) -> Case:
    """CoNLL-2012 with entities in brackets."""
    lines = ["#begin document (nw/a); part 000"]
    for sentence in corpus.sentences:
        marks = ["*"] * len(sentence.words)
        for start, end, kind in sentence.entities:
            marks[start] = f"({kind}*" if end - start > 1 else f"({kind})"
            if end - start > 1:
                marks[end - 1] = "*)"
        rows = zip(sentence.words, sentence.pos, marks, strict=True)
        lines += [f"nw/a 0 {i} {w} {p} * - - - - {m} -" for i, (w, p, m) in enumerate(rows)] + [""]
    content = encoded("\n".join([*lines, "#end document"]) + "\n", draw)
    return Case({draw.choice(["train.gold_conll", "train.conll"]): content}, tagged=tagged(corpus))


def old_encoding(corpus: Corpus, draw: random.Random) -> Case:
    """Columns in another encoding than UTF-8, which is said or not."""
    encoding = draw.choice(["utf-16", "utf-8-sig", "cp1252", "gb18030", "cp1251", "utf-16-le"])
    lines: list[str] = []
    truth = []
    for sentence in corpus.sentences:
        try:
            [word.encode(encoding) for word in sentence.words]
        except UnicodeEncodeError:
            continue
        lines += [f"{word} {tag}" for word, tag in zip(sentence.words, sentence.tags(), strict=True)] + [""]
        truth.append((sentence.words, sentence.tags()))
    said = {"encoding": encoding} if draw.random() < 0.5 else {}
    return Case({"train.txt": "\n".join([*lines, ""]).encode(encoding)}, tagged=truth or None, arguments=said)


def carriage_returns(corpus: Corpus, draw: random.Random) -> Case:
    """Lines that end as those of old Macs."""
    case = _shape(*_LAYOUTS["word tag"])(corpus, draw)
    files = {name: content.replace(b"\r\n", b"\n").replace(b"\n", b"\r") for name, content in case.files.items()}
    return Case(files, tagged=case.tagged)


COLUMN_SHAPES: dict[str, Shape] = layout_shapes() | {
    "conllu": conllu,
    "conllu misc": conllu_misc,
    "conllu plus": conllu_plus,
    "header": with_header,
    "pipes": pipes,
    "conll2012": brackets,
    "old encoding": old_encoding,
    "carriage returns": carriage_returns,
}
