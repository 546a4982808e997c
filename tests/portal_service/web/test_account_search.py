"""Forms that choose an account: a list of few, a search among many, without any script."""

import re
import uuid
from html import unescape

import pytest
from sqlalchemy import select

from portal_service.people.models import Account, Contact, ContactEmail
from portal_service.tickets.models import Ticket
from shared.database import Database
from shared.ids import new_id
from tests.portal_service.web.browsing import Visitor, Visitors, text_of


@pytest.fixture
def many(database: Database) -> None:
    """More accounts than a list should have; two of them are called Zephyr."""
    names = [f"Company {number:03}" for number in range(60)] + ["Zephyr Nord", "Zephyr Süd", "100% Solar"]
    with database.write() as session:
        session.add_all(Account(id=new_id(), name=name, active=True) for name in names)
        session.add(Account(id=new_id(), name="Zephyr Gone", active=False))


@pytest.fixture
def alex(visitors: Visitors) -> Visitor:
    """An administrator."""
    return visitors.log_in("alex")


def offered(page: str) -> list[str]:
    """The accounts to choose from."""
    (options,) = re.findall(r'<select id="account_id".*?>(.*?)</select>', page, re.DOTALL)
    return [unescape(name) for name in re.findall(r"<option[^>]*>(.*?)</option>", options)]


def chosen(page: str) -> str:
    (options,) = re.findall(r'<select id="account_id".*?>(.*?)</select>', page, re.DOTALL)
    return "".join(map(unescape, re.findall(r"<option[^>]* selected>(.*?)</option>", options)))


def test_few_accounts_are_a_list(sam: Visitor, carol: Visitor) -> None:
    number = carol.file_request()
    for page in (f"/staff/tickets/{number}", f"/staff/tickets/{number}/transfer"):
        text = sam.get(page).text
        assert "Globex GmbH & Söhne" in offered(text)
        assert "account_words" not in text


def test_a_transfer_among_many_accounts(many: None, sam: Visitor, carol: Visitor) -> None:
    number = carol.file_request()
    path = f"/staff/tickets/{number}/transfer"
    page = sam.get(path).text
    assert offered(page) == ["Acme Instruments"]
    assert len(page) < 60_000
    form = {"assignee_id": str(sam.ticket(number).assignee_id), "product_id": str(sam.ticket(number).product_id)}
    form |= {"account_id": str(sam.ticket(number).account_id), "note": "It is theirs", "account_found": ""}
    version = sam.ticket(number).version
    found = sam.post(path, **form, account_words="zeph", find_account="yes")
    assert found.status_code == 200
    assert offered(found.text) == ["Acme Instruments", "Zephyr Nord", "Zephyr Süd"]
    assert "Found: 2." in text_of(found)
    assert "It is theirs" in found.text, "what was typed stays"
    entered = sam.post(path, **form, account_words="süd zeph")
    assert chosen(entered.text) == "Zephyr Süd", "the enter key searches, too, and one find is chosen"
    assert sam.ticket(number).version == version, "searching sends nothing"

    form |= {"account_id": sam.id_of(Account, "Zephyr Süd"), "account_words": "süd", "account_found": "süd"}
    assert sam.post(path, **form).status_code == 303
    ticket = sam.ticket(number)
    assert ticket.account is not None
    assert ticket.account.name == "Zephyr Süd"


@pytest.mark.parametrize(
    ("words", "said"),
    [("nothing like it", "No account fits"), ("%", "Found: 1."), ("company", "Very many fit"), ("gone", "No account")],
)
def test_what_a_search_says(many: None, alex: Visitor, words: str, said: str) -> None:
    contact = alex.id_of(Contact, "Carol Jansen")
    answer = alex.post(f"/staff/contacts/{contact}/accounts", account_words=words, find_account="yes")
    assert said in text_of(answer)
    assert len(offered(answer.text)) <= 51


def test_the_right_column_searches_and_saves(many: None, sam: Visitor, carol: Visitor) -> None:
    number = carol.file_request()
    page = f"/staff/tickets/{number}"
    was = {"was_account_id": str(sam.ticket(number).account_id), "was_priority": "normal"}
    form = {**was, "account_id": was["was_account_id"], "priority": "high"}
    found = sam.post(f"{page}/edit", **form, account_words="nord", account_found="", find_account="yes")
    assert chosen(found.text) == "Zephyr Nord"
    assert sam.ticket(number).priority == "normal"
    form |= {"account_id": sam.id_of(Account, "Zephyr Nord"), "account_words": "nord", "account_found": "nord"}
    assert sam.post(f"{page}/edit", **form).status_code == 303
    ticket = sam.ticket(number)
    assert ticket.account is not None
    assert (ticket.account.name, ticket.priority) == ("Zephyr Nord", "high")
    queue = sam.get(f"/staff/tickets?account={ticket.account_id}&status=all").text
    assert "Zephyr Nord</option>" in queue
    assert "Company 001" not in queue
    assert 'id="account"' not in sam.get("/staff/tickets?account=nonsense").text


def test_filing_for_somebody_whose_account_is_not_known(many: None, sam: Visitor) -> None:
    with sam.database.write() as session:
        contact = Contact(id=new_id(), name="Zoe New", active=True)
        contact.emails = [ContactEmail(position=0, address="zoe@z.example", key="zoe@z.example")]
        session.add(contact)
        contact_id = contact.id
    path = f"/staff/tickets/new/{contact_id}/level-1"
    form = {"form_token": str(uuid.uuid4()), "subject": "She phoned", "description": "About it.", "nature": ""}
    form |= {"category_id": sam.category("Other")}
    found = sam.post(path, **form, account_words="süd", find_account="yes")
    assert found.status_code == 200
    assert chosen(found.text) == "Zephyr Süd"
    assert 'value="She phoned"' in found.text
    with sam.database.read() as session:
        assert session.scalar(select(Ticket).where(Ticket.subject == "She phoned")) is None
    form |= {"account_id": sam.id_of(Account, "Zephyr Süd"), "account_words": "süd", "account_found": "süd"}
    assert sam.post(path, **form).status_code == 303
