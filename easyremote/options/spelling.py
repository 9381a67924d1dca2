"""Words that people write: a word that is not known is refused, with the one that was meant.

``tests/options/test_spelling.py`` proves it.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from easyremote.errors import UsageError

#: How alike a word has to be to be the one that was meant; difflib's own 0.6 guesses too much.
NEAR = 0.7


def did_you_mean(word: str, words: Collection[str]) -> str:
    """``" Did you mean 'x'?"``, or nothing where no word is near."""
    close = difflib.get_close_matches(word, words, 1, NEAR)
    return f" Did you mean {close[0]!r}?" if close else ""


def check_words(given: Iterable[str], known: Collection[str], what: str) -> None:
    """Refuse words that are not known.

    Parameters
    ----------
    given
        What somebody wrote.
    known
        The right words.
    what
        What has such words, with its verb, as in "register() has no option".

    Raises
    ------
    UsageError
        One of the words is none of the right ones; all of these are named.
    """
    for word in given:
        if word not in known:
            listed = ", ".join(known)
            raise UsageError(
                f"{what} {word!r}.{did_you_mean(str(word), known)} There are: {listed}."
            )


def check_word(given: object, known: Collection[str], what: str) -> str:
    """One word that has to be one of those that are known; ``what`` names the option.

    Raises
    ------
    UsageError
        It is none of them.
    """
    if not isinstance(given, str) or given not in known:
        meant = did_you_mean(given, known) if isinstance(given, str) else ""
        listed = ", ".join(map(repr, known))
        raise UsageError(f"{what} can't be {given!r}.{meant} It is one of {listed}.")
    return given
