"""Training progress: a bar on a terminal, one display in a notebook, lines anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from html import escape

from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import ProgressCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.utils import is_in_notebook

_SILENCE = 60.0  # seconds without a line, where there is no bar
_SHOWN = ("loss", "accuracy", "precision", "recall", "f1")


class ReadableProgress(ProgressCallback):
    """A bar while it trains and one line per evaluation, in the place of printed dictionaries.

    Args:
        show_bars: Whether to draw bars; they are drawn on a terminal only.
    """

    training_bar: tqdm | None

    def __init__(self, *, show_bars: bool = True):
        super().__init__()
        self._bars = show_bars and sys.stderr.isatty()
        self._train_loss: float | None = None
        self._trains = False
        self._began = self._said = time.monotonic()  # of the evaluation, where nothing is trained

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Open the bar."""
        self._began = self._said = time.monotonic()
        self._trains = True
        self.current_step = 0
        if state.is_world_process_zero:
            bar = tqdm(total=state.max_steps, dynamic_ncols=True, unit="step", disable=not self._bars)
            bar.update(state.global_step)  # more than 0 where a run goes on
            self.training_bar, self.current_step = bar, state.global_step

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Move the bar; without one, print a line a minute."""
        super().on_step_end(args, state, control, **kwargs)
        if state.is_world_process_zero and not self._bars and time.monotonic() - self._said >= _SILENCE:
            self._print(step_line(args, state, self._train_loss, time.monotonic() - self._began))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Close the bar."""
        super().on_train_end(args, state, control, **kwargs)
        self._trains = False

    def on_prediction_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        eval_dataloader: DataLoader | None = None,
        **kwargs: object,
    ) -> None:
        """Move the bar of an evaluation."""
        if self._bars:
            super().on_prediction_step(args, state, control, eval_dataloader=eval_dataloader, **kwargs)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        """Print a line for an evaluation; training losses go onto the bar."""
        logs = logs or {}
        if not state.is_world_process_zero:
            return
        if "loss" in logs:
            self._train_loss = logs["loss"]
            if self.training_bar is not None:
                self.training_bar.set_postfix(loss=f"{logs['loss']:.3f}")
        if "eval_loss" in logs:
            train_loss = self._train_loss if self._trains else None
            seconds = time.monotonic() - self._began if self._trains else logs.get("eval_runtime", 0.0)
            self._print(evaluation_line(args, state, logs, train_loss, seconds, trains=self._trains))

    def _print(self, line: str) -> None:
        self._said = time.monotonic()
        if self.training_bar is not None and self._bars:
            self.training_bar.write(line)
        else:
            print(line, flush=True)


def evaluation_line(
    args: TrainingArguments,
    state: TrainerState,
    logs: dict[str, float],
    train_loss: float | None,
    seconds: float,
    *,
    trains: bool = True,
) -> str:
    """Return one evaluation in one line: where the run is, and the figures.

    Args:
        args: The Trainer's arguments.
        state: Where it is.
        logs: The figures.
        train_loss: The last that was logged, if any.
        seconds: Since the training began, or of the evaluation.
        trains: Whether it is evaluated while it trains; else it is the model as it is, perhaps an earlier checkpoint.
    """
    place = _place(args, state) if trains else "evaluation"
    shown = dict.fromkeys([*_SHOWN, (args.metric_for_best_model or "loss").removeprefix("eval_")])
    parts = [f"train loss {train_loss:.4f}"] if train_loss is not None else []
    parts += [f"{name.replace('_', ' ')} {logs[f'eval_{name}']:.4f}" for name in shown if f"eval_{name}" in logs]
    return f"{place}: {', '.join(parts).replace(', loss', ', validation loss')} ({seconds:.0f} s)"


def step_line(args: TrainingArguments, state: TrainerState, train_loss: float | None, seconds: float) -> str:
    """Return where a training is, in one line.

    Args:
        args: The Trainer's arguments.
        state: Where it is.
        train_loss: The last that was logged, if any.
        seconds: Since it began.
    """
    loss = "" if train_loss is None else f": train loss {train_loss:.4f}"
    return f"{_place(args, state)} of {state.max_steps:,}{loss} ({seconds:.0f} s)"


def _place(args: TrainingArguments, state: TrainerState) -> str:
    total = args.num_train_epochs if args.max_steps <= 0 else None
    return f"epoch {state.epoch or 0:.4g}" + (f"/{total:.4g}" if total else "") + f", step {state.global_step:,}"


class NotebookProgress(ReadableProgress):
    """Same in a notebook: one display that is renewed, in the place of Transformers' table and of printed lines.

    Args:
        show: Shows HTML in the place of what it showed before.
    """

    def __init__(self, show: Callable[[str], None] | None = None):
        super().__init__(show_bars=False)
        self._show = show or _display()
        self._lines: list[str] = []
        self._bar = ""
        self._renewed = 0.0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Begin anew."""
        super().on_train_begin(args, state, control, **kwargs)
        self._lines = []

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Renew the bar, twice a second at most."""
        done = state.global_step == state.max_steps
        if not state.is_world_process_zero or (time.monotonic() - self._renewed < 0.5 and not done):
            return
        line = step_line(args, state, self._train_loss, time.monotonic() - self._began)
        self._bar = f'<progress value="{state.global_step}" max="{state.max_steps}"></progress> {escape(line)}'
        self._renew()

    def _print(self, line: str) -> None:
        self._lines.append(line)
        self._renew()

    def _renew(self) -> None:
        self._renewed = time.monotonic()
        lines = f"<pre>{escape(chr(10).join(self._lines))}</pre>" if self._lines else ""
        self._show(f"<div>{self._bar}{lines}</div>")


def progress(*, show_bars: bool) -> ReadableProgress:
    """Return the display of progress for where the program runs.

    Args:
        show_bars: Whether to draw bars on a terminal.
    """
    return NotebookProgress() if is_in_notebook() else ReadableProgress(show_bars=show_bars)


def _display() -> Callable[[str], None]:
    """Return what shows HTML in a notebook, in the place of what it showed before."""
    from IPython.display import HTML, display

    handle = display(HTML(""), display_id=True)
    return lambda html: handle.update(HTML(html))
