"""The mapping file: what is shipped fits what the code says, and every mistake in one is named by its key."""

import tomllib
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from crm_sync_service.connectors.base import TextRules
from crm_sync_service.connectors.config import default_mapping
from crm_sync_service.mapping import (
    BLOCK_BEGIN,
    BLOCK_END,
    DEFAULT_POLICIES,
    managed_block,
    note_for,
    shorten,
    with_block,
)
from crm_sync_service.mapping_file import MappingError, parse_mapping, read_mapping
from crm_sync_service.merge import Policy
from crm_sync_service.templates import BLOCK_PLACEHOLDERS, DEFAULT_TEMPLATES, TemplateError, parse_template
from shared.events import AttachmentLink, Person
from shared.ids import new_id
from tests.crm_sync_service.engine import new_internal_note, new_reply, new_ticket
from tests.crm_sync_service.fake_crm import FakeCrm

DESK = default_mapping("desk").read_text()
SMALL = """
[fields.subject]
attribute = "name"
[fields.description]
attribute = "text"
"""


def link(name="a\nb.png", size=1234):
    return AttachmentLink(id=new_id(), name=name, size=size, url="http://p/f/1")


@pytest.mark.parametrize("kind", ["desk", "suitecrm", "espocrm", "salesforce"])
def test_what_is_shipped_can_be_read_and_has_the_texts_of_the_code(kind):
    file = read_mapping(default_mapping(kind))
    assert file.templates == DEFAULT_TEMPLATES
    assert {"subject", "block", "status", "priority", "account", "contact", "assignee"} <= file.policies.keys()
    assert {"subject", "description"} <= file.attributes.keys()


def test_the_bundled_crm_has_every_field_with_the_usual_policies():
    file = read_mapping(default_mapping("desk"))
    assert list(file.policies.items()) == list(DEFAULT_POLICIES.items())


def problems(text):
    with pytest.raises(MappingError) as found:
        parse_mapping(text)
    return found.value.problems


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("[fields.subject]", "[fields.topic]"), "fields.topic: there is no such field"),
        (('attribute = "name"', 'atribute = "name"'), "fields.subject.atribute: Unknown field."),
        (('attribute = "name"', ""), "fields.subject.attribute: Missing data for required field."),
        (('attribute = "name"', "attribute = 7"), "fields.subject.attribute: Not a valid string."),
        (('direction = "both"', 'direction = "sideways"'), "fields.status.direction: give one of both, to_crm"),
        (('policy = "crm"', 'policy = "luck"'), "fields.status.policy: give one of portal, crm"),
        (('direction = "to_crm"', 'direction = "both"'), "fields.subject.direction: subject can only travel to_crm"),
        (('new = "new"\n', ""), "fields.status.values.new: is missing: which of the CRM's options is it?"),
        (('new = "new"', 'fresh = "new"'), "fields.status.values.fresh: the portal has no such status; it has new"),
        (('solved = "resolved"', 'solved = "closed"'), "fields.status.reads: 'closed' stands for solved and closed"),
        (("URL: {link_url}", "URL: {link_url.host}"), "templates.block: {link_url.host} is unknown here"),
        (("URL: {link_url}", "URL: {link_url"), "templates.block: 'URL: {link_url': expected '}'"),
        (("[templates.sides]", "[templates.sizes]"), "templates.sizes: Unknown field."),
        (("[fields.subject]", "[fields.subject"), "this is no TOML"),
        (('attribute = "contact_id"', 'attribute = "c"\nvalues = {a = "b"}'), "fields.contact.values: only status"),
    ],
)
def test_a_mistake_is_named_by_its_key(change, words):
    assert change[0] in DESK
    found = problems(DESK.replace(*change, 1))
    assert any(problem.startswith(words) for problem in found), found


def test_all_mistakes_are_told_at_once():
    text = DESK.replace("{number}", "{nmbr}").replace('new = "new"\n', "").replace("{first_words}", "{words}")
    assert len(problems(text)) == 3


