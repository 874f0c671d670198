"""Fine-tune a BERT-family encoder to find named entities.

    accelerate launch recipes/ner_bert.py
    accelerate launch recipes/ner_bert.py --config recipes/configs/ner/quickstart.yaml
    accelerate launch recipes/ner_bert.py --train_file my.conll --validation_share 0.1 --scheme BIOES

The data may write entities as IOB1, IOB2 or BIOES: which one is found out and said, invalid tags are repaired and
counted, and the model learns --scheme (IOB2). The best checkpoint is the one with the best entity F1.
"""

from hf_tagging.console import plain_errors
from hf_tagging.data import TagSchema
from hf_tagging.publishing import publish_run
from hf_tagging.trainer import TaggingTrainer
from hf_tagging.training import EncoderConfig, RunConfig, start_run


def main() -> None:
    args = RunConfig.from_command_line(task="ner", model=EncoderConfig, description=__doc__)
    run = start_run(args)

    with run.main_process_first():
        found = run.select(args.load_dataset())
        saved = args.saved_schema()
        # However the entities were written, the model sees one scheme.
        dataset, schema, conversion = TagSchema.detect(found, task="ner").convert(found, to=args.scheme(saved))
        dataset, schema = schema.adopt(dataset, saved)
    run.note_conversion(conversion)

    model, tokenizer = args.build_model(dataset, schema)
    with run.main_process_first():
        splits = run.note_alignment(args.align(dataset, tokenizer, schema, model))

    trainer = TaggingTrainer.of_run(run, splits, model=model, processing_class=tokenizer)
    if args.training.do_train:
        trainer.train()
    trainer.save_model()
    trainer.final_evaluation()
    publish_run(trainer)  # results, predictions, report.html, a card that quotes it, and the push


if __name__ == "__main__":
    with plain_errors():
        main()
