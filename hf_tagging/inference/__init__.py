"""Words or text in, tags and entities out."""


from hf_tagging.inference.tagger import Entity, TaggedText, TaggedWord, Tagger
from hf_tagging.inference.text import split_words

__all__ = ["Entity", "TaggedText", "TaggedWord", "Tagger", "split_words"]
