"""An agent that reads English texts: statistics, keywords and extractive summaries.

No model, no network. Each capability is one function; a Task's `input` is checked against the
model of its first argument, and what it returns becomes the Task's `status.result`.
"""

from __future__ import annotations

from typing import Annotated

import analysis
from analysis import Keyword, Readability, Text
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agentcorps.agent import Agent, Context, TaskError

MAX_SENTENCES = 20
MAX_KEYWORDS = 50


class Document(BaseModel):
    """A text to read."""

    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, StringConstraints(max_length=200)] = Field(
        default="", description="Comes back with the result."
    )
    text: Annotated[str, StringConstraints(min_length=1)] = Field(
        description="English text; blank lines separate paragraphs."
    )
    keywords: int = Field(default=8, ge=1, le=MAX_KEYWORDS, description="Keywords wanted.")
    sentences: int = Field(
        default=3, ge=1, le=MAX_SENTENCES, description="Length of the summary in sentences."
    )


class Summary(BaseModel):
    """The most telling sentences of a text."""

    title: str
    summary: list[str]


class Keywords(BaseModel):
    """What a text is about."""

    title: str
    keywords: list[Keyword]


class ReadabilityReport(BaseModel):
    """How hard a text is to read."""

    title: str
    readability: Readability


class Analysis(BaseModel):
    """All of it at once."""

    title: str
    readability: Readability
    keywords: list[Keyword]
    summary: list[str]


agent = Agent(slots=4)


@agent.task("readability")
def readability(document: Document, ctx: Context) -> ReadabilityReport:
    """Count, and compute how hard the text is to read."""
    text = _parse(document, ctx)
    return ReadabilityReport(title=document.title, readability=analysis.readability(text))


@agent.task("keywords")
def keywords(document: Document, ctx: Context) -> Keywords:
    """Find what the text is about."""
    text = _parse(document, ctx)
    return Keywords(title=document.title, keywords=analysis.keywords(text, document.keywords))


@agent.task("summarize")
def summarize(document: Document, ctx: Context) -> Summary:
    """Pick the sentences that say most about the keywords."""
    text = _parse(document, ctx)
    about = analysis.keywords(text, document.keywords)
    _step(ctx, 70, "choosing sentences")
    return Summary(
        title=document.title, summary=analysis.summarize(text, about, document.sentences)
    )


@agent.task("analyse")
def analyse(document: Document, ctx: Context) -> Analysis:
    """Do all of it, reading the text once."""
    text = _parse(document, ctx)
    statistics = analysis.readability(text)
    _step(ctx, 40, "finding keywords")
    about = analysis.keywords(text, document.keywords)
    _step(ctx, 80, "choosing sentences")
    return Analysis(
        title=document.title,
        readability=statistics,
        keywords=about,
        summary=analysis.summarize(text, about, document.sentences),
    )


def _parse(document: Document, ctx: Context) -> Text:
    _step(ctx, 10, "splitting into sentences")
    text = Text.parse(document.text)
    if not text.sentences:
        raise TaskError("text: holds no word", reason="NothingToRead", retryable=False)
    _step(ctx, 20, "counting")
    return text


def _step(ctx: Context, percent: int, message: str) -> None:
    """Say how far the work is; the place where a cancelled Task stops, as threads must ask."""
    if ctx.cancelled:
        raise TaskError("stopped before its end", reason="Stopped")
    ctx.progress(percent, message)


if __name__ == "__main__":
    agent.run()
