"""Fine-tune a BERT-family encoder to tag parts of speech.

    accelerate launch recipes/pos_bert.py
    accelerate launch recipes/pos_bert.py --config recipes/configs/pos/quickstart.yaml
    accelerate launch recipes/pos_bert.py --dataset PATH --model PATH --learning_rate 3e-5

Without a flag: google-bert/bert-base-cased on CoNLL-2003 from the Hub. A flag wins over the YAML file, the file over
the default. The run's folder holds the model with its tokenizer and card, its predictions and its figures.
"""

from functools import partial

from hf_tagging.console import plain_errors
from hf_tagging.data import TagSchema, align_dataset, load_tagging_dataset, vocabulary
from hf_tagging.evaluation import results_table, score_words, write_predictions
from hf_tagging.models import load_encoder, saved_schema
from hf_tagging.publishing import model_card, publish_run
from hf_tagging.training import TaggingRun, TaggingTrainer, parse_arguments


def main() -> None:
    args = parse_arguments("pos", description=__doc__)
    run = TaggingRun(args)

    # Words and tags in. A model that is a tagger for these tags already keeps its label ids.
    with run.main_process_first():
        dataset = run.select(load_tagging_dataset(**args.loading()))
        schema = TagSchema.detect(dataset, task="pos")
        dataset, schema = schema.adopt(dataset, saved_schema(**args.source()))

    # Words become windows of subwords that fit the encoder.
    model, tokenizer = load_encoder(schema=schema, **args.encoder())
    with run.main_process_first():
        splits = run.note_alignment(align_dataset(dataset, tokenizer, schema, **args.alignment()))

    # Accuracy over whole sentences, and apart over the words that training never showed.
    score = partial(score_words, known_words=vocabulary(dataset.get("train")))
    trainer = TaggingTrainer(
        model=model, args=args.training, schema=schema, tokenizer=tokenizer, splits=splits, score=score
    )
    run.train(trainer)

    results = run.evaluate(trainer, splits, write_predictions)
    run.save(results, model_card(run.record, results, schema))
    run.say(results_table("pos", results))
    publish_run(run, results, schema, splits)  # report.html, a card that quotes it, and the push


if __name__ == "__main__":
    with plain_errors():
        main()
