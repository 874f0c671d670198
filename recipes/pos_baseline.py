"""Train a part-of-speech tagger from scratch: an MLP, a CNN, an RNN, LSTM or GRU, a Transformer, or count an HMM.

    accelerate launch recipes/pos_baseline.py
    accelerate launch recipes/pos_baseline.py --encoder hmm
    accelerate launch recipes/pos_baseline.py --encoder lstm --characters cnn --word_shape true --head crf
    accelerate launch recipes/pos_baseline.py --config recipes/configs/pos/lstm_tweets.yaml --dataset pos.txt

Its words are those of the training split; what is not among them is read by its characters, where --characters says so.
The model is an ordinary one: pipeline("token-classification", trust_remote_code=True) loads the folder anywhere.
"""

from hf_tagging.console import plain_errors
from hf_tagging.publishing import publish_run
from hf_tagging.trainer import TaggingTrainer
from hf_tagging.training import RunConfig, ScratchConfig, start_run


def main() -> None:
    args = RunConfig.from_command_line(task="pos", model=ScratchConfig, description=__doc__)
    run = start_run(args)
    with run.main_process_first():
        dataset = args.load_dataset()

    # The trainer takes words and tags as well as aligned splits: it counts the words of training, builds
    # the model, and aligns words and subwords, with -100 where a subword carries no label.
    trainer = TaggingTrainer.of_run(run, dataset)
    if args.training.do_train:
        trainer.train()
    trainer.save_model()
    trainer.final_evaluation()
    publish_run(trainer)  # results, predictions, report.html, a card that quotes it, and the push


if __name__ == "__main__":
    with plain_errors():
        main()
