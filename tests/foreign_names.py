"""Finds where Python files use private names of other libraries, or replace parts of them."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

LIBRARIES = frozenset(
    ("accelerate", "datasets", "evaluate", "huggingface_hub", "peft", "tokenizers", "torch", "transformers")
)
# Methods of other libraries' objects: who assigns to one of these names replaces it.
PATCHABLE = ("transformers.PreTrainedModel", "transformers.Trainer", "transformers.PreTrainedTokenizerBase",
             "datasets.Dataset", "accelerate.Accelerator", "torch.nn.Module")  # fmt: skip
_PRIVATE = re.compile(r"_[a-zA-Z]\w*(?<!_)")  # and none of Jupyter's, such as _repr_html_
_OF_PYTHON = frozenset(("_replace", "_asdict", "_fields", "_actions", "_option_string_actions"))
_BY_NAME = frozenset(("getattr", "hasattr", "setattr", "delattr", "get", "pop"))


@dataclass(frozen=True, order=True)
class Touch:
    file: str
    line: int
    name: str
    how: str

    def __str__(self):
        return f"{self.file}:{self.line}: {self.name} ({self.how})"


def find_touches(root: Path, files: list[Path]) -> list[Touch]:
    """All touches in files of one tree, which may use each other's private names as they like."""
    modules = [_Module(root, path) for path in files]
    classes = {node.name: (module, node) for module in modules for node in module.classes}
    ours = {name for module in modules for name in module.defined}
    # What is ours by name alone may be a library's that we override.
    ours -= {name for module in modules for node in module.classes for name in module.foreign_names(node, classes)}
    found = {touch for module in modules for touch in module.touches(ours, classes)}
    return sorted(found | set(_called_by_nobody(modules)))


