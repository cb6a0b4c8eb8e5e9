"""Errors in problem text: what is wrong, where, and the nearest name as a cure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from pinncli.language.nodes import Span


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a text.

    `span` is the half-open range of characters to underline. With `definition` the span
    lies in the text of that definition, which was inlined, and not in the text itself.
    """

    message: str
    span: Span = (0, 0)
    hint: str = ""
    definition: str = ""


class LanguageError(Exception):
    """A text cannot be read or does not make sense; `findings` holds everything found."""

    def __init__(self, message: str, span: Span = (0, 0), hint: str = "", definition: str = "") -> None:
        super().__init__(message)
        self.findings: tuple[Finding, ...] = (Finding(message, span, hint, definition),)

    @classmethod
    def of(cls, findings: Sequence[Finding]) -> LanguageError:
        """One error for several findings, the same one never twice; the first gives the message."""
        first = findings[0]
        error = cls(first.message, first.span, first.hint, first.definition)
        error.findings = tuple(dict.fromkeys(findings))
        return error

    @property
    def message(self) -> str:
        """Message of the first finding."""
        return self.findings[0].message

    @property
    def span(self) -> Span:
        """Range of characters of the first finding."""
        return self.findings[0].span

    @property
    def hint(self) -> str:
        """Cure of the first finding, or an empty string."""
        return self.findings[0].hint

    @property
    def definition(self) -> str:
        """Name of the definition whose text the first finding is in, or an empty string."""
        return self.findings[0].definition


def nearest(name: str, candidates: Iterable[str]) -> str:
    """`did you mean 'alpha'?` for the candidate most like `name`, or an empty string."""
    close = get_close_matches(name, sorted(set(candidates)), n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else ""