def test_fields_that_are_not_in_the_file_are_not_synced():
    mapping = parse_mapping(SMALL).case_mapping(FakeCrm())
    ticket = new_ticket(account_crm_id="a-1")
    ours = mapping.ours(ticket, contact_id="c-1")
    assert list(ours) == ["subject", "block"]
    assert mapping.new_case(ticket, ours).keys() == {"subject", "description"}
    assert mapping.theirs({"subject": "x", "description": None}) == {"subject": "x", "block": None}


def test_policies_are_read():
    text = SMALL + '[fields.product]\nattribute = "p"\ndirection = "to_crm"\npolicy = "portal"\n'
    assert parse_mapping(text).policies["product"] == Policy(direction="to_crm", winner="portal")


def test_two_options_of_the_portal_may_share_one_of_the_crm():
    text = DESK.replace('solved = "resolved"', 'solved = "closed"') + '[fields.status.reads]\nclosed = "closed"\n'
    mapping = parse_mapping(text).case_mapping(FakeCrm())
    ticket = new_ticket(status="solved")
    assert mapping.ours(ticket, contact_id=None)["status"] == "closed"
    assert mapping.theirs({"status": "closed"})["status"] == "closed"
    assert mapping.at_portal(ticket, "status") == "solved"


def test_the_block_says_what_was_given():
    ticket = replace(
        new_ticket(), number=7, ticket_url="http://p/t/7", link_url="http://x", details={"Browser": "A\n B"}
    )
    ticket = replace(ticket, category="Paper", request_type="Level 1", attachments=(link(),))
    assert managed_block(ticket) == (
        f"{BLOCK_BEGIN}\nTicket: #7 http://p/t/7\nURL: http://x\nRequest type: Level 1\nCategory: Paper\n"
        f"Browser: A B\nAttachments:\n- a b.png (1,234 bytes) http://p/f/1\n{BLOCK_END}"
    )


def test_the_block_leaves_out_what_was_not_given():
    ticket = replace(new_ticket(), number=7, ticket_url="http://p/t/7", link_url=None, details={}, category=None)
    ticket = replace(ticket, request_type="Billing", attachments=())
    assert managed_block(ticket) == f"{BLOCK_BEGIN}\nTicket: #7 http://p/t/7\nRequest type: Billing\n{BLOCK_END}"


def test_a_long_list_of_attachments_ends_with_a_link():
    ticket = replace(new_ticket(), ticket_url="http://p/t/7", attachments=tuple(link() for _ in range(103)))
    assert managed_block(ticket).splitlines()[-2] == "and 3 more: http://p/t/7"


MOMENT = datetime(2026, 11, 22, 14, 3, 9, tzinfo=UTC)


def test_a_note_says_who_when_and_what():
    reply = replace(new_reply(new_ticket(), 1), side="staff", author=Person(name="Sam"), created_at=MOMENT)
    note = note_for(replace(reply, body="First\nsecond ", attachments=(link(),)), case_id="c")
    assert note.title == "Support Sam: First second"
    assert note.body == (
        "Support: Sam, 2026-11-22 14:03 UTC\n\nFirst\nsecond \n\nAttachments:\n- a b.png (1,234 bytes) http://p/f/1"
    )
    assert DEFAULT_TEMPLATES.is_ours(note.body)


def test_an_internal_note_without_attachments_ends_with_its_words():
    reply = replace(
        new_internal_note(new_ticket(), 1), author=Person(name="Sam"), created_at=MOMENT, body="", attachments=()
    )
    assert note_for(reply, case_id="c").body == "Internal note: Sam, 2026-11-22 14:03 UTC\n\n"


def test_words_with_braces_are_left_as_they_are():
    reply = replace(new_reply(new_ticket(), 1), body="{author} {0} }{", attachments=())
    assert note_for(reply, case_id="c").body.endswith("\n\n{author} {0} }{")


@pytest.mark.parametrize("body", ["Called the customer", "", "Support Sam 2026-11-22", "Support: Sam, yesterday UTC"])
def test_what_people_write_in_the_crm_is_not_taken_for_ours(body):
    assert not DEFAULT_TEMPLATES.is_ours(body)


