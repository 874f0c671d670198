"""Runs from flags, as the recipes read them."""

from collections.abc import Sequence

from hf_tagging import TaggingTrainer, TagSchema, align_dataset, load_encoder
from hf_tagging.training import EncoderConfig, RunConfig, ScratchConfig

_KINDS = {"encoder": EncoderConfig, "scratch": ScratchConfig}


def run_config(task: str, argv: Sequence[str], *, kind: str = "encoder") -> RunConfig:
    """What the recipe for a task and a kind of model makes of flags."""
    return RunConfig.from_command_line(list(argv), task=task, model=_KINDS[kind])


def encoder_trainer(folder, data, output, *flags, task="pos", head="linear", lora=None, freeze_layers=None, **more):
    """Return a trainer of an encoder on the train and validation splits of `data`, and its aligned splits.

    Args:
        folder: Of the encoder.
        data: Splits of words and tags.
        output: Folder of the run.
        flags: Of the recipe, as on the command line.
        task: "pos" or "ner".
        head: See `load_encoder`, as `lora` and `freeze_layers`.
        lora: Options of adapters.
        freeze_layers: Frozen layers.
        more: Of the trainer.
    """
    args = run_config(task, ["--output_dir", str(output), "--use_cpu", *map(str, flags)])
    schema = TagSchema.detect(data, task=task)
    model, tokenizer = load_encoder(str(folder), schema, head=head, lora=lora, freeze_layers=freeze_layers)
    splits = align_dataset(data, tokenizer, schema)
    return TaggingTrainer(
        model=model,
        args=args.training,
        train_dataset=splits["train"],
        eval_dataset=splits["validation"],
        processing_class=tokenizer,
        task=task,
        **more,
    ), splits
