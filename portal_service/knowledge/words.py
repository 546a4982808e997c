"""Words as the search knows them: folded, stemmed in the language of their text, and with their typing errors."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import snowballstemmer

LONGEST = 40
SHORTEST = 2
_SHORTEST_MISSPELT = 4
_WORD = re.compile(r"[^\W_]+")
# Two for Dutch: one knows "licenties", the other "wachtwoorden".
_ALGORITHMS = {"en": ("english",), "nl": ("dutch", "dutch_porter")}
_STEMMERS = {language: [snowballstemmer.stemmer(name) for name in names] for language, names in _ALGORITHMS.items()}
LANGUAGES = tuple(_STEMMERS)
_COMMON = (
    "a about all also an and any are as at be been but by can could did do does for from get had has have he hello hi "
    "how i if in into is it its just me my no not of on or our out please she so than that the their them then there "
    "these they this to up us was we were what when where which who why will with would you your "
    "aan al als bij dan dat de der deze die dit doe door dus een en er had heb hebben heeft het hij hoe hun iets ik "
    "in is je kan kunnen maar me met mij mijn na naar niet nog nu of om onze ook op over te tot u uit uw van voor waar "
    "wat we wel werd wie wij word worden wordt zal ze zich zij zijn zo zou"
)
COMMON = frozenset(_COMMON.split())
"""Words that say nothing about what a text is about."""


@dataclass(frozen=True)
class Word:
    """A word of a text: folded, and where it stands."""

    text: str
    start: int
    end: int


def words_in(text: str) -> Iterator[Word]:
    """The words of a text in its order, without case and accents; very short and endless ones are left out or cut."""
    for found in _WORD.finditer(text):
        folded = _folded(found[0])
        if len(folded) >= SHORTEST:
            yield Word(folded[:LONGEST], found.start(), found.end())


def telling_words(text: str) -> list[str]:
    """The different words of a text that say what it is about; all of its words if none does."""
    words = list(dict.fromkeys(word.text for word in words_in(text)))
    return [word for word in words if word not in COMMON] or words


def counted_terms(text: str, language: str) -> Counter[str]:
    return Counter(term for word in words_in(text) for term in terms_in(word.text, language))


def terms(word: str) -> frozenset[str]:
    """What a word of a question may stand for, whatever language it is in."""
    return frozenset(term for language in LANGUAGES for term in terms_in(word, language))


@lru_cache(maxsize=50_000)
def terms_in(word: str, language: str) -> frozenset[str]:
    """A word of a text as the index knows it: `terms_in("passwords", "en") == {"en:password"}`."""
    stems = [stemmer.stemWord(word) for stemmer in _STEMMERS.get(language, ())]
    return frozenset(f"{language}:{stem}" for stem in stems or [word])


@lru_cache(maxsize=5_000)
def misspellings(word: str) -> frozenset[str]:
    """The word and the word without one of its letters.

    Two words that differ by one letter left out, added, replaced or swapped with its neighbour have one of these in
    common. Short words and numbers are taken as they are.
    """
    if len(word) < _SHORTEST_MISSPELT or not word.isalpha():
        return frozenset()
    return frozenset([word, *(word[:at] + word[at + 1 :] for at in range(len(word)))])


@lru_cache(maxsize=50_000)
def _folded(word: str) -> str:
    decomposed = unicodedata.normalize("NFKD", word.casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))
