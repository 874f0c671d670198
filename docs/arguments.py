"""Writes docs/arguments.md from the dataclasses of arguments, whose `help` is the documentation.

    python docs/arguments.py            writes the page beside this file
    python docs/arguments.py --check    ends with 1 where the page is not what would be written

A test holds that the page is up to date.
"""

from __future__ import annotations

import argparse
import enum
import re
from collections.abc import Iterable
from dataclasses import MISSING, Field, fields
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from transformers import TrainingArguments

from hf_tagging.atomic import whole_file
from hf_tagging.training import DataConfig, EncoderConfig, ScratchConfig, TaggingConfig
from hf_tagging.training.config.models import FROM_SCRATCH
from hf_tagging.training.config.pretraining import StartConfig, TextConfig
from hf_tagging.training.config.scratch import GOES_WITH
from hf_tagging.training.config.tagging import IN_BETWEEN

PAGE = Path(__file__).parent / "arguments.md"
_OF_TRANSFORMERS = "https://huggingface.co/docs/transformers/main_classes/trainer#transformers.TrainingArguments"
_HEAD = """\
# Arguments

<!-- Written by `python docs/arguments.py` from the `help` of the fields in hf_tagging/training/config/. -->

Every argument is a flag (`--seed 7`), a line of a YAML file (`seed: 7`) for `--config FILE.yaml`, and a field of a
config in Python. A flag overrides the file, and the file overrides the default. Unknown names, values of a wrong type,
missing paths and arguments without effect are reported together, each with the nearest valid name:

```sh
hf-tagging validate ner/quickstart --lora true
```

A switch needs no value: `--lora` is `--lora true`. A list takes all values that follow the flag: `--train_file a.conll
b.conll`.

## Task and model

A YAML file also says its task and its model; a recipe script knows both already, and refuses a file or flag that says
otherwise. `RunConfig.from_yaml` and `hf-tagging train` read them from the file.

| key | values |
|---|---|
| `task` | `pos`, `ner`, or a task of your own; `pretraining` for `pretrain.py` |
| `model` | a pretrained [encoder](#encoders); `scratch` for a new [tagger](#taggers-from-scratch), with `encoder` |
"""
# Title, who takes them, the dataclass, and the one whose arguments are left out because they stand above.
_SECTIONS: tuple[tuple[str, str, type, type | None], ...] = (
    ("Data", "All recipes that train.", DataConfig, None),
    ("Encoders", "`pos_bert.py` and `ner_bert.py`.", EncoderConfig, None),
    (
        "Taggers from scratch",
        "`pos_baseline.py` and `ner_baseline.py`. Arguments that apply only to some values of another argument say so, "
        "and are refused otherwise.",
        ScratchConfig,
        None,
    ),
    (
        "Training",
        "All recipes that train: arguments of this package, and those of Transformers that have another default here. "
        "Taggers from scratch have other defaults: "
        + ", ".join(f"`--{name} {value:g}`" for name, value in FROM_SCRATCH.items())
        + ".",
        TaggingConfig,
        TrainingArguments,
    ),
    (
        "Pretraining: data",
        "`pretrain.py`, in addition to [Data](#data).",
        TextConfig,
        DataConfig,
    ),
    (
        "Pretraining: model",
        "`pretrain.py`, in addition to [Taggers from scratch](#taggers-from-scratch).",
        StartConfig,
        ScratchConfig,
    ),
)


def page() -> str:
    """The text of the page."""
    parts = [_HEAD]
    for title, who, arguments, above in _SECTIONS:
        hints = get_type_hints(arguments)
        rows = "\n".join(_row(field, hints[field.name]) for field in own_fields(arguments, above))
        parts.append(
            f"## {title}\n\n{who}\n\n| argument | values | default | description |\n|---|---|---|---|\n{rows}\n"
        )
    return "\n".join([*parts, _of_transformers()])


def own_fields(arguments: type, above: type | None) -> Iterable[Field[Any]]:
    """The fields of a dataclass that it declares itself; without `above`, all of them."""
    found = fields(arguments)
    return [field for field in found if above is None or field.name in arguments.__annotations__]


def _row(field: Field[Any], hint: Any) -> str:
    what = _code_kept(field.metadata["help"])
    if any(field is own for own in fields(ScratchConfig)) and field.name in GOES_WITH:
        other, values = GOES_WITH[field.name]
        what += f" Goes with `--{other}{' ' if values else ''}{'`, `'.join(values)}`."
    return f"| `--{field.name}` | {_values(hint, field.metadata.get('choices'))} | {_default(field)} | {what} |"


def _code_kept(help_text: str) -> str:
    """A help text as Markdown: what stands between backquotes stays, everything else is escaped."""
    parts = re.split(r"(`[^`|]*`)", help_text)
    return "".join(part if part.startswith("`") else re.sub(r"[|<>*\\[\]]", r"\\\g<0>", part) for part in parts)


def _values(hint: Any, named: Iterable[str] | None) -> str:
    """What an argument takes, in words."""
    kinds = [kind for kind in (get_args(hint) if _is_union(hint) else (hint,)) if kind is not NoneType]
    choices = named or [choice for kind in kinds for choice in _choices(kind)]
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices)
    words = {bool: "true, false", int: "whole number", float: "number", str: "text"}
    if get_origin(kinds[0]) is list:
        return {int: "whole numbers", str: "one or more"}[get_args(kinds[0])[0]]
    return " or ".join(words[kind] for kind in kinds)


def _is_union(hint: Any) -> bool:
    return get_origin(hint) not in (None, list, Literal)


def _choices(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) is Literal:
        return get_args(kind)
    return tuple(member.value for member in kind) if isinstance(kind, type) and issubclass(kind, enum.Enum) else ()


def _default(field: Field[Any]) -> str:
    value = field.default if field.default_factory is MISSING else field.default_factory()
    if value is None or (value == 0 and field.name == "per_device_train_batch_size"):  # 0 stands for "not given"
        return ""
    if isinstance(value, list):
        return f"`{' '.join(map(str, value))}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _of_transformers() -> str:
    inherited = [field.name for field in fields(TrainingArguments) if field.init]
    shown = set(inherited) - TaggingConfig.__annotations__.keys() - set(IN_BETWEEN)
    names = ", ".join(f"`--{name}`" for name in sorted(shown))
    return (
        "## Arguments of Transformers\n\n"
        f"All other arguments of [`TrainingArguments`]({_OF_TRANSFORMERS})\n"
        f"work as documented there, with their own defaults:\n\n{names}.\n\n"
        f"Except {' and '.join(f'`--{name}`' for name in IN_BETWEEN)}: a run is pushed once, when it is finished.\n"
    )


def main() -> None:
    """Writes or checks the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 where the page is out of date")
    if not parser.parse_args().check:
        with whole_file(PAGE) as file:
            file.write(page())
    elif PAGE.read_text(encoding="utf-8") != page():
        raise SystemExit(f"{PAGE} is out of date. Type: python docs/arguments.py")


if __name__ == "__main__":
    main()
