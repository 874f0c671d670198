"""This project: `recipes/ner_bert.py` with a YAML file, and `Tagger`, in its own environment."""

import argparse
import sys
from pathlib import Path

from work import Tag, clock, main

sys.path.append(str(Path(__file__).parents[1]))

from trainers import our_trainer

from hf_tagging import Tagger
from hf_tagging.data import TagSchema, load_tagging_dataset


def fit(args: argparse.Namespace) -> float:
    """Train, and return the seconds of `TaggingTrainer.train`."""
    files = {"train_file": str(args.train)}
    flags = ["--config", args.config, "--num_train_epochs", str(args.epochs)]
    if args.validation:
        files["validation_file"] = str(args.validation)
    else:
        flags += ["--eval_strategy", "no", "--save_strategy", "no"]
    found = load_tagging_dataset(task="ner", **files)
    dataset, schema, _ = TagSchema.detect(found, task="ner").convert(found, to="IOB2")
    folder = str(args.folder)
    trainer = our_trainer(dataset, schema, model=args.model, device="cpu", seed=args.seed, folder=folder, flags=flags)
    with clock() as seconds:
        trainer.train()
        passed = seconds()
    trainer.save_model()
    return passed


def load(folder: Path) -> Tag:
    """Return what tags by the saved model."""
    return Tagger.from_pretrained(str(folder), device="cpu").tag


if __name__ == "__main__":
    main(fit, load)
