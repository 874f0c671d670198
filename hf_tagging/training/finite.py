"""A training whose loss or weights are no numbers any more stops, and says where that began."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from torch import nn
from transformers import PreTrainedTokenizerBase, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_tagging.errors import ModelError
from hf_tagging.problems import argument, switch
from hf_tagging.training.folder import RunFolder

_BATCHES = 1000  # that are remembered between two looks
_SENTENCES, _LENGTH = 3, 60  # of a batch that are named, and their characters


@dataclass(frozen=True)
class _Batch:
    step: int
    rate: float
    loss: torch.Tensor  # ()
    input_ids: torch.Tensor  # (batch, subwords)


class FiniteTraining(TrainerCallback):
    """Stops a training at a loss, or weights, that are not finite, before anything of it is evaluated or saved.

    It looks where the Trainer logs or evaluates and after the last step, and the trainer before it saves: one value is
    read from the device then. In between only references are kept.

    Args:
        tokenizer: Reads the sentences of a batch back.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self.tokenizer = tokenizer
        self._batches: deque[_Batch] = deque(maxlen=_BATCHES)
        self._last: _Batch | None = None

    def note(self, step: int, rate: float, loss: torch.Tensor, input_ids: torch.Tensor) -> None:
        """Remember a batch until the next look.

        Args:
            step: Its step, from 1.
            rate: Learning rate of the step.
            loss: Its loss, on whatever device. ()
            input_ids: Its subwords. (batch, subwords)
        """
        self._last = _Batch(step, rate, loss, input_ids)
        self._batches.append(self._last)

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        **kwargs: object,
    ) -> None:
        """Look, where something is going to be made of the step."""
        if control.should_log or control.should_evaluate or control.should_training_stop:
            self.look(args, state, model)

    def on_epoch_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        **kwargs: object,
    ) -> None:
        """Look, as after a step."""
        self.look(args, state, model)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        """Stop where the loss of an evaluation is no number, though the weights are."""
        loss = (metrics or {}).get("eval_loss", 0.0)
        if not math.isfinite(loss):
            where = f" ({self._place(self._last)})" if self._last else ""
            raise ModelError(
                f"The loss of the validation split is {loss} after step {state.global_step}{where}. {_end(args)}"
            )

    def look(self, args: TrainingArguments, state: TrainerState, model: nn.Module | None) -> None:
        """Make sure that the weights, and the losses since the last look, are finite, on all processes.

        Args:
            args: The Trainer's arguments.
            state: Where the training is.
            model: What is trained.

        Raises:
            ModelError: If one is not.
        """
        assert model is not None
        batches = list(self._batches)
        self._batches.clear()
        losses = [batch.loss.detach().float() for batch in batches]
        trained = [weight.detach() for weight in model.parameters() if weight.requires_grad]
        own = [weight.to_local() if hasattr(weight, "to_local") else weight for weight in trained]  # of FSDP2: a share
        norm = nn.utils.get_total_norm(own).to(args.device, torch.float32)
        values = torch.stack([*losses, norm])
        broken = (~values.isfinite()).any().float()
        if PartialState().num_processes > 1:
            torch.distributed.all_reduce(broken)  # all stop together
        if not broken.item():
            return
        found = next((batch for batch in batches if not batch.loss.isfinite()), None)
        told = gather_object([(found.step, self._tell(found, "loss"))] if found else [])  # of all processes
        text = min(told)[1] if told else self._tell(batches[-1] if batches else None, "weights")
        raise ModelError(
            f"{text or f'The weights are no numbers any more after step {state.global_step}.'} {_end(args)}"
        )

    def _tell(self, batch: _Batch | None, what: str) -> str | None:
        if batch is None:
            return None
        verb = f"loss is {batch.loss.item()}" if what == "loss" else "weights are no numbers any more"
        return f"The {verb} at step {batch.step} ({self._place(batch)})."

    def _place(self, batch: _Batch) -> str:
        """Return the rate of a batch and how it begins."""
        rows = batch.input_ids[:_SENTENCES].tolist()
        texts = [str(self.tokenizer.decode(row, skip_special_tokens=True)).strip()[:_LENGTH] for row in rows]
        more = ", ..." if len(batch.input_ids) > _SENTENCES else ""
        return f"learning rate {batch.rate:.3g}; its batch begins with {', '.join(map(repr, texts))}{more}"


def _end(args: TrainingArguments) -> str:
    """Return what is kept, and what to type."""
    kept = RunFolder(str(args.output_dir)).last_checkpoint()
    what = f"the last good checkpoint, {kept}, is kept" if kept else "there was no checkpoint yet"
    return (
        f"Training has stopped: {what}, no model was written. Type a lower {argument('learning_rate')} with "
        f"{switch('overwrite')}, or look "
        "at these sentences."
    )
