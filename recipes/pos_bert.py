"""Fine-tune a BERT-family encoder to tag parts of speech.

    accelerate launch recipes/pos_bert.py
    accelerate launch recipes/pos_bert.py --config recipes/configs/pos/quickstart.yaml
    accelerate launch recipes/pos_bert.py --dataset PATH --model PATH --learning_rate 3e-5

Without a flag: google-bert/bert-base-cased on CoNLL-2003 from the Hub. A flag wins over the YAML file, the file over
the default. The run's folder holds the model with its tokenizer and card, its predictions and its figures.
"""

from hf_tagging.console import plain_errors
from hf_tagging.data import TagSchema
from hf_tagging.publishing import publish_run
from hf_tagging.trainer import TaggingTrainer
from hf_tagging.training import EncoderConfig, RunConfig, start_run


def main() -> None:
    args = RunConfig.from_command_line(task="pos", model=EncoderConfig, description=__doc__)
    run = start_run(args)

    # Words and tags in. A model that is a tagger for these tags already keeps its label ids.
    with run.main_process_first():
        dataset = run.select(args.load_dataset())
        schema = TagSchema.detect(dataset, task="pos")
        dataset, schema = schema.adopt(dataset, args.saved_schema())

    # Words become windows of subwords that fit the encoder.
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
