"""Training on a stream: every sentence once an epoch, the same windows, the same weights after a stop."""

import json
import shutil
import time
from dataclasses import dataclass
from itertools import takewhile

import pytest
import torch
from datasets import Dataset
from datasets.packaged_modules.json.json import JsonConfig
from datasets.table import MemoryMappedTable
from recipe_runs import record, run_here, run_recipe, start_recipe, weights
from tiny_models import tiny_bert
from transformers import AutoTokenizer, TrainerCallback

import hf_tagging.data.alignment as alignment
import hf_tagging.data.streaming as streaming
from hf_tagging.data import TagSchema, align_dataset, load_tagging_dataset
from hf_tagging.data.json_lines import JsonLines
from hf_tagging.data.streaming import Place, stream_of
from hf_tagging.data.windows import Aligner
from hf_tagging.errors import ConfigError, DataError
from hf_tagging.trainer import TaggingTrainer
from hf_tagging.training import DataConfig, RunConfig, TaggingConfig
from hf_tagging.training.streaming import StreamWindows

STEPS = ("--streaming", "true", "--max_steps", 24, "--use_cpu", "--bf16", "false", "--max_eval_samples", 20)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    for name, size in {"SAMPLE": 90, "BLOCK": 24, "_TABLE": 12}.items():
        monkeypatch.setattr(streaming, name, size)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """100 sentences in IOB1, as three files of JSON Lines, as Parquet, and as columns; and 20 to validate on."""
    folder, data = tmp_path_factory.mktemp("corpus"), load_tagging_dataset("sample", task="ner")
    iob1, schema, _ = TagSchema.detect(data, task="ner").convert(data, to="IOB1")
    rows = [{"tokens": r["tokens"], "ner_tags": [schema.tags[i] for i in r["tags"]]} for r in iob1["train"]][:100]
    for name, some in {f"train-{i}": rows[i::3] for i in range(3)}.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    Dataset.from_list(rows).to_parquet(folder / "train.parquet")
    columns = ("\n".join(f"{w}\t{t}" for w, t in zip(*row.values(), strict=True)) for row in rows)
    (folder / "train.tsv").write_text("\n\n".join(columns) + "\n")
    held_out = [{"tokens": r["tokens"], "ner_tags": [schema.tags[i] for i in r["tags"]]} for r in iob1["validation"]]
    (folder / "validation.jsonl").write_text("".join(json.dumps(row) + "\n" for row in held_out[:20]))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("tiny"))


def files(corpus, kind):
    return [str(path) for path in sorted(corpus.glob(f"train*.{kind}"))]


def load(corpus, kind="jsonl"):
    train, validation = files(corpus, kind), str(corpus / "validation.jsonl")
    return load_tagging_dataset(task="ner", train_file=train, validation_file=validation, streaming=True)


def epoch(stream, number=0, **reader):
    """Places and blocks of one epoch."""
    return list(takewhile(lambda found: found[0].epoch == number, stream.blocks(Place(epoch=number), **reader)))


def sentences(blocks):
    return sorted(json.dumps([row["tokens"], row["tags"]]) for _, block in blocks for row in block)


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "tsv"])
def test_readers_share_every_sentence_once_an_epoch(corpus, kind):
    whole = load_tagging_dataset(task="ner", train_file=files(corpus, kind))["train"]
    dataset = load(corpus, kind)["train"]
    stream = stream_of(dataset)
    assert len(dataset) < len(whole) == 100
    assert dataset.features["tags"].feature.names == ["O", *stream.tags.names[1:]]
    names = whole.features["tags"].feature.names
    ids = [stream.tags.names.index(name) for name in names]
    expected = sorted(json.dumps([row["tokens"], [ids[i] for i in row["tags"]]]) for row in whole)
    for readers in (2, 5):  # 5: more than there are files
        parts = [epoch(stream, reader=reader, readers=readers) for reader in range(readers)]
        assert sentences(block for part in parts for block in part) == expected


def test_a_stream_goes_on_at_every_place_and_shuffles_its_shards(corpus):
    stream = stream_of(load(corpus)["train"])
    first, second = epoch(stream), epoch(stream, 1)
    assert sentences(first) == sentences(second)
    assert [block["tokens"] for _, block in first] != [block["tokens"] for _, block in second]
    for number, (place, _) in enumerate(first):
        assert place.block == number
        going_on = stream.blocks(place)
        for (at, block), (found_at, found) in zip(first[number:], going_on, strict=False):
            assert (found_at, found["tokens"], found["tags"]) == (at, block["tokens"], block["tags"])


