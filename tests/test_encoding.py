"""Text files in any encoding: read where it is certain, and refused with what to type where it is not."""

from __future__ import annotations

import io
import re

import pytest

from hf_tagging.data.text_lines import text_form, text_lines
from hf_tagging.errors import DataError
from tests.reading import read

SPANISH = "María García visitó Málaga y también León . ¿ Cuándo volverá el señor Núñez ? Mañana ."
TEXTS = {
    "spanish": SPANISH,
    "german": "Jürgen Müller fährt über Österreich nach Nürnberg und grüßt Böhm .",
    "french": "Hélène a goûté le gâteau à la crème près du château où naît la forêt .",
    "polish": "Wójcik pojechał wczoraj pociągiem z Gdańska do Częstochowy , żeby zdążyć .",
    "czech": "Dvořák přišel pozdě večer do Plzně a řekl , že příště přijede dříve .",
    "turkish": "Güneş doğunca çocuklar ağaçların altında İzmir şarkıları söylüyorlardı .",
    "russian": "Сергей Иванов приехал из Самары и работает на заводе Прогресс второй год .",
    "greek": "Η Ελένη μένει στη Θεσσαλονίκη και διδάσκει στο πανεπιστήμιο εδώ και χρόνια .",
    "chinese": "张 伟 昨 天 从 上 海 坐 火 车 去 北 京 大 学 开 会 。",
    "taiwanese": "陳 先 生 昨 天 從 臺 北 搭 車 到 高 雄 去 看 他 的 朋 友 。",
    "japanese": "鈴木 さん は 昨日 京都 の 大学 で 新しい 先生 に 会い まし た 。",
    "korean": "김철수는 어제 대구에서 열린 회의에 참석하고 서울로 돌아왔다 .",
    "english": "It’s “late” , said Anna – and she left for Paris … so they say .",
}
ENCODINGS = [
    ("spanish", "latin-1"), ("spanish", "mac_roman"), ("spanish", "cp850"), ("german", "latin-1"), ("french", "cp1252"),
    ("polish", "cp1250"), ("polish", "iso8859-2"), ("czech", "cp1250"), ("czech", "iso8859-2"), ("turkish", "cp1254"),
    ("russian", "cp1251"), ("russian", "koi8-r"), ("russian", "cp866"), ("russian", "iso8859-5"),
    ("greek", "iso8859-7"),
    ("chinese", "gbk"), ("chinese", "gb2312"), ("taiwanese", "big5"), ("japanese", "shift_jis"), ("japanese", "euc_jp"),
    ("korean", "euc_kr"), ("english", "cp1252"),
]  # fmt: skip


def columns(text: str) -> str:
    return "".join(f"{word} O\n" for word in text.split()) + "Rome B-LOC\n"


@pytest.mark.parametrize(("language", "encoding"), ENCODINGS)
def test_a_certain_encoding_is_read_and_said(tmp_path, language, encoding):
    found = read(tmp_path, columns(TEXTS[language]).encode(encoding))
    assert found.words == [*TEXTS[language].split(), "Rome"]
    assert found.remarks()["encoding"] == 1
    assert found.said("not UTF-8: read as")
    assert found.report.splits["train"][0].encoding != "UTF-8"


@pytest.mark.parametrize(("language", "encoding"), ENCODINGS)
def test_no_part_of_a_text_is_read_wrong(language, encoding):
    words = TEXTS[language].split()
    for start in range(0, len(words), 2):
        for size in (1, 2, 4, 7):
            data = " ".join(words[start : start + size]).encode(encoding)
            try:
                form = text_form(io.BytesIO(data), file="x")
            except DataError:
                continue
            if form.encoding == "utf-8":  # by chance, as two bytes of Chinese may be
                continue
            assert data.decode(form.encoding) == data.decode(encoding), (form, data)


def test_an_encoding_that_is_asked_for_is_taken(tmp_path):
    assert read(tmp_path, columns(SPANISH).encode("latin-1"), encoding="latin-1").words[:2] == ["María", "García"]
    assert read(tmp_path, columns("Łódź").encode("cp1250"), encoding="windows-1250").words[0] == "Łódź"
    assert read(tmp_path, columns("東京").encode("utf-16-le"), encoding="utf-16-le").words[0] == "東京"
    assert read(tmp_path, columns("日").encode("utf-8-sig"), encoding="utf8").words[0] == "日"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_marked_encodings(tmp_path, encoding, line_end):
    content = columns(SPANISH).replace("\n", line_end).encode(encoding)
    found = read(tmp_path, content)
    assert found.words == [*SPANISH.split(), "Rome"]
    assert found.said(f"read as {encoding.upper()}, which its byte order mark says")


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ("a O\n", {"encoding": "latin-0"}, "encoding=latin-0: there is no such encoding"),
        ("a O\n", {"encoding": "base64"}, "encoding=base64: there is no such encoding"),
        (columns(SPANISH).encode("utf-16-le"), {}, "line 1: .* give encoding=utf-16-le, or convert it with `iconv"),
        (columns(TEXTS["japanese"]).encode("iso-2022-jp"), {}, "line 1: .* give encoding=iso-2022-jp"),
        (b"ok O\ncaf\xe9 O\n", {}, r"line 2: byte 0xe9 .* encoding=cp1252 reads it as .caf.\W+; otherwise mend"),
        (
            columns(SPANISH).encode() + b"caf\xe9 O\n",
            {},
            "line 19: .* 12 other lines beyond ASCII are UTF-8, so the file",
        ),
        (
            "a O\n",
            {"encoding": "utf-16"},
            "line 1: no byte order mark, .* give encoding=utf-16-le or encoding=utf-16-be",
        ),
        (columns(SPANISH).encode("latin-1"), {"encoding": "utf-8"}, "line 1: byte 0xed .* is not UTF-8"),
        (
            columns(TEXTS["chinese"]).encode("gbk")[1:],
            {"encoding": "gbk"},
            "line 1: byte 0x.* is not gbk; give another",
        ),
        (
            b"ok O\n" * 3 + b"\xff O\n",
            {"encoding": "ascii"},
            "line 4: byte 0xff .* is not ascii; give another encoding",
        ),
    ],
)
def test_what_is_not_certain_is_refused(tmp_path, content, arguments, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, content, **arguments)


def test_one_damaged_line_among_good_ones_is_never_called_another_encoding(tmp_path):
    content = columns(TEXTS["chinese"] * 20).encode() + b"\xce\xd2 O\n" + columns(TEXTS["chinese"] * 20).encode()
    with pytest.raises(DataError, match="damaged: mend this line, or get the file again") as caught:
        read(tmp_path, content)
    assert not re.search("latin|cp12|encoding=", str(caught.value))


def test_lines_across_chunks_keep_their_numbers():
    text = "".join(f"ñ{number} O\n" for number in range(200_000))
    stream = io.BytesIO(text.encode("utf-16"))
    lines = list(text_lines(stream, "x", text_form(stream, file="x")))
    assert (len(lines), lines[0], lines[-1]) == (200_000, (1, "ñ0 O"), (200_000, "ñ199999 O"))


@pytest.mark.parametrize("last", ["", "\r"])
def test_carriage_returns_alone_end_lines(tmp_path, last):
    found = read(tmp_path, ("Ann B-PER\rsleeps O\r\rRome B-LOC" + last).encode())
    assert found.sizes() == {"train": (2, 3, 2)}


def test_a_carriage_return_in_a_word_is_data_beside_line_feeds(tmp_path):
    assert read(tmp_path, b"a\rb O\n\rc B-LOC\n").words == ["a\rb", "\rc"]
