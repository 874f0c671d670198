"""No line makes a regular expression of the reading code take more than linear time."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import hf_tagging.data
from hf_tagging.data import splitters
from hf_tagging.data.columns.marks import document_mark

_LONG = 20_000  # characters: a quadratic pattern takes seconds
_SECONDS = 0.2
_ONES = ("a", "A", "1", " ", "\t", "-", ".", "_", "#", "|", "=", "(", ")", "[", "]", "{", '"', "'", "\\", ",", ";", ":",
         "/", "@", "O", "I", "\u00e9", "\u0301", "\u4e2d", "\u0e01", "\u200d", "\U0001f37a", "\U0001f1e6")  # fmt: skip
_MORE = ("a ", "1-", "1.", "a.", "A.", "-1", "\\'", "\\\\", "'a", '"a', "','", "(a", "*)", "a|", "a=", "w.", "a@", "a'",
         "'s", "n't", "I-", "B-", " \t", "# ", "[1]", "1 ", "1 1;", "..", "0:", "http://", "a\u0301", "T1\t",
         "\u4e2da")  # fmt: skip
_ENDS = ("", "!")
_METHODS = ("match", "fullmatch", "search", "finditer", "findall", "split", "sub")


class TooSlow(Exception):
    """Raised while a pattern runs: `re` looks for signals."""


def modules() -> Iterator[str]:
    for found in pkgutil.walk_packages(hf_tagging.data.__path__, "hf_tagging.data."):
        if not found.name.startswith("hf_tagging.data.sample"):
            yield found.name


def patterns() -> dict[str, tuple[re.Pattern[str] | re.Pattern[bytes], set[str]]]:
    """Return every pattern of the reading code with the methods that are called of it."""
    found: dict[str, tuple[re.Pattern[str] | re.Pattern[bytes], set[str]]] = {}
    for name in modules():
        module = importlib.import_module(name)
        source = Path(str(module.__file__)).read_text(encoding="utf-8")
        calls: dict[str, set[str]] = {}
        for known, method in re.findall(rf"(\w+)\.({'|'.join(_METHODS)})\b", source):
            calls.setdefault(known, set()).add(method)
        for node in ast.walk(ast.parse(source)):
            if call := _literal(node):
                method, pattern = call
                found[f"{name}: {pattern}"] = (re.compile(pattern), {method})
        for key, value in vars(module).items():
            if isinstance(value, re.Pattern):
                found[f"{name}.{key}"] = (value, calls.get(key) or {"match"})
    return found


def _literal(node: ast.AST) -> tuple[str, str | bytes] | None:
    """Return method and pattern of `re.method("pattern", ...)`."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
        return None
    pattern = node.args[0]
    is_of_re = isinstance(node.func.value, ast.Name) and node.func.value.id == "re" and node.func.attr in _METHODS
    is_text = isinstance(pattern, ast.Constant) and isinstance(pattern.value, str | bytes)
    return (node.func.attr, pattern.value) if is_of_re and is_text else None  # type: ignore[attr-defined]


def lines(length: int = _LONG) -> Iterator[str]:
    for piece in (*_ONES, *_MORE):
        for end in _ENDS:
            yield piece * (length // len(piece)) + end


def apply(pattern: re.Pattern, method: str, line: str) -> None:
    subject = line.encode() if isinstance(pattern.pattern, bytes) else line
    if method == "sub":
        pattern.sub(subject[:0], subject)
    elif method == "finditer":
        for _ in pattern.finditer(subject):
            pass
    else:
        getattr(pattern, method)(subject)


def _alarm(number: int, frame: object) -> None:
    raise TooSlow


def slow(run: Callable[[], object]) -> bool:
    """Return whether something takes too long, twice: the machine may be busy."""
    before = signal.signal(signal.SIGALRM, _alarm)
    try:
        for _ in range(2):
            signal.setitimer(signal.ITIMER_REAL, 8 * _SECONDS)
            began = time.process_time()
            try:
                run()
                if time.process_time() - began < _SECONDS:
                    return False
            except TooSlow:
                if time.process_time() - began < _SECONDS:  # something else ran
                    return False
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        return True
    finally:
        signal.signal(signal.SIGALRM, before)


FOUND = patterns()


def test_the_patterns_are_found():
    assert len(FOUND) > 40, sorted(FOUND)
    assert any(name.startswith("hf_tagging.data.columns") for name in FOUND)
    assert any(name.startswith("hf_tagging.data.formats") for name in FOUND)


@pytest.mark.parametrize("name", sorted(FOUND))
def test_a_pattern_takes_linear_time(name):
    pattern, methods = FOUND[name]
    for method in sorted(methods):
        for line in lines():
            assert not slow(lambda: apply(pattern, method, line)), f"{method} of {line[:8]!r}... is too slow"  # noqa: B023


@pytest.mark.parametrize("name", ["characters", "auto"])  # both begin with that of English
def test_a_splitter_takes_linear_time(name):
    for line in lines(_LONG // 4):
        assert not slow(lambda: splitters.SPLITTERS[name](line)), f"{line[:8]!r}..."  # noqa: B023


@pytest.mark.parametrize("begin", ["# newdoc id = a", "# newdoc", "# doc: a", "### Doc: a", "# begin document"])
def test_a_mark_of_a_document_takes_linear_time(begin):
    assert not slow(lambda: document_mark(f"{begin}{' ' * _LONG}x"))


def test_a_quadratic_pattern_is_seen():
    assert slow(lambda: re.compile(r"a*b").findall("a" * 50_000))
