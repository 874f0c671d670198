"""The demo as a person sees it, in Chromium, and as a program does, over HTTP; the Space in a process of its own."""

import json
import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import threading
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlparse

import pytest
from browser import browser  # noqa: F401
from huggingface_hub import RepoCard
from recipe_runs import environment
from tiny_models import tiny_bert, tiny_roberta

from hf_tagging.errors import ConfigError, ModelError, OutputError
from hf_tagging.inference import Tagger, tag_file
from hf_tagging.publishing.demo.actions import MOST_BYTES, MOST_CHARACTERS, DemoActions
from hf_tagging.publishing.demo.app import launch_demo
from hf_tagging.publishing.demo.models import known_figures, name_models
from hf_tagging.publishing.demo.space import write_space

TEXT = "Jordan sailed past Porto; nobody on the pier waved."
POS = ("NN", "VB", "DT", "IN", ".")
COLUMNS = "Jordan NNP\nwaved VBD\n. .\n\nPorto NNP\n"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two taggers of entities and one of parts of speech: name to folder."""
    root = tmp_path_factory.mktemp("models")
    made = {
        "one": tiny_bert(root / "a"),
        "two": tiny_bert(root / "b", seed=3),
        "pos": tiny_roberta(root / "c", tags=POS),
    }
    folders = {name: folder.rename(root / name) for name, folder in made.items()}
    (folders["one"] / "results.json").write_text(json.dumps({"validation": {"f1": 0.5}, "test": {"f1": 0.91234}}))
    return folders


@pytest.fixture(scope="module")
def taggers(models):
    return {name: Tagger.from_pretrained(str(folder), device="cpu") for name, folder in models.items()}


@pytest.fixture(scope="module")
def actions(taggers):
    return DemoActions(taggers)


# ---------------------------------------------------------------- in the browser

# A demo that ends at once, with a code of its own, where it looks for any other machine.
_SERVER = """
import os, sys

def stay_here(event, args):
    host = args[0] if event == "socket.getaddrinfo" else args[1][0] if event == "socket.connect" else None
    if host is not None and str(host) not in ("127.0.0.1", "localhost", "::1"):
        print("asked for", host, flush=True)
        os._exit(99)

sys.addaudithook(stay_here)
from hf_tagging.publishing.demo.app import launch_demo

launch_demo(sys.argv[1:], device="cpu", open_browser=False)
"""


@pytest.fixture(scope="module")
def address(models, tmp_path_factory):
    """Of a demo that runs as the command runs it. At the end Ctrl-C ends it, and leaves none of its files."""
    temporary = tmp_path_factory.mktemp("temporary")
    command = [sys.executable, "-c", _SERVER, *map(str, models.values())]
    env = environment(TMPDIR=str(temporary))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env) as server:
        yield re.search(r"http://127\.0\.0\.1:\d+/", _line_with(server, "The demo is at"))[0]
        assert len(list(temporary.glob("hf_tagging_demo_*"))) == 1
        server.send_signal(signal.SIGINT)
        rest, _ = server.communicate(timeout=60)
    assert server.returncode == 0, rest
    assert rest.strip() == "The demo has stopped."
    assert list(temporary.glob("hf_tagging_demo_*")) == []


def _line_with(process, start):
    """The line that says the server is there; all lines in the message where none does."""
    timer = threading.Timer(120, process.kill)
    timer.start()
    lines = []
    for line in process.stdout:
        lines.append(line)
        if start in line:
            timer.cancel()
            return line
    raise AssertionError("".join(lines))


@pytest.fixture
def page(address, browser):  # noqa: F811
    """The demo's page; whatever a test does on it, no request leaves this machine, and no script fails."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(30_000)
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: errors.append(dialog.message))
    page.goto(address)
    page.get_by_role("button", name="Tag", exact=True).wait_for()
    yield page
    context.close()
    hosts = {urlparse(url).hostname for url in asked if not url.startswith(("data:", "blob:"))}
    assert len(asked) > 10
    assert hosts == {"127.0.0.1"}
    assert errors == []


