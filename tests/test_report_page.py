"""The report's page: what it says, that it needs nothing but itself, and that it works in a browser."""

import base64
import hashlib
import html
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import browser  # noqa: F401
from playwright.sync_api import Browser, Page
from report_analyses import SENTENCES, flawless_analysis, ner_analysis, pos_analysis, sentence, tag_row

from hf_tagging.analysis.analyse import analyse
from hf_tagging.analysis.answers import Answers
from hf_tagging.publishing.report.geometry import curve, reliability, shade, ticks
from hf_tagging.publishing.report.page import MOST_ROWS, report_page
from hf_tagging.publishing.report.rendering import MOST_BYTES

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ATTACK = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
SECTIONS = ["glance", "tags", "kinds", "sentences", "confusion", "groups", "calibration", "curves", "suspects"]
HEBREW = "דנה גרה בחיפה ליד הים ."


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])


def text_of(page: str) -> str:
    """What a reader sees without JavaScript, in one line."""
    body = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", body)).split())


def hostile_analysis() -> dict[str, Any]:
    """Markup as word, tag and name; right to left; a word without end; a direction mark; an empty word."""
    words = f"{ATTACK.replace(' ', '_')} sits here"
    return ner_analysis(
        name=ATTACK,
        split=ATTACK,
        tags=[tag_row(ATTACK, 4, 1, 0), tag_row("LOC", 2, 2, 1)],
        confusion={"tags": [ATTACK, "LOC", "O"], "counts": [[0, 1, 0], [0, 1, 0], [0, 0, 0]], "left_out": 0},
        examples={
            "sentences": [
                sentence(1, words, [[0, 1, ATTACK]], [[0, 1, "LOC"]], [("type", 0, 0)]),
                sentence(2, HEBREW, [[2, 3, "LOC"]], [], [("missed", 0, None)]),
                sentence(3, "x" * 9000 + " is long", [[0, 1, "LOC"]], [], [("missed", 0, None)]),
                sentence(4, "evil\u202eword", [[0, 1, "LOC"]], [], [("missed", 0, None)])
                | {"words": ["evil\u202eword", "", "\u200b", "\ud800", "a\u2028b"]},
            ],
            "left_out": 0,
        },
        suspects={"missing": ATTACK},
        calibration={"missing": ATTACK},
    )


def club_and_person() -> dict[str, Any]:
    """Two entities that the model merged into one, two of a type among them, and one that it split into two."""
    words = ["Chelsea", "Marek", "Nowak", "met", "Anna", "Ida", "Holt", "in", "New", "Tolland", "."]
    gold = ["B-ORG", "B-PER", "I-PER", "O", "B-PER", "B-PER", "I-PER", "O", "B-LOC", "I-LOC", "O"]
    predicted = ["B-PER", "I-PER", "I-PER", "O", "B-PER", "I-PER", "I-PER", "O", "B-MISC", "B-LOC", "O"]
    return analyse(Answers("ner", [words], [gold], [predicted]), name="tiny-tagger", scheme="IOB2")


# What the page says


def test_the_top_names_the_worst_tag_the_commonest_error_and_three_examples() -> None:
    text = text_of(report_page(ner_analysis()))

    assert "F1 0.7391 95 % interval 0.6610 to 0.8127" in text
    assert "Tag with most errors: MISC" in text
    assert "5 errors. Of 4 gold MISC entities, the model missed 4. Of 1 predicted, 1 is" in text
    assert "Most frequent error: wrong type 3 errors, 43 % of all." in text
    top = text[text.index("Three errors with MISC") : text.index("Errors of a tag")]
    assert re.findall(r"Sentence (\d+)", top) == ["15", "3", "40"]  # of different kinds
    assert "missed: “Lantern Prize”, gold MISC, predicted no entity" in top
    assert "wrong boundary: gold MISC “Festival of Small Boats”, predicted MISC “Boats”" in top


