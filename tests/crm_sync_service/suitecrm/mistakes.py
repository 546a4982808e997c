"""What a connector that knows nothing of a quirk would do, and the scenario that shows it."""

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any
from unittest.mock import patch

from crm_sync_service.connectors.base import AlreadyExistsError, InvalidError
from crm_sync_service.connectors.suitecrm import client, connector, feed, records, text, tokens
from crm_sync_service.connectors.suitecrm.client import SuiteClient
from crm_sync_service.connectors.suitecrm.connector import SuiteCrmConnector
from crm_sync_service.connectors.suitecrm.contacts import Contacts
from crm_sync_service.connectors.suitecrm.feed import Rows
from crm_sync_service.connectors.suitecrm.fields import InstalledFields
from crm_sync_service.connectors.suitecrm.note_times import NoteTimes
from crm_sync_service.connectors.suitecrm.references import References
from crm_sync_service.connectors.suitecrm.settings import SuiteCrmSettings
from tests.crm_sync_service.suitecrm import scenarios
from tests.crm_sync_service.suitecrm.world import World

Patch = tuple[Any, str, Any]
_save, _link = SuiteClient.save, SuiteClient.link


def _same_text(value: str) -> str:
    return value


def _null_for_nothing(self: Any, method: str, module: str, attributes: Any, *, record_id: Any) -> Any:
    values: Any = {name: value or None for name, value in attributes.items()}
    return _save(self, method, module, values, record_id=record_id)


def _id_inside(self: Any, method: str, module: str, attributes: Any, *, record_id: Any) -> Any:
    return _save(self, method, module, {**attributes, "id": record_id}, record_id=None)


def _link_generically(self: Any, path: str, module: str, record_id: str) -> None:
    _link(self, path.rpartition("/")[0], module, record_id)


def _by_offsets(client: Any, module: str, *, fields: str, since: Any, page: Any, size: int, where: Any = None) -> Rows:
    number = int(page or 1)
    params = {
        f"fields[{module}]": fields,
        "sort": "date_modified",
        "page[size]": str(size),
        "page[number]": str(number),
    }
    rows = feed.rows_of(client.get(f"module/{module}", params | (where or {})))
    return Rows(rows, None, str(number + 1) if len(rows) == size else None)


def _end_of_minute(row: Mapping[str, Any]) -> str:
    return records.filter_text(records.when(row["attributes"]["date_modified"]).replace(second=59))


def _by_date(attributes: Any, settings: Any) -> str:
    return str(attributes["date_modified"])


def _with_offset(stamp: Any) -> datetime:
    return datetime.fromisoformat(stamp)


def _all_found(self: Any, address: str) -> Any:
    body = self._client.get("module/Contacts", {"filter[email1][eq]": address})
    return [records.directory_entry("contact", row) for row in feed.rows_of(body)]


def _ignoring_the_version(update: Callable[..., Any]) -> Callable[..., Any]:
    def update_case(self: Any, case_id: str, changes: Any, *, version: Any) -> Any:
        return update(self, case_id, changes, version=None)

    return update_case


def _whole_answer(answer: Any) -> str:
    return str(answer.text)


def _sorted_as_invalid(detail: str) -> Exception:
    return InvalidError(detail)


def _never_matches() -> Any:
    class Never:
        def search(self, _text: str) -> None:
            return None

    return Never()