def tag_on(page, text):
    """Types a text and presses the button."""
    page.locator("#text textarea").fill(text)
    page.get_by_role("button", name="Tag", exact=True).click()


def answer_of(page, name):
    return page.get_by_role("region", name=name, exact=True)


def entities_on(page, name):
    found = answer_of(page, name).locator("mark").all_inner_texts()
    return [entity.replace("\xa0", " ") for entity in found]


def as_shown(tagged):
    return [f"{entity.text} {entity.type} {entity.score:.2f}" for entity in tagged.entities]


def test_says_what_the_taggers_are(page):
    assert page.locator("h1").inner_text() == "3 taggers side by side"
    assert page.locator(".ht-models li").all_inner_texts() == [
        "one Named entities (F1 0.9123 on its test split): PER, LOC",
        "two Named entities: PER, LOC",
        "pos Parts of speech: NN, VB, DT, IN, .",
    ]


def test_shows_what_the_taggers_say_side_by_side(page, taggers):
    tag_on(page, TEXT)
    answer_of(page, "pos").wait_for()

    for name in ("one", "two"):
        expected = as_shown(taggers[name].tag_text(TEXT))
        assert expected
        assert entities_on(page, name) == expected
    words = answer_of(page, "pos").locator(".ht-word").all_inner_texts()
    tagged = taggers["pos"].tag_text(TEXT)
    assert [word.split() for word in words] == [[w.text, w.tag, f"{w.score:.2f}"] for w in tagged.words]
    tops = [answer_of(page, name).bounding_box()["y"] for name in ("one", "two", "pos")]
    assert tops[0] == tops[1] == tops[2]


def test_fits_a_phone(page):
    page.set_viewport_size({"width": 390, "height": 844})
    tag_on(page, TEXT)
    answer_of(page, "pos").wait_for()

    boxes = [answer_of(page, name).bounding_box() for name in ("one", "two", "pos")]
    assert boxes[0]["y"] + boxes[0]["height"] <= boxes[1]["y"]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_switches_between_models(page, taggers):
    page.get_by_label("one", exact=True).uncheck()
    page.get_by_label("pos", exact=True).uncheck()
    tag_on(page, TEXT)
    answer_of(page, "two").wait_for()

    assert page.locator(".ht-answer").count() == 1
    assert entities_on(page, "two") == as_shown(taggers["two"].tag_text(TEXT))


def test_an_example_fills_the_text(page):
    page.get_by_text("Jordan will book a table").click()

    page.wait_for_function("document.querySelector('#text textarea').value.endsWith('loves her book.')")


def test_explains_the_tag_of_a_word(page, taggers):
    page.locator("#text textarea").fill(TEXT)
    page.get_by_text("Why this tag?").click()
    page.locator("#word textarea, #word input").fill("Porto")
    page.get_by_role("button", name="Explain").click()
    page.locator("#why section").first.wait_for()

    sentence = next(found for found in taggers["one"].cutter()(TEXT).sentences if "Porto" in found)
    found = taggers["one"].explain([*sentence], [*sentence].index("Porto"))
    assert page.locator("#why section").count() == 3
    line = page.locator("#why section").first
    assert [float(value) for value in line.locator("span").evaluate_all("all => all.map(one => one.title)")] == [
        pytest.approx(value, abs=1e-4) for value in found.contributions
    ]
    page.locator("#word textarea, #word input").fill("<b>")
    page.get_by_role("button", name="Explain").click()
    expected = "'<b>' is not a word of the text. Type one of its words as it is written there."
    assert page.locator("#why [role=alert]").inner_text() == expected


def test_text_stays_text(page):
    text = "<script>alert(1)</script> ${alert(2)} {{value}} <img src=x onerror=alert(3)> & `x` \\n"
    tag_on(page, text)
    answer_of(page, "pos").wait_for()

    assert page.locator("#answer script, #answer img").count() == 0
    table = answer_of(page, "one").locator("tbody tr td:first-child").all_text_contents()
    assert "".join(table) == text.replace(" ", "")


