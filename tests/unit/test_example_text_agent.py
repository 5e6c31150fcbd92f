"""The example agent: what it finds in real documents, and how its handlers answer."""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from agentcorps.agent import Context, TaskError
from agentcorps.agent.context import TaskInfo

EXAMPLE = Path(__file__).parents[2] / "examples" / "text-agent"
DOCUMENTS = sorted((EXAMPLE / "documents").glob("*.txt"))
MAX_RESULT_BYTES = 65536


@pytest.fixture(scope="module")
def app() -> Any:
    """Return the example's program; the folder of an example is no package."""
    sys.path.insert(0, str(EXAMPLE))
    try:
        return importlib.import_module("app")
    finally:
        sys.path.remove(str(EXAMPLE))


@pytest.fixture(scope="module")
def analysis(app: Any) -> Any:
    """Return the module with the functions of a text."""
    return app.analysis


class Told:
    """Collects what a handler says of its progress."""

    def __init__(self) -> None:
        self.steps: list[int | None] = []
        info = TaskInfo("a", "b", "c", 1, (), None, time.monotonic() + 60)
        self.context = Context(info, lambda percent, _: self.steps.append(percent))


def chapter(number: int) -> str:
    """Return a chapter of the novel."""
    return DOCUMENTS[number - 1].read_text(encoding="utf-8")


def test_there_are_documents_enough() -> None:
    """The demo has at least 50 documents, each small enough for a Task's input."""
    assert len(DOCUMENTS) >= 50
    assert max(document.stat().st_size for document in DOCUMENTS) < MAX_RESULT_BYTES


def test_text_is_cut_into_sentences(analysis: Any) -> None:
    """Abbreviations end no sentence, line breaks and _emphasis_ are undone, rules are dropped."""
    raw = "Mr. Bennet _never_\nspoke. He read!\n\n* * *\n\nWhy?"
    assert analysis.Text.parse(raw).sentences == ("Mr. Bennet never spoke.", "He read!", "Why?")


def test_readability_of_a_known_sentence(analysis: Any) -> None:
    """Both Flesch scores are those that their formulas give for six words of one syllable."""
    found = analysis.readability(analysis.Text.parse("The cat sat on the mat."))
    assert (found.words, found.sentences, found.syllables_per_word) == (6, 1, 1.0)
    assert found.reading_ease == pytest.approx(206.835 - 1.015 * 6 - 84.6, abs=0.05)
    assert found.grade == pytest.approx(0.39 * 6 + 11.8 - 15.59, abs=0.05)


def test_harder_text_has_a_higher_grade(analysis: Any) -> None:
    """A sentence of long words is harder to read than the same said plainly."""
    hard = "Considerable intellectual sophistication characterises philosophical investigations."
    plain = "It takes a good mind to think well."
    hard_found = analysis.readability(analysis.Text.parse(hard))
    plain_found = analysis.readability(analysis.Text.parse(plain))
    assert hard_found.grade > plain_found.grade
    assert hard_found.reading_ease < plain_found.reading_ease


@pytest.mark.parametrize("document", DOCUMENTS[::10], ids=lambda path: path.stem)
def test_statistics_of_a_chapter_are_plausible(analysis: Any, document: Path) -> None:
    """Words, sentence lengths and scores of a chapter lie where those of a novel lie."""
    raw = document.read_text(encoding="utf-8")
    found = analysis.readability(analysis.Text.parse(raw))
    assert found.words == pytest.approx(len(raw.split()), rel=0.03)
    assert 5 < found.words_per_sentence < 40
    assert 1.1 < found.syllables_per_word < 1.7
    assert 40 < found.reading_ease < 95


def test_keywords_of_a_chapter_are_its_people(analysis: Any) -> None:
    """Chapter 18 is about Darcy, Bingley, Elizabeth and Wickham; the best comes first."""
    found = analysis.keywords(analysis.Text.parse(chapter(18)), 8)
    assert {"Darcy", "Bingley", "Elizabeth", "Wickham"} <= {keyword.text for keyword in found}
    assert [one.score for one in found] == sorted(one.score for one in found)


def test_summary_is_of_the_text_and_in_its_order(analysis: Any) -> None:
    """A summary has as many sentences as asked for, each from the text, in the text's order."""
    text = analysis.Text.parse(chapter(1))
    summary = analysis.summarize(text, analysis.keywords(text, 8), 3)
    places = [text.sentences.index(sentence) for sentence in summary]
    assert len(places) == 3
    assert places == sorted(places)
    assert summary[0].startswith("It is a truth universally acknowledged")


def test_short_text_has_a_short_summary(analysis: Any) -> None:
    """A text with fewer sentences than asked for is its own summary."""
    text = analysis.Text.parse("Call me Ishmael.")
    assert analysis.summarize(text, analysis.keywords(text, 3), 5) == ["Call me Ishmael."]


def test_each_capability_answers_for_itself(app: Any) -> None:
    """`analyse` says the same as readability, keywords and summarize one by one."""
    document = app.Document(title="First", text=chapter(1), keywords=4, sentences=2)
    whole = app.analyse(document, Told().context)
    assert whole.readability == app.readability(document, Told().context).readability
    assert whole.keywords == app.keywords(document, Told().context).keywords
    assert whole.summary == app.summarize(document, Told().context).summary
    assert (whole.title, len(whole.keywords), len(whole.summary)) == ("First", 4, 2)


def test_largest_answer_fits_into_a_task(app: Any) -> None:
    """Even the longest chapter, with all that may be asked for, makes a result that fits."""
    longest = max(DOCUMENTS, key=lambda path: path.stat().st_size).read_text(encoding="utf-8")
    document = app.Document(text=longest, keywords=50, sentences=20)
    assert len(app.analyse(document, Told().context).model_dump_json()) < MAX_RESULT_BYTES


def test_progress_only_grows(app: Any) -> None:
    """A handler says several times how far it is, never less than before."""
    told = Told()
    app.analyse(app.Document(text=chapter(2)), told.context)
    steps = [step for step in told.steps if step is not None]
    assert len(steps) > 2
    assert steps == sorted(steps)


def test_cancelled_work_stops(app: Any) -> None:
    """A handler whose Task was cancelled goes no further."""
    told = Told()
    told.context.cancel()
    with pytest.raises(TaskError, match="stopped"):
        app.analyse(app.Document(text=chapter(2)), told.context)
    assert not told.steps


def test_text_without_words_is_refused_for_good(app: Any) -> None:
    """There is nothing to read in punctuation, and trying again would not help."""
    with pytest.raises(TaskError, match="no word") as caught:
        app.readability(app.Document(text="... 42 !"), Told().context)
    assert not caught.value.retryable
    assert caught.value.reason == "NothingToRead"
