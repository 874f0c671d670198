"""The pages of docs/: their code runs, their commands parse, their links lead somewhere, their figures are those of
benchmarks/results, and the built site loads nothing from elsewhere."""

import functools
import http.server
import importlib.util
import json
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from browser import browser  # noqa: F401
from documents import check_command
from recipe_runs import environment, run_recipe
from tiny_models import tiny_bert

import hf_tagging
from hf_tagging import Tagger
from hf_tagging.comparison.plan import read_plan

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))


def _module(name):
    """A script of docs/: it is no package."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


blocks = _module("blocks")
BLOCKS = [block for page in PAGES for block in blocks.find_blocks(page)]
COMMANDS = [
    pytest.param(command, id=f"{block.page}:{block.line}:{i}")
    for block in BLOCKS
    for i, command in enumerate(block.commands)
]


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> Path:
    """What a reader has after `make quickstart`, with a tiny model in the place of MiniLM."""
    folder = tmp_path_factory.mktemp("docs") / "reader"
    folder.mkdir()
    for name in ("recipes", "accelerate_configs", "benchmarks", "Makefile"):
        (folder / name).symlink_to(ROOT / name)
    flags = ("--max_steps", 2, "--max_train_samples", 20, "--max_eval_samples", 20)
    run_recipe(
        *("pos_bert", "--dataset", "sample", "--model", tiny_bert(folder.parent / "models")),
        *("--output_dir", folder / "runs/quickstart-pos", *flags),
    )
    return folder


def test_blocks_are_of_known_kinds():
    assert len(BLOCKS) >= 100
    for block in BLOCKS:
        place = f"{block.page}, line {block.line}"
        assert block.language in blocks.LANGUAGES, place
        assert block.title in ("", *blocks.NOT_RUN, *([blocks.PRINTS] if block.language == "text" else [])), place
    run = [block for block in BLOCKS if block.is_run]
    assert sum(block.language == "python" for block in run) >= 25
    assert sum(block.title == blocks.PRINTS for block in BLOCKS) >= 12


def test_a_fence_that_cannot_be_read_is_refused(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python linenums=1\nprint(1)\n```\n")
    with pytest.raises(ValueError, match=r"page\.md: 2 fences, but 0 blocks"):
        blocks.find_blocks(page)


PAGE_THAT = {
    "prints something else": (
        '```python\nprint("one")\n```\n```text title="output"\ntwo\n```\n',
        "page.md, line 4: it prints\none\nand the page says\ntwo",
    ),
    "prints what nothing printed": (
        '```sh title="takes minutes"\nhf-tagging ls\n```\n```text title="output"\n\n```\n',
        "page.md, line 4: the block before it is not run",
    ),
    "prints what was printed before": (
        '```python\nprint("one")\n```\n```python title="needs your data"\nprint(two)\n```\n'
        '```text title="output"\none\n```\n',
        "page.md, line 7: the block before it is not run",
    ),
    "fails": ("Text\n\n```python\nname\n```\n", "page.md, line 3: NameError: name 'name' is not defined"),
    "runs another program": ("```sh\nls -l\n```\n", "line 1: ValueError: ls -l: only hf-tagging and python"),
    "fails in a command": (
        "```sh\nhf-tagging predcit\n```\n",
        "line 1: RuntimeError: hf-tagging predcit: ended",
    ),
}


@pytest.mark.parametrize(("text", "message"), PAGE_THAT.values(), ids=PAGE_THAT)
def test_a_page_is_refused_that(text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.md").write_text(text)
    with pytest.raises(AssertionError, match=re.escape(message)):
        blocks.run_page(tmp_path / "page.md", tmp_path)


def test_names_live_as_long_as_a_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    page.write_text('```python\nname = "Porto"\n```\n```python\nprint(name)\n```\n```text title="output"\nPorto\n```\n')
    blocks.run_page(page, tmp_path)
    page.write_text("```python\nname\n```\n")
    with pytest.raises(AssertionError, match="NameError"):
        blocks.run_page(page, tmp_path)


def test_what_a_killed_call_has_left_is_in_nobodys_way(tmp_path):
    page, folder = tmp_path / "page.md", tmp_path / "reader"
    folder.mkdir()
    page.write_text('```python\nfrom pathlib import Path\n\nassert not Path("left").exists()\n```\n')
    (tmp_path / "reader-page").mkdir()
    (tmp_path / "reader-page" / "left").touch()
    command = [sys.executable, str(DOCS / "blocks.py"), str(folder), str(page)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=120, cwd=ROOT)
    assert (done.stdout.strip(), done.returncode) == ("{}", 0), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("half", [0, 1])
def test_every_block_runs(reader, half):
    command = [sys.executable, str(DOCS / "blocks.py"), str(reader), *map(str, PAGES[half::2])]
    changes = environment(TRACKIO_DIR=str(reader.parent / "trackio"))
    done = subprocess.run(command, capture_output=True, text=True, env=changes, timeout=300, cwd=ROOT)
    assert done.stdout.startswith("{"), done.stderr
    wrong = json.loads(done.stdout)
    assert not wrong, "\n\n".join(wrong.values())
    assert done.returncode == 0


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "python" and not b.is_run], ids=str)
def test_python_that_is_not_run_compiles(block):
    compile(block.text, block.page, "exec")


def test_there_are_commands():
    assert len(COMMANDS) >= 90


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_parses(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_command(command, tmp_path)


def test_every_argument_is_on_its_page_as_the_script_writes_it():
    arguments = _module("arguments")
    assert arguments.PAGE.read_text() == arguments.page(), "out of date; type: python docs/arguments.py"
    rows = re.findall(r"^\| `--(\w+)` \|", arguments.page(), re.MULTILINE)
    assert len(rows) >= 100
    assert {"dataset", "lora_rank", "encoder", "tokens_per_batch", "text_file", "masked_share"} <= set(rows)
    assert "gradient_accumulation_steps" not in rows  # Transformers' own: by name only
    assert "`--gradient_accumulation_steps`" in arguments.page()
    assert "| `--head` | `linear`, `crf` |" in arguments.page()
    assert (
        "| `--num_heads` | whole number | `4` | Attention heads of the Transformer. Goes with `--encoder transformer`."
        in (arguments.page())
    )


def test_every_extra_is_named():
    project = (ROOT / "pyproject.toml").read_text()
    extras = re.search(r"^\[project\.optional-dependencies\]\n(.*?)^\[", project, re.DOTALL | re.MULTILINE)[1]
    there = set(re.findall(r"^(\w+) = ", extras, re.MULTILINE)) - {"dev"}
    table = (DOCS / "quickstart.md").read_text().partition("| extra |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == there
    named = {
        name
        for page in PAGES
        for names in re.findall(r"hf-tagging\[([\w,]+)\]", page.read_text())
        for name in names.split(",")
    }
    assert named <= there


def test_every_page_is_in_the_menu():
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert sorted(_pages_of(config["nav"])) == [page.name for page in PAGES]
    groups = [name for entry in config["nav"] for name, pages in entry.items() if isinstance(pages, list)]
    assert groups == ["Tutorials", "How-to guides", "Explanation", "Reference"]


def _pages_of(entries):
    for entry in entries:
        pages = next(iter(entry.values()))
        yield from _pages_of(pages) if isinstance(pages, list) else [pages]


def test_every_figure_is_one_of_the_results():
    measured = {f"{number:.{digits}f}" for number in _numbers() for digits in (3, 4)}
    quoted = {
        (page.name, figure)
        for page in (ROOT / "README.md", *PAGES)
        if page.name not in ("arguments.md", "failure_modes.md")
        for figure in re.findall(r"\b0\.\d{3,4}\b", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.S | re.M))
    }
    assert len(quoted) >= 100
    assert {name for name, _ in quoted} >= {"README.md", "results.md", "benchmarks.md", "course.md", "models.md"}
    assert sorted((page, figure) for page, figure in quoted if figure not in measured) == []


def _numbers():
    """All numbers that are in benchmarks/results."""
    found = [json.loads(path.read_text()) for path in (ROOT / "benchmarks/results").rglob("*.json")]
    assert len(found) >= 12
    while found:
        value = found.pop()
        if isinstance(value, dict | list):
            found += value.values() if isinstance(value, dict) else value
        elif type(value) in (int, float):
            yield abs(value)


def test_comparisons_on_the_pages_can_be_planned(tmp_path, monkeypatch):
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    (tmp_path / "corpus").mkdir()
    monkeypatch.chdir(tmp_path)
    plans = [block.text for block in BLOCKS if block.language == "yaml" and "\nruns:" in block.text]
    assert len(plans) >= 3
    for text in plans:
        Path("plan.yaml").write_text(text)
        assert len(read_plan(Path("plan.yaml"), output_dir=None, flags=["--use_cpu"]).jobs) >= 2


def test_the_api_page_has_every_public_name():
    listed = set(re.findall(r"^::: hf_tagging\.(\w+)$", (DOCS / "api.md").read_text(), re.MULTILINE))
    errors = {name for name in hf_tagging.__all__ if name.endswith("Error")}  # the page has their module
    assert len(errors) >= 5
    assert listed == set(hf_tagging.__all__) - errors | {"errors"}


def test_the_architecture_names_every_floor():
    layers = re.search(r"^layers = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.DOTALL | re.MULTILINE)[1]
    floors = [re.findall(r"hf_tagging\.(\w+)", line) for line in reversed(layers.strip().splitlines())]
    table = (DOCS / "architecture.md").read_text().partition("| floor |")[2].partition("\n\n")[0]
    listed = [re.findall(r"`(\w+)[/`]", row.split("|")[1]) for row in table.splitlines()[2:]]
    assert [sorted(floor) for floor in floors] == [sorted(floor) for floor in listed]


@pytest.mark.slow
def test_the_first_lines_of_the_readme_run(tmp_path, monkeypatch, capsys):
    """With a tiny model, two steps, and without the push."""
    lines = re.search(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)[1]
    assert lines in (DOCS / "index.md").read_text()
    for shown, small in (
        ('"minilm"', repr(str(tiny_bert(tmp_path)))),
        ("num_train_epochs=8", "max_steps=2, use_cpu=True"),
        ('trainer.push_to_hub("me/ner")\n', ""),
    ):
        assert lines.count(shown) == 1
        lines = lines.replace(shown, small)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(lines, names)
    assert "test_f1" in capsys.readouterr().out
    words = ["Maria", "flew", "to", "Porto", "."]
    assert names["tagger"].tag(words) == Tagger.from_pretrained("runs/ner").tag(words)


def test_every_path_is_there():
    names = "hf_tagging|recipes|accelerate_configs|benchmarks|tests|docs"
    paths = {
        (page.name, path)
        for page in PAGES
        for path in re.findall(rf"(?:^|[\s`(])((?:{names})/[\w./-]*\w/?)", page.read_text(), re.MULTILINE)
    }
    assert len(paths) >= 15
    assert not {(page, path) for page, path in paths if not (ROOT / path).exists()}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The built pages."""
    folder = tmp_path_factory.mktemp("site") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment(), timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class _Loads(HTMLParser):
    """Collects what a page loads, as against where it links to."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.found += [values[name] for name in ("src", "srcset", "poster", "data") if values.get(name)]
        if tag == "link" and not {"canonical", "next", "prev"} & set((values.get("rel") or "").split()):
            self.found.append(values.get("href") or "")


@pytest.mark.slow
def test_the_site_builds_with_strict_links_and_names_nothing_elsewhere(site):
    pages = sorted(site.glob("*.html"))
    assert {page.stem for page in PAGES} <= {page.stem for page in pages}
    for page in pages:
        loads = _Loads()
        loads.feed(page.read_text())
        assert len(loads.found) >= 3, page.name
        assert not [name for name in loads.found if re.match(r"(https?:)?//", name)], page.name
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", sheet.read_text()), sheet.name


@pytest.fixture
def served(site) -> Iterator[str]:
    """The address of the site on loopback."""
    handler = functools.partial(_Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


@pytest.mark.slow
def test_the_site_in_a_browser(browser, served):  # noqa: F811
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.set_default_timeout(90_000)  # the machine may be busy
    asked, wrong = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    for name in ("index", "course", "arguments", "api"):
        page.goto(f"{served}/{name}.html")
        assert page.locator("h1").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{served}/index.html?q=label_smoothing_factor")
    found = page.locator(".md-search-result__link")
    found.first.wait_for(timeout=90_000)
    assert any("/arguments.html" in address for address in found.evaluate_all("links => links.map(link => link.href)"))
    assert asked
    assert [url for url in asked if not url.startswith((served, "blob:", "data:"))] == []
    assert wrong == []
    page.close()


@pytest.mark.slow
def test_the_search_works_from_a_folder(browser, site):  # noqa: F811
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(90_000)
    asked, wrong = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto((site / "index.html").as_uri())
    page.locator("[data-md-component=search-query]").click()
    page.keyboard.type("CRF")
    found = page.locator(".md-search-result__link")
    found.first.wait_for()
    links = found.evaluate_all("links => links.map(link => link.href)")
    assert links[0] == (site / "crf.html").as_uri()
    found.first.click()
    page.wait_for_url(re.compile(r"crf\.html"))
    assert [url for url in asked if not url.startswith((site.as_uri(), "about:", "data:"))] == []
    assert wrong == []
    page.close()


@pytest.mark.slow
def test_the_api_has_one_row_for_each_value_that_is_returned(browser, site):  # noqa: F811
    page = browser.new_page()
    page.goto((site / "api.html").as_uri())
    rows = page.locator(".doc-section-title:has-text('Returns')").evaluate_all(
        """titles => titles.map(title => [...title.closest("p").nextElementSibling.querySelectorAll("tbody tr")]
             .map(row => row.cells[0].innerText.trim()))"""
    )
    assert len(rows) >= 15
    for types in rows:
        assert len(types) == 1, types
        assert re.fullmatch(r"[\w\[\], .|]+", types[0]), types  # the annotation, no part of a sentence
    page.close()


@pytest.mark.slow
def test_trackio_keeps_the_figures_of_a_run_on_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    model = tiny_bert(tmp_path)
    flags = ("--max_steps", 2, "--max_train_samples", 20, "--max_eval_samples", 8, "--logging_steps", 1)
    run_recipe(
        *("pos_bert", "--dataset", "sample", "--model", model, "--output_dir", tmp_path / "run", *flags),
        *("--report_to", "trackio", "--project", "taggers", "--run_name", "first"),
        fresh=True,
    )
    with sqlite3.connect(tmp_path / "trackio" / "taggers.db") as database:
        rows = database.execute("SELECT run_name, metrics FROM metrics ORDER BY id").fetchall()
    logged = [json.loads(metrics) for _, metrics in rows]
    assert {name for name, _ in rows} == {"first"}
    assert [entry["train/global_step"] for entry in logged if "train/loss" in entry] == [1, 2]
    accuracy = json.loads((tmp_path / "run" / "results.json").read_text())["validation"]["accuracy"]
    assert [entry["eval/accuracy"] for entry in logged if "eval/accuracy" in entry] == [accuracy]
