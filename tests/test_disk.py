"""Folders that cannot be written are refused before anything is loaded; a full disk is named, and nothing is lost."""

import errno
import json
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from recipe_runs import run_here
from safetensors.numpy import save_file
from tiny_models import tiny_bert

from hf_tagging.atomic import place, whole_folder, whole_path
from hf_tagging.cli import main
from hf_tagging.comparison.plan import read_plan
from hf_tagging.comparison.runner import carry_out
from hf_tagging.console import plain_errors
from hf_tagging.disk import check_writable, refusal, writing_to
from hf_tagging.errors import DataError, ModelError, OutputError

FEW = ("--dataset", "sample", "--max_train_samples", 8, "--max_eval_samples", 4, "--num_train_epochs", 1, "--use_cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("disk"))


@pytest.fixture
def disk(tmp_path):
    """A disk of its own with room for so many bytes."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def _disk(room, *options):
        mount = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={room}", *options]), "none", str(folder)]
        try:
            done = subprocess.run(mount, capture_output=True, text=True)
        except OSError as error:
            pytest.skip(f"no disk can be mounted here: {error}")
        if done.returncode:
            pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
        return folder

    yield _disk
    if folder.is_mount():
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def limit():
    """Limits the size of files, as `ulimit -f` does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def bad(tmp_path):
    """Folders that cannot be written, by what the system says of them."""
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    (tmp_path / "file").write_text("x")
    return {
        "Not a directory": Path("/dev/null/x"),
        "Too many levels of symbolic links": loop,
        "No such file or directory": tmp_path / "nowhere",
        "File name too long": tmp_path / "new" / ("n" * 300),
    }


def ends(*words):
    """Runs a command line in this process; its exit code."""
    with pytest.raises(SystemExit) as end:
        main([*map(str, words)])
    return end.value.code


@pytest.mark.failure_mode("output-impossible")
def test_folders_are_asked_first(bad, tmp_path, disk):
    for reason, folder in bad.items():
        with pytest.raises(OutputError, match=f"cannot be written .{reason}"):
            check_writable(folder)
    with pytest.raises(OutputError, match=r"cannot be written .Not a directory"):
        check_writable(tmp_path / "file" / "below")
    with pytest.raises(OutputError, match=r"cannot be written .embedded null byte"):
        check_writable("a\0b")
    (tmp_path / "link").symlink_to(tmp_path)
    for fine in (tmp_path, tmp_path / "link", tmp_path / "link" / "new" / "newer"):
        check_writable(fine)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OutputError, match=r"cannot be written .Read-only file system"):
        check_writable(disk("1m", "ro") / "run")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.failure_mode("output-impossible")
@pytest.mark.parametrize(
    "words",
    [
        "predict NOPE --text x --output BAD/out",
        "evaluate NOPE --dataset sample --output BAD",
        "export NOPE --to onnx --output BAD",
        "compare NOPE --output BAD",
        "demo NOPE --space BAD",
        "copy pos/quickstart BAD/out",
    ],
)
def test_commands_ask_before_they_load(words, bad, tmp_path, capsys):
    """NOPE is no model and no run: whoever had looked at it first would have said so."""
    for reason, folder in bad.items():
        made = words.replace("NOPE", str(tmp_path / "nope")).replace("BAD", str(folder))
        assert ends(*made.split()) == 1, made
        said = capsys.readouterr().err
        assert str(folder) in said
        assert f"cannot be written ({reason}" in said


@pytest.mark.failure_mode("output-impossible")
def test_recipes_ask_before_they_load(bad, model, tmp_path):
    (tmp_path / "broken.conll").write_bytes(b"\xff\xfe\x00")
    data = ("--train_file", tmp_path / "broken.conll", "--use_cpu")
    for reason, folder in list(bad.items())[:2]:
        with pytest.raises(OutputError, match=f"cannot be written .{reason}"):
            run_here("pos_bert", "--model", model, "--output_dir", folder, *data)
        with pytest.raises(OutputError, match=f"cannot be written .{reason}"):
            run_here("pretrain", "--encoder", "lstm", "--output_dir", folder, *data)
        with pytest.raises(OutputError, match=f"cannot be written .{reason}"):
            run_here("word_vectors", "--text_file", tmp_path / "broken.conll", "--output", folder / "v.txt")
    with pytest.raises(DataError):  # what is said of the data where the folder is fine
        run_here("pos_bert", "--model", model, "--output_dir", tmp_path / "fine", *data)


