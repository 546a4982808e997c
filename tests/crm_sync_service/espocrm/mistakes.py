"""The handling of each surprise of EspoCRM switched off in the connector, with the scenario that must notice.

A mistake is what to put in the place of what; a scenario that stays content with one of them proves nothing.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from crm_sync_service.connectors.base import AlreadyExistsError, ForbiddenError, InvalidError
from crm_sync_service.connectors.espocrm import connector, contacts, feeds, fields, keys, query, records, text, webhooks
from crm_sync_service.connectors.espocrm.client import EspoClient
from crm_sync_service.connectors.espocrm.connector import EspoCrmConnector
from crm_sync_service.connectors.espocrm.contacts import Contacts
from crm_sync_service.connectors.espocrm.feeds import DirectoryFeed, NoteFeed
from crm_sync_service.connectors.espocrm.fields import Fields
from crm_sync_service.connectors.espocrm.webhooks import Webhooks
from shared.ids import new_id

Patch = tuple[Any, str, Any]


def _create_without_asking(client: EspoClient, entity: str, body: Any, **_: Any) -> Any:
    return client.send("POST", entity, body=body).body


def _any_key(client: EspoClient, entity: str, body: Any, *, key_field: str, **_: Any) -> Any:
    return client.send("POST", entity, body={**body, key_field: str(new_id())}).body


_create_once, _case_of, _send = keys.create_once, records.case_of, EspoClient.send


def _never_found(*args: Any, find: Any, **more: Any) -> Any:
    return _create_once(*args, find=lambda: None, **more)


def _record_of_the_answer(self: EspoCrmConnector, new: Any) -> Any:
    body = {**self._attributes(new.fields), "portalTicketId": new.key}
    return self._case(self._client.send("POST", "Case", body=body).body)


def _write_all(self: EspoCrmConnector, case_id: str, changes: Any, *, version: str | None) -> Any:
    return self._case(self._patch(case_id, self._attributes(changes), None))


def _number_as_version(row: Any, attributes: Any, **more: Any) -> Any:
    return replace(_case_of(row, attributes, **more), version=str(row["versionNumber"]))


def _compare_numbers(self: EspoCrmConnector, case_id: str, changes: Any, *, version: str | None) -> Any:
    row = self._row("Case", case_id)
    return self._case(self._patch(case_id, self._attributes(changes), version and row["versionNumber"]))


def _without_header(self: EspoClient, method: str, path: str, **more: Any) -> Any:
    more["headers"] = {name: value for name, value in (more.get("headers") or {}).items() if name != "X-Version-Number"}
    return _send(self, method, path, **more)


def _stamp_without_values(row: Any, _: Any) -> str:
    return f"{row['modifiedAt']} v{row.get('versionNumber')}"


def _every_403_is_access(self: EspoClient, answer: Any) -> None:
    raise ForbiddenError("no access")


def _any_409_is_a_duplicate(self: EspoClient, answer: Any) -> None:
    raise InvalidError("409")


def _namesake_is_the_same(self: Contacts, body: Any, emails: Any) -> Any:
    try:
        return self._client.send("POST", "Contact", body=body).body
    except keys.DuplicateError as error:
        raise AlreadyExistsError("409", record_id=error.rows[0]["id"]) from error


def _offsets(client: Any, entity: str, since: Any, page: Any, *where: Any, select: Any, by: str = "modifiedAt") -> Any:
    start = [query.since(by, since)] if since else []
    params = {**query.listing(*start, *where, select=select, order=by), "offset": page or "0"}
    rows = feeds.rows_of(client.get(entity, params))
    return rows, str(int(page or "0") + 200) if len(rows) == 200 else None


def _beyond_the_second(stamp: str, record_id: str, *, by: str = "modifiedAt") -> Any:
    return query.compare("greaterThan", by, stamp)


def _strictly_after(attribute: str, stamp: str) -> Any:
    return query.compare("greaterThan", attribute, query.checked(stamp))


def _list_of_notes(self: NoteFeed, since: str | None, page: str | None) -> Any:
    rows = feeds.rows_of(self._client.get("Note", query.listing()))
    return feeds.FeedPage(rows=feeds._posts(rows), newest=max(map(feeds._stamp_of_note, rows), default=None), next=None)


def _first_page_of_stream(self: NoteFeed, since: str | None, page: str | None) -> Any:
    return replace(_stream_page(self, since, page), next=None)


_stream_page = NoteFeed._from_stream


def _primary_address(self: DirectoryFeed, kind: Any, row: Any) -> Any:
    return records.entry_of(kind, row)


def _trusting(client: Any, entity: str, row: Any, key_field: str, key: str) -> Any:
    return row


def _one_look(self: EspoCrmConnector, case_id: str) -> Any:
    rows = feeds.rows_of(self._client.get(f"Case/{case_id}/posts", query.listing()))
    return [records.note_of(row, key_field="portalReplyId", customer_mark="") for row in reversed(rows)]


def _signed_with_query(self: EspoClient, method: str, path: str) -> dict[str, str]:
    return _credentials(self, method, f"{path}?maxSize=200")


_credentials = EspoClient._credentials
_nothing: Any = lambda *_, **__: None  # noqa: E731
_first_argument: Any = lambda value, *_, **__: value  # noqa: E731

MISTAKES: dict[str, tuple[list[Patch], str]] = {
    "create without a key of ours": (
        [(connector, "create_once", _any_key)],
        "two_creates_at_once_make_one",
    ),
    "409 means refused": ([(connector, "create_once", _create_without_asking)], "a_repeated_create_names_the_first"),
    "500 means try later": (
        [(connector, "create_once", _never_found)],
        "a_clash_of_keys_that_looks_like_a_fault_names_the_first",
    ),
    "a lost answer is not looked after": (
        [(connector, "create_once", _never_found)],
        "a_lost_answer_is_settled_by_the_key",
    ),
    "a cut answer is not looked after": (
        [(connector, "create_once", _never_found)],
        "an_answer_cut_off_is_settled_by_the_key",
    ),
    "any duplicate is ours": ([(keys, "same_key", lambda *_: True)], "another_duplicate_check_does_not_stop_a_create"),
    "a filter is always obeyed": (
        [(connector, "same_key", lambda *_: True)],
        "a_filter_that_is_ignored_finds_nobody",
    ),
    "addresses found are right": ([(contacts, "_has", lambda *_: True)], "a_filter_that_is_ignored_finds_nobody"),
    "the first of two will do": (
        [(connector, "only", lambda found, _: found[0] if found else None)],
        "a_key_held_by_two_is_a_question",
    ),
    "a 500 passes some day": (
        [(keys, "lasting", lambda _, error: error)],
        "a_record_that_always_fails_concerns_only_its_ticket",
    ),
    "the same for a change": (
        [(connector, "lasting", lambda _, error: error)],
        "a_change_that_always_fails_concerns_only_its_ticket",
    ),
    "what is sent is kept": ([(keys, "_kept", _trusting)], "a_key_that_is_dropped_in_silence_leaves_no_case"),
    "the field will be there": (
        [(Fields, "ticket_id", lambda _: "portalTicketId"), (keys, "_kept", _trusting)],
        "without_the_key_fields_the_texts_hold_the_keys",
    ),
    "marks are words": (
        [(connector, "unmarked", lambda stored: (stored, None))],
        "without_the_key_fields_the_texts_hold_the_keys",
    ),
    "a key in a text need not be looked for": (
        [(keys, "_refuse_known", _nothing)],
        "without_the_key_fields_the_texts_hold_the_keys",
    ),
    "a named field may be missing": (
        [(Fields, "ticket_id", lambda _: None)],
        "a_key_field_that_is_named_must_be_there",
    ),
    "there is one way to say unique": (
        [(fields, "_keeps_unique", lambda index: index.get("type") == "unique")],
        "both_ways_of_saying_unique_count",
    ),
    "names have no prefix": (
        [(Fields, "ticket_id", lambda _: "portalTicketId")],
        "a_field_made_in_the_pages_is_found",
    ),
    "the answer to a create is the record": (
        [(EspoCrmConnector, "create_case", _record_of_the_answer)],
        "a_create_tells_the_number",
    ),
    "names take anything": ([(text, "case_name", text.one_line)], "a_name_with_angles_is_stored_readably"),
    "long names are cut by the server": ([(text, "NAME_LENGTH", 9999)], "a_long_name_is_cut_as_announced"),
    "descriptions are tidied": (
        [(EspoCrmConnector, "normalise", lambda _, __, value: text.one_line(value or "") or None)],
        "a_description_is_not_altered",
    ),
    "a PATCH without change is free": (
        [(EspoCrmConnector, "update_case", _write_all)],
        "equal_values_are_not_written",
    ),
    "all fields each time": ([(EspoCrmConnector, "update_case", _write_all)], "only_what_differs_is_written"),
    "no version is sent": ([(EspoClient, "send", _without_header)], "a_change_between_look_and_write_is_stale"),
    "a 409 is a duplicate": (
        [(EspoClient, "_refuse_409", _any_409_is_a_duplicate)],
        "a_change_between_look_and_write_is_stale",
    ),
    "version numbers tell changes apart": (
        [(EspoCrmConnector, "update_case", _compare_numbers)],
        "two_changes_in_one_version_are_told_apart",
    ),
    "time and version are stamp enough": (
        [(feeds, "stamp_of", _stamp_without_values), (records, "stamp_of", _stamp_without_values)],
        "a_write_lost_to_another_shows_in_the_feed",
    ),
    "merges move the time": (
        [(feeds, "stamp_of", _stamp_without_values), (records, "stamp_of", _stamp_without_values)],
        "a_merge_of_accounts_shows_in_a_full_listing",
    ),
    "a 403 is about access": ([(EspoClient, "_refuse_403", _every_403_is_access)], "records_that_are_gone_are_named"),
    "refusals use our names": (
        [(EspoCrmConnector, "_naming_fields", lambda _: ExitStack())],
        "records_that_are_gone_are_named",
    ),
    "every field must be taken": (
        [(connector, "_DECORATION", frozenset())],
        "a_number_that_is_refused_does_not_cost_the_case",
    ),
    "the primary contact is linked": (
        [(records, "primary_contact", lambda row, attribute: row[attribute])],
        "an_unlinked_contact_reads_as_none_and_comes_back",
    ),
    "setting the primary links it": (
        [(EspoCrmConnector, "_with_contact", lambda _, row, __: row)],
        "an_unlinked_contact_reads_as_none_and_comes_back",
    ),
    "an answer shows what was written": (
        [(EspoCrmConnector, "_with_contact", lambda _, row, __: row)],
        "a_contact_that_was_set_is_shown_though_the_answer_lags",
    ),
    "a deleted contact can be linked": (
        [(EspoCrmConnector, "_with_contact", lambda _, row, __: row)],
        "a_deleted_contact_cannot_come_back",
    ),
    "after is enough": ([(query, "since", _strictly_after)], "the_feed_shows_what_changed_in_the_same_second"),
    "pages by time alone": ([(query, "beyond", _beyond_the_second)], "a_crowded_second_is_read_in_pages"),
    "pages by offset": ([(feeds, "_page", _offsets)], "nothing_is_lost_when_rows_move_between_pages"),
    "a bad filter is refused": (
        [(query, "checked", _first_argument)],
        "a_stamp_that_is_none_is_never_asked_for",
    ),
    "lists come whole": (
        [
            (query, "PAGE", 1000),
            (query.listing, "__kwdefaults__", {"select": (), "order": None, "newest_first": False, "size": 1000}),
        ],
        "every_list_has_a_size",
    ),
    "a note has no key": ([(connector, "create_once", _any_key)], "a_repeated_note_names_the_first"),
    "a lost note is not looked after": (
        [(connector, "create_once", _never_found)],
        "a_lost_answer_to_a_note_is_settled_by_the_key",
    ),
    "all notes are ours to list": (
        [(EspoCrmConnector, "notes_of", lambda *_: [])],
        "a_note_by_an_earlier_api_user_is_found",
    ),
    "a 403 on a note is about access": (
        [(EspoCrmConnector, "_raise_if_gone", _nothing)],
        "a_note_on_a_deleted_case_tells_that_it_is_gone",
    ),
    "one page of notes": ([(EspoCrmConnector, "notes_of", _one_look)], "many_notes_of_one_case_are_all_read"),
    "any answer can be read": (
        [(feeds, "TooLargeError", KeyError)],
        "long_posts_are_read_in_smaller_pages",
    ),
    "titles are kept somewhere": (
        [(connector, "post_of", lambda new: new.body)],
        "a_note_without_a_place_for_a_title_keeps_what_only_the_title_says",
    ),
    "a mark anywhere counts": (
        [(records, "_starts_with", lambda body, mark: mark in body)],
        "only_a_marked_post_goes_to_the_customer",
    ),
    "the list of notes has all": ([(NoteFeed, "page", _list_of_notes)], "replies_of_people_show_in_the_feed"),
    "one page of the stream": (
        [(NoteFeed, "_from_stream", _first_page_of_stream)],
        "a_long_stream_is_read_down_to_where_we_were",
    ),
    "everybody may see the stream": (
        [(NoteFeed, "page", NoteFeed._from_stream)],
        "without_the_global_stream_each_case_is_asked",
    ),
    "a stream's filter includes its moment": (
        [(feeds, "_after", lambda moment: {"after": moment} if moment else {})],
        "without_the_global_stream_each_case_is_asked",
    ),
    "a refused key may be tried on": (
        [(EspoClient, "_keep_quiet", _nothing)],
        "a_refused_key_is_not_tried_again_at_once",
    ),
    "a lock-out is about access": (
        [(EspoClient, "_refuse_foreign_403", _every_403_is_access)],
        "a_lock_out_of_our_address_is_sat_out",
    ),
    "a lock-out may be knocked at": ([(EspoClient, "_be_quiet", _nothing)], "a_lock_out_of_our_address_is_sat_out"),
    "the query is signed": ([(EspoClient, "_credentials", _signed_with_query)], "signed_requests_are_understood"),
    "a firewall speaks for the CRM": (
        [(EspoClient, "_refuse_foreign_403", _every_403_is_access)],
        "a_refusal_by_a_firewall_concerns_only_this_request",
    ),
    "webhooks are registered each time": (
        [
            (
                Webhooks,
                "_ensure",
                lambda self, event, url, _: self._client.send(
                    "POST", "Webhook", body={"event": event, "url": url, "skipOwn": True}
                ),
            )
        ],
        "webhooks_are_registered_once_with_an_address_each",
    ),
    "one signature is as good as the other": (
        [(webhooks, "hmac", type("Trusting", (), {"new": webhooks.hmac.new, "compare_digest": lambda *_: True}))],
        "a_hint_that_is_not_genuine_is_refused",
    ),
    "secrets are looked up each time": ([(webhooks, "_REFRESH_SECONDS", 0.0)], "nonsense_from_outside_costs_no_calls"),
    "a namesake is the same person": ([(Contacts, "_made", _namesake_is_the_same)], "a_namesake_is_somebody_else"),
    "a lost contact is not looked after": (
        [(Contacts, "_refuse_known", _nothing)],
        "a_lost_answer_about_a_contact_is_settled_by_the_address",
    ),
    "the duplicate check is enough": (
        [(Contacts, "_first_of_race", lambda _, row, __: row)],
        "contacts_made_at_once_become_one",
    ),
    "a list has all addresses": (
        [(DirectoryFeed, "_entry", _primary_address)],
        "the_directory_has_every_address_of_a_contact",
    ),
    "products are somewhere else": (
        [(DirectoryFeed, "_product_page", lambda *_: feeds.FeedPage(rows=[], newest=None, next=None))],
        "products_are_what_cases_name",
    ),
    "there is always a product": (
        [(connector, "_OPTIONAL", ())],
        "without_a_field_for_it_no_product_is_written_or_missed",
    ),
    "users are active": (
        [(feeds, "entry_of", lambda kind, row, **more: replace(records.entry_of(kind, row, **more), active=True))],
        "a_user_who_was_deactivated_is_inactive",
    ),
    "the duplicate check makes keys unique": (
        [(Fields, "is_unique", lambda *_: True)],
        "a_key_field_that_is_not_unique_is_looked_at_first",
    ),
    "every database keeps every character": (
        [(connector, "has_wide", lambda _: False)],
        "characters_that_the_database_refuses_are_named",
    ),
    "what is taken is kept": (
        [(connector, "has_wide", lambda _: False)],
        "characters_that_the_database_loses_are_named",
    ),
    "the end of a stream is its first page": (
        [(NoteFeed, "newest", lambda _: "2026-11-22 12:00:00 000000000001")],
        "a_first_look_can_begin_at_the_end",
    ),
    "metadata never changes": ([(Fields, "forget", _nothing)], "a_field_that_was_added_meanwhile_is_seen"),
}


@contextmanager
def made(name: str) -> Iterator[str]:
    """Inside, the connector makes this mistake; gives the scenario that must notice."""
    patches, scenario = MISTAKES[name]
    with ExitStack() as stack:
        for target, attribute, value in patches:
            stack.enter_context(patch.object(target, attribute, value))
        yield scenario
