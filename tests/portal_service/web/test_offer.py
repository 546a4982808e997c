"""Administrators look after request types and categories (S14, S17); what is withdrawn is nowhere to choose."""

import re

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal_service.imports.directory import read_directory
from portal_service.imports.errors import CannotImport
from portal_service.imports.placing import fallback_type
from portal_service.knowledge.trouble_models import TroubleOption
from portal_service.people.models import Contact, PeopleChange, StaffPermission
from portal_service.tickets.models import Category, Product, RequestType
from tests.portal_service.api.calling import Program, code_of, faults, program_of
from tests.portal_service.guests.test_pages import filled
from tests.portal_service.web.browsing import Visitor, Visitors, text_of

OFFER = "/staff/offer"


@pytest.fixture
def alex(visitors: Visitors) -> Visitor:
    """The administrator."""
    return visitors.log_in("alex")


@pytest.fixture
def program(app: Flask) -> Program:
    """A program of the administrator."""
    return program_of(app, "alex")


def types(visitor: Visitor) -> list[RequestType]:
    with visitor.database.read() as session:
        return list(session.scalars(select(RequestType).order_by(RequestType.position, RequestType.key)))


def path_of(visitor: Visitor, name: str, kind: type[RequestType | Category] = RequestType) -> str:
    with visitor.database.read() as session:
        found = session.scalars(select(kind.id).where(kind.name_en == name)).one()
    return f"{OFFER}/{'types' if kind is RequestType else 'categories'}/{found}"


def changes(visitor: Visitor) -> list[tuple[str, str, str]]:
    with visitor.database.read() as session:
        rows = session.scalars(select(PeopleChange).order_by(PeopleChange.id))
        return [(row.by, row.about, row.action) for row in rows]


def test_for_everybody_else_there_is_no_such_page(alex: Visitor, sam: Visitor, carol: Visitor, app: Flask) -> None:
    billing = path_of(alex, "Billing")
    for page in (OFFER, f"{OFFER}/types/new", f"{OFFER}/categories/new", billing):
        assert alex.get(page).status_code == 200, page
        assert sam.get(page).status_code == 404, page
        assert carol.get(page).status_code == 404, page
    for press in ("/up", "/down", "/withdraw", "/offer", ""):
        assert sam.post(f"{billing}{press}", name_en="Mine").status_code == 404, press
    assert sam.post(f"{OFFER}/types/new", name_en="Mine").status_code == 404
    assert alex.client.post(f"{billing}/withdraw").status_code == 400, "a form of another site has no token"
    for path in ("/staff/request-types", "/staff/categories"):
        assert code_of(program_of(app, "sam").post(path, {"name_en": "Mine"})) == (404, "not_found")
    assert changes(alex) == []
    assert "Request types and categories" in text_of(alex.get("/knowledge"))
    assert "Request types and categories" not in text_of(sam.get("/knowledge"))


def test_a_new_type_is_offered_and_taken_and_keeps_its_key(alex: Visitor, carol: Visitor) -> None:
    texts = {"name_en": "Crème & Training 2", "name_nl": "Opleiding", "hint_en": "Courses", "hint_nl": "Cursussen"}
    answer = alex.post(f"{OFFER}/types/new", **texts)
    made = types(alex)[-1]
    assert answer.location == f"{OFFER}#item-{made.id}"
    assert (made.key, made.active) == ("creme-training-2", True)
    assert "Courses" in text_of(carol.get("/requests/new"))
    assert carol.post("/requests/new/creme-training-2", **carol.request()).status_code == 303
    renamed = alex.post(f"{OFFER}/types/{made.id}", **texts | {"name_en": "Courses"})
    assert renamed.status_code == 303
    assert (types(alex)[-1].key, types(alex)[-1].name_en) == ("creme-training-2", "Courses")
    assert changes(alex) == [
        ("Alex Admin", "Crème & Training 2", "type_added"),
        ("Alex Admin", "Courses", "type_changed"),
    ]
    words = text_of(alex.get(OFFER))
    assert "name_en: Crème & Training 2 → Courses" in words
    assert "Courses" not in text_of(alex.get("/staff/people")), "that list is of changes to people"
    alex.post("/language", language="nl", next="/")
    assert "Soort aanvraag gewijzigd" in text_of(alex.get(OFFER))


def test_keys_are_made_of_any_name_and_never_twice(alex: Visitor) -> None:
    for name in ("Sales!", "??", "!?", "A" * 200):
        assert alex.post(f"{OFFER}/types/new", name_en=name).status_code == 303, name
    assert [one.key for one in types(alex)[-4:]] == ["sales-2", "type", "type-2", "a" * 48]