@pytest.mark.failure_mode("output-impossible")
def test_a_comparison_asks_before_it_starts(bad, tmp_path):
    plan = tmp_path / "plan.yaml"
    recipe = tmp_path / "pos_baseline.py"
    recipe.write_text("raise SystemExit(1)")
    for reason, folder in bad.items():
        run = f"{{recipe: {recipe}, task: pos, model: scratch, dataset: sample}}"
        plan.write_text(f"output_dir: {folder}\nruns:\n  a: {run}\n")
        with pytest.raises(OutputError, match=f"cannot be written .{reason}"):
            carry_out(read_plan(plan))


@pytest.mark.failure_mode("output-device")
def test_devices_and_standard_output_are_no_files(model, tmp_path, capsys):
    (tmp_path / "null").symlink_to("/dev/null")
    for name in ("/dev/null", tmp_path / "null"):
        assert ends("predict", model, "--text", "x", "--output", name, "--overwrite") == 1
        said = capsys.readouterr().err
        assert f"{name}: is a device, not a file, and is left as it is." in said
        assert "Without --output, standard output is written to." in said
    assert Path("/dev/null").is_char_device()
    script = (
        f"from hf_tagging.cli import main; main(['predict', {str(model)!r}, '--text', 'x', '--output', '/dev/stdout'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert "/dev/stdout: is a pipe, not a file" in done.stderr


@pytest.mark.failure_mode("standard-output")
def test_standard_output_on_a_full_disk_is_named(disk, model, tmp_path):
    """Once it was the disk of whichever folder had least room, and --output, which nobody had given."""
    (tmp_path / "x.conll").write_text("a\nbook\n\n" * 4_000)
    file = disk("8k") / "out"
    command = [sys.executable, "-m", "hf_tagging.cli", "predict", model, "--input", tmp_path / "x.conll"]
    with open(file, "w") as target:
        done = subprocess.run(command, stdout=target, stderr=subprocess.PIPE, text=True)
    room = rf"; 0\.0 of \S+ MB are free where {file} is"
    assert re.fullmatch(rf"\s*Standard output cannot be written \(the disk is full{room}\)\.\s*", done.stderr)
    assert done.returncode == 1


@pytest.mark.failure_mode("standard-output")
def test_closed_standard_output_is_said_before_anything_is_loaded(model, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", None)  # as Python has it after `>&-`
    assert ends("predict", model, "--text", "x") == 1
    main(["ls"])
    assert capsys.readouterr().err.strip() == "Standard output is closed; give the name of a file as --output."


@pytest.mark.failure_mode("standard-output")
@pytest.mark.parametrize("command", ["print", "ls", "ls --json", "predict"])
def test_standard_output_that_takes_nothing(model, monkeypatch, capsys, command):
    def run():
        if command == "print":
            with plain_errors():
                print("a little, which is written at the end")
        main(["predict", str(model), "--text", "x"] if command == "predict" else command.split())

    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", open("/dev/full", "w"))  # noqa: SIM115 - what cannot be written is dropped
        with pytest.raises(SystemExit, match="1"):
            run()
    assert capsys.readouterr().err.strip() == "Standard output cannot be written (the disk is full)."


# The tagger's model has 240 KB, its optimizer twice that: what fails first differs.
@pytest.mark.failure_mode("disk-full-training")
@pytest.mark.parametrize("room", ["8k", "160k"])
def test_a_run_on_a_full_disk(room, disk, model, capsys):
    folder = disk(room)
    with pytest.raises(SystemExit, match="1"), plain_errors():
        run_here("pos_bert", "--model", model, "--output_dir", folder / "run", *FEW)
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "he disk is full; " in said
    assert f"MB are free where {folder}" in said


@pytest.mark.failure_mode("report-fails")
def test_a_report_on_a_full_disk_fails_no_finished_run(disk, model, caplog):
    """The model has its place, its report does not."""
    folder = disk("600k")
    with caplog.at_level("ERROR", logger="hf_tagging"):
        run_here("pos_bert", "--model", model, "--output_dir", folder / "run", *FEW)
    assert "is finished, but its report could not be made" in caplog.text
    assert json.loads((folder / "run" / "run.json").read_text())["status"] == "finished"
    assert not (folder / "run" / "report.html").exists()


@pytest.mark.failure_mode("disk-full-training")
def test_a_run_on_a_full_disk_goes_on_when_there_is_room(disk, model, capsys):
    folder = disk("20m")
    flags = ("--model", model, "--output_dir", folder / "run", *FEW, "--save_strategy", "steps", "--save_steps", 1)
    flags = (*flags, "--num_train_epochs", 3, "--save_total_limit", 3, "--load_best_model_at_end", "false")
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(20 * 2**20 - 500_000))
    with pytest.raises(SystemExit, match="1"), plain_errors():
        run_here("pos_bert", *flags)
    said = capsys.readouterr().err
    assert "The disk is full; " in said
    assert "The same command with --resume goes on from the last complete checkpoint." in said
    ballast.unlink()
    run_here("pos_bert", *flags, "--resume")
    record = json.loads((folder / "run" / "run.json").read_text())
    assert (record["status"], record["resumed_from"]) == ("finished", "checkpoint-1")
    assert not list((folder / "run").glob(".*partial"))


@pytest.mark.failure_mode("file-size-limit")
def test_a_run_whose_files_become_too_large(limit, model, tmp_path, capsys):
    limit(100_000)
    with pytest.raises(SystemExit, match="1"), plain_errors():
        run_here("pos_bert", "--model", model, "--output_dir", tmp_path / "run", *FEW)
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "A file became larger than is allowed; ulimit -f allows 100,000 bytes." in said


@pytest.mark.failure_mode("disk-full-cache")
def test_a_full_cache_is_not_a_broken_file(disk, tmp_path, monkeypatch, capsys):
    cache = disk("64k")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(cache))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(cache))
    (tmp_path / "train.conll").write_text("".join(f"word{i} NN\n\n" for i in range(20_000)))
    with pytest.raises(SystemExit, match="1"), plain_errors(interrupted=""):
        run_here(
            "pos_baseline", "--train_file", tmp_path / "train.conll", "--output_dir", tmp_path / "run", "--use_cpu"
        )
    said = capsys.readouterr().err.strip()
    assert said.endswith(f"MB are free where {cache} is.") or f"where {cache}" in said, said
    assert "he disk is full" in said


