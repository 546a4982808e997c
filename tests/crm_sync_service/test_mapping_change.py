"""A changed mapping file is told in the console before Cases are written anew by it."""

from datetime import timedelta

from crm_sync_service.alarms import alarms
from crm_sync_service.connectors.config import default_mapping
from crm_sync_service.mapping_change import SHOWN_FOR, forget_old_notice, notice_mapping
from crm_sync_service.mapping_file import parse_mapping
from tests.crm_sync_service.engine import START
from tests.crm_sync_service.fake_crm import FakeCrm

DESK = default_mapping("desk").read_text()


def start(database, text=DESK, *, now=START):
    with database.write() as session:
        return notice_mapping(session, parse_mapping(text).case_mapping(FakeCrm()), now=now)


def shown(database, *, now=START):
    with database.write() as session:
        forget_old_notice(session, now=now)
        return [alarm.name for alarm in alarms(session)]


def test_the_first_mapping_and_the_same_again_are_no_news(sync_database):
    assert [start(sync_database), start(sync_database)] == [False, False]
    assert shown(sync_database) == []


def test_a_changed_one_is_told_for_a_day(sync_database):
    start(sync_database)
    for change in (("Category: {", "Rubriek: {"), ('policy = "crm"', 'policy = "portal"'), ('"new"', '"assigned"')):
        text = DESK.replace(*change)
        if change[0] == '"new"':
            text += '[fields.status.reads]\n"assigned" = "open"\n'
        assert start(sync_database, text)
    assert shown(sync_database) == ["mapping_changed"]
    assert shown(sync_database, now=START + SHOWN_FOR - timedelta(seconds=1)) == ["mapping_changed"]
    assert shown(sync_database, now=START + SHOWN_FOR) == []


def test_a_comment_in_the_file_is_no_change(sync_database):
    start(sync_database)
    assert not start(sync_database, f"# mine\n{DESK}")
