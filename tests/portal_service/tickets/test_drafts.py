"""Drafts: one per person, type and contact, never lost to another window and never another person's."""

import uuid
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from portal_service.tickets import drafts
from portal_service.tickets.drafts import LIFETIME, MAX_CHARACTERS, ChangedElsewhereError, Place, Typed
from portal_service.tickets.errors import Invalid
from tests.portal_service.support_desk import Help


def place_of(desk: Help, session: Session, username: str = "carol", *, contact_id: uuid.UUID | None = None) -> Place:
    return Place(user_id=desk.user(session, username).id, type_key="level-1", contact_id=contact_id)


def keep(
    desk: Help, session: Session, place: Place, subject: str, *, revision: int | None = None
) -> drafts.Draft | None:
    typed = Typed(values={"subject": subject, "nature": ""})
    return drafts.save(session, place, typed, revision=revision, owner=str(place.user_id), now=desk.clock.now)


def test_a_draft_is_found_by_its_owner_at_its_place_only(desk: Help) -> None:
    with desk.write() as session:
        own = place_of(desk, session)
        keep(desk, session, own, "Mine")
        found = drafts.find(session, own, now=desk.clock.now)
        assert found is not None
        assert (found.subject, found.revision) == ("Mine", 1)
        elsewhere = [
            place_of(desk, session, "dave"),
            Place(user_id=own.user_id, type_key="billing"),
            place_of(desk, session, contact_id=desk.contact(session, "Carol").id),
        ]
        assert [drafts.find(session, other, now=desk.clock.now) for other in elsewhere] == [None] * 3
        dave = desk.user(session, "dave").id
        assert list(drafts.drafts_of(session, dave, now=desk.clock.now)) == []
        assert not drafts.discard(session, dave, found.id)
        assert drafts.discard(session, own.user_id, found.id)


def test_two_windows_do_not_overwrite_each_other_unseen(desk: Help) -> None:
    with desk.write() as session:
        place = place_of(desk, session)
        keep(desk, session, place, "First", revision=0)
        keep(desk, session, place, "Second", revision=1)
        with pytest.raises(ChangedElsewhereError) as refused:
            keep(desk, session, place, "From another window", revision=1)
        assert refused.value.revision == 2
        found = drafts.find(session, place, now=desk.clock.now)
        assert found is not None
        assert found.subject == "Second"
        keep(desk, session, place, "Chosen by its owner", revision=None)
        assert found.subject == "Chosen by its owner"


def test_the_same_words_again_are_no_conflict(desk: Help) -> None:
    with desk.write() as session:
        place = place_of(desk, session)
        keep(desk, session, place, "First", revision=0)
        keep(desk, session, place, "Second", revision=1)
        again = keep(desk, session, place, "Second", revision=1)
        assert again is not None
        assert again.revision == 2


def test_a_form_with_nothing_typed_leaves_no_draft(desk: Help) -> None:
    with desk.write() as session:
        place = place_of(desk, session)
        keep(desk, session, place, "Something")
        assert keep(desk, session, place, "  ") is None
        assert drafts.find(session, place, now=desk.clock.now) is None


def test_a_draft_expires_and_another_takes_its_place(desk: Help) -> None:
    with desk.write() as session:
        place = place_of(desk, session)
        keep(desk, session, place, "Old")
        later = desk.clock.forward(seconds=LIFETIME.total_seconds())
        assert drafts.find(session, place, now=later) is None
        assert list(drafts.drafts_of(session, place.user_id, now=later)) == []
        made = keep(desk, session, place, "New", revision=0)
        assert made is not None
        assert (made.subject, made.expires_at) == ("New", later + LIFETIME)
        drafts.forget_expired(session, now=later + LIFETIME - timedelta(seconds=1))
        assert drafts.find(session, place, now=later) is not None
        drafts.forget_expired(session, now=later + LIFETIME)
        assert drafts.find(session, place, now=later) is None


def test_words_that_no_database_takes_are_left_out_and_too_many_are_refused(desk: Help) -> None:
    with desk.write() as session:
        place = place_of(desk, session)
        made = keep(desk, session, place, "a\x00b \ud800 👩‍👩‍👧")
        assert made is not None
        assert made.subject == "ab  👩‍👩‍👧"
        with pytest.raises(Invalid):
            keep(desk, session, place, "x" * (MAX_CHARACTERS + 1))