def test_windows_of_a_stream_are_those_of_the_split(corpus, model):
    tokenizer = AutoTokenizer.from_pretrained(model)
    data = load_tagging_dataset(task="ner", train_file=files(corpus, "parquet"))
    data, schema, conversion = TagSchema.detect(data, task="ner").convert(data, to="BIOES")
    assert conversion.source == "IOB1"
    expected = align_dataset(data, tokenizer, schema)["train"].features
    stream = stream_of(load(corpus, "parquet")["train"])
    make = StreamWindows(TagSchema(tuple(stream.tags.names), "IOB1"), schema, Aligner(tokenizer), "first", [], 0.0)
    found = [row for _, block in epoch(stream) for row in make.of(block, seed=0)]
    key = ("input_ids", "labels")
    assert [[row[name] for name in key] for row in found] == [[row[name] for name in key] for row in expected]


class Stop(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **named):
        if state.global_step == self.step:
            raise KeyboardInterrupt


def train(corpus, model, output, *, workers, stop=None, data=None, **arguments):
    data = data or load(corpus)
    args = TaggingConfig(output_dir=str(output), max_steps=15, save_steps=5, eval_strategy="no", save_strategy="steps",
                         use_cpu=True, bf16=False, dataloader_num_workers=workers, calibrate=False,
                         tokens_per_batch=300, **arguments)  # fmt: skip
    trainer = TaggingTrainer(str(model), args, train_dataset=data["train"], callbacks=[Stop(stop)] if stop else [])
    trainer.train()
    return {name: weight.clone() for name, weight in trainer.model.state_dict().items()}


@pytest.mark.parametrize("workers", [0, 2])
def test_stopped_and_resumed_is_bit_for_bit_unbroken(corpus, model, tmp_path, workers):
    """With two workers, the fifth step ends on the turn of the other one."""
    expected = train(corpus, model, tmp_path / "unbroken", workers=workers)
    with pytest.raises(KeyboardInterrupt):
        train(corpus, model, tmp_path / "stopped", workers=workers, stop=8)
    assert (tmp_path / "stopped" / "checkpoint-5" / "stream-0.json").is_file()
    found = train(corpus, model, tmp_path / "stopped", workers=workers, resume=True)
    assert all(torch.equal(weight, expected[name]) for name, weight in found.items())


def test_another_number_of_workers_is_another_run(corpus, model, tmp_path):
    train(corpus, model, tmp_path, workers=0)
    with pytest.raises(ConfigError, match="dataloader_num_workers: was 0, is 2"):
        train(corpus, model, tmp_path, workers=2, resume=True)


@pytest.mark.parametrize("change", ["new", "gone", "longer"])
@pytest.mark.failure_mode("stream-changed")
def test_a_stream_whose_files_have_changed_is_not_resumed(corpus, model, tmp_path, monkeypatch, change):
    """The change is where no sample is taken from, so that its fingerprint is the same."""
    monkeypatch.setattr(streaming, "_SAMPLED_SHARDS", 1)
    monkeypatch.setattr(streaming, "SAMPLE", 30)
    mine = tmp_path / "corpus"
    shutil.copytree(corpus, mine, ignore=shutil.ignore_patterns("*.parquet", "*.tsv"))

    def again(**how):
        data = load_tagging_dataset(str(mine), task="ner", streaming=True)
        train(mine, model, tmp_path / "run", workers=0, data=data, **how)

    with pytest.raises(KeyboardInterrupt):
        again(stop=8)
    if change == "new":
        shutil.copy(mine / "train-0.jsonl", mine / "train-3.jsonl")
    elif change == "gone":
        (mine / "train-2.jsonl").unlink()
    else:
        with open(mine / "train-2.jsonl", "a") as file:
            file.write('{"tokens": ["a"], "ner_tags": ["O"]}\n')
    said = {"new": "train-3.jsonl: is new", "gone": "train-2.jsonl: is gone", "longer": r"train-2.jsonl: had .* bytes"}
    with pytest.raises(DataError, match=rf"whose files have changed:\n  .*{said[change]}.*\nGive the old files"):
        again(resume=True)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_of_a_worker_is_one_message(corpus, model, tmp_path, workers):
    mine = tmp_path / "corpus"
    shutil.copytree(corpus, mine)
    for number in range(3):
        with open(mine / f"train-{number}.jsonl", "a") as file:
            file.write('{"tokens": ["a"], "ner_tags": ["B-NEW"]}\n')
    with pytest.raises(DataError, match="the tag 'B-NEW' is neither in") as error:
        train(mine, model, tmp_path / "run", workers=workers)
    assert "\n" not in str(error.value)