def test_an_empty_text_is_answered_with_a_sentence(page):
    tag_on(page, " \n")

    assert page.get_by_role("alert").first.inner_text() == "The text has no words."


def test_a_file_comes_back_tagged(page, taggers, tmp_path):
    source = tmp_path / "my words.conll"
    source.write_text(COLUMNS)
    tag_file(taggers["one"], source, tmp_path / "expected")
    page.get_by_role("tab", name="File").click()
    page.locator("#upload input[type=file]").set_input_files(source)
    page.locator("#upload").get_by_text("conll").first.wait_for()
    page.get_by_role("button", name="Tag file").click()
    page.locator("#file-note .ht-note").wait_for()

    with page.expect_download() as download:
        page.locator("#download").click()
    assert download.value.suggested_filename == "my words.tagged.conll"
    assert Path(download.value.path()).read_bytes() == (tmp_path / "expected").read_bytes()


def test_a_broken_file_is_answered_with_its_line_and_harms_nothing(page, tmp_path):
    source = tmp_path / "rows.jsonl"
    source.write_text('{"tokens": ["a"]}\n{"tokens": "b"}\n')
    page.get_by_role("tab", name="File").click()
    page.locator("#upload input[type=file]").set_input_files(source)
    page.locator("#upload").get_by_text("jsonl").first.wait_for()
    page.get_by_role("button", name="Tag file").click()

    assert page.locator("#file-note [role=alert]").inner_text() == (
        'rows.jsonl, line 2: \'{"tokens": "b"}\'; expected an object with "tokens", a list of strings, or "text", a '
        "string."
    )
    page.get_by_role("tab", name="Text").click()
    tag_on(page, TEXT)
    answer_of(page, "one").wait_for()


