"""What stands in the place of words that were taken out for good."""

from dataclasses import replace
from typing import TypeVar

from shared.events import InternalNoteAdded, Person, ReplyAdded

REDACTED = "[redacted]"

Said = TypeVar("Said", bound=ReplyAdded | InternalNoteAdded)


def without_words(said: Said) -> Said:
    """A reply or note as it is told once its ticket is redacted: that it was, when and by which side."""
    of_customer = isinstance(said, ReplyAdded) and said.side == "customer"
    author = Person(name=REDACTED) if of_customer else said.author
    return replace(said, body=REDACTED, author=author, attachments=())