@dataclass
class SmallParts(JsonConfig):
    chunksize: int = 2_000


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("null", "line 151: 'null' is no JSON object"),
        ('{"tokens": ' + "[" * 100_000 + "]" * 100_000 + "}", "line 151: .* is not JSON: nested too deep"),
        ('{"tokens": ' + "[" * 100 + "]" * 100 + "}", "line 151: .* is nested more than 32 deep"),
        ('{"tokens": ["a", "ner_tags": ["O"]}', "line 151: .* is not JSON: Expecting"),
        (r'{"tokens": ["\ud800"], "ner_tags": ["O"]}', "line 151: .* is not JSON: .*surrogate"),
        ('{"tokens": ["a"], "tokens": ["b"]}', "cannot be read as rows of JSON .*twice.* Give every row"),
    ],
)
@pytest.mark.failure_mode("stream-line")
def test_every_line_is_checked_before_the_parser_drops_it_or_crashes(tmp_path, monkeypatch, line, message):
    monkeypatch.setattr(JsonLines, "BUILDER_CONFIG_CLASS", SmallParts)
    row = '{"tokens": ["Ann", "Lee"], "ner_tags": ["B-PER", "O"]}\n'
    (tmp_path / "train.jsonl").write_text(150 * row + line + "\n" + row)
    stream = stream_of(load_tagging_dataset(tmp_path / "train.jsonl", task="ner", streaming=True)["train"])
    with pytest.raises(DataError, match=message):
        epoch(stream)


@pytest.mark.failure_mode("stream-killed")
@pytest.mark.slow
def test_two_processes_killed_and_resumed_are_bit_for_bit_unbroken(corpus, model, tmp_path):
    """By the recipe, to its card; two processes read three files, each its own."""
    flags = ("--model", model, "--train_file", *files(corpus, "jsonl"), "--validation_file",
             corpus / "validation.jsonl", *STEPS, "--eval_steps", 6, "--tokens_per_batch", 300)  # fmt: skip
    run_recipe("ner_bert", *flags, "--output_dir", tmp_path / "unbroken", processes=2)
    out = tmp_path / "killed"
    process = start_recipe("ner_bert", *flags, "--output_dir", out, processes=2)
    deadline = time.monotonic() + 120
    while not list(out.glob("checkpoint-12")) and time.monotonic() < deadline:
        time.sleep(0.002)
    process.kill()
    run_recipe("ner_bert", *flags, "--output_dir", out, "--resume", processes=2)
    expected = weights(tmp_path / "unbroken")
    assert all(torch.equal(weight, expected[name]) for name, weight in weights(out).items())
    assert [entry["epoch"] for entry in record(out)["history"]] == [0.25, 0.5, 0.75, 1.0]
    assert "train, a stream: its first sentences" in (out / "README.md").read_text()


@pytest.mark.failure_mode("stream-tags")
def test_a_tag_that_the_model_has_no_label_for_is_an_error_with_its_row(tmp_path):
    rows = [{"tokens": ["Ann", "Lee"], "ner_tags": ["B-PER", "O"]} for _ in range(120)]
    rows[0]["ner_tags"] = ["O", "B-LOC"]
    rows[95]["ner_tags"], rows[101]["ner_tags"] = ["O", "I-PER"], ["O", "B-ORG"]  # I-PER is a prefix of a known type
    rows[3]["ner_tags"] = ["B-LOC", "I-LOC"]
    file = tmp_path / "train.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    message = rf"{file}, row 102: the tag 'B-ORG' is neither in the first 90 rows .* Name all tags: tag_names="
    with pytest.raises(DataError, match=message):
        epoch(stream_of(load_tagging_dataset(file, task="ner", streaming=True)["train"]))
    names = ["O", *(f"{prefix}-{kind}" for kind in ("PER", "LOC", "ORG") for prefix in "BI")]
    stream = stream_of(load_tagging_dataset(file, task="ner", streaming=True, tag_names=names)["train"])
    assert sum(len(block) for _, block in epoch(stream)) == 120


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'[{"tokens": ["a"], "ner_tags": ["O"]}]', "an array of JSON is read whole and cannot be streamed"),
        (b'null\n{"tokens": ["a"], "ner_tags": ["O"]}\n', "is no JSON object"),  # the parser would crash
    ],
)
@pytest.mark.failure_mode("not-streamed")
def test_files_that_cannot_be_streamed(tmp_path, content, message):
    (tmp_path / "train.json").write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_tagging_dataset(tmp_path / "train.json", task="ner", streaming=True)