def test_a_file_that_is_too_large_is_refused(page):
    page.get_by_role("tab", name="File").click()
    large = {"name": "large.txt", "mimeType": "text/plain", "buffer": b"word\n" * (MOST_BYTES // 5 + 1)}
    page.locator("#upload input[type=file]").set_input_files(large)

    page.get_by_text("exceed the maximum allowed size of 5.0 Mb").first.wait_for()


# ---------------------------------------------------------------- what the buttons do


class TestText:
    def test_marks_words_on_which_taggers_of_the_same_tags_differ(self, actions, taggers):
        one, two = (taggers[name].tag_text(TEXT).words for name in ("one", "two"))
        differing = sum(a.tag != b.tag for a, b in zip(one, two, strict=True))
        assert differing

        assert actions.show_text(TEXT, ["one", "two"]).count('class="ht-differs"') == 2 * differing
        assert actions.show_text(TEXT, ["one", "pos"]).count('class="ht-differs"') == 0

    def test_takes_text_longer_than_any_window(self, actions, taggers):
        text = "Porto waved. " * 300
        page = actions.show_text(text, ["pos"])

        assert taggers["pos"].max_length == 64
        assert page.count('class="ht-word"') == 900
        assert "900 words." in page

    def test_shows_the_beginning_of_a_very_long_one(self, actions):
        page = actions.show_text("Porto waved. " * 2000, ["one", "pos"])

        assert page.count('class="ht-word"') == 5000
        assert page.count("Only the first 5,000 words are shown") == 2
        assert page.count("<mark ") == page.count("</mark>")

    def test_counts_the_words_on_which_taggers_differ_among_those_it_shows(self, actions):
        page = actions.show_text(f"{TEXT} " * 600, ["one", "two"])

        counted = re.search(r"([\d,]+) words with different tags", page)[1]
        assert 0 < 2 * int(counted.replace(",", "")) == page.count('class="ht-differs"')

    def test_answers_programs_with_what_the_tagger_says(self, actions, taggers):
        answer = actions.tag(TEXT, "two")

        assert answer["model"] == "two"
        assert [word["tag"] for word in answer["words"]] == [w.tag for w in taggers["two"].tag_text(TEXT).words]
        assert [word["text"] for word in actions.tag("Porto \ud800 waved")["words"]] == ["Porto", "?", "waved"]

    @pytest.mark.parametrize(
        ("text", "names", "message"),
        [
            (None, None, "The text has no words"),
            ("x" * (MOST_CHARACTERS + 1), None, "The text has 200,001 characters; expected at most 200,000."),
            (TEXT, [], "No model is selected"),
            (TEXT, ["<b>"], "There is no model &#x27;&lt;b&gt;&#x27; here; there is one, two, pos."),
        ],
    )
    def test_answers_with_a_sentence_where_something_is_wrong(self, actions, text, names, message):
        page = actions.show_text(text, names)

        assert page.startswith('<p class="ht-error" role="alert">')
        assert message in page

    def test_explains_words_of_short_sentences_alone(self, actions):
        assert "expected at most 200" in actions.explain_word("Porto " * 201, "Porto", ["one"])
        assert "Transitions" not in actions.explain_word(TEXT, "Porto", None)
        assert "is not a word of the text" in actions.explain_word(TEXT, None, ["one"])


class TestFiles:
    def test_finds_json_lines_in_what_was_pasted(self, actions, taggers, tmp_path):
        note, tagged = actions.show_file(None, '\n{"tokens": ["Porto", "waved"]}\n', "", "one", tmp_path)

        assert "Tagged 2 words in 1 sentence." in note
        assert tagged.name == "pasted.tagged.jsonl"
        tags = taggers["one"].tag(["Porto", "waved"])
        assert json.loads(tagged.read_text()) == {"tokens": ["Porto", "waved"], "tags": tags}

    def test_names_lines_of_text_as_json_lines(self, actions, tmp_path):
        source = tmp_path / "notes.md"
        source.write_text("Porto waved.\n")
        _, tagged = actions.show_file(str(source), "not this", None, "pos", tmp_path)

        assert tagged.name == "notes.tagged.jsonl"
        assert [word["text"] for word in json.loads(tagged.read_text())["words"]] == ["Porto", "waved", "."]
        assert [file.name for file in tagged.parent.iterdir()] == [tagged.name]

    @pytest.mark.parametrize(
        ("content", "format", "message"),
        [
            ("", "", "There is nothing to tag"),
            ("\n \n", "column", "pasted.txt: there are no words in it."),
            ("a\na b\nc\n", "", "Give the format column or the format text."),
            ("a b\nc\n", "column", "Plain text? the format text."),
            ("# global.columns = ID LEMMA UPOS\n1\ta\tNN\n", "column", "tokens_column (of hf-tagging predict)"),
            ("a\n" * (MOST_BYTES // 2 + 1), "", "pasted.txt has 5,242,882 bytes; expected at most 5,242,880."),
        ],
    )
    def test_answers_with_a_sentence_where_something_is_wrong(self, actions, tmp_path, content, format, message):
        note, tagged = actions.show_file(None, content, format, "one", tmp_path)

        assert tagged is None
        assert message in note
        assert str(tmp_path) not in note
        assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- loading and starting


def test_names_tell_models_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("runs/a/best", "runs/b/best"):
        Path(folder).mkdir(parents=True)

    assert list(name_models(["runs/a/best", "user/tagger"])) == ["best", "user/tagger"]
    assert name_models(["runs/a/best", "runs/a/best/", "runs/b/best"]) == {
        "a/best": "runs/a/best",
        "b/best": "runs/b/best",
    }
    with pytest.raises(ConfigError, match="no model was given"):
        name_models([])


@pytest.mark.parametrize(
    ("results", "figure"),
    [
        ('{"test": {"accuracy": 0.98, "f1": 0.91234}}', {"x": "F1 0.9123 on its test split"}),
        ('{"validation": {"accuracy": 0.97}}', {"x": "accuracy 0.9700 on its validation split"}),
        ('{"test": {}}', {}),
        ("[1]", {}),
        ("no JSON", {}),
    ],
)
def test_reads_the_figure_of_a_run(tmp_path, results, figure):
    (tmp_path / "results.json").write_text(results)

    assert known_figures({"x": str(tmp_path)}) == figure


def test_says_what_to_install(models, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)

    with pytest.raises(ConfigError, match=r"Type: pip install 'hf-tagging\[demo\]'"):
        launch_demo([str(models["one"])])


def test_says_that_a_port_is_in_use(models):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1, port {port}: it is in use"):
            launch_demo([str(models["one"])], port=port, device="cpu", open_browser=False)
    assert "GRADIO_TEMP_DIR" not in os.environ


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ({"port": 99999}, r"port: there is no port 99999; give a number from 1 to 65535"),
        ({"host": "192.0.2.1"}, r"cannot listen on 192.0.2.1, port 7860 or one of the next 99"),
        (
            {"host": "192.0.2.1", "port": 7860},
            r"cannot listen on 192.0.2.1, port 7860: it is in use, or not",
        ),
    ],
)
def test_says_of_an_address_at_once_that_it_cannot_listen_there(place, message):
    with pytest.raises(ConfigError, match=message):
        launch_demo(["./no/model"], **place)


# ---------------------------------------------------------------- the Space


@pytest.mark.slow
def test_a_written_space_tags_over_http(models, taggers, tmp_path):
    from gradio_client import Client
    from gradio_client.exceptions import AppError

    source = shutil.copytree(models["one"], tmp_path / "one")
    write_space([str(source)], tmp_path / "space")
    shutil.rmtree(source)  # the Space has to do without it
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = environment(GRADIO_SERVER_PORT=str(port), GRADIO_TEMP_DIR=str(tmp_path / "gradio"))
    command = [sys.executable, "-u", str(tmp_path / "space" / "app.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env) as server:
        try:
            _line_with(server, "Running on local URL")
            client = Client(f"http://127.0.0.1:{port}", verbose=False)
            answer = client.predict(TEXT, api_name="/tag")
            with pytest.raises(AppError, match="The text has no words"):
                client.predict("", api_name="/tag")
            assert client.predict("Porto", "one", api_name="/tag")["model"] == "one"
        finally:
            server.kill()
    expected = taggers["one"].tag_text(TEXT)
    assert [(w["text"], w["tag"]) for w in answer["words"]] == [(w.text, w.tag) for w in expected.words]
    assert [w["score"] for w in answer["words"]] == pytest.approx([w.score for w in expected.words])
    assert [(e["text"], e["type"]) for e in answer["entities"]] == [(e.text, e.type) for e in expected.entities]


def test_a_space_holds_what_taggers_need_and_no_more(models, tmp_path):
    run = shutil.copytree(models["one"], tmp_path / "my run")
    (run / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n# A card\n")
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"_name_or_path": "/srv/models/bert"}))
    others = ("checkpoint-5/model.safetensors", "predictions/test.conll", "optimizer.pt", "own.py", "report.html")
    for private in others:
        (run / private).parent.mkdir(exist_ok=True)
        (run / private).write_text("private")
    files = [path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()]
    own = [name for name in files if not name.startswith(("checkpoint", "optimizer", "own"))]
    record = {"task": "ner", "status": "finished", "arguments": {}, "files": own}
    (run / "run.json").write_text(json.dumps(record))
    written = write_space([str(run)], tmp_path / "space")

    names = {str(path.relative_to(tmp_path / "space")) for path in (tmp_path / "space").rglob("*") if path.is_file()}
    assert names == {str(path.relative_to(tmp_path / "space")) for path in written}
    assert names == {"README.md", "app.py", "requirements.txt", "space.json"} | {
        f"models/1-my-run/{name}"
        for name in ("config.json", "model.safetensors", "results.json", "tokenizer.json", "tokenizer_config.json")
    }
    assert json.loads((tmp_path / "space/models/1-my-run/config.json").read_text()) == config | {
        "_name_or_path": "bert"
    }
    settings = RepoCard((tmp_path / "space" / "README.md").read_text()).data.to_dict()
    assert settings["sdk"] == "gradio"
    assert settings["sdk_version"] == version("gradio")
    assert settings["app_file"] == "app.py"
    assert settings["license"] == "cc-by-4.0"
    requirements = (tmp_path / "space" / "requirements.txt").read_text().splitlines()
    assert requirements[1:] == [f"hf-tagging[demo]=={version('hf-tagging')}", f"gradio=={version('gradio')}"]


def test_a_space_names_models_of_the_hub(tmp_path, monkeypatch):
    write_space(["user/ner", "user/pos"], tmp_path / "space")

    card = (tmp_path / "space" / "README.md").read_text()
    assert "A private model needs a secret `HF_TOKEN` in the settings of the Space." in card
    settings = RepoCard(card).data.to_dict()
    assert settings["models"] == ["user/ner", "user/pos"]
    assert "license" not in settings
    assert not (tmp_path / "space" / "models").exists()
    monkeypatch.setattr("hf_tagging.publishing.demo.app.load_taggers", dict)
    monkeypatch.setattr("hf_tagging.publishing.demo.app.known_figures", dict)
    monkeypatch.setattr("hf_tagging.publishing.demo.app.build_demo", lambda taggers, figures: None)
    app = runpy.run_path(str(tmp_path / "space" / "app.py"))
    assert app["MODELS"] == {"user/ner": "user/ner", "user/pos": "user/pos"}


def test_a_space_is_replaced_when_asked_and_nothing_else_is(models, tmp_path):
    space = tmp_path / "space"
    write_space([str(models["one"])], space)
    (space / "notes.txt").write_text("mine")
    before = (space / "app.py").read_text()

    with pytest.raises(OutputError, match="holds a Space already"):
        write_space([str(models["two"])], space)
    assert (space / "app.py").read_text() == before

    write_space([str(models["two"])], space, overwrite=True)
    assert (space / "models/1-two/config.json").is_file()
    assert list((space / "models").rglob("config.json")) == [space / "models/1-two/config.json"]
    assert (space / "notes.txt").read_text() == "mine"


def test_a_space_is_made_anew_of_a_model_of_its_own(models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_space([str(models["one"]), str(models["two"])], Path("space"))
    weights = Path("space/models/2-two/model.safetensors").read_bytes()
    write_space(["space/models/2-two"], Path("space"), overwrite=True)

    assert [folder.name for folder in Path("space/models").iterdir()] == ["1-2-two"]
    assert Path("space/models/1-2-two/model.safetensors").read_bytes() == weights
    write_space(["user/ner"], Path("space"), overwrite=True)
    assert not Path("space/models").exists()


def test_a_space_with_a_secret_is_not_written(models, tmp_path):
    run = shutil.copytree(models["one"], tmp_path / "one")
    (run / "special_tokens_map.json").write_text(json.dumps({"note": "hf_" + "aB3" * 11}))

    with pytest.raises(OutputError, match=r"special_tokens_map.json, line 1: a Hugging Face token \(hf_aB3…\)"):
        write_space([str(run)], tmp_path / "space")
    assert not (tmp_path / "space").exists()


def test_a_file_of_somebody_else_is_never_replaced(models, tmp_path):
    (tmp_path / "README.md").write_text("mine")

    with pytest.raises(OutputError, match=r"holds README\.md, which no earlier Space"):
        write_space([str(models["one"])], tmp_path, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert (tmp_path / "README.md").read_text() == "mine"


def test_refuses_what_a_space_could_not_load(models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    shutil.copy(models["one"] / "config.json", adapter)
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(models["one"])}))
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    (tmp_path / "empty").mkdir()

    with pytest.raises(ModelError, match=r"belongs to .*one, a model of this machine"):
        write_space([str(adapter)], tmp_path / "space")
    with pytest.raises(ModelError, match="so it holds no tagger"):
        write_space([str(tmp_path / "empty")], tmp_path / "space")
    (tmp_path / "runs").mkdir()
    for mistyped in ("./nowhere", "runs/quickstart-pso"):  # the second could be a name on the Hub
        with pytest.raises(ModelError, match="there is no such folder"):
            write_space([mistyped], tmp_path / "space")
    assert not (tmp_path / "space").exists()
