"""The two checks of the README's figures, on a slice of the real CoNLL-2003 that is small enough for every run."""

import conlleval
import pytest
from recipe_runs import record, run_recipe

from hf_tagging.data import TagSchema, load_tagging_dataset

pytestmark = [pytest.mark.real, pytest.mark.slow]
SLICE = ("--max_train_samples", 1_500, "--max_eval_samples", 400, "--num_train_epochs", 1, "--learning_rate", 4e-4,
         "--per_device_train_batch_size", 8, "--use_cpu", "--save_only_model")  # fmt: skip


@pytest.mark.parametrize(("task", "figure", "least"), [("ner", "f1", 0.55), ("pos", "accuracy", 0.88)])
def test_the_quickstart_encoder_learns_conll2003(real_data, tmp_path, task, figure, least):
    config = f"recipes/configs/{task}/minilm_conll2003.yaml"
    out = tmp_path / "run"
    run_recipe(f"{task}_bert", "--config", config, "--dataset", real_data / "conll2003", "--output_dir", out, *SLICE)
    run = record(out)
    assert run["results"]["test"][figure] >= least
    assert run["alignment"]["test"]["vanished_words"] == 0
    scored = conlleval.score((out / "predictions" / "test.conll").read_text().split("\n"))
    assert round(scored["accuracy"], 4) == round(run["results"]["test"]["accuracy"], 4)
    if task == "ner":
        assert round(scored["f1"], 4) == round(run["results"]["test"]["f1"], 4)


def test_iob1_has_the_same_entities_as_iob2(real_data):
    """The original release of CoNLL-2003 is IOB1; its entities are those of the IOB2 copy."""
    iob2 = load_tagging_dataset(real_data / "conll2003", task="ner")
    schema = TagSchema.detect(iob2, task="ner")
    assert schema.scheme == "IOB2"
    iob1, there, conversion = schema.convert(iob2, to="IOB1")
    assert (conversion.words, conversion.repaired) == (301_418, 0)
    assert TagSchema.detect(iob1, task="ner").scheme == "IOB1"
    back, schema_back, conversion = there.convert(iob1, to="IOB2")
    assert conversion.repaired == 0
    for split in iob2:
        names = [[schema.tags[i] for i in row] for row in iob2[split]["tags"]]
        assert [[schema_back.tags[i] for i in row] for row in back[split]["tags"]] == names