@pytest.mark.parametrize(
    ("changed", "field", "words"),
    [
        ({"name_en": "  "}, "name_en", "Please fill this in."),
        ({"name_en": "BILLING"}, "name_en", "Another one has this name already"),
        ({"name_nl": "facturatie"}, "name_nl", "Another one has this name already"),
        ({"hint_nl": "x" * 256}, "hint_nl", "at most 255 characters"),
    ],
)
def test_what_cannot_be_is_said_at_its_field_and_stays_typed(
    alex: Visitor, changed: dict[str, str], field: str, words: str
) -> None:
    given = {"name_en": "Training", "name_nl": "Opleiding", "hint_en": "Kept words", "hint_nl": "", **changed}
    for page in (f"{OFFER}/types/new", path_of(alex, "Sales")):
        answer = alex.post(page, **given)
        assert answer.status_code == 422
        assert words in text_of(answer)
        assert 'value="Kept words"' in answer.text
        assert re.search(rf'name="{field}"[^>]*aria-invalid="true"', answer.text)
    assert changes(alex) == []


def test_the_order_is_the_one_in_which_they_are_offered(alex: Visitor, carol: Visitor) -> None:
    before = [one.name_en for one in types(alex)]
    assert alex.post(f"{path_of(alex, before[0])}/up").status_code == 303
    assert changes(alex) == [], "the first one stays the first"
    alex.post(f"{path_of(alex, before[0])}/down")
    assert [one.name_en for one in types(alex)] == [before[1], before[0], *before[2:]]
    words = text_of(carol.get("/requests/new"))
    assert words.index(before[1]) < words.index(before[0])
    alex.post(f"{path_of(alex, 'Other', Category)}/up")
    options = re.findall(r"<option[^>]*>([^<]+)</option>", carol.get("/requests/new/level-1").text)
    assert options.index("Other") < options.index("Installation")
    assert [action for *_, action in changes(alex)] == ["type_moved", "category_moved"]


def test_a_withdrawn_type_is_nowhere_to_choose(
    alex: Visitor, carol: Visitor, nobody: Visitor, sam: Visitor, app: Flask
) -> None:
    number = carol.file_request()
    with alex.database.read() as session:
        allowed = len(session.scalars(select(StaffPermission)).all())
    assert alex.post(f"{path_of(alex, 'Level 1 support')}/withdraw").status_code == 303
    assert "Level 1 support" not in text_of(carol.get("/requests/new"))
    assert "Level 1 support" not in text_of(nobody.get("/guest/new"))
    assert "Level 1 support" not in text_of(sam.get(f"/staff/tickets/new/{carol_id(sam)}"))
    assert "level-1" not in {one["key"] for one in Program(app, None).get("/request-types").json["items"]}
    api = program_of(app, "carol")
    assert faults(api.post("/tickets", api.request()))["type"].startswith("This type of request is no longer offered")
    refused = nobody.post("/guest/new", **filled(nobody))
    assert refused.status_code == 422
    assert "no longer offered" in text_of(refused)
    assert "Level 1 support" in text_of(carol.get(f"/cases/{number}")), "tickets keep it"
    with alex.database.read() as session:
        assert len(session.scalars(select(StaffPermission)).all()) == allowed
    assert "Level 1 support" in text_of(alex.get("/staff/people"))


def test_a_form_begun_before_asks_for_another_type_and_keeps_what_was_typed(alex: Visitor, carol: Visitor) -> None:
    typed = carol.request(subject="Typed before")
    level_1 = path_of(alex, "Level 1 support")
    alex.post(f"{level_1}/withdraw")
    answer = carol.post("/requests/new/level-1", **typed)
    assert answer.status_code == 422
    assert "“Level 1 support” is no longer offered." in text_of(answer)
    assert 'value="Typed before"' in answer.text
    assert "Typed before" in text_of(carol.get("/")), "it is among the drafts"
    billing = path_of(alex, "Billing").rpartition("/")[2]
    sent = carol.post("/requests/new/level-1", **typed, request_type_id=billing, draft_revision="1")
    assert sent.status_code == 303, text_of(sent)
    number = int(sent.location.split("/")[-2])
    with alex.database.read() as session:
        assert session.scalar(select(RequestType.key).where(RequestType.id == alex.ticket(number).request_type_id)) == (
            "billing"
        )
    alex.post(f"{level_1}/offer")
    assert carol.post("/requests/new/level-1", **carol.request()).status_code == 303


def test_one_type_stays_on_offer(alex: Visitor, program: Program) -> None:
    *others, last = types(alex)
    for one in others:
        alex.post(f"{OFFER}/types/{one.id}/withdraw")
    answer = alex.post(f"{OFFER}/types/{last.id}/withdraw", follow=True)
    assert "At least one type of request must stay on offer" in text_of(answer)
    assert code_of(program.patch(f"/staff/request-types/{last.id}", {"active": False})) == (409, "refused")
    assert [one.active for one in types(alex)] == [False] * len(others) + [True]
    assert len(changes(alex)) == len(others)


def test_without_a_product_one_category_stays_on_offer(alex: Visitor) -> None:
    with alex.database.write() as session:
        session.execute(update(Product).values(active=False))
    for name in ("Installation", "Other", "Account and access"):
        answer = alex.post(f"{path_of(alex, name, Category)}/withdraw", follow=True)
    assert "at least one category must stay on offer" in text_of(answer)