@pytest.mark.failure_mode("merged-entity")
def test_what_was_split_or_merged_is_neither_missed_nor_where_the_data_has_none() -> None:
    text = text_of(report_page(club_and_person()))

    assert "merged: gold ORG “Chelsea”, predicted PER “Chelsea Marek Nowak”" in text
    assert "wrong boundary: gold PER “Marek Nowak”, predicted PER “Chelsea Marek Nowak”" in text
    assert "merged: gold PER “Anna”, predicted PER “Anna Ida Holt”" in text
    assert "wrong boundary: gold PER “Ida Holt”, predicted PER “Anna Ida Holt”" in text
    assert "wrong boundary: gold LOC “New Tolland”, predicted LOC “Tolland”" in text
    assert "split: gold LOC “New Tolland”, predicted MISC “New”" in text
    assert "gold no entity" not in text
    assert "predicted no entity" not in text
    assert (
        "Each entity is counted once: 5 entities in the data = 0 right + 3 wrong boundary + 2 merged; "
        "4 entities predicted = 0 right + 3 wrong boundary + 1 split." in text
    )


def test_plain_tags_have_their_commonest_confusion_at_the_top() -> None:
    text = text_of(report_page(pos_analysis()))

    assert "on 3,684 sentences with 46,435 words." in text
    assert "Tag with most errors: T00" in text
    assert "Most frequent error: T01 predicted as T03 3 errors" in text
    assert "20 further tags" in text  # 45, of which 25 are shown at once
    assert "Not available. The run was not evaluated during training." in text
    assert "Not available. This needs cleanlab." in text


def test_every_section_is_there_in_whatever_state() -> None:
    for analysis in (ner_analysis(), pos_analysis(), flawless_analysis(), hostile_analysis()):
        page = report_page(analysis)
        assert re.findall(r'<section id="(\w+)"', page) == SECTIONS
        assert set(re.findall(r'<a href="#(\w+)">', page)) >= set(SECTIONS)


def test_a_perfect_model_is_told_so() -> None:
    text = text_of(report_page(flawless_analysis()))

    assert "on 1 sentence with 4 words and 1 entity." in text
    assert "No errors: every entity is predicted correctly." in text
    assert "None: gold and predicted agree on every entity." in text
    assert "Tag with most errors" not in text


def test_a_split_without_entities_has_nothing_to_say_of_tags() -> None:
    nothing = {"tags": ["O"], "counts": [[0]], "left_out": 0}
    text = text_of(report_page(flawless_analysis() | {"entities": 0, "tags": [], "confusion": nothing}))

    assert "The split has no entities, and none were predicted." in text


def test_missing_parts_say_why() -> None:
    text = text_of(
        report_page(ner_analysis(calibration={"missing": "No model."}, suspects={"missing": "No cleanlab."}))
    )

    assert "Words seen in training Not available. predictions/seen.json is not there." in text
    assert "Not available. No model." in text
    assert "Not available. No cleanlab." in text


def test_figures_that_cannot_be_drawn_are_dashes() -> None:
    history = [{"epoch": 1.0, "loss": float("nan"), "f1": None}, {"epoch": 2.0, "loss": 0.5, "f1": float("inf")}]
    text = text_of(
        report_page(ner_analysis(history=history, headline=[{"name": "F1", "value": None, "low": None, "high": None}]))
    )

    assert "F1 – " in text
    assert "Best 0.5000 at epoch 2, last 0.5000." in text
    assert "Validation F1" not in text


# What the page is


