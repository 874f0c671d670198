"""Train a part-of-speech tagger from scratch: an MLP, a CNN, an RNN, LSTM or GRU, a Transformer, or count an HMM.

    accelerate launch recipes/pos_baseline.py
    accelerate launch recipes/pos_baseline.py --encoder hmm
    accelerate launch recipes/pos_baseline.py --encoder lstm --characters cnn --word_shape true --head crf
    accelerate launch recipes/pos_baseline.py --config recipes/configs/pos/lstm_tweets.yaml --dataset pos.txt

Its words are those of the training split; what is not among them is read by its characters, where --characters says so.
The model is an ordinary one: pipeline("token-classification", trust_remote_code=True) loads the folder anywhere.
"""

from functools import partial

from hf_tagging.console import plain_errors
from hf_tagging.data import TagSchema, align_dataset, load_tagging_dataset, vocabulary
from hf_tagging.evaluation import results_table, score_words, write_predictions
from hf_tagging.models import build_baseline, saved_schema
from hf_tagging.publishing import model_card, publish_run
from hf_tagging.training import TaggingRun, TaggingTrainer, parse_arguments


def main() -> None:
    args = parse_arguments("pos", family="baseline", description=__doc__)
    run = TaggingRun(args)

    with run.main_process_first():
        dataset = run.select(load_tagging_dataset(**args.loading()))
        schema = TagSchema.detect(dataset, task="pos")
        dataset, schema = schema.adopt(dataset, saved_schema(**args.source()))

    model, tokenizer = build_baseline(dataset, schema, **args.baseline())
    with run.main_process_first():
        features = getattr(model.config, "word_features", None)
        aligned = align_dataset(dataset, tokenizer, schema, word_features=features, **args.alignment())
        splits = run.note_alignment(aligned)

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
