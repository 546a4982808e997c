"""What the mails say, in each language, and that no words of anybody break them."""

import email
import email.policy
import re
import string
import tomllib
import uuid
from datetime import UTC, datetime
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from portal_service.channels import wording
from portal_service.channels.mail_out import Recipient
from portal_service.channels.mailer import Mailer
from portal_service.channels.matrix import BY_MACHINE, MATRIX
from portal_service.channels.models import OutgoingMail
from portal_service.channels.wording import languages, written
from portal_service.tickets.text import clean_line
from portal_service.web.catalogues import read_catalogues
from shared.settings import LANGUAGES
from tests.portal_service.channels.samples import KINDS, sample, ticket

MAILER = Mailer("smtp://x", "Support <support@support.test>")
_VOID = {"meta", "br"}


class Tree(HTMLParser):
    """Reads HTML that must be well formed, and its words."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in {"script", "img", "link", "iframe", "form"}
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_mail_is_whole_in_every_language(kind: str, language: str) -> None:
    mail = sample(kind, language)
    words = Tree(mail.html).words
    for text in (mail.subject, mail.text, words):
        assert not re.search(r"[{}]|None", text.split("</style>")[-1].replace(_style(mail.html), ""))
    assert f'lang="{language}"' in mail.html
    assert mail.text.startswith("Dear " if language == "en" else "Beste ")
    assert "https://support.example.com/tickets/1001" in mail.text
    assert 'href="https://support.example.com/tickets/1001"' in mail.html
    assert len(mail.html.encode()) < 10_000


def _style(html: str) -> str:
    return html.partition("<style>")[2].partition("</style>")[0]


def test_the_languages_are_those_of_the_pages_and_say_the_same_things() -> None:
    assert set(LANGUAGES) == languages()
    for kind in KINDS:
        assert len({sample(kind, language).text.count("\n") for language in LANGUAGES}) == 1
        assert len({sample(kind, language).text for language in LANGUAGES}) == len(LANGUAGES)


def test_every_mail_of_the_catalogues_has_a_sample() -> None:
    folder = Path(wording.__file__).parent / "templates"
    for language in LANGUAGES:
        tables = tomllib.loads((folder / f"{language}.toml").read_text(encoding="utf-8"))
        assert set(tables) - {"common", "status", "customer_status"} == set(KINDS)


def test_statuses_are_called_as_on_the_pages() -> None:
    catalogue = read_catalogues()["nl"]
    folder = Path(wording.__file__).parent / "templates"
    english, dutch = (tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8")) for name in ("en", "nl"))
    for table in ("status", "customer_status"):
        assert {key: catalogue.gettext(name) for key, name in english[table].items()} == dutch[table]


def test_every_mail_of_the_matrix_has_a_sample() -> None:
    named = {mail.kind for mails in MATRIX.values() for mail in mails}
    guests = {mail.to_guest for mails in MATRIX.values() for mail in mails if mail.to_guest}
    assert named | guests | BY_MACHINE <= set(KINDS)


@pytest.mark.parametrize(
    ("language", "told"),
    [("en", "since 13 Nov 2026, 10:30\u202fCET"), ("nl", "sinds 13 nov 2026, 10:30\u202fCET")],
)
def test_moments_are_told_in_the_readers_zone_and_language(language: str, told: str) -> None:
    assert told.replace("\u202f", " ") in sample("reminder", language).text


def test_an_unknown_language_is_english_and_an_unknown_zone_is_utc() -> None:
    to = Recipient(name="Li", address="li@globex.example", language="xx", timezone="Mars/Olympus")
    due = {"due": datetime(2026, 7, 1, 8, tzinfo=UTC)}
    assert "1 Jul 2026, 08:00 UTC" in written("review_overdue", to, due, url="https://x", ticket=ticket()).text


def test_customers_and_staff_read_a_status_in_their_own_words() -> None:
    waiting = ticket(status="pending")
    assert "Status: Awaiting your reply" in sample("question", "en", about=waiting).text
    assert "Status: Pending" in sample("reply_staff", "en", about=waiting).text
    assert "Status: In afwachting van uw reactie" in sample("question", "nl", about=waiting).text


def test_words_are_words_and_no_markup() -> None:
    bad = "<script>alert('{x}')</script> {0.__class__} %s {{ 7*7 }}"
    mail = sample("reply", "en", about=ticket(bad), quote=bad, by=bad)
    assert bad in Tree(mail.html).words
    assert bad in mail.text
    assert bad in mail.subject


def test_words_that_run_from_right_to_left_keep_the_rest_in_order() -> None:
    mail = sample("reply", "en", about=ticket("שלום עולם"), quote="مرحبا")
    assert "<bdi>שלום עולם</bdi>" in mail.html
    assert re.search(r'dir="auto"[^>]*>مرحبا', mail.html)


def on_the_wire(mail: OutgoingMail) -> EmailMessage:
    """Sent and read again, header by header, as a mail program does."""
    raw = MAILER.compose(mail).as_bytes(policy=email.policy.SMTP)
    head = raw.partition(b"\r\n\r\n")[0]
    assert max(len(line) for line in head.split(b"\r\n")) <= 998
    assert head.isascii()
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def outgoing(**values: str) -> OutgoingMail:
    given = {
        "kind": "reply",
        "recipient": "carol@acme.example",
        "recipient_name": "Carol",
        "subject": "[#1001] It does not work",
        "text": "Hi",
        "html": "<p>Hi</p>",
        "message_id": f"<ticket-1001.{uuid.UUID(int=7)}@support.test>",
    } | values
    return OutgoingMail(created_at=datetime(2026, 11, 22, tzinfo=UTC), **given)


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=255)


@given(WORDS)
@example("x" * 255)
@example("👩‍👩‍👧‍👦" * 25)
@example('Größe, 尺寸; "quoted" <a@b.example> (comment) \\ =?utf-8?q?x?=')
@example("=?utf-8?q?=0D=0ABcc:_all=40acme.example?=")
@example("שלום " * 50)
@settings(max_examples=60, deadline=None)
def test_any_subject_arrives_as_it_was_and_adds_no_header(subject: str) -> None:
    message = on_the_wire(outgoing(subject=f"[#1001] {subject}"))
    assert _spaces(message["Subject"]) == _spaces(f"[#1001] {clean_line(subject)}".replace("=?", "= ?"))
    assert message.keys() == on_the_wire(outgoing()).keys()


@given(WORDS)
@example("Müller, Dave <boss@evil.example>\r\nBcc: all@acme.example")
@example('O"Neill \\ (Erin) @ 李伟 👍')
@example("ignore\u202eelbbirt")
@settings(max_examples=60, deadline=None)
def test_any_name_stays_a_name(name: str) -> None:
    message = on_the_wire(outgoing(recipient_name=name))
    (address,) = message["To"].addresses
    assert address.addr_spec == "carol@acme.example"
    assert message.keys() == on_the_wire(outgoing()).keys()
    assert "\u202e" not in address.display_name


def test_a_domain_with_other_letters_is_sent_in_ascii() -> None:
    (address,) = on_the_wire(outgoing(recipient="carol@bücher.example"))["To"].addresses
    assert address.addr_spec == "carol@xn--bcher-kva.example"


@pytest.mark.parametrize("recipient", ["nobody", "a@b.example\nBcc: c@d.example", "a b@c.example", "@c.example"])
def test_what_is_no_address_is_refused(recipient: str) -> None:
    with pytest.raises(ValueError):
        MAILER.compose(outgoing(recipient=recipient))


def _spaces(text: str) -> str:
    """Long headers are folded at spaces, and kinds of space are one to a mail program."""
    return "".join(text.split()).translate(dict.fromkeys(map(ord, string.whitespace)))
