"""Train a named-entity tagger from scratch: an MLP, a CNN, an RNN, LSTM or GRU, a Transformer, or count an HMM.

    accelerate launch recipes/ner_baseline.py
    accelerate launch recipes/ner_baseline.py --config recipes/configs/ner/lstm_crf_conll2003.yaml
    accelerate launch recipes/ner_baseline.py --encoder cnn --word_features pos chunk --scheme BIOES

Its words are those of the training split; what is not among them is read by its characters, where --characters says so.
The model is an ordinary one: pipeline("token-classification", trust_remote_code=True) loads the folder anywhere.
"""

from functools import partial

from hf_tagging.console import plain_errors
from hf_tagging.data import TagSchema, align_dataset, load_tagging_dataset
from hf_tagging.evaluation import results_table, score_entities, write_predictions
from hf_tagging.models import build_baseline, saved_schema
from hf_tagging.publishing import model_card, publish_run
from hf_tagging.training import TaggingRun, TaggingTrainer, parse_arguments


def main() -> None:
    args = parse_arguments("ner", family="baseline", description=__doc__)
    run = TaggingRun(args)

    with run.main_process_first():
        found = run.select(load_tagging_dataset(**args.loading()))
        saved = saved_schema(**args.source(), scheme=args.data.scheme)
        # However the entities were written, the model sees one scheme.
        dataset, schema, conversion = TagSchema.detect(found, task="ner").convert(found, to=args.scheme(saved))
        dataset, schema = schema.adopt(dataset, saved)
    run.note_conversion(conversion)

    model, tokenizer = build_baseline(dataset, schema, **args.baseline())
    with run.main_process_first():
        features = getattr(model.config, "word_features", None)
        aligned = align_dataset(dataset, tokenizer, schema, word_features=features, **args.alignment())
        splits = run.note_alignment(aligned)

    trainer = TaggingTrainer(
        model=model,
        args=args.training,
        schema=schema,
        tokenizer=tokenizer,
        splits=splits,
        score=partial(score_entities, scheme=schema.scheme),
    )
    run.train(trainer)

    results = run.evaluate(trainer, splits, write_predictions)
    run.save(results, model_card(run.record, results, schema))
    run.say(results_table("ner", results))
    publish_run(run, results, schema, splits)  # report.html, a card that quotes it, and the push


if __name__ == "__main__":
    with plain_errors():
        main()