def test_the_policy_allows_the_two_inline_parts_of_the_page_and_nothing_else() -> None:
    page = report_page(hostile_analysis())
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1])  # type: ignore[index]
    style, script = re.search(r"<style>(.*?)</style>", page, re.S), re.findall(r"<script>(.*?)</script>", page, re.S)
    assert style
    assert len(script) == 1

    def hashed(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert policy.split("; ") == [
        "default-src 'none'",
        f"script-src {hashed(script[0])}",
        f"style-src {hashed(style[1])}",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_the_page_names_no_other_place() -> None:
    page = report_page(ner_analysis())
    body = page.replace("https://jfly.uni-koeln.de/color/", "")  # a source, in a comment

    assert set(re.findall(r'(?:src|href)="([^"#]+)', page)) == {"data:,"}
    assert not re.search(r"https?:|url\(|@import", body)
    assert "fetch(" not in page
    assert "innerHTML" not in page


def test_markup_in_words_tags_and_names_stays_text() -> None:
    page = report_page(hostile_analysis())

    assert "<script>alert" not in page
    assert "<img" not in page
    assert page.count("<script") == 2
    assert page.count("</script") == 2
    assert data_of(page)["sentences"][0]["words"][0] == ATTACK.replace(" ", "_")


def test_words_that_cannot_be_seen_are_spelled_out() -> None:
    words = data_of(report_page(hostile_analysis()))["sentences"][3]["words"]

    assert words == [r"evil\u202eword", "(empty)", r"\u200b", r"\ud800", r"a\u2028b"]


def test_joiners_stay_in_the_words_that_need_them() -> None:
    made = sentence(1, "می\u200cروم", [[0, 1, "LOC"]], [], [("missed", 0, None)])
    page = report_page(ner_analysis(examples={"sentences": [made], "left_out": 0}))

    assert data_of(page)["sentences"][0]["words"] == ["می\u200cروم"]


def test_a_large_report_stays_below_three_megabytes_and_counts_what_it_leaves_out() -> None:
    analysis = pos_analysis(500, 4000)
    for made in analysis["examples"]["sentences"]:
        made["words"] = made["words"][:2] + ["wörter<&>"] * 120
    analysis["examples"]["left_out"] = 7
    page = report_page(analysis)
    data = data_of(page)

    assert 2_500_000 < len(page.encode()) <= MOST_BYTES
    numbers = [made["number"] for made in data["sentences"]]
    assert len(numbers) + data["leftOut"] == 4007
    assert numbers == sorted(numbers)
    gaps = {after - before for before, after in itertools.pairwise(numbers)}
    assert max(gaps) - min(gaps) <= 1  # from all over
    assert "The first 20 of 4,007 sentences with errors." in text_of(page)


def test_of_thousands_of_tags_the_costliest_have_room() -> None:
    page = report_page(pos_analysis(6000, 4000))
    text = text_of(page)

    assert len(page.encode()) <= MOST_BYTES
    assert page.count(' data-tag="T') == MOST_ROWS
    assert "975 further tags" in text
    assert "The 5,000 tags with the fewest errors are not shown." in text
    assert "fewest errors" not in text_of(report_page(pos_analysis(1000, 5)))


def test_the_documentation_shows_only_pictures_that_are_there() -> None:
    places = {file: re.findall(r"!\[[^\]]*\]\(([^)\s]+)", file.read_text("utf-8")) for file in PAGES}
    pictures = [file.parent / path for file, paths in places.items() for path in paths]

    assert pictures
    assert [picture for picture in pictures if not picture.is_file()] == []


# Figures


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.3, 0.8, [0.2, 0.4, 0.6, 0.8]),
        (0.0, 6.0, [0.0, 2.0, 4.0, 6.0]),
        (0.5, 0.5, [0.45, 0.475, 0.5, 0.525, 0.55]),
        (0.0, 0.0, [-0.05, -0.025, 0.0, 0.025, 0.05]),
    ],
)
def test_ticks_enclose_the_values(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == expected


def test_a_curve_runs_from_the_lower_left_to_the_upper_right_of_its_frame() -> None:
    chart = curve([(0.0, 0.0), (2.0, 1.0)], "F1")

    left, top, right, bottom = chart.frame
    assert chart.path == f"{left}.0,{bottom}.0 {right}.0,{top}.0"
    assert chart.dots[1][3] == "epoch 2: F1 1.0000"


def test_bins_without_words_or_numbers_are_no_dots() -> None:
    bins = [
        {"low": 0.0, "high": 0.1, "confidence": None, "accuracy": None, "words": 0},
        {"low": 0.1, "high": 0.2, "confidence": float("nan"), "accuracy": 0.5, "words": 3},
        {"low": 0.9, "high": 1.0, "confidence": 0.95, "accuracy": 0.9, "words": 12},
    ]

    assert [dot[3][:8] for dot in reliability(bins).dots] == ["12 words"]


def test_shades() -> None:
    assert [shade(count, 100) for count in (0, 1, 25, 100)] == [0, 1, 4, 8]
    assert shade(0, 0) == 0


# In a browser


class Opened:
    """A report in a tab, and what the browser has to complain of."""

    def __init__(self, page: Page, complaints: list[str]) -> None:
        self.page, self.complaints = page, complaints

    @property
    def count(self) -> str:
        return self.page.locator("#count").inner_text()

    @property
    def place(self) -> str:
        return self.page.locator("#shown .place").inner_text()


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Any]:  # noqa: F811
    """Opens the report of an analysis from a file; whatever the browser complains of fails the test."""
    contexts, complaints = [], []

    def _open(analysis: dict[str, Any], anchor: str = "", **options: Any) -> Opened:
        file = tmp_path / "report.html"
        file.write_text(report_page(analysis), encoding="utf-8", newline="\n")
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}} | options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (complaints.append("dialog"), dialog.dismiss()))
        page.on("request", lambda request: complaints.append(request.url) if request.url.startswith("http") else None)
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.goto(file.as_uri() + anchor)
        assert [url for url in requests if not url.startswith("data:")] == [file.as_uri()]
        return Opened(page, complaints)

    yield _open
    for context in contexts:
        context.close()
    assert complaints == []