def test_a_template_of_ones_own_is_recognised_again():
    text = SMALL + '[templates]\nnote_body = "[{side}/{author}] {body}"\n[templates.sides]\nstaff = "Onze dienst"\n'
    mapping = parse_mapping(text).case_mapping(FakeCrm())
    reply = replace(new_reply(new_ticket(), 1), side="staff", author=Person(name="Sam"), body="Hoi")
    note = mapping.note(new_ticket(), reply, case_id="c")
    assert note.body == "[Onze dienst/Sam] Hoi"
    assert mapping.templates.is_ours(note.body)
    assert not mapping.templates.is_ours("[Support/Sam] Hoi")


def test_a_note_that_is_too_long_is_cut_where_everybody_sees_it():
    crm = FakeCrm()
    crm.capabilities = replace(
        crm.capabilities, text=replace(crm.capabilities.text, note_bytes=200, note_title_length=9)
    )
    ticket = new_ticket()
    note = (
        parse_mapping(SMALL).case_mapping(crm).note(ticket, replace(new_reply(ticket, 1), body="ü" * 500), case_id="c")
    )
    assert len(note.body.encode()) <= 200
    assert note.body.endswith(f"[cut; full text: {ticket.ticket_url}]")
    assert (len(note.title), note.title[-1]) == (9, "…")


def test_notes_of_a_second_case_are_others():
    mapping, ticket = parse_mapping(SMALL).case_mapping(FakeCrm()), new_ticket()
    reply = new_reply(ticket, 1)
    first, second = (mapping.note(ticket, reply, case_id="c", generation=number) for number in (0, 1))
    assert (first.key, second.key) == (str(reply.reply_id), f"{reply.reply_id}:1")
    assert first.id != second.id


def test_a_subject_is_cut_with_a_mark():
    assert shorten("x" * 255, 255) == "x" * 255
    assert shorten("x" * 256, 255) == "x" * 254 + "…"
    assert shorten("anything", 0) == ""


def test_a_growing_block_never_loses_its_end():
    """The CRM would cut it otherwise, and every look would find a difference."""
    block = f"{BLOCK_BEGIN}\n{'y' * 300}\n{BLOCK_END}"
    rules = TextRules(subject_length=255, description_bytes=1000)
    whole = with_block("x" * 900 + f"\n\n{BLOCK_BEGIN}\nshort\n{BLOCK_END}", block, rules=rules)
    assert len(whole.encode()) <= 1000
    assert whole.endswith(block)
    assert "… [cut; the full text is on the ticket]" in whole


def test_a_block_that_an_editor_made_one_line_of_is_still_ours():
    """Otherwise every save of an account manager would be fought over."""
    mapping = FakeCrm().mapping()
    ours = mapping.ours(new_ticket(), contact_id=None)
    flat = {"description": f"words {' '.join(ours['block'].split())} more"}
    assert mapping.theirs(flat, known=[ours])["block"] == ours["block"]
    touched = {"description": flat["description"].replace("Ticket:", "Tocket:")}
    assert "Tocket" in mapping.theirs(touched, known=[ours])["block"]


@pytest.mark.parametrize("text", ["{}", "{0}", "{number!r}", "{number:>9}", "{ticket.url}", "{number[0]}", "}"])
def test_a_template_can_only_name_what_there_is(text):
    with pytest.raises(TemplateError):
        parse_template(text, BLOCK_PLACEHOLDERS)


def test_a_file_that_is_no_text_is_one_sentence(tmp_path):
    (tmp_path / "map.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(Exception, match="is not UTF-8 text"):
        read_mapping(tmp_path / "map.toml")


def test_options_for_the_connector_are_handed_on():
    file = parse_mapping(SMALL + '[connector]\nrole = "Primary Contact"\nlist = [1, 2]\n')
    assert file.options == tomllib.loads('role = "Primary Contact"\nlist = [1, 2]')
