"""Finds what tells of a customer in a text, and replaces it by marks (S22)."""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

MARKS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "name": "[name]",
        "company": "[company]",
        "email": "[e-mail address]",
        "phone": "[phone number]",
        "username": "[user name]",
        "ticket": "[ticket number]",
        "url": "[address]",
        "key": "[key]",
        "ip": "[IP address]",
        "other": "[left out]",
    },
    "nl": {
        "name": "[naam]",
        "company": "[bedrijf]",
        "email": "[e-mailadres]",
        "phone": "[telefoonnummer]",
        "username": "[gebruikersnaam]",
        "ticket": "[ticketnummer]",
        "url": "[adres]",
        "key": "[sleutel]",
        "ip": "[IP-adres]",
        "other": "[weggelaten]",
    },
}
_SHORT = 3
"""Names up to so many letters count only with a capital."""
_LEAST_DIGITS, _MOST_DIGITS = 7, 17
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[ T]\d{1,2}[.:]?\d{0,2})?|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}")
_PATTERNS: Sequence[tuple[str, re.Pattern[str]]] = (
    ("email", re.compile(r"[^\s<>()\[\],;:\"'“”|]+@[^\s<>()\[\],;:\"'“”|]+\.\w{2,}")),
    ("url", re.compile(r"(?i)(?:\b[a-z][a-z0-9+.\-]{1,12}://|\bwww\.)[^\s<>\"')\]|`]+")),
    ("url", re.compile(r"\\\\[\w.\-]+\\[^\s<>\"'|`]+")),
    ("key", re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b")),
    ("key", re.compile(r"\b(?=[A-Za-z\-]*\d)[A-Za-z0-9]{4,8}(?:-[A-Za-z0-9]{4,8}){2,}\b")),
    ("key", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b")),
    ("key", re.compile(r"\b(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{20,}\b")),
    ("ticket", re.compile(r"#\d{3,}\b")),
    ("ip", re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])")),
    ("phone", re.compile(r"(?<![\w.,/\-])(?:\+|00)?\(?\d[\d ().\-/\u00a0]{5,}\d(?!\w)")),
)
_NAMED_KEY = re.compile(
    r"(?i)\b(?:password|passphrase|passcode|wachtwoord|api[ -]?key|access key|toegangssleutel|token|secret|pin|"
    r"licen[cs]e key|licentiesleutel)\s*[:=]\s*([^\s\[]\S{3,})"
)


@dataclass(frozen=True)
class Secret:
    """Words that tell of a customer. What is not strict may be a common word here: a person may keep it."""

    kind: str
    text: str
    strict: bool = True


@dataclass(frozen=True)
class Finding:
    """One thing that was found, however often."""

    kind: str
    text: str
    count: int
    strict: bool

    @property
    def key(self) -> str:
        """What a form calls it."""
        return f"{self.kind}:{self.text}"


@dataclass(frozen=True)
class _Hit:
    start: int
    end: int
    kind: str
    strict: bool


def findings(text: str, secrets: Collection[Secret], *, kept: Collection[str] = ()) -> list[Finding]:
    """Everything in the text that tells of a customer, in the order it first appears."""
    text = unicodedata.normalize("NFC", text)
    counts: Counter[tuple[str, str]] = Counter()
    strict: dict[tuple[str, str], bool] = {}
    for hit in _chosen(text, secrets, kept):
        thing = (hit.kind, " ".join(text[hit.start : hit.end].split()))
        counts[thing] += 1
        strict[thing] = hit.strict
    return [Finding(kind, words, count, strict[kind, words]) for (kind, words), count in counts.items()]


def redact(text: str, secrets: Collection[Secret], *, language: str, kept: Collection[str] = ()) -> str:
    """The text with a mark for each finding that is not kept; strict ones cannot be kept."""
    text = unicodedata.normalize("NFC", text)
    marks = MARKS.get(language, MARKS["en"])
    pieces, last = [], 0
    for hit in _chosen(text, secrets, kept):
        pieces += [text[last : hit.start], marks[hit.kind]]
        last = hit.end
    return "".join([*pieces, text[last:]])


def _chosen(text: str, secrets: Collection[Secret], kept: Collection[str]) -> Iterator[_Hit]:
    """What is found, from left to right; of what overlaps the one that begins first, then the longest.

    What has something strict within it is strict itself: an address in the customer's domain, for example.
    """
    hits = sorted(_hits(text, secrets), key=lambda one: (one.start, -one.end, not one.strict))
    strict = [hit for hit in hits if hit.strict]
    end = 0
    for found in hits:
        if found.start < end:
            continue
        holds = any(found.start <= other.start < found.end for other in strict)
        hit = replace(found, strict=holds)
        if not hit.strict and f"{hit.kind}:{' '.join(text[hit.start : hit.end].split())}" in kept:
            continue
        end = hit.end
        yield hit


def _hits(text: str, secrets: Collection[Secret]) -> Iterator[_Hit]:
    flat = _flat(text)
    for secret in secrets:
        for found in _pattern(secret.text).finditer(flat):
            if len(secret.text) > _SHORT or text[found.start()] != text[found.start()].lower() or not _has_case(secret):
                yield _Hit(found.start(), found.end(), secret.kind, secret.strict)
    for kind, pattern in _PATTERNS:
        for found in pattern.finditer(text):
            if kind != "phone" or _is_phone(found[0]):
                yield _Hit(found.start(), found.end(), kind, strict=False)
    for found in _NAMED_KEY.finditer(text):
        yield _Hit(found.start(1), found.end(1), "key", strict=False)


def _is_phone(text: str) -> bool:
    digits = sum(letter.isdigit() for letter in text)
    return _LEAST_DIGITS <= digits <= _MOST_DIGITS and not _DATE.fullmatch(text.strip())


def _pattern(words: str) -> re.Pattern[str]:
    """The words as such, whatever space is between them, in texts that `_flat` made."""
    flat = _flat(unicodedata.normalize("NFC", words)).split()
    before = r"(?<!\w)" if _bounded(flat[0][0]) else ""
    after = r"(?!\w)" if _bounded(flat[-1][-1]) else ""
    return re.compile(before + r"\s+".join(map(re.escape, flat)) + after)


def _bounded(letter: str) -> bool:
    """Whether words of this script are written apart; those of Chinese are not."""
    return letter.isdigit() or letter.lower() != letter.upper()


def _has_case(secret: Secret) -> bool:
    return secret.text.lower() != secret.text.upper()


def _flat(text: str) -> str:
    """Lower case and without accents, each letter in its place."""
    return "".join(_base(letter) for letter in text)


def _base(letter: str) -> str:
    lower = unicodedata.normalize("NFD", letter)[0].lower()
    return lower if len(lower) == 1 else letter


def secrets_of(kind: str, texts: Iterable[str | None], *, strict: bool = True) -> list[Secret]:
    """Secrets of one kind; nothing and single characters are none."""
    return [Secret(kind, text.strip(), strict) for text in texts if text and len(text.strip()) > 1]
