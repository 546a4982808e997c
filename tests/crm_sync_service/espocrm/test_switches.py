"""A server that lacks one of the surprises, as another version may, is dealt with just as well."""

import pytest

from crm_sync_service.connectors.base import AlreadyExistsError, StaleError
from tests.crm_sync_service.espocrm.state import QUIRKS
from tests.crm_sync_service.espocrm.world import ACME, ADA, GRACE, a_world, contact, everything, note


@pytest.mark.parametrize("missing", [*sorted(QUIRKS), "all"])
def test_a_server_without_one_surprise_is_dealt_with_too(missing):
    with a_world(quirks=QUIRKS - {missing} if missing != "all" else frozenset()) as world:
        new = world.new(subject="Printer on fire")
        case = world.crm.create_case(new)
        assert (case.number, case.fields["account"], case.fields["contact"]) == ("1", ACME, ADA)
        with pytest.raises(AlreadyExistsError) as refused:
            world.crm.create_case(new)
        assert refused.value.record_id == case.id
        after = world.crm.update_case(case.id, {"priority": "High", "contact": GRACE}, version=case.version)
        assert (after.fields["priority"], after.fields["contact"]) == ("High", GRACE)
        world.crmside.edit(case.id, status="Pending")
        with pytest.raises(StaleError):
            world.crm.update_case(case.id, {"priority": "Low"}, version=after.version)
        reply = note(case)
        note_id = world.crm.create_note(reply)
        assert [(one.id, one.key) for one in world.crm.notes_of(case.id)] == [(note_id, reply.key)]
        assert [row.note_id for row in everything(world.crm.changed_notes, None)] == [note_id]
        assert [row.stamp for row in everything(world.crm.changed_cases, None)] == [world.crm.get_case(case.id).stamp]
        made = world.crm.create_contact(contact("Ada Lovelace", "other@acme.example"))
        assert [one.crm_id for one in world.crm.contacts_by_email("other@acme.example")] == [made.crm_id]
