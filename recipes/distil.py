"""Train a small tagger on the tags of a large one, or of several (distillation).

    accelerate launch recipes/distil.py --task ner --teacher runs/bert --model minilm
    accelerate launch recipes/distil.py --task pos --teacher runs/seed-1 runs/seed-2 --encoder lstm --characters cnn
    accelerate launch recipes/distil.py --task ner --teacher runs/bert --encoder lstm --head crf --text_file news.txt

The student learns the probabilities that the teacher gives to the tags of each word, and the gold tags where there are
some (--gold_weight). The two may have other tokenizers. Text without tags (--text_file) is learned from the teacher
alone. The data decides the tags of the student; the teacher's have to be among them, in the same --scheme.
"""

from hf_tagging.console import plain_errors
from hf_tagging.errors import ConfigError
from hf_tagging.problems import argument
from hf_tagging.publishing import publish_run
from hf_tagging.trainer import TaggingTrainer
from hf_tagging.training import RunConfig, start_run


def main() -> None:
    args = RunConfig.from_command_line(description=__doc__)
    if not args.training.teacher:
        raise ConfigError(f"teacher: there is no teacher to learn from. Give {argument('teacher', 'DIR')}.")
    run = start_run(args)

    with run.main_process_first():
        dataset = args.load_dataset()

    # Loads or builds the student and aligns the data; the teacher tags the training words when training begins.
    trainer = TaggingTrainer.of_run(run, dataset)
    trainer.train()
    trainer.save_model()
    trainer.final_evaluation()
    publish_run(trainer)  # results, predictions, report.html, a card that quotes it, and the push


if __name__ == "__main__":
    with plain_errors():
        main()
