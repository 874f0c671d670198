"""References for a model card, as BibTeX: works known by the names in the record, and this project."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hf_tagging.markdown import Markup
from hf_tagging.publishing import provenance
from hf_tagging.training.record import RunRecord

_WORKS = {
    "conll2003": """@inproceedings{tjong-kim-sang-de-meulder-2003,
  title = {Introduction to the {CoNLL}-2003 Shared Task: Language-Independent Named Entity Recognition},
  author = {Tjong Kim Sang, Erik F. and De Meulder, Fien},
  booktitle = {Proceedings of the Seventh Conference on Natural Language Learning at {HLT-NAACL} 2003},
  pages = {142--147},
  year = {2003},
  url = {https://aclanthology.org/W03-0419},
}""",
    "bert": """@inproceedings{devlin-etal-2019,
  title = {{BERT}: Pre-training of Deep Bidirectional Transformers for Language Understanding},
  author = {Devlin, Jacob and Chang, Ming-Wei and Lee, Kenton and Toutanova, Kristina},
  booktitle = {Proceedings of {NAACL-HLT} 2019},
  pages = {4171--4186},
  year = {2019},
  url = {https://aclanthology.org/N19-1423},
}""",
    "roberta": """@misc{liu-etal-2019,
  title = {{RoBERTa}: A Robustly Optimized {BERT} Pretraining Approach},
  author = {Liu, Yinhan and Ott, Myle and Goyal, Naman and Du, Jingfei and Joshi, Mandar and Chen, Danqi and Levy, Omer
    and Lewis, Mike and Zettlemoyer, Luke and Stoyanov, Veselin},
  year = {2019},
  url = {https://arxiv.org/abs/1907.11692},
}""",
    "distilbert": """@misc{sanh-etal-2019,
  title = {{DistilBERT}, a distilled version of {BERT}: smaller, faster, cheaper and lighter},
  author = {Sanh, Victor and Debut, Lysandre and Chaumond, Julien and Wolf, Thomas},
  year = {2019},
  url = {https://arxiv.org/abs/1910.01108},
}""",
    "sentence-bert": """@inproceedings{reimers-gurevych-2019,
  title = {Sentence-{BERT}: Sentence Embeddings using {Siamese} {BERT}-Networks},
  author = {Reimers, Nils and Gurevych, Iryna},
  booktitle = {Proceedings of {EMNLP-IJCNLP} 2019},
  pages = {3982--3992},
  year = {2019},
  url = {https://aclanthology.org/D19-1410},
}""",
    "crf": """@inproceedings{lample-etal-2016,
  title = {Neural Architectures for Named Entity Recognition},
  author = {Lample, Guillaume and Ballesteros, Miguel and Subramanian, Sandeep and Kawakami, Kazuya and Dyer, Chris},
  booktitle = {Proceedings of {NAACL-HLT} 2016},
  pages = {260--270},
  year = {2016},
  url = {https://aclanthology.org/N16-1030},
}""",
    "cnn-crf": """@inproceedings{ma-hovy-2016,
  title = {End-to-end Sequence Labeling via Bi-directional {LSTM-CNNs-CRF}},
  author = {Ma, Xuezhe and Hovy, Eduard},
  booktitle = {Proceedings of the 54th Annual Meeting of the Association for Computational Linguistics},
  pages = {1064--1074},
  year = {2016},
  url = {https://aclanthology.org/P16-1101},
}""",
    "hmm": """@inproceedings{brants-2000,
  title = {{TnT} -- A Statistical Part-of-Speech Tagger},
  author = {Brants, Thorsten},
  booktitle = {Proceedings of the Sixth Applied Natural Language Processing Conference},
  pages = {224--231},
  year = {2000},
  url = {https://aclanthology.org/A00-1031},
}""",
    "lora": """@misc{hu-etal-2021,
  title = {{LoRA}: Low-Rank Adaptation of Large Language Models},
  author = {Hu, Edward J. and Shen, Yelong and Wallis, Phillip and Allen-Zhu, Zeyuan and Li, Yuanzhi and Wang, Shean and
    Wang, Lu and Chen, Weizhu},
  year = {2021},
  url = {https://arxiv.org/abs/2106.09685},
}""",
    "soup": """@inproceedings{wortsman-etal-2022,
  title = {Model soups: averaging weights of multiple fine-tuned models improves accuracy without increasing inference
    time},
  author = {Wortsman, Mitchell and Ilharco, Gabriel and Gadre, Samir Ya and Roelofs, Rebecca and Gontijo-Lopes, Raphael
    and Morcos, Ari S. and Namkoong, Hongseok and Farhadi, Ali and Carmon, Yair and Kornblith, Simon and
    Schmidt, Ludwig},
  booktitle = {Proceedings of the 39th International Conference on Machine Learning},
  pages = {23965--23998},
  year = {2022},
  url = {https://proceedings.mlr.press/v162/wortsman22a.html},
}""",
}
_OF_MODEL = {
    "sentence-transformers/all-MiniLM-L6-v2": "sentence-bert",
    "google-bert/bert-base-cased": "bert",
    "google-bert/bert-base-uncased": "bert",
    "google-bert/bert-large-cased": "bert",
    "distilbert/distilbert-base-cased": "distilbert",
    "FacebookAI/roberta-base": "roberta",
}


def citation(record: RunRecord, splits: list[str]) -> Markup | None:
    """Return the references of a model in one block of BibTeX; None where none is known.

    Args:
        record: Record of the run, with `task` and `arguments`.
        splits: Names of the splits in the card.
    """
    works = [_WORKS[name] for name in dict.fromkeys(_known(record, splits))] + list(_project(record))
    return Markup("```bibtex\n" + "\n\n".join(works) + "\n```") if works else None


def _known(record: RunRecord, splits: list[str]) -> Iterator[str]:
    arguments = record["arguments"] | (record.get("parts") or {})
    model = provenance.model(record)
    if provenance.is_conll2003(record, splits):
        yield "conll2003"
    if model and model.hub in _OF_MODEL:
        yield _OF_MODEL[model.hub]
    if arguments.get("encoder") == "hmm":
        yield "hmm"
    elif arguments.get("head") == "crf":
        yield "cnn-crf" if arguments.get("characters") == "cnn" else "crf"
    if arguments.get("lora"):
        yield "lora"
    if "soup" in record:
        yield "soup"


def _project(record: RunRecord) -> Iterator[str]:
    """Yield this project, in the version of the run."""
    version = (record.get("versions") or {}).get("hf_tagging")
    if version:
        plain = re.sub(r"[^\w.+-]", "", str(version))
        yield f"@software{{hf-tagging,\n  title = {{hf\\_tagging}},\n  version = {{{plain}}},\n}}"
