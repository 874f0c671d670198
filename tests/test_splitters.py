"""Text to words of any script: splitters by name, those of other packages, and what a text needs."""

from __future__ import annotations

import json
import sys
from importlib.metadata import EntryPoint
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import read

from hf_tagging.data import get_splitter, needed_splitter, splitters
from hf_tagging.data.word_packages import _placed
from hf_tagging.errors import ConfigError, DataError

SCRIPTS = {
    "Latin": "aUéß.,’'-$1 ",
    "Han": "東京都李娜々。，1a ",
    "kana": "のはソニカｶﾞー、。 ",
    "Thai": "สวัสดีกรุงเทพ๑ ",
    "Khmer": "សួស្តី។ ",
    "Lao": "ສະບາຍດີ ",
    "Burmese": "မင်္ဂလာ။ ",
    "Hindi": "नमस्ते। ",
    "Arabic": "مرحبا؟ ",
    "Hangul": "안녕하세요 ",
    "marks": "e\u0301\u200d\u3099\ufe0f👍🏽\u00a0\n",
}
TEXTS = st.one_of(st.text(), st.text("".join(SCRIPTS.values()), max_size=60), *(st.text(s) for s in SCRIPTS.values()))


def words(name, text):
    return [text[start:end] for start, end in get_splitter(name)(text)]


def covers(text, spans):
    covered = [i for start, end in spans for i in range(start, end)]
    return all(start < end for start, end in spans) and covered == [
        i for i, character in enumerate(text) if not character.isspace()
    ]


@pytest.mark.parametrize("name", splitters.SPLITTERS)
@settings(max_examples=200, deadline=None)
@given(text=TEXTS)
def test_every_character_but_blanks_is_in_exactly_one_word(name, text):
    assert covers(text, get_splitter(name)(text))


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        (None, "李娜 lives in 天津。", "李|娜|lives|in|天|津|。"),
        ("auto", "don't", "do|n't"),
        ("auto", "ソニカ", "ソニカ"),
        ("english", "李娜住", "李娜住"),
        ("blanks", "don't, 李娜", "don't,|李娜"),
        ("characters", "ソニカ Oslo", "ソ|ニ|カ|Oslo"),
        ("characters", "กรุงเทพ", "ก|รุ|ง|เ|ท|พ"),
    ],
)
def test_splitters_by_name(name, text, found):
    assert words(name, text) == found.split("|")


@pytest.mark.parametrize(
    ("package", "name", "text", "found"),
    [
        ("pythainlp", "pythainlp", "เขาไปโรงเรียน 3 วัน", "เขา|ไป|โรงเรียน|3|วัน"),
        ("sudachipy", "sudachi", "鈴木は大阪へ行く。\nOslo", "鈴木|は|大阪|へ|行く|。|Oslo"),
        ("jieba", "jieba", "我们在北京工作。 OK", "我们|在|北京|工作|。|OK"),
    ],
)
def test_packages_of_a_language(package, name, text, found):
    pytest.importorskip(package, reason=f"{package} is not installed: pip install 'hf-tagging[thai,japanese,chinese]'")
    assert words(name, text) == found.split("|")
    for letters in SCRIPTS.values():
        spread = (letters * 3_000)[::7]  # longer than a package takes at once
        assert covers(spread, get_splitter(name)(spread))


def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "jieba", None)
    splitters._of_package.cache_clear()
    with pytest.raises(ConfigError, match=r"splitter=jieba: needs jieba, which is not installed.*\[chinese\]"):
        get_splitter("jieba")
    with pytest.raises(ConfigError, match="expected one of english, blanks, characters, auto, pythainlp, sudachi"):
        get_splitter("klingon")


def in_halves(text):
    return [(0, 2), (2, len(text))]


@pytest.fixture
def registered(monkeypatch):
    """Another package's splitters, as an installed one registers them."""
    points = [
        EntryPoint("halves", f"{__name__}:in_halves", splitters.ENTRY_POINTS),
        EntryPoint("gone", "no_such_package_xyz:split", splitters.ENTRY_POINTS),
        EntryPoint("text", f"{__name__}:SCRIPTS", splitters.ENTRY_POINTS),
    ]
    monkeypatch.setattr(splitters, "entry_points", lambda group: [p for p in points if p.group == group])
    splitters._of_package.cache_clear()
    yield
    splitters._of_package.cache_clear()