def _called_by_nobody(modules: list["_Module"]) -> Iterator[Touch]:
    """Private methods that no file of the tree calls: they are there because a library does."""
    used = {name for module in modules for name in _used(module.tree)}
    for module in modules:
        for owner in module.classes:
            methods = (node for node in owner.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
            for node in methods:
                if _private(node.name) and node.name not in used:
                    yield Touch(module.file, node.lineno, node.name, f"of {owner.name}, called by nobody here")


def _used(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name):
            yield node.id


class _Module:
    def __init__(self, root: Path, path: Path):
        self.file = path.relative_to(root).as_posix()
        self.package = path.relative_to(root).with_suffix("").as_posix().replace("/", ".")
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.classes = [node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef)]
        self.imported = dict(self._imports())
        self.defined = _defined(self.tree)

    def _imports(self) -> Iterator[tuple[str, str]]:
        """Local names, and what they are called where they come from."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield (
                        (alias.asname or alias.name.split(".")[0]),
                        (alias.name if alias.asname else alias.name.split(".")[0]),
                    )
            elif isinstance(node, ast.ImportFrom):
                above = ".".join(self.package.split(".")[: -node.level]) + "." if node.level else ""
                for alias in node.names:
                    yield (alias.asname or alias.name), f"{above}{node.module or ''}.{alias.name}"

    def origin(self, node: ast.expr) -> str:
        """The package that the first name of an expression was imported from, or nothing."""
        while isinstance(node, ast.Attribute):
            node = node.value
        return self.imported.get(node.id, "").split(".")[0] if isinstance(node, ast.Name) else ""

    def is_foreign(self, node: ast.expr) -> bool:
        return self.origin(node) in LIBRARIES

    def bases(self, node: ast.ClassDef, classes) -> Iterator[object]:
        """Base classes: a library's as they are, ours as (module, node)."""
        for base in node.bases:
            name = ast.unparse(base)
            first, _, rest = name.partition(".")
            full = ".".join(filter(None, (self.imported.get(first, ""), rest)))
            if self.is_foreign(base):
                yield _load(full)
            elif name.split(".")[-1] in classes:
                yield classes[name.split(".")[-1]]

    def ancestors(self, node: ast.ClassDef, classes) -> Iterator[object]:
        for base in self.bases(node, classes):
            yield base
            if isinstance(base, tuple):
                yield from base[0].ancestors(base[1], classes)

    def foreign_names(self, node: ast.ClassDef, classes) -> frozenset[str]:
        """Private names that a class inherits from libraries."""
        inherited = [base for base in self.ancestors(node, classes) if isinstance(base, type)]
        return frozenset(name for base in inherited for name in private_names(base))

    def touches(self, ours: set[str], classes) -> Iterator[Touch]:
        of_class = {id(inner): node for node in self.classes for inner in ast.walk(node)}  # the innermost comes last
        for node in ast.walk(self.tree):
            for name, how in self._touched(node, ours, of_class.get(id(node)), classes):
                yield Touch(self.file, node.lineno, name, how)

    def _touched(self, node: ast.AST, ours: set[str], owner: ast.ClassDef | None, classes) -> Iterator[tuple[str, str]]:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _imported(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and owner and node is not owner:
            if node in owner.body and node.name in self.foreign_names(owner, classes):
                yield node.name, f"overridden in {owner.name}"
            if node in owner.body and self.foreign_names(owner, classes):
                yield from ((arg.arg, f"parameter of {node.name}") for arg in node.args.args if _private(arg.arg))
        elif isinstance(node, ast.Assign | ast.AnnAssign) and owner and node in owner.body:
            names = {
                name.id for name in ast.walk(node) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
            }
            yield from ((name, f"set in {owner.name}") for name in names & self.foreign_names(owner, classes))
        elif isinstance(node, ast.Attribute) and _private(node.attr):
            base = ast.unparse(node.value)
            if base in ("self", "cls", "super()", "type(self)") and owner is not None:
                own = base != "super()" and self._is_own(node.attr, owner, classes)
                if base == "super()":
                    own = node.attr not in self.foreign_names(owner, classes)
            else:
                origin = self.origin(node.value)
                own = origin not in LIBRARIES if origin and origin != "hf_tagging" else node.attr in ours
            if not own and node.attr not in _OF_PYTHON:
                yield node.attr, f"attribute of {base}"
        elif isinstance(node, ast.Call):
            yield from _named(node)
        if isinstance(node, ast.Assign | ast.Delete):
            for target in node.targets:
                if isinstance(target, ast.Attribute) and not _private(target.attr):
                    replaced = target.attr in _methods() and ast.unparse(target.value) not in ("self", "cls", "args")
                    if replaced or self.is_foreign(target.value):
                        yield target.attr, f"replaced on {ast.unparse(target.value)}"

    def _is_own(self, name: str, owner: ast.ClassDef, classes) -> bool:
        if name in self.foreign_names(owner, classes):
            return False
        nodes = [owner, *(base[1] for base in self.ancestors(owner, classes) if isinstance(base, tuple))]
        return any(name in _defined(node) for node in nodes)


def _defined(tree: ast.AST) -> set[str]:
    """Private names that a module or class defines, sets on itself or takes as a parameter."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            found.add(node.attr)
    return {name for name in found if _private(name)}


def _private(name: str) -> bool:
    return _PRIVATE.fullmatch(name) is not None


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    for alias in node.names:
        full = f"{node.module}.{alias.name}" if isinstance(node, ast.ImportFrom) else alias.name
        parts = full.split(".")
        if parts[0] in LIBRARIES and not (isinstance(node, ast.ImportFrom) and node.level):
            yield from ((part, f"imported from {parts[0]}") for part in parts if _private(part))


def _named(call: ast.Call) -> Iterator[tuple[str, str]]:
    """Names that a call has as text (`getattr(x, "_name")`) or as a keyword."""
    function = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    texts = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    if function in _BY_NAME:
        yield from ((text, f"by name, in {function}") for text in texts if _private(text))
    yield from ((k.arg, f"keyword of {function}") for k in call.keywords if k.arg and _private(k.arg))


def _load(full: str) -> object:
    module, _, name = full.rpartition(".")
    return getattr(importlib.import_module(module), name)


@cache
def private_names(base: type) -> frozenset[str]:
    """Private names that a class of a library or its ancestors define, or set on an object."""
    found = set()
    for part in base.__mro__:
        if part.__module__.split(".")[0] in LIBRARIES:
            found |= {name for name in vars(part) if _private(name)}
            with suppress(OSError, TypeError):  # of classes in C++
                found |= set(re.findall(r"\bself\.(_[a-zA-Z]\w*)", inspect.getsource(part)))
    return frozenset(found)


@cache
def _methods() -> frozenset[str]:
    return frozenset(
        name
        for full in PATCHABLE
        for name in dir(_load(full))
        if name[0] != "_" and callable(getattr(_load(full), name))
    )