@pytest.mark.failure_mode("disk-full-predict")
def test_predictions_on_a_full_disk_leave_the_old_file(disk, model, tmp_path, capsys):
    folder = disk("64k")
    (folder / "out.conll").write_text("old")
    (tmp_path / "in.conll").write_text("house\n\n" * 20_000)
    words = ("predict", model, "--input", tmp_path / "in.conll", "--output", folder / "out.conll", "--overwrite")
    assert ends(*words) == 1
    assert f"{folder / 'out.conll'}: cannot be written (the disk is full; 0." in capsys.readouterr().err
    assert (folder / "out.conll").read_text() == "old"
    assert [path.name for path in folder.iterdir()] == ["out.conll"]


@pytest.mark.failure_mode("disk-full-folder")
def test_folders_appear_whole_or_not_at_all(disk):
    folder = disk("128k") / "export"
    with whole_folder(folder) as staging:
        (staging / "a").write_text("old")
    with pytest.raises(OutputError, match="the disk is full"), writing_to(folder), whole_folder(folder) as staging:
        (staging / "a").write_bytes(bytes(2**20))
    assert (folder / "a").read_text() == "old"
    assert [path.name for path in folder.parent.iterdir()] == ["export"]
    with whole_folder(folder) as staging:
        (staging / "b").write_text("new")
    assert [path.name for path in folder.iterdir()] == ["b"]
    assert [path.name for path in folder.parent.iterdir()] == ["export"]


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(bytes(2**20)),
        lambda path: save_file({"a": np.zeros(2**20, np.uint8)}, path),
        lambda path: torch.save(torch.zeros(2**18), path),
        lambda path: datasets.Dataset.from_dict({"a": [list(range(i, i + 1000)) for i in range(300)]}).to_parquet(
            str(path)
        ),
    ],
    ids=["python", "safetensors", "torch", "pyarrow"],
)
def test_whoever_writes_says_that_the_disk_is_full(write, disk, limit):
    folder = disk("64k")
    with pytest.raises(OutputError):
        check_writable(folder / "file" / "below" / ("n" * 300))
    check_writable(folder)
    with pytest.raises(Exception) as failed:  # noqa: PT011  # each library has a kind of its own
        write(folder / "out")
    assert refusal(failed.value).startswith("The disk is full; 0.")
    (folder / "out").unlink(missing_ok=True)
    limit(1_000)
    with pytest.raises(Exception) as failed:  # noqa: PT011
        write(folder / "out")
    assert "ulimit -f allows 1,000 bytes" in refusal(failed.value)


