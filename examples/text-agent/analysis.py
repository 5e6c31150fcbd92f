"""What can be said about an English text without a model: statistics, keywords, a summary.

Plain functions of a text, so that they can be tested and used without any cluster.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field
from pyphen import Pyphen
from segtok.segmenter import split_multi
from yake import KeywordExtractor

if TYPE_CHECKING:
    from collections.abc import Sequence

READING_WORDS_PER_MINUTE = 238
"""Silent reading of non-fiction: Brysbaert 2019, doi.org/10.1016/j.jml.2019.104047."""
KEYWORD_WORDS = 2
"""A keyword is one word or two."""
FEW_WORDS = 15
"""Length that a shorter sentence counts as in a summary."""
OVERLAP = 0.6
"""Of two keywords more alike than this, only the better one is kept."""

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_EMPHASIS = re.compile(r"(?<!\w)_([^_]+)_(?!\w)")


class Readability(BaseModel):
    """How much text there is, and how hard it is to read."""

    words: int = Field(description="Words; numbers do not count.")
    sentences: int = Field(description="Sentences.")
    words_per_sentence: float = Field(description="Mean length of a sentence.")
    syllables_per_word: float = Field(description="Mean length of a word.")
    reading_ease: float = Field(description="Flesch Reading Ease: 100 very easy, 0 very hard.")
    grade: float = Field(description="Flesch-Kincaid grade: years of school needed.")
    reading_minutes: float = Field(description="Time that an adult needs.")


class Keyword(BaseModel):
    """A word, or two, that the text is about."""

    text: str = Field(description="As it stands in the text.")
    score: float = Field(description="YAKE's score: the lower, the more important.")


@dataclass(frozen=True, slots=True)
class Text:
    """A text that was cut into sentences once, for everything that looks at it."""

    sentences: tuple[str, ...]

    @classmethod
    def parse(cls, raw: str) -> Text:
        """Cut a text into sentences; line breaks and _emphasis_ of plain text files are undone."""
        paragraphs = re.split(r"\n\s*\n", _EMPHASIS.sub(r"\1", raw))
        flowing = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
        found = (" ".join(sentence.split()) for sentence in split_multi(flowing))
        return cls(tuple(sentence for sentence in found if _WORD.search(sentence)))

    @property
    def words(self) -> list[str]:
        """All words, in their order."""
        return [word for sentence in self.sentences for word in _WORD.findall(sentence)]


def readability(text: Text) -> Readability:
    """Return the statistics of a text that has at least one word.

    Reading ease is Flesch 1948 (doi.org/10.1037/h0057532), the grade Kincaid et al. 1975 (Naval
    Technical Training Command, Research Branch Report 8-75). Syllables are counted by hyphenation,
    which misses a few that cannot be hyphenated, so the scores come out a little too easy.
    """
    words = text.words
    length = len(words) / len(text.sentences)
    syllables = sum(_syllables(word.lower()) for word in words) / len(words)
    return Readability(
        words=len(words),
        sentences=len(text.sentences),
        words_per_sentence=round(length, 1),
        syllables_per_word=round(syllables, 2),
        reading_ease=round(206.835 - 1.015 * length - 84.6 * syllables, 1),
        grade=round(0.39 * length + 11.8 * syllables - 15.59, 1),
        reading_minutes=round(len(words) / READING_WORDS_PER_MINUTE, 1),
    )


def keywords(text: Text, limit: int) -> list[Keyword]:
    """Return what the text is about, the most important first.

    YAKE (Campos et al. 2020, doi.org/10.1016/j.ins.2019.09.013) judges by place, frequency, spread
    and neighbours of a word within this one text, so it needs no corpus to compare with.
    """
    extractor = KeywordExtractor(lan="en", n=KEYWORD_WORDS, dedupLim=OVERLAP, top=limit)
    found = extractor.extract_keywords(" ".join(text.sentences))
    return [Keyword(text=str(words), score=round(float(score), 6)) for words, score in found]


def summarize(text: Text, about: Sequence[Keyword], limit: int) -> list[str]:
    """Return the sentences that say most about the keywords, in the order of the text.

    A sentence is worth the square of the number of keywords in it, divided by its number of words:
    Luhn's significance factor (1958, doi.org/10.1147/rd.22.0159), over whole sentences. A very
    short one counts as longer, or it would win by a single name.
    """
    worth = {number: _worth(sentence, about) for number, sentence in enumerate(text.sentences)}
    best = sorted(worth, key=lambda number: (-worth[number], number))[:limit]
    return [text.sentences[number] for number in sorted(best)]


def _worth(sentence: str, about: Sequence[Keyword]) -> float:
    lower = sentence.lower()
    hits = sum(keyword.text.lower() in lower for keyword in about)
    return hits**2 / max(FEW_WORDS, len(_WORD.findall(sentence)))


@cache
def _hyphenation() -> Pyphen:
    return Pyphen(lang="en_US")


def _syllables(word: str) -> int:
    return len(_hyphenation().positions(word)) + 1