MISTAKES: Mapping[str, tuple[Callable[[World], None], Sequence[Patch]]] = {
    "brackets are written as they are": (scenarios.text_survives, [(text, "_OPENING", text.re.compile("(?!)"))]),
    "entities are written as they are": (scenarios.text_survives, [(text, "_ENTITY", text.re.compile("(?!)"))]),
    "text is escaped instead of guarded": (scenarios.text_survives, [(text, "encode", html.escape)]),
    "names are unescaped as HTML": (
        scenarios.text_survives,
        [(text, "decode", html.unescape), (records, "decode", html.unescape)],
    ),
    "names are not unescaped": (scenarios.text_survives, [(records, "decode", _same_text)]),
    "descriptions are not unescaped": (scenarios.text_survives, [(records, "decode_rich", _same_text)]),
    "nothing guards a bracket": (scenarios.the_guard_is_written, [(text, "encode", _same_text)]),
    "the editor's HTML is taken for text": (
        scenarios.the_editors_html_reads_as_text,
        [(records, "decode_rich", text.decode)],
    ),
    "a description is written back whole": (
        scenarios.markup_around_a_change_stays,
        [(text, "splice", lambda _, wanted: text.encode(wanted))],
    ),
    "everything is written every time": (
        scenarios.what_is_so_already_is_not_written,
        [(SuiteCrmConnector, "_same", lambda *_: False)],
    ),
    "the status goes without the state": (
        scenarios.the_state_follows_the_status,
        [(SuiteCrmSettings, "state_of", lambda *_: None)],
    ),
    "null is sent for nothing": (scenarios.nothing_clears_a_field, [(SuiteClient, "save", _null_for_nothing)]),
    "the id is an attribute": (scenarios.a_new_case_is_stored, [(SuiteClient, "save", _id_inside)]),
    "contacts are linked without the link's name": (
        scenarios.a_contact_is_in_the_subpanel,
        [(SuiteClient, "link", _link_generically)],
    ),
    "broken JSON is only an error": (
        scenarios.an_unclear_create_is_settled_by_reading,
        [(SuiteCrmConnector, "_existing", lambda *_: None)],
    ),
    "500 is only an error": (
        scenarios.an_answer_of_500_is_settled_by_reading,
        [(SuiteCrmConnector, "_existing", lambda *_: None)],
    ),
    "every 400 is a wrong value": (scenarios.a_second_create_is_told_apart, [(client, "_sorted", _sorted_as_invalid)]),
    "not found is a wrong value": (scenarios.a_deleted_id_is_gone, [(client, "_NO_RECORD", _never_matches())]),
    "pages are turned by number": (scenarios.the_feed_misses_nobody, [(connector, "read_page", _by_offsets)]),
    "stamps are taken for exact": (scenarios.the_feed_starts_within_the_minute, [(feed, "_stamp", _end_of_minute)]),
    "no overlap": (
        scenarios.a_late_commit_is_within_the_overlap,
        [(SuiteCrmConnector, "rewind", lambda _, stamp, __: stamp)],
    ),
    "the cursor follows the last page": (
        scenarios.what_changes_during_a_pass_comes_with_the_next,
        [(feed, "_newest_of_all", lambda *_: "9999")],
    ),
    "a list is asked for once": (scenarios.a_record_deleted_while_listing_costs_nothing, [(feed, "_ATTEMPTS", 1)]),
    "a page that is too large is only an error": (
        scenarios.a_list_that_is_too_long_comes_in_parts,
        [(feed, "TooLargeError", AlreadyExistsError)],
    ),
    "the date is the stamp": (
        scenarios.every_change_has_a_stamp_of_its_own,
        [(connector, "case_stamp", _by_date), (records, "case_stamp", _by_date)],
    ),
    "a later date is a change": (
        scenarios.a_save_without_change_keeps_the_stamp,
        [(connector, "case_stamp", _by_date)],
    ),
    "offsets are believed": (scenarios.offsets_are_not_believed, [(connector, "when", _with_offset)]),
    "the address filter is believed": (
        scenarios.an_address_that_was_removed_finds_nobody,
        [(Contacts, "by_email", _all_found)],
    ),
    "only first addresses are known": (
        scenarios.a_second_address_finds_its_contact,
        [(Contacts, "_has", lambda *_: False)],
    ),
    "any record may be named": (
        scenarios.records_that_are_not_there_are_refused,
        [(References, "problem", lambda *_: None)],
    ),
    "any option may be written": (
        scenarios.unknown_options_are_refused,
        [(SuiteCrmSettings, "options_of", lambda *_: None)],
    ),
    "Notes of one second share it": (
        scenarios.notes_of_one_second_stay_in_order,
        [(NoteTimes, "of", lambda _, new: new.created_at)],
    ),
    "an orphaned Note stays": (
        scenarios.a_note_of_a_deleted_case_is_taken_back,
        [(SuiteCrmConnector, "_check_parent", lambda *_: None)],
    ),
    "tokens are used until they are refused": (
        scenarios.a_token_is_renewed_before_it_ends,
        [(tokens, "_MARGIN_SECONDS", -1000.0)],
    ),
    "a refused token is an error": (
        scenarios.a_revoked_token_is_replaced_once,
        [(tokens.Tokens, "after_refusal", lambda _, token: token)],
    ),
    "nothing is cut": (
        scenarios.long_texts_are_cut_with_a_mark,
        [(text, "fit", lambda value, _: value), (text, "cut", lambda value, *_, **__: value)],
    ),
    "names of people may be long": (
        scenarios.a_long_name_of_a_person_is_cut_with_a_mark,
        [(connector, "_PERSON_NAME", 1000)],
    ),
    "Notes begin where Cases do": (
        scenarios.a_first_look_can_begin_at_the_end,
        [(connector, "newest_stamp", lambda *_: "2020-01-01 00:00:00")],
    ),
    "every field is taken for installed": (
        scenarios.fields_that_are_not_installed_are_left_out,
        [(InstalledFields, "has", lambda _, __, name: bool(name))],
    ),
    "the version is ignored": (
        scenarios.somebodys_change_between_reading_and_writing_is_noticed,
        [(SuiteCrmConnector, "update_case", _ignoring_the_version(SuiteCrmConnector.update_case))],
    ),
    "every database is taken for a wide one": (
        scenarios.emoji_are_named_where_they_would_be_lost,
        [(connector, "has_wide", lambda _: False)],
    ),
    "errors are passed on whole": (scenarios.traces_stay_inside, [(client, "_detail", _whole_answer)]),
}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Inside, the connector makes this mistake."""
    with ExitStack() as stack:
        for target, attribute, value in MISTAKES[name][1]:
            stack.enter_context(patch.object(target, attribute, value))
        yield