def test_the_first_wrong_sentence_shows_gold_and_predicted(opened: Any) -> None:
    report = opened(ner_analysis())

    assert report.count == "1 of 6"
    assert report.place == "Sentence 3"
    lines = report.page.locator("#shown .line")
    assert lines.nth(0).locator("mark").all_text_contents() == [
        "Lantern Prize\u00a0MISC\u00a0✗ (wrong)", "Mira Holt\u00a0PER", "Westmoor\u00a0LOC",
    ]  # fmt: skip
    assert lines.nth(1).locator("mark").all_text_contents() == ["Mira Holt\u00a0PER", "Westmoor\u00a0LOC"]
    said = ["missed: “Lantern Prize”, gold MISC, predicted no entity"]
    assert report.page.locator("#shown li").all_text_contents() == said
    assert not report.page.locator(".listed").is_visible()


@pytest.mark.parametrize("make", [ner_analysis, club_and_person])
def test_the_script_and_the_template_say_the_same_of_every_sentence(opened: Any, make: Any) -> None:
    """Two hands write a sentence, one for JavaScript and one for paper; they must agree to the letter."""
    report = opened(make())

    for number in range(report.page.locator(".listed ol > li").count()):
        listed = report.page.locator(".listed ol > li").nth(number)
        for part in (".words", ".said"):
            shown = report.page.locator(f"#shown {part}").evaluate_all("nodes => nodes.map(node => node.innerHTML)")
            paper = listed.locator(part).evaluate_all("nodes => nodes.map(node => node.innerHTML)")
            assert list(map(one_line, shown)) == list(map(one_line, paper))
        report.page.keyboard.press("j")


def one_line(text: str) -> str:
    """HTML without the line breaks between its elements."""
    return re.sub(r">\s+<", "><", " ".join(text.split(" "))).strip()


def test_a_heat_line_says_which_words_speak_for_a_tag(opened: Any) -> None:
    analysis = ner_analysis()
    first = analysis["examples"]["sentences"][0]
    values = [0.5, -0.25, 0.0, *[0.01] * len(first["words"])][: len(first["words"])]
    first["heat"] = {"word": 0, "tag": "B-<i>", "values": values}
    report = opened(analysis)

    line = report.page.locator("#shown .heat")
    spans = line.locator("> span").evaluate_all("all => all.map((one) => [one.className, one.title])")
    assert spans[:3] == [["for4", "+0.5"], ["against2", "-0.25"], ["even", "0"]]
    assert line.locator("b").inner_text().replace("\xa0", " ") == f"{first['words'][0]} B-<i>"
    assert "Blue words speak for it" in report.page.locator("#shown .hint").inner_text()
    report.page.locator("#next").click()
    assert report.page.locator("#shown .heat, #shown .hint").count() == 0


def test_next_and_previous_by_key_and_button(opened: Any) -> None:
    report = opened(ner_analysis())
    seen = []
    for key in ("j", "ArrowRight", "k", "ArrowLeft", "k"):
        report.page.keyboard.press(key)
        seen.append((report.count, report.place))
    assert seen == [
        ("2 of 6", "Sentence 8"), ("3 of 6", "Sentence 15"), ("2 of 6", "Sentence 8"), ("1 of 6", "Sentence 3"),
        ("6 of 6", "Sentence 40"),
    ]  # fmt: skip

    report.page.get_by_role("button", name="Next").click()
    assert report.count == "1 of 6"
    report.page.get_by_role("button", name="Previous").click()
    assert report.count == "6 of 6"
    report.page.get_by_label("Keys j and k").uncheck()
    report.page.locator("h1").click()
    report.page.keyboard.press("k")
    assert report.count == "6 of 6"


