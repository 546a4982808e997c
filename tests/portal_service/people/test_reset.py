"""New passwords: by mail for those who forgot theirs, with the old one for those who are logged in."""

import re

import pytest

from portal_service.people import auth, passwords, reset, throttle
from portal_service.people.passwords import hash_password, matches
from portal_service.people.sessions import find_session, read_session, start_session
from portal_service.tickets.errors import Invalid, Refused
from tests.portal_service.support_desk import Help

OLD, NEW = "correct horse battery", "another staple of words"
CAROL = "carol@acme.example"


@pytest.fixture
def carol(desk: Help) -> Help:
    with desk.write() as session:
        desk.user(session, "carol").password_hash = hash_password(OLD)
    return desk


def ask(desk: Help, who: str, *, address: str = "192.0.2.1") -> None:
    with desk.write() as session:
        reset.ask_for_reset(session, who, address=address, now=desk.clock.now)


def links(desk: Help, recipient: str = CAROL) -> list[str]:
    """The tokens of the links somebody got, oldest first."""
    with desk.write() as session:
        return [token for text in desk.mail_texts(session, recipient) for token in re.findall(r"/reset/(\S+)", text)]


def set_password(desk: Help, token: str, password: str = NEW) -> str:
    """How it was answered: an empty text when the password is set."""
    try:
        with desk.write() as session:
            reset.reset(session, token, password, now=desk.clock.now)
    except Refused as refused:
        return refused.message_key
    except Invalid as invalid:
        return invalid.errors["password"]
    return ""


@pytest.mark.parametrize("who", ["carol", " CAROL ", "Carol@ACME.example"])
def test_a_link_sets_a_new_password_once_and_logs_everybody_out(carol: Help, who: str) -> None:
    with carol.write() as session:
        token = start_session(session, carol.user(session, "carol"), now=carol.clock.now)
    ask(carol, who)
    (link,) = links(carol)
    assert set_password(carol, link) == ""
    assert set_password(carol, link) == reset.LINK_ENDED
    with carol.write() as session:
        user = carol.user(session, "carol")
        assert matches(user.password_hash, NEW)
        assert read_session(session, token, now=carol.clock.now) is None
        assert (CAROL, "Your password was changed") in carol.mails(session)


def test_an_agent_gets_a_link_too(carol: Help) -> None:
    ask(carol, "sam@support.example")
    assert len(links(carol, "sam@support.example")) == 1


def test_nobody_unknown_or_gone_gets_anything(carol: Help) -> None:
    with carol.write() as session:
        carol.contact(session, "Dave").active = False
    for who in ("nobody", "nobody@acme.example", "dave", "dave@globex.example"):
        ask(carol, who)
    with carol.write() as session:
        assert carol.mails(session) == []


def test_a_link_ends_after_half_an_hour_or_when_another_was_used(carol: Help) -> None:
    ask(carol, "carol")
    ask(carol, "carol")
    first, second = links(carol)
    assert set_password(carol, second) == ""
    assert set_password(carol, first) == reset.LINK_ENDED
    ask(carol, "carol")
    carol.clock.forward(minutes=30)
    assert set_password(carol, links(carol)[-1]) == set_password(carol, "made-up") == reset.LINK_ENDED


def test_a_link_for_one_purpose_serves_no_other(carol: Help) -> None:
    ask(carol, "carol")
    (link,) = links(carol)
    with carol.write() as session:
        assert reset.one_time.spend(session, "confirm-registration", link, now=carol.clock.now) is None
    assert set_password(carol, link) == ""


@pytest.mark.parametrize(
    ("password", "answer"),
    [("short", passwords.TOO_SHORT), ("qwertyuiop", passwords.LEAKED), ("Carol is my name", passwords.TOO_PERSONAL)],
)
def test_a_weak_password_is_refused_and_the_link_still_works(carol: Help, password: str, answer: str) -> None:
    ask(carol, "carol")
    (link,) = links(carol)
    assert set_password(carol, link, password) == answer
    assert set_password(carol, link) == ""


def test_a_mailbox_and_an_address_are_not_flooded(carol: Help) -> None:
    for _ in range(4):
        ask(carol, "carol")
    assert len(links(carol)) == 3
    for number in range(16):
        ask(carol, f"nobody{number}")
    with pytest.raises(Refused) as refused:
        ask(carol, "dave")
    assert refused.value.message_key == throttle.THROTTLED
    ask(carol, "dave", address="198.51.100.7")


def change(desk: Help, current: str, password: str, token: str) -> dict[str, str]:
    with desk.write() as session:
        login = find_session(session, token, now=desk.clock.now)
        assert login is not None
        try:
            reset.change(session, login.user, current=current, password=password, login=login, now=desk.clock.now)
        except Invalid as invalid:
            return invalid.errors
    return {}


def test_changing_it_needs_the_old_one_and_keeps_only_this_browser(carol: Help) -> None:
    with carol.write() as session:
        here, there = (start_session(session, carol.user(session, "carol"), now=carol.clock.now) for _ in range(2))
    assert change(carol, "wrong", NEW, here) == {"current": auth.WRONG_PASSWORD}
    assert change(carol, OLD, OLD, here) == {"password": reset.SAME}
    assert change(carol, OLD, "short", here) == {"password": passwords.TOO_SHORT}
    assert change(carol, OLD, NEW, here) == {}
    with carol.write() as session:
        assert read_session(session, here, now=carol.clock.now) is not None
        assert read_session(session, there, now=carol.clock.now) is None
        assert matches(carol.user(session, "carol").password_hash, NEW)


def test_a_stolen_browser_cannot_guess_the_old_one(carol: Help) -> None:
    with carol.write() as session:
        here = start_session(session, carol.user(session, "carol"), now=carol.clock.now)
    for _ in range(10):
        assert change(carol, "wrong", NEW, here) == {"current": auth.WRONG_PASSWORD}
    assert change(carol, OLD, NEW, here) == {"current": throttle.THROTTLED}
