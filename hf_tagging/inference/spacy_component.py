"""A component for pipelines of spaCy; see `hf_tagging.inference.spacy_factory`."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from spacy.tokens import Doc

from hf_tagging.inference.cutting import CutText
from hf_tagging.inference.onnx_model import OnnxModel
from hf_tagging.inference.results import tagged_cut
from hf_tagging.inference.spacy_docs import starts_of, to_spacy, words_of
from hf_tagging.inference.tagger import Tagger
from hf_tagging.inference.word_tagger import TaggerOptions
from hf_tagging.models.encoder import quiet
from hf_tagging.rules.rules import RULES


class TaggerComponent:
    """Component that tags the tokens of documents.

    Words are the tokens that are no white space; sentences are those of the document, or else found in its text. What
    it sets is described in `to_spacy`.

    Args:
        model: Folder or name of the model. It is loaded when it is first needed: `spacy.load` makes the component
            first, and reads the model that `nlp.to_disk` has written after that.
        options: For `Tagger.from_pretrained`.
    """

    def __init__(self, model: str, options: TaggerOptions):
        self._model, self._options = model, options
        self._tagger: Tagger | None = None

    @property
    def tagger(self) -> Tagger:
        """Return the tagger, loaded when it is first asked for."""
        if self._tagger is None:
            self._tagger = Tagger.from_pretrained(self._model, **self._options)
        return self._tagger

    def __call__(self, doc: Doc) -> Doc:
        """Tag a document."""
        (done,) = self.pipe([doc])
        return done

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 1000) -> Iterator[Doc]:
        """Tag a stream of documents.

        Args:
            stream: Documents; read ahead by as many sentences as are batched together.
            batch_size: Number of sentences that are batched together.
        """
        cuts = ((doc, _cut(doc)) for doc in stream)
        for (doc, cut), labels in self.tagger.label_each(
            (((doc, cut), cut.sentences) for doc, cut in cuts), batch_size
        ):
            yield to_spacy(tagged_cut(cut, labels, self.tagger.schema), doc)

    def to_disk(self, path: str | Path, *, exclude: Sequence[str] = ()) -> None:
        """Write model, tokenizer and rules into a folder."""
        model, rules = self.tagger.model, self.tagger.rules
        if isinstance(model, OnnxModel):
            shutil.copytree(model.folder, path, dirs_exist_ok=True)
        else:
            with quiet():
                model.save_pretrained(path)
            self.tagger.tokenizer.save_pretrained(path)
        target = Path(path) / RULES
        if rules is None:
            target.unlink(missing_ok=True)  # of the export that was copied
        elif rules.path.resolve() != target.resolve():
            shutil.copyfile(rules.path, target)

    def from_disk(self, path: str | Path, *, exclude: Sequence[str] = ()) -> TaggerComponent:
        """Read what `to_disk` has written."""
        options = self._options.copy()
        options["revision"] = options["rules"] = None  # what was written counts
        self._tagger = Tagger.from_pretrained(str(path), **options)
        return self


def _cut(doc: Doc) -> CutText:
    words = words_of(doc)
    return CutText(doc.text, [(word.idx, word.idx + len(word)) for word in words], [*starts_of(doc, words)])