def test_filters_by_tag_kind_and_text(opened: Any) -> None:
    report = opened(ner_analysis())
    page = report.page
    assert page.locator("#by-tag option").all_inner_texts() == [
        "all tags", "MISC (3)", "LOC (3)", "ORG (3)", "PER (1)",
    ]  # fmt: skip

    page.get_by_label("Tag", exact=True).select_option("MISC")
    assert report.count == "1 of 3"
    page.get_by_label("Error type", exact=True).select_option("type")
    assert (report.count, report.place) == ("1 of 2", "Sentence 15")
    page.get_by_label("Text", exact=True).fill("QUILL week")
    assert (report.count, report.place) == ("1 of 1", "Sentence 40")
    page.keyboard.type("jk")  # letters of a search, not keys of ours
    assert page.get_by_label("Text", exact=True).input_value() == "QUILL weekjk"
    assert report.count == "0 of 0"
    assert "No sentence matches." in page.locator("#shown").inner_text()
    page.get_by_role("button", name="Clear filters").click()
    assert report.count == "1 of 6"
    assert page.get_by_label("Text", exact=True).input_value() == ""


def test_a_tag_a_kind_and_a_confusion_lead_to_their_sentences(opened: Any) -> None:
    report = opened(ner_analysis())
    page = report.page

    page.locator("#tags").get_by_role("link", name="PER").click()
    assert (report.count, report.place) == ("1 of 1", "Sentence 21")
    page.locator("#kinds").get_by_role("link", name="wrong boundary").click()
    assert (report.count, report.place) == ("1 of 1", "Sentence 15")
    assert page.locator("#shown li.asked").all_text_contents() == [
        "wrong boundary: gold MISC “Festival of Small Boats”, predicted MISC “Boats”"
    ]
    page.locator("#confusion tbody tr").nth(4).get_by_role("link").click()  # gold O, predicted PER
    assert (report.count, report.place) == ("1 of 1", "Sentence 21")
    page.get_by_role("button", name="Remove filter: O predicted as PER").click()
    assert report.count == "1 of 6"
    page.locator("#suspects").get_by_role("link", name="40").click()
    assert (report.count, report.place) == ("6 of 6", "Sentence 40")
    page.get_by_role("link", name="All errors with MISC").click()
    assert report.count == "1 of 3"
    assert page.evaluate("document.activeElement.id") == "sentences-title"


def test_the_address_leads_back_to_the_same_sentence(opened: Any) -> None:
    report = opened(ner_analysis())
    report.page.get_by_label("Tag", exact=True).select_option("MISC")
    report.page.get_by_role("button", name="Next").click()
    anchor = report.page.evaluate("location.hash")
    assert anchor == "#sentence=15&tag=MISC"
    assert report.page.get_by_role("link", name="Link to this sentence").get_attribute("href") == anchor

    again = opened(ner_analysis(), anchor)
    assert (again.count, again.place) == ("2 of 3", "Sentence 15")
    assert again.page.get_by_label("Tag", exact=True).input_value() == "MISC"
    again.page.evaluate("location.hash = '#kind=spurious&tag=no-such-tag'")
    again.page.wait_for_function("document.getElementById('count').textContent === '1 of 1'")
    assert again.place == "Sentence 21"


def test_a_sentence_that_is_not_on_the_page_is_not_taken_for_another(opened: Any) -> None:
    analysis = ner_analysis()
    (row,) = analysis["suspects"]["rows"]
    analysis["suspects"]["rows"].append(row | {"number": 77})
    report = opened(analysis, "#sentence=77&tag=MISC")

    suspects = report.page.locator("#suspects tbody th")
    assert suspects.all_inner_texts() == ["40", "77"]
    assert suspects.get_by_role("link").all_inner_texts() == ["40"]
    assert report.page.locator("#shown").inner_text() == (
        "Sentence 77 is not among these: it has no such error, or was left out of this page."
    )
    assert report.count == "0 of 3"
    assert not report.page.locator("#permalink").is_visible()
    report.page.get_by_role("button", name="Next").click()
    assert (report.count, report.place) == ("1 of 3", "Sentence 3")
    report.page.evaluate("location.hash = '#sentence=3&tag=PER'")
    report.page.wait_for_function("document.getElementById('count').textContent === '0 of 1'")
    report.page.get_by_role("button", name="Previous").click()
    assert (report.count, report.place) == ("1 of 1", "Sentence 21")
    # Of no wrong sentences there is no browser, and nothing for a suspect to lead to.
    flawless = opened(flawless_analysis() | {"suspects": analysis["suspects"]})
    assert flawless.page.locator("#suspects tbody a").count() == 0