@pytest.mark.usefixtures("registered")
def test_any_package_can_register_a_splitter():
    assert words("halves", "abcde") == ["ab", "cde"]
    assert "halves" in splitters.splitter_names()
    with pytest.raises(ConfigError, match="splitter=gone: needs no_such_package_xyz:split, which is not installed"):
        get_splitter("gone")
    with pytest.raises(ConfigError, match=r"splitter=text: .* is no function"):
        get_splitter("text")
    with pytest.raises(ConfigError, match=r"splitter=halves: gave \(0, 2\) for a text of 1 characters"):
        words("halves", "a")


@pytest.mark.usefixtures("registered")
def test_rows_are_split_anew_after_an_update_of_the_package(tmp_path, monkeypatch):
    rows = {"a.jsonl": json.dumps({"text": "abcde", "label": []})}
    assert read(tmp_path, rows, splitter="halves").words == ["ab", "cde"]
    monkeypatch.setattr("hf_tagging.data.sources.splitter_version", lambda name: f"{name} 2")
    monkeypatch.setattr(f"{__name__}.in_halves", lambda text: [(0, 1), (1, len(text))])
    splitters._of_package.cache_clear()
    assert read(tmp_path, rows, splitter="halves").words == ["a", "bcde"]


@given(text=TEXTS, data=st.data())
@settings(max_examples=200, deadline=None)
def test_pieces_of_any_package_find_their_places(text, data):
    """Whatever a package drops, adds or writes otherwise, no character is lost and none is twice."""
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=8)))
    kept = data.draw(st.lists(st.booleans(), min_size=9, max_size=9))
    odd = data.draw(st.sampled_from(["", "x", "\u3000"]))

    def cut(line):
        ends = [0, *(c for c in cuts if c < len(line)), len(line)]
        pieces = [line[a:b] for a, b in pairwise(ends)]
        return [piece if keep else odd for piece, keep in zip(pieces, kept, strict=False)]

    assert covers(text, _placed(cut)(text))


@pytest.mark.parametrize(
    ("text", "splitter"),
    [
        ("เขาไปโรงเรียนทุกวันจันทร์", "pythainlp"),
        ("เขา ไป โรงเรียน", None),  # separated already
        ("鈴木は大阪へ行く。", "sudachi"),
        ("鈴木 は 大阪 へ 行く 。", None),
        ("我喜欢の这个词语和那个词语", None),
        ("我们在北京工作。", None),
        ("ຂ້ອຍໄປໂຮງຮຽນທຸກມື້", "characters"),
        ("ខ្ញុំទៅសាលារៀនរាល់ថ្ងៃ", "characters"),
        ("ကျွန်တော်ကျောင်းသွားသည်", "characters"),
        ("The word โรงเรียน is Thai for school.", None),
        ("मैं स्कूल जाता हूँ।", None),
        ("저는 학교에 갑니다.", None),
        ("Maria sleeps.", None),
        ("", None),
    ],
)
def test_which_splitter_a_text_needs(text, splitter):
    assert needed_splitter(text) == splitter


@pytest.mark.failure_mode("unseparated-words")
def test_annotated_text_without_blanks_needs_a_splitter(tmp_path):
    row = {"text": "กานดาไปเชียงใหม่เมื่อวานนี้", "label": [[0, 5, "PER"], [7, 16, "LOC"]]}
    with pytest.raises(DataError, match=r"a\.jsonl, line 1: .* is Thai, .* words; .*--splitter pythainlp"):
        read(tmp_path / "refused", {"a.jsonl": json.dumps(row)})
    found = read(tmp_path / "characters", {"a.jsonl": json.dumps(row)}, splitter="characters")
    assert "".join(word for word, tag in found.first if (tag or "")[2:] == "LOC") == "เชียงใหม่"
    assert not found.remarks()["misfit"]


def test_annotated_thai_with_its_words(tmp_path):
    pytest.importorskip("pythainlp", reason="pythainlp is not installed: pip install 'hf-tagging[thai]'")
    row = {"text": "เขาไปโรงเรียนที่กรุงเทพ", "label": [[16, 23, "LOC"]]}
    found = read(tmp_path, {"a.jsonl": json.dumps(row)}, splitter="pythainlp")
    assert found.first[-1] == ("กรุงเทพ", "B-LOC")
    assert len(found.first) < 8
