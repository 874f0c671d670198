"""SpanMarker: `SpanMarkerModel` by its `Trainer`, with the settings of its README (batches of 32, bfloat16, 5e-5)."""

import argparse
from pathlib import Path

from datasets import Dataset
from span_marker import SpanMarkerModel, Trainer
from transformers import TrainingArguments, set_seed
from work import Tag, clock, main, read, tags_of


def fit(args: argparse.Namespace) -> float:
    """Train, and return the seconds of `Trainer.train`."""
    set_seed(args.seed)
    words, tags = read(args.train)
    names = sorted({tag for sentence in tags for tag in sentence}, key=lambda tag: (tag != "O", tag[2:], tag))
    model = SpanMarkerModel.from_pretrained(args.model, labels=names, model_max_length=256, entity_max_length=8)
    ids = [[names.index(tag) for tag in sentence] for sentence in tags]
    training = TrainingArguments(
        str(args.folder / "run"),
        learning_rate=5e-5,
        per_device_train_batch_size=32,
        num_train_epochs=args.epochs,
        weight_decay=0.01,
        warmup_ratio=0.1,
        bf16=True,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        seed=args.seed,
    )
    trainer = Trainer(model=model, args=training, train_dataset=Dataset.from_dict({"tokens": words, "ner_tags": ids}))
    with clock() as seconds:
        trainer.train()
        passed = seconds()
    trainer.save_model(str(args.folder / "model"))
    return passed


def load(folder: Path) -> Tag:
    """Return what tags by the saved model."""
    model = SpanMarkerModel.from_pretrained(str(folder / "model")).eval()

    def tag(sentences: list[list[str]]) -> list[list[str]]:
        found = model.predict(sentences, batch_size=32)
        return [
            tags_of(len(words), [(e["word_start_index"], e["word_end_index"], e["label"]) for e in entities])
            for words, entities in zip(sentences, found, strict=True)
        ]

    return tag


if __name__ == "__main__":
    main(fit, load)
