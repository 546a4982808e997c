"""Administrators look after the support staff (S35, S36)."""

import re
from collections.abc import Callable

import pytest
from sqlalchemy import select

from portal_service.assignment.engine import ineligible
from portal_service.channels.models import OutgoingMail
from portal_service.crm.directory import apply_directory_change
from portal_service.people.models import LoginSession, PeopleChange, Staff, User
from portal_service.tickets.models import RequestType
from shared.clock import utc_now
from shared.events import DirectoryChanged
from tests.portal_service.web.browsing import Visitor, Visitors, text_of

PEOPLE = "/staff/people"


@pytest.fixture
def alex(visitors: Visitors) -> Visitor:
    """The administrator."""
    return visitors.log_in("alex")


@pytest.fixture
def page_of(alex: Visitor) -> Callable[[str], str]:
    def page(name: str) -> str:
        return f"{PEOPLE}/{alex.id_of(Staff, name)}"

    return page


def person(visitor: Visitor, name: str) -> Staff:
    with visitor.database.read() as session:
        staff = session.scalars(select(Staff).where(Staff.name == name)).one()
        list(staff.permissions)
        return staff


def changes(visitor: Visitor) -> list[tuple[str, str, str]]:
    with visitor.database.read() as session:
        rows = session.scalars(select(PeopleChange).order_by(PeopleChange.id))
        return [(row.by, row.about, row.action) for row in rows]


def new_person(visitor: Visitor, **fields: str) -> Visitor:
    given = {"name": "Wim Nieuw", "email": "wim@support.example", "username": "wim", "language": "en", **fields}
    answer = visitor.post(f"{PEOPLE}/new", **given)
    assert answer.status_code == 303, text_of(answer)
    return visitor


def test_only_administrators_find_the_pages(alex: Visitor, sam: Visitor, page_of: Callable[[str], str]) -> None:
    for path in (PEOPLE, f"{PEOPLE}/new", page_of("Sam Peters")):
        assert alex.get(path).status_code == 200, path
        assert sam.get(path).status_code == 404, path
    for act in ("availability", "admin", "permissions", "deactivate", "activate", "log_out", "remove_second_step"):
        assert sam.post(f"{page_of('Nora Bakker')}/{act}").status_code == 404, act
    assert sam.post(f"{PEOPLE}/new", name="X", email="x@y.example", username="x").status_code == 404
    assert changes(alex) == []


def test_the_list_says_who_takes_what(alex: Visitor) -> None:
    words = text_of(alex.get(PEOPLE))
    assert "Tariq Aziz" in words
    assert "Level 2 support · Portal Server" in words
    assert "Mila Novak" in words
    assert "Away" in words


def test_somebody_new_chooses_a_password_by_a_mailed_link_and_logs_in(alex: Visitor, nobody: Visitor) -> None:
    new_person(alex)
    with alex.database.read() as session:
        mail = session.scalars(select(OutgoingMail).where(OutgoingMail.recipient == "wim@support.example")).one()
    assert mail.secret
    link = re.search(r"/password/reset/\S+", mail.text)
    assert link
    assert nobody.post("/login", username="wim", password="").status_code == 422
    assert nobody.post(link[0], password="a horse of another stable").status_code == 303
    assert nobody.post("/login", username="wim", password="a horse of another stable").location == "/"
    assert nobody.get("/staff/tickets").status_code == 200
    assert nobody.get(PEOPLE).status_code == 404
    assert person(alex, "Wim Nieuw").permissions == []
    assert ("Alex Admin", "Wim Nieuw", "staff_added") in changes(alex)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", "", "Please fill this in."),
        ("email", "nobody", "Please give an e-mail address"),
        ("email", "SAM@support.example", "Somebody of the staff has this address already"),
        ("username", "Carol", "This user name is taken"),
        ("name", "x" * 200, "at most 150 characters"),
    ],
)
def test_what_cannot_be_is_said_at_its_field(alex: Visitor, field: str, value: str, words: str) -> None:
    if value.startswith("SAM"):
        value = person(alex, "Sam Peters").email.upper()
    given = {"name": "Wim", "email": "wim@support.example", "username": "wim", "language": "en", field: value}
    answer = alex.post(f"{PEOPLE}/new", **given)
    assert answer.status_code == 422
    assert words in text_of(answer)
    assert changes(alex) == []


def test_a_permission_that_is_taken_back_brings_no_more_such_tickets(
    alex: Visitor, carol: Visitor, page_of: Callable[[str], str]
) -> None:
    page = page_of("Sam Peters")
    with alex.database.read() as session:
        level_1 = session.scalars(select(RequestType.id).where(RequestType.key == "level-1")).one()
    ticket = carol.ticket(carol.file_request())
    assert ineligible(person(alex, "Sam Peters"), ticket) is None
    (mine,) = [one for one in person(alex, "Sam Peters").permissions if one.request_type_id == level_1]
    assert alex.post(f"{page}/permissions/{mine.id}/remove").status_code == 303
    assert ineligible(person(alex, "Sam Peters"), ticket) == "no_permission"
    assert alex.post(f"{page}/permissions", request_type_id=str(level_1), product_id="").status_code == 303
    assert ineligible(person(alex, "Sam Peters"), ticket) is None
    twice = alex.post(f"{page}/permissions", request_type_id=str(level_1), product_id="")
    assert twice.status_code == 422
    assert "allowed already" in text_of(twice)
    assert [action for *_, action in changes(alex)] == ["permission_taken", "permission_given"]


