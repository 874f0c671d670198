"""Pretrain a language model, from scratch or going on with a BERT-family encoder, as a start for a tagger.

    accelerate launch recipes/pretrain.py --encoder lstm --num_layers 2 --characters cnn
    accelerate launch recipes/pretrain.py --encoder transformer --text_file news.txt more.txt
    accelerate launch recipes/pretrain.py --model google-bert/bert-base-cased --text_file reports.txt

Text is plain (--text_file, a sentence or paragraph a line), or the words of tagging data, whose tags are left out; the
test split is never read. Recurrent encoders become a pair of language models, forward and backward, as in ELMo; all
others, and BERT's family, predict hidden words. Perplexity is that of the validation split: the data's own, or what
--validation_share holds out. A tagger starts from the folder:

    accelerate launch recipes/pos_baseline.py --model FOLDER
    accelerate launch recipes/pos_bert.py --model FOLDER        (of a BERT-family encoder)
"""

from hf_tagging.console import plain_errors
from hf_tagging.data import split_words
from hf_tagging.evaluation.figures import Results
from hf_tagging.models.modeling_baseline_lm import BaselineForLanguageModeling
from hf_tagging.publishing.card.language_model import language_model_card
from hf_tagging.publishing.hub.push import push_finished
from hf_tagging.training import start_run
from hf_tagging.training.config.pretraining import PretrainingConfig
from hf_tagging.training.pretraining_trainer import PretrainingTrainer


def main() -> None:
    args = PretrainingConfig.from_command_line(description=__doc__)
    run = start_run(args)

    with run.main_process_first():
        dataset = run.select(args.load_words(split_words))

    # Words are predicted where a window owns them, so none twice.
    model, tokenizer, collator = args.build_language_model(dataset)
    with run.main_process_first():
        splits = run.note_alignment(args.align_words(dataset, tokenizer))

    trainer = PretrainingTrainer(
        model=model, args=args.training, tokenizer=tokenizer, splits=splits, collator=collator, run=run
    )
    trainer.train()
    trainer.save_model()

    results = trainer.held_out()
    scratch = isinstance(model, BaselineForLanguageModeling)
    run.finish(results, language_model_card(run.record, results, objective=collator.objective, scratch=scratch))
    run.say(summary(results))
    push_finished(run)


def summary(results: Results) -> str:
    if not results:
        return "There was no validation split, so there is no perplexity; --validation_share 0.05 holds one out."
    figures = results["validation"]
    return (
        f"Perplexity {figures['perplexity']:,.2f} over {figures['predictions']:,} predictions of the validation split"
    )


if __name__ == "__main__":
    with plain_errors():
        main()
