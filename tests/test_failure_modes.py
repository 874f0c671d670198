"""docs/failure_modes.md: every row is held by a test that cites it, and quotes messages that the code has."""

import ast
import re
from pathlib import Path

from hf_tagging.problems import FLAGS

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "failure_modes.md"
_ROW = re.compile(r"^\| `([a-z0-9-]+)` \| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)
_CITED = re.compile(r'failure_mode\(\s*((?:"[a-z0-9-]+",?\s*)+)\)')


def rows():
    """Name of each row, and what it says that a person sees."""
    return {name: seen for name, _, seen, _ in _ROW.findall(PAGE.read_text(encoding="utf-8"))}


def test_each_row_is_cited_by_a_test_and_nothing_else_is():
    cited = set()
    for path in (ROOT / "tests").glob("test_*.py"):
        for names in _CITED.findall(path.read_text(encoding="utf-8")):
            cited |= set(re.findall(r'"([a-z0-9-]+)"', names))
    found = rows()
    assert len(found) >= 40
    assert sorted(found.keys() - cited) == []
    assert sorted(cited - found.keys()) == []


def test_the_quoted_messages_are_those_of_the_code():
    """An ellipsis stands for what differs from case to case."""
    texts = "\n".join(_strings(path) for path in (ROOT / "hf_tagging").rglob("*.py"))
    quoted = {name: re.findall(r"“([^”]+)”", seen) for name, seen in rows().items()}
    assert sum(map(len, quoted.values())) >= 30
    missing = [
        (name, part.strip())
        for name, messages in quoted.items()
        for message in messages
        for part in message.split("...")
        if len(part.strip()) > 3 and part.strip() not in texts
    ]
    assert missing == []
    vague = {message for messages in quoted.values() for message in messages if max(map(len, message.split("..."))) < 9}
    assert vague == set()


def _strings(path):
    """All strings of a module but docstrings, a line each, with flags and an ellipsis for what an f-string fills in."""
    found = []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = [n for n in ast.walk(tree) if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef)]
    docstrings = {id(node.body[0].value) for node in documented if isinstance(node.body[0], ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in docstrings:
            continue
        if isinstance(node, ast.JoinedStr):
            found.append("".join(map(_part, node.values)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return "\n".join(found)


def _part(value):
    if isinstance(value, ast.Constant):
        return str(value.value)
    match value.value:
        case ast.Call(func=ast.Name(id="argument"), args=[ast.Constant(), *_] as args):
            given = [arg.value for arg in args if isinstance(arg, ast.Constant)]
            return FLAGS.given(*given) if len(given) == 2 else FLAGS.name(given[0]) + " ..." * (len(args) - 1)
    return "..."