@pytest.mark.failure_mode("quota")
def test_what_the_system_refuses_is_told_and_bugs_are_not():
    error = OSError(errno.EACCES, "Permission denied", "/data/x")
    assert refusal(error) == "/data/x: Permission denied."
    assert refusal(OSError(errno.EDQUOT, "Disk quota exceeded", "/")).startswith("The disk quota is used up; ")
    for bug in (ValueError("x"), RuntimeError("no space"), KeyError("x"), FileNotFoundError(errno.ENOENT, "x", "y")):
        assert refusal(bug) == ""


def test_files_move_across_disks_and_keep_links(disk, tmp_path):
    other = disk("1m")
    (other / "weights").write_text("old")
    (tmp_path / "weights").symlink_to(other / "weights")
    (tmp_path / "new").write_text("new")
    (tmp_path / "new").chmod(0o600)
    (other / "weights").chmod(0o640)
    place(tmp_path / "new", tmp_path / "weights")
    assert (tmp_path / "weights").is_symlink()
    assert (other / "weights").read_text() == "new"
    assert (other / "weights").stat().st_mode & 0o777 == 0o640
    assert not (tmp_path / "new").exists()
    assert shutil.disk_usage(other).total == 2**20
    with pytest.raises(OutputError, match="a device"), whole_path("/dev/null"):
        pass


def test_words_in_data_are_no_full_disk(capsys):
    """A message of ours quotes data; what it was raised from counts."""
    said = 'line 3: "No space left on device" is no JSON object'
    with pytest.raises(SystemExit, match="1"), plain_errors():
        raise DataError(said)
    assert capsys.readouterr().err == f"\n{said}\n"
    with pytest.raises(SystemExit, match="1"), plain_errors():
        raise DataError("cannot be read") from OSError(errno.ENOSPC, "No space left on device")
    assert "The disk is full" in capsys.readouterr().err


def _caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.failure_mode("one-process-alone")
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("CUDA error: out of memory"), "process 1: Out of memory (CUDA error: out of memory). "),
        (OSError(errno.ENOSPC, "No space left on device"), "process 1: The disk is full; "),
        (_caused(ModelError("No memory: out of memory."), MemoryError("out of memory")), "process 1: No memory: "),
        (ModelError("The loss is nan."), ""),
        (OutputError("x: cannot be written."), ""),  # all processes raise it alike, and the first one speaks
        (DataError("x, line 1: no columns"), ""),
    ],
)
def test_what_ends_one_process_alone_is_said_by_it(error, said, monkeypatch, capsys):
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(SystemExit, match="1"), plain_errors():
        raise error
    told = capsys.readouterr().err.strip()
    assert told.startswith(said) if said else told == ""