def test_what_is_on_this_disk_as_it_is_used_is_not_streamed(corpus, tmp_path):
    load_tagging_dataset(task="ner", train_file=files(corpus, "parquet")).save_to_disk(tmp_path)
    with pytest.raises(DataError, match="is on this disk as it is used; leave streaming out"):
        load_tagging_dataset(str(tmp_path), task="ner", streaming=True)


def test_rows_that_end_early_for_some_readers_are_refused(corpus):
    stream = stream_of(load(corpus, "parquet")["train"])
    with pytest.raises(DataError, match=r"too few rows for 200 readers .*dataloader_num_workers"):
        epoch(stream, reader=150, readers=200)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--task ner", "max_steps: a stream has no length"),
        ("--task ner --max_steps 9 --validation_share 0.1", "validation_share: is drawn from all of training"),
        ("--task ner --max_steps 9 --class_weights sqrt", "class_weights: counts the tags of all of training"),
        ("--task ner --max_steps 9 --compact_vocabulary on", "compact_vocabulary: needs the subwords of all"),
        ("--task ner --max_steps 9 --packing true", "packing: plans rows for all of training"),
        ("--task ner --max_steps 9 --tokens_per_batch auto", "tokens_per_batch: tries the longest sentences"),
        ("--task ner --max_steps 9 --context document", "context: needs whole documents"),
        ("--task ner --max_steps 9 --encoder hmm", "encoder: counts all of training"),
        ("--task ner --max_steps 9 --eval_steps 6 --save_steps 4", "saving steps to be a round multiple"),
        ("--task ner --max_steps 9 --encoder lstm", "words: the vocabulary is that of all of training"),
    ],
)
def test_what_needs_all_of_training_is_refused_before_anything_is_loaded(flags, message):
    with pytest.raises(ConfigError) as error:
        RunConfig.from_command_line([*flags.split(), "--streaming", "true", "--train_file", __file__])
    assert message in str(error.value)


def test_a_stream_is_evaluated_and_saved_ten_times_unless_it_is_told_when(corpus):
    data = DataConfig(train_file=files(corpus, "jsonl"), streaming=True)
    for given, expected in {(): 0.1, ("eval_steps",): 7}.items():
        config = RunConfig("ner", training=TaggingConfig(max_steps=200, **dict.fromkeys(given, 7)), data=data).training
        assert (config.eval_strategy, config.eval_steps, config.save_steps) == ("steps", expected, expected)


def test_without_training_no_more_of_a_stream_is_read_than_its_sample(corpus):
    """As where runs are averaged, or another tagger is scored on the data of a run."""
    data = DataConfig(train_file=files(corpus, "jsonl"), streaming=True)
    found = RunConfig("ner", training=TaggingConfig(do_train=False), data=data).load_dataset()["train"]
    assert len(found) == streaming.SAMPLE


def test_a_sample_that_was_selected_from_is_no_stream(corpus, model, tmp_path):
    data = load(corpus)["train"].select(range(5))
    with pytest.raises(DataError, match="is no stream any more"):
        TaggingTrainer(str(model), TaggingConfig(output_dir=str(tmp_path), max_steps=2), train_dataset=data)


def test_a_baseline_with_the_words_of_a_tokenizer_learns_from_a_stream(corpus, model, tmp_path):
    run_here("ner_baseline", "--words", model, "--train_file", *files(corpus, "parquet"), *STEPS, "--hidden_size", 8,
             "--output_dir", tmp_path / "run", "--case_dropout", 0.5)  # fmt: skip
    assert record(tmp_path / "run")["status"] == "finished"


def test_otherwise_words_and_subwords_are_on_the_disk_and_read_by_all_processes_of_a_machine(
    corpus, model, tmp_path, monkeypatch
):
    """The first process fills the cache (`TaggingRun.main_process_first`), and the others compute nothing."""

    def aligned():
        data = load_tagging_dataset(files(corpus, "parquet")[0], task="ner", cache_dir=tmp_path)
        schema = TagSchema.detect(data, task="ner")
        return align_dataset(data, AutoTokenizer.from_pretrained(model), schema)["train"]

    def refuse(*args, **named):
        raise AssertionError("aligned again")

    first = aligned()
    monkeypatch.setattr(alignment, "_align_batch", refuse)
    again = aligned()
    assert again.features.cache_files == first.features.cache_files != []
    assert again.words.cache_files == first.words.cache_files != []
    assert all(isinstance(part.data, MemoryMappedTable) for part in (again.words, again.features))
