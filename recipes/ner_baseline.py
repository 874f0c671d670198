"""Train a named-entity tagger from scratch: an MLP, a CNN, an RNN, LSTM or GRU, a Transformer, or count an HMM.

    accelerate launch recipes/ner_baseline.py
    accelerate launch recipes/ner_baseline.py --config recipes/configs/ner/lstm_crf_conll2003.yaml
    accelerate launch recipes/ner_baseline.py --encoder cnn --word_features pos chunk --scheme BIOES

Its words are those of the training split; what is not among them is read by its characters, where --characters says so.
The model is an ordinary one: pipeline("token-classification", trust_remote_code=True) loads the folder anywhere.
"""

from hf_tagging.console import plain_errors
from hf_tagging.publishing import publish_run
from hf_tagging.trainer import TaggingTrainer
from hf_tagging.training import RunConfig, ScratchConfig, start_run


def main() -> None:
    args = RunConfig.from_command_line(task="ner", model=ScratchConfig, description=__doc__)
    run = start_run(args)
    with run.main_process_first():
        dataset = args.load_dataset()

    # The trainer takes words and tags as well as aligned splits: it writes entities in one scheme,
    # builds the model of the words of training, and aligns both, with -100 where nothing is scored.
    trainer = TaggingTrainer.of_run(run, dataset)
    if args.training.do_train:
        trainer.train()
    trainer.save_model()
    trainer.final_evaluation()
    publish_run(trainer)  # results, predictions, report.html, a card that quotes it, and the push


if __name__ == "__main__":
    with plain_errors():
        main()