@pytest.mark.parametrize("make", [ner_analysis, pos_analysis, flawless_analysis, hostile_analysis])
@pytest.mark.parametrize("script", [True, False])
def test_a_phone_never_scrolls_sideways(opened: Any, make: Any, script: bool) -> None:
    report = opened(make(), viewport={"width": 390, "height": 844}, java_script_enabled=script)

    if script:
        report.page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true })")
    # Playwright's own calls work with the page's scripts off, too.
    assert report.page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_hostile_report_is_harmless_and_legible(opened: Any) -> None:
    report = opened(hostile_analysis())

    assert report.page.locator("h1").inner_text() == ATTACK
    assert ATTACK.replace(" ", "_") in report.page.locator("#shown .words").first.inner_text()
    report.page.locator("#tags").get_by_role("link", name=ATTACK).click()
    assert report.count == "1 of 1"
    report.page.get_by_role("button", name="Clear filters").click()
    report.page.get_by_role("button", name="Next").click()
    words = report.page.locator("#shown .words").first
    assert words.evaluate("node => node.matches(':dir(rtl)')")
    assert words.text_content() == HEBREW.replace("בחיפה", "בחיפה\u00a0LOC\u00a0✗ (wrong)")
    report.page.get_by_role("button", name="Next").click()
    assert report.page.evaluate("document.documentElement.scrollWidth") == 1280


def test_many_tags_and_sentences_work(opened: Any) -> None:
    report = opened(pos_analysis(500, 1200))

    assert report.count == "1 of 1,200"
    assert not report.page.locator("#by-kind").is_visible()  # of plain tags there is one kind
    report.page.get_by_label("Tag", exact=True).select_option("T499")
    assert report.count == "1 of 2"
    report.page.locator("summary", has_text="475 further tags").click()
    report.page.get_by_role("link", name="T498", exact=True).click()
    assert report.count == "1 of 2"


def test_sentences_without_room_are_counted(opened: Any) -> None:
    report = opened(ner_analysis(examples={"sentences": SENTENCES, "left_out": 1500}))

    assert report.page.locator("#left-out").inner_text() == "1,500 more sentences with errors not shown."


def test_without_scripts_the_first_sentences_are_a_list(opened: Any) -> None:
    report = opened(pos_analysis(), java_script_enabled=False)

    assert report.page.locator(".listed ol > li").count() == 20
    assert report.page.locator(".listed").is_visible()
    assert not report.page.locator(".browser").is_visible()
    assert "The first 20 of 120 sentences with errors." in report.page.locator("#sentences").inner_text()


def test_print_has_the_list_and_no_filters(opened: Any) -> None:
    report = opened(pos_analysis(), color_scheme="dark")
    report.page.emulate_media(media="print", color_scheme="dark")

    assert report.page.locator(".listed ol > li").nth(19).is_visible()
    assert not report.page.locator(".filters").is_visible()
    assert not report.page.locator("nav").is_visible()
    assert background(report.page) == "rgb(255, 255, 255)"
    assert report.page.pdf()[:5] == b"%PDF-"


def test_dark_and_light(opened: Any) -> None:
    assert background(opened(ner_analysis(), color_scheme="dark").page) == "rgb(20, 24, 29)"
    assert background(opened(ner_analysis(), color_scheme="light").page) == "rgb(255, 255, 255)"


def background(page: Page) -> str:
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_contrast(opened: Any, scheme: str) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1 against what lies behind, translucent marks included."""
    for make in (ner_analysis, pos_analysis):
        analysis = make()
        words = analysis["examples"]["sentences"][0]["words"]
        values = [1 - 2 * i / len(words) for i in range(len(words))]  # every shade
        analysis["examples"]["sentences"][0]["heat"] = {"word": 0, "tag": "X", "values": values}
        assert opened(analysis, color_scheme=scheme).page.evaluate(CONTRAST) == []


CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const paint = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
  };
  const weak = [];
  for (const node of document.querySelectorAll("body *:not(script):not(svg *):not(option)")) {
    if (![...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim())) continue;
    if (!node.checkVisibility()) continue;
    const behind = [];
    for (let one = node; one; one = one.parentElement) behind.unshift(getComputedStyle(one).backgroundColor);
    const ground = paint(behind), text = paint([...behind, getComputedStyle(node).color]);
    const [low, high] = [light(ground), light(text)].sort((a, b) => a - b);
    if (high / low < 4.5) weak.push(`${node.tagName} ${node.className} ${node.textContent.slice(0, 20)} ${high / low}`);
  }
  return weak;
}"""