def test_an_administrator_sets_availability(alex: Visitor, carol: Visitor, page_of: Callable[[str], str]) -> None:
    ticket = carol.ticket(carol.file_request())
    assert alex.post(f"{page_of('Sam Peters')}/availability", available="").status_code == 303
    assert ineligible(person(alex, "Sam Peters"), ticket) == "away"
    assert alex.post(f"{page_of('Sam Peters')}/availability", available="yes").status_code == 303
    assert ineligible(person(alex, "Sam Peters"), ticket) is None


def test_somebody_deactivated_is_out_at_once_and_stays_out(
    alex: Visitor, sam: Visitor, nobody: Visitor, page_of: Callable[[str], str]
) -> None:
    nobody.post("/password/forgot", who="sam")
    with alex.database.read() as session:
        link = re.search(r"/password/reset/\S+", session.scalars(select(OutgoingMail.text)).all()[-1])
    assert link
    assert sam.get("/staff/tickets").status_code == 200
    assert alex.post(f"{page_of('Sam Peters')}/deactivate").status_code == 303
    assert sam.get("/staff/tickets").location.startswith("/login")
    assert nobody.post(link[0], password="a horse of another stable").status_code == 410
    assert nobody.post("/login", username="sam", password="casebridge-demo").status_code == 422
    assert alex.post(f"{page_of('Sam Peters')}/activate").status_code == 303
    assert nobody.post("/login", username="sam", password="casebridge-demo").status_code == 303


def test_the_crm_does_not_let_in_whom_an_administrator_sent_off(alex: Visitor, page_of: Callable[[str], str]) -> None:
    alex.post(f"{page_of('Sam Peters')}/deactivate")
    told = DirectoryChanged(
        kind="user",
        crm_id=person(alex, "Sam Peters").crm_id or "",
        name="Sam Peters",
        emails=(person(alex, "Sam Peters").email,),
        account_crm_id=None,
        active=True,
        merged_into=None,
        revision=5,
    )
    with alex.database.write() as session:
        apply_directory_change(session, told, now=utc_now())
    assert not person(alex, "Sam Peters").active
    assert person(alex, "Sam Peters").crm_revision == 5


def test_there_is_always_an_administrator_and_nobody_shuts_himself_out(
    alex: Visitor, visitors: Visitors, page_of: Callable[[str], str]
) -> None:
    for act in ("deactivate", "admin"):
        answer = alex.post(f"{page_of('Alex Admin')}/{act}", follow=True)
        assert "Ask another administrator" in text_of(answer), act
    assert person(alex, "Alex Admin").is_admin
    assert alex.post(f"{page_of('Sam Peters')}/admin", is_admin="yes").status_code == 303
    sam = visitors.log_in("sam")
    assert sam.post(f"{page_of('Alex Admin')}/admin", is_admin="").status_code == 303
    assert not person(alex, "Alex Admin").is_admin
    assert alex.get(PEOPLE).status_code == 404
    assert "Ask another administrator" in text_of(sam.post(f"{page_of('Sam Peters')}/deactivate", follow=True))


def test_an_administrator_who_cannot_log_in_counts_for_none(
    alex: Visitor, visitors: Visitors, page_of: Callable[[str], str]
) -> None:
    """The log-in of the acting one is ended between looking and acting, as by a colleague at the same moment."""
    alex.post(f"{page_of('Sam Peters')}/admin", is_admin="yes")
    with alex.database.write() as session:
        session.scalars(select(User).where(User.username_key == "alex")).one().state = "rejected"
    sam = visitors.log_in("sam")
    assert "must be an administrator" not in text_of(sam.post(f"{page_of('Alex Admin')}/deactivate", follow=True))
    assert person(sam, "Sam Peters").is_admin


def test_a_lost_laptop_is_logged_out_and_a_link_is_mailed_again(
    alex: Visitor, sam: Visitor, page_of: Callable[[str], str]
) -> None:
    assert alex.post(f"{page_of('Sam Peters')}/log_out").status_code == 303
    with alex.database.read() as session:
        left = session.scalars(select(LoginSession).join(User).where(User.username_key == "sam")).all()
    assert left == []
    assert alex.post(f"{page_of('Sam Peters')}/invite_again").status_code == 303
    assert [action for *_, action in changes(alex)] == ["logged_out", "staff_invited"]
    alex.post(f"{page_of('Sam Peters')}/deactivate")
    assert "no link can let him in" in text_of(alex.post(f"{page_of('Sam Peters')}/invite_again", follow=True))


def test_what_was_done_is_on_the_page(alex: Visitor, page_of: Callable[[str], str]) -> None:
    alex.post(f"{page_of('Sam Peters')}/availability", available="")
    assert "Set to away" in text_of(alex.get(page_of("Sam Peters")))
    assert "Set to away" not in text_of(alex.get(page_of("Nora Bakker"))).partition("What administrators changed")[2]
    words = text_of(alex.get(PEOPLE)).partition("What administrators changed")[2]
    assert "Alex Admin Sam Peters Set to away" in words