def test_a_withdrawn_category_stays_with_its_tickets_alone(
    alex: Visitor, carol: Visitor, sam: Visitor, app: Flask
) -> None:
    other = path_of(alex, "Other", Category)
    category_id = other.rpartition("/")[2]
    number = carol.file_request(category_id=category_id)
    elsewhere = carol.file_request()
    alex.post(f"{other}/withdraw")
    assert ">Other</option>" not in carol.get("/requests/new/level-1").text
    assert faults(program_of(app, "carol").post("/tickets", program_of(app, "carol").request(category_id=category_id)))
    assert ">Other</option>" in sam.get(f"/staff/tickets/{number}").text
    assert ">Other</option>" not in sam.get(f"/staff/tickets/{elsewhere}").text
    api = program_of(app, "sam")
    assert api.patch(f"/tickets/{number}", {"category_id": category_id, "priority": "high"}).status_code == 200
    assert faults(api.patch(f"/tickets/{elsewhere}", {"category_id": category_id})).keys() == {"category_id"}


def test_imports_take_old_types_and_fall_back_on_offered_ones(alex: Visitor) -> None:
    alex.post(f"{OFFER}/types/new", name_en="No Dutch words")
    alex.post(f"{path_of(alex, 'Level 1 support')}/withdraw")
    with alex.database.read() as session:
        known = read_directory(session, [], []).request_types
    assert known["level 1 support"][0].key == "level-1", "old tickets are of their time"
    assert "" not in known, "a ticket without a type is of none"
    with pytest.raises(CannotImport, match="on offer"):
        fallback_type(known, "level-1")
    assert fallback_type(known, "billing").key == "billing"


def test_the_troubleshooter_asks_for_another_type(alex: Visitor, sam: Visitor, carol: Visitor) -> None:
    alex.post(f"{path_of(alex, 'Level 2 support')}/withdraw")
    with sam.database.read() as session:
        option = session.scalars(select(TroubleOption).where(TroubleOption.type_key == "level-2")).first()
    assert option is not None
    editor = sam.get(f"/staff/troubleshooter/{option.question_id}")
    assert "Level 2 support (Withdrawn)" in text_of(editor)
    fields = dict(re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', editor.text))
    chosen = re.findall(r'<select id="([^"]+)"(?:(?!</select>).)*?value="([^"]+)" selected', editor.text, re.DOTALL)
    saved = sam.post(f"/staff/troubleshooter/{option.question_id}", **fields | dict(chosen))
    assert saved.status_code == 422
    assert "no longer offered" in text_of(saved)
    link = re.search(r'href="(/requests/new/level-2[^"]+)"', carol.get(f"/troubleshooter/answer/{option.id}").text)
    assert link
    form = carol.get(link[1].replace("&amp;", "&"))
    assert "“Level 2 support” is no longer offered." in text_of(form)
    assert re.search(r'name="subject"[^>]* value="[^"]+"', form.text), "what the troubleshooter filled in is there"


def test_programs_do_the_same(program: Program, app: Flask) -> None:
    made = program.post("/staff/categories", {"name_en": "Hardware"})
    assert (made.status_code, made.json["active"], made.json["name_nl"]) == (201, True, "")
    path = f"/staff/categories/{made.json['id']}"
    assert faults(program.post("/staff/categories", {"name_en": "hardware"})).keys() == {"name_en"}
    changed = program.patch(path, {"name_nl": "Apparatuur", "place": 1, "active": False})
    assert (changed.json["name_en"], changed.json["name_nl"], changed.json["active"]) == (
        "Hardware",
        "Apparatuur",
        False,
    )
    assert program.get("/staff/categories").json["items"][0] == changed.json
    assert "Hardware" not in {one["name"] for one in program.get("/categories").json["items"]}
    assert program.patch("/staff/categories/00000000-0000-4000-8000-000000000000", {}).status_code == 404
    added = program.post("/staff/request-types", {"name_en": "Training", "hint_nl": "Cursus"}).json
    assert (added["key"], added["hint_nl"], added["name_nl"]) == ("training", "Cursus", "")
    moved = program.patch(f"/staff/request-types/{added['id']}", {"place": 9999, "hint_nl": ""})
    assert (moved.status_code, moved.json["hint_nl"]) == (200, "")
    told = [(one["action"], one["about"]) for one in program.get("/staff/changes").json["items"]]
    assert told[::-1] == [
        ("category_added", "Hardware"),
        ("category_changed", "Hardware"),
        ("category_withdrawn", "Hardware"),
        ("category_moved", "Hardware"),
        ("type_added", "Training"),
        ("type_changed", "Training"),
    ]


def carol_id(visitor: Visitor) -> str:
    with visitor.database.read() as session:
        return str(session.scalars(select(Contact.id).where(Contact.name.startswith("Carol"))).one())
