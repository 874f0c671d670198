"""Progress where there is no terminal."""

from types import SimpleNamespace

from transformers import TrainerControl, TrainerState

from hf_tagging.training.progress import NotebookProgress, ReadableProgress

ARGS = SimpleNamespace(num_train_epochs=3, max_steps=-1, metric_for_best_model="f1")


def state(step):
    return TrainerState(global_step=step, max_steps=300, epoch=step / 100, is_world_process_zero=True)


def test_a_line_at_least_every_minute_without_a_terminal(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr("hf_tagging.training.progress.time.monotonic", lambda: now[0])
    shown = ReadableProgress()
    shown.on_train_begin(ARGS, state(0), TrainerControl())
    for step in range(1, 15):
        now[0] += 10
        if step == 2:
            shown.on_log(ARGS, state(step), TrainerControl(), logs={"loss": 0.5})
        shown.on_step_end(ARGS, state(step), TrainerControl())
    assert capsys.readouterr().out.splitlines() == [
        "epoch 0.06/3, step 6 of 300: train loss 0.5000 (60 s)",
        "epoch 0.12/3, step 12 of 300: train loss 0.5000 (120 s)",
    ]


def test_one_display_in_a_notebook(capsys):
    pages = []
    shown = NotebookProgress(pages.append)
    shown.on_train_begin(ARGS, state(0), TrainerControl())
    shown.on_step_end(ARGS, state(100), TrainerControl())
    shown.on_log(ARGS, state(100), TrainerControl(), logs={"eval_loss": 0.25, "eval_f1": 0.5, "eval_macro_f1": 0.1})
    shown.on_step_end(ARGS, state(300), TrainerControl())
    assert '<progress value="300" max="300"></progress> epoch 3/3, step 300 of 300' in pages[-1]
    assert "<pre>epoch 1/3, step 100: loss 0.2500, f1 0.5000 (0 s)</pre>" in pages[-1]
    assert capsys.readouterr().out == ""