def test_keyboards_and_screen_readers_find_their_way(opened: Any) -> None:
    page = opened(ner_analysis()).page

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the report"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "glance"
    assert page.evaluate("document.documentElement.lang") == "en"
    for role in ("banner", "navigation", "main", "search", "contentinfo", "status"):
        assert page.get_by_role(role).count() == 1, role  # type: ignore[arg-type]
    unnamed = page.locator("button:visible, a:visible, section, .scroll, nav, svg[role]").evaluate_all(
        """all => all.filter(one => !(one.textContent.trim() || one.getAttribute("aria-label") ||
             document.getElementById(one.getAttribute("aria-labelledby")))).map(one => one.outerHTML)"""
    )
    assert unnamed == []
    assert page.locator("input, select").evaluate_all("all => all.map(one => one.labels.length)") == [1, 1, 1, 1]
    levels = page.locator("h1, h2, h3, h4").evaluate_all("all => all.map(one => Number(one.tagName[1]))")
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    ids = page.locator("[id]").evaluate_all("all => all.map(one => one.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.failure_mode("wide-matrix")
def test_tables_show_every_column_on_a_phone(opened: Any) -> None:
    """Each value stands beside its name, within the screen; only the matrix is wider, and says so."""
    for make in (ner_analysis, pos_analysis):
        page = opened(make(), viewport={"width": 390, "height": 844}).page
        cut = page.locator(".stack td, .stack tbody th").evaluate_all(
            """all => all.filter((one) => one.checkVisibility()).filter((one) => {
                 const box = one.getBoundingClientRect();
                 return box.left < 0 || box.right > 390 || one.scrollWidth > one.clientWidth + 1;
               }).map(one => one.outerHTML)"""
        )
        assert cut == []
        names = "node => [...node.cells].map(cell => getComputedStyle(cell, '::before').content)"
        assert page.locator("#tags tbody tr").first.evaluate(names) == [
            "none", '"Errors"', '"F1"', '"Precision"', '"Recall"', '"In the data"', '"Predicted"', '"Correct"',
        ]  # fmt: skip
        assert page.locator("#tags .sideways, #kinds .sideways, #groups .sideways, #suspects .sideways").count() == 0


@pytest.mark.failure_mode("wide-matrix")
def test_every_column_of_the_matrix_can_be_seen_and_reached(opened: Any) -> None:
    wide = opened(pos_analysis(), viewport={"width": 1366, "height": 768}).page
    assert wide.locator(".scroll:has(.matrix)").evaluate("one => one.scrollWidth <= one.clientWidth")
    assert wide.locator(".sideways").count() == 0

    page = opened(pos_analysis(), viewport={"width": 390, "height": 844}).page
    box = page.locator(".scroll:has(.matrix)")
    assert page.locator("#confusion .sideways").inner_text().startswith("Wider than the page: scroll sideways")
    box.focus()
    for _ in range(40):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("one => one.scrollLeft + one.clientWidth >= one.scrollWidth - 1", arg=box.element_handle())
    # A number that is chosen by keyboard is not hidden behind the names of the rows.
    link = box.get_by_role("link").first
    link.focus()
    page.wait_for_function(
        """one => one.getBoundingClientRect().left >=
             one.closest("tr").querySelector("th").getBoundingClientRect().right""",
        arg=link.element_handle(),
    )
    page.set_viewport_size({"width": 1366, "height": 768})
    page.wait_for_function("!document.querySelector('.sideways')")


def test_the_screenshots_of_the_documentation(browser: Browser, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "report.html").write_text(report_page(ner_analysis()), encoding="utf-8", newline="\n")
    command = [sys.executable, str(ROOT / "docs" / "screenshots.py"), str(tmp_path), "--output", str(tmp_path / "made")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr
    made = {file.name: file.stat().st_size for file in (tmp_path / "made").iterdir()}
    names = ("top", "dark", "phone", "tags", "sentences", "confusion", "groups", "calibration")
    assert set(made) == {f"report-{name}.png" for name in names}
    assert all(3_000 < size < 300_000 for size in made.values())


def test_motion_is_asked_for(opened: Any) -> None:
    behaviour = "getComputedStyle(document.documentElement).scrollBehavior"

    assert opened(ner_analysis(), reduced_motion="reduce").page.evaluate(behaviour) == "auto"
    assert opened(ner_analysis(), reduced_motion="no-preference").page.evaluate(behaviour) == "smooth"
