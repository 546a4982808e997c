"""Company view and several accounts: nobody sees what was not granted, only admins grant it."""

import pytest

from portal_service.people.models import Account, Contact
from tests.portal_service.web.browsing import Visitor, Visitors, text_of


@pytest.fixture
def alex(visitors: Visitors) -> Visitor:
    """An admin."""
    return visitors.log_in("alex")


def pages_of(visitor: Visitor, name: str) -> str:
    return f"/staff/contacts/{visitor.id_of(Contact, name)}"


def grant(alex: Visitor, name: str, account: str, level: str) -> None:
    answer = alex.post(f"{pages_of(alex, name)}/accounts", account_id=alex.id_of(Account, account), level=level)
    assert answer.status_code == 303, text_of(answer)


def test_colleagues_tickets_appear_when_they_are_granted_and_go_when_withdrawn(
    carol: Visitor, peter: Visitor, alex: Visitor
) -> None:
    number = peter.file_request(subject="Peter asks")
    assert carol.get(f"/cases/{number}").status_code == 404
    assert "My company" not in text_of(carol.get("/cases"))
    grant(alex, "Carol Jansen", "Acme Instruments", "read_all")
    page = text_of(carol.get("/cases"))
    assert "Peter asks" in page
    assert "My company" in page
    assert "Peter asks" not in carol.get("/cases?whose=mine").text
    assert "Peter asks" not in carol.get("/").text
    assert carol.post(f"/cases/{number}/comments", body="Same here").status_code == 303
    alex.post(f"{pages_of(alex, 'Carol Jansen')}/accounts/{alex.id_of(Account, 'Acme Instruments')}/withdraw")
    assert carol.get(f"/cases/{number}").status_code == 404
    assert "Peter asks" not in carol.get("/cases").text


def test_an_agent_of_several_accounts_switches_between_them(dave: Visitor, carol: Visitor, alex: Visitor) -> None:
    acme = carol.file_request(subject="Acme asks")
    own = dave.file_request(subject="Globex asks")
    grant(alex, "Dave Müller", "Acme Instruments", "file")
    assert dave.get(f"/cases/{acme}").status_code == 404
    for_acme = dave.file_request(subject="Dave for Acme", account_id=dave.id_of(Account, "Acme Instruments"))
    assert dave.ticket(for_acme).account.name == "Acme Instruments"  # type: ignore[union-attr]
    grant(alex, "Dave Müller", "Acme Instruments", "read_all")
    page = dave.get(f"/cases?account={dave.id_of(Account, 'Acme Instruments')}").text
    assert "Acme asks" in page
    assert "Dave for Acme" in page
    assert "Globex asks" not in page
    everything = dave.get("/cases").text
    assert "Acme asks" in everything
    assert "Globex asks" in everything
    assert dave.get(f"/cases/{own}").status_code == 200


def test_an_account_that_was_not_granted_shows_nothing(carol: Visitor, dave: Visitor) -> None:
    dave.file_request(subject="Globex asks")
    globex = carol.id_of(Account, "Globex GmbH & Söhne")
    assert "Globex asks" not in carol.get(f"/cases?account={globex}&status=all").text
    answer = carol.post("/requests/new/level-1", **carol.request(account_id=globex))
    assert answer.status_code == 422


def test_only_admins_change_what_others_see(sam: Visitor, alex: Visitor) -> None:
    page = pages_of(sam, "Carol Jansen")
    acme = sam.id_of(Account, "Acme Instruments")
    assert "Give access" not in text_of(sam.get(page))
    assert "Give access" in text_of(alex.get(page))
    for form in (f"{page}/accounts", f"{page}/accounts/{acme}/withdraw", f"{page}/log-out"):
        assert sam.post(form, account_id=acme, level="read_all").status_code == 404
    assert "Read all tickets of the account" not in text_of(sam.get(page))


@pytest.mark.parametrize(("account", "level"), [("", "file"), ("Acme Instruments", "everything"), ("", "")])
def test_what_makes_no_sense_is_refused(alex: Visitor, account: str, level: str) -> None:
    account_id = alex.id_of(Account, account) if account else "x"
    answer = alex.post(f"{pages_of(alex, 'Carol Jansen')}/accounts", account_id=account_id, level=level)
    assert answer.status_code == 422
    assert "Please choose one of the entries" in text_of(answer)


def test_an_admin_logs_a_customer_out_everywhere(alex: Visitor, carol: Visitor) -> None:
    alex.post(f"{pages_of(alex, 'Carol Jansen')}/log-out")
    assert carol.get("/cases").status_code == 303
