"""New requests that refer to an earlier ticket, and replies that staff make tickets of their own of (S55)."""

import re
from html import unescape

from sqlalchemy import select

from portal_service.files.models import Attachment
from portal_service.people.models import Contact
from portal_service.tickets.models import Product
from tests.portal_service.web.browsing import Visitor, text_of


def fields_of(page: str) -> dict[str, str]:
    """What the form of a request holds."""
    form = re.findall(r'<form method="post" enctype.*?</form>', page, re.DOTALL)[0]
    found = dict(re.findall(r'<input[^>]* name="([\w-]+)"[^>]* value="([^"]*)"', form))
    for name, options in re.findall(r'<select[^>]* name="(\w+)".*?>(.*?)</select>', form, re.DOTALL):
        chosen = re.findall(r'<option value="([^"]*)" selected', options)
        found[name] = chosen[0] if chosen else ""
    texts = re.findall(r'<textarea[^>]* name="(\w+)"[^>]*>\n(.*?)</textarea>', form, re.DOTALL)
    return {name: unescape(value) for name, value in {**found, **dict(texts)}.items() if name != "nature"}


def test_a_new_request_from_a_case_knows_what_the_case_knows(carol: Visitor, sam: Visitor) -> None:
    old = carol.file_request(subject="The first", product_id=carol.id_of(Product, "Sync Engine"))
    for page in (f"/cases/{old}", f"/cases/{old}/comments"):
        assert f'href="/requests/new?from={old}"' in carol.get(page).text
    step = carol.get(f"/requests/new?from={old}")
    assert f"Refers to #{old}: The first" in text_of(step)
    assert re.search(r'value="level-1" required checked', step.text)
    page = carol.get(f"/requests/new?from={old}&type=billing", follow_redirects=True)
    typed = fields_of(page.text)
    assert (typed["product_id"], typed["subject"]) == (str(carol.ticket(old).product_id), "")
    assert f"Refers to #{old}: The first" in text_of(page)

    refused = carol.post("/requests/new/billing", **{**typed, "description": "Also this"})
    assert refused.status_code == 422
    assert fields_of(refused.text)["parent_number"] == str(old)
    draft = carol.get("/requests/new/billing")
    assert "This is your draft" in draft.text
    answer = carol.post("/requests/new/billing", **{**fields_of(draft.text), "subject": "The second"})
    new = int(answer.location.split("/")[-2])
    assert carol.ticket(new).parent_number == old
    assert f'<a href="/cases/{old}">' in carol.get(f"/cases/{new}").text
    assert f'<a href="/cases/{new}">' in carol.get(f"/cases/{old}").text
    assert f'<a href="/staff/tickets/{new}">' in sam.get(f"/staff/tickets/{old}").text


def test_nobody_refers_to_what_he_may_not_read(carol: Visitor, dave: Visitor) -> None:
    foreign = carol.file_request(subject="Secret of Acme")
    for number in (foreign, 999_999, "x" * 30, "²"):
        page = dave.get(f"/requests/new/level-1?from={number}")
        assert page.status_code == 200
        assert "Refers to" not in page.text
    mine = dave.file_request(parent_number=str(foreign))
    assert dave.ticket(mine).parent_number is None
    assert f"/cases/{mine}" not in carol.get(f"/cases/{foreign}").text


def test_a_reply_about_another_matter_becomes_a_ticket_of_its_own(carol: Visitor, sam: Visitor, png: bytes) -> None:
    old = carol.file_request(subject="The export is empty")
    sam.post(f"/staff/tickets/{old}/reply", body="Which month?")
    words = "My colleague cannot log in.\n\nSee the picture: *urgent*"
    carol.post(f"/cases/{old}/comments", body=words, files=[("log in.png", png)])
    page = sam.get(f"/staff/tickets/{old}").text
    (link,) = re.findall(r'href="([^"]+reply=\d+)"', page)
    form = sam.get(unescape(link))
    typed = fields_of(form.text)
    assert (typed["subject"], typed["description"]) == ("My colleague cannot log in.", words)
    assert "Its files come along: log in.png" in text_of(form)
    path = unescape(link).partition("?")[0]
    answer = sam.post(path, **typed)
    new = int(answer.location.split("/")[-1])
    ticket = sam.ticket(new)
    assert (ticket.parent_number, ticket.description, ticket.filed_by) == (old, words, "Sam Peters")
    assert ticket.contact is not None
    assert ticket.contact.name == "Carol Jansen"
    with sam.database.read() as session:
        (file,) = session.scalars(select(Attachment).where(Attachment.ticket_id == ticket.id)).all()
        assert (file.name, file.entry_id, file.internal) == ("log in.png", None, False)
    assert f'<a href="/staff/tickets/{new}">' in sam.get(f"/staff/tickets/{old}").text
    assert f"Ticket of its own made of a reply: #{new}" in sam.get(f"/staff/tickets/{old}").text
    assert carol.get(f"/cases/{old}/comments").text.count("My colleague cannot log in.") == 1, "what was said stays"
    assert sam.post(path, **typed).location.endswith(f"/{new}"), "sent twice it is one ticket"


def test_what_staff_said_is_not_split_off(carol: Visitor, sam: Visitor) -> None:
    number = carol.file_request()
    sam.post(f"/staff/tickets/{number}/reply", body="Which month?")
    sam.post(f"/staff/tickets/{number}/note", body="Between us")
    assert "Split off" not in sam.get(f"/staff/tickets/{number}").text
    contact = sam.id_of(Contact, "Carol Jansen")
    for position in (1, 2, 99):
        page = sam.get(f"/staff/tickets/new/{contact}/level-1?from={number}&reply={position}")
        assert "Which month?" not in page.text
        assert "Between us" not in page.text
    page = carol.get(f"/requests/new/level-1?from={number}&reply=1")
    assert "Which month?" not in page.text
