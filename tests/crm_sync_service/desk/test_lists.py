"""Lists: search, filters, sorting and pages."""

import re

import pytest

from crm_sync_service.desk.queries import PAGE_SIZE
from tests.crm_sync_service.desk.client import demo, words_of


@pytest.fixture
def database_url(url_of_backend):
    return url_of_backend


@pytest.fixture
def cases(api):
    """Four Cases, by a word of their subject."""
    rows = [
        {"name": "Printer 100% broken", "status": "new", "priority": "low", "account_id": demo("account", "acme")},
        {"name": "Gateway_offline", "status": "closed", "priority": "critical", "contact_id": demo("contact", "li")},
        {
            "name": "ÜBERSICHT fehlt",
            "status": "resolved",
            "priority": "high",
            "assigned_user_id": demo("user", "nora"),
            "description": "Der Bericht ist leer",
        },
        {"name": "apple", "status": "assigned", "ticket_number": "4711", "product_id": demo("product", "sync")},
    ]
    return [api.case(**row) for row in rows]


def names(answer):
    assert answer.status_code == 200
    return re.findall(r'class="subject"[^>]*>([^<]*)<', answer.text)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("printer", ["Printer 100% broken"]),
        ("100%", ["Printer 100% broken"]),
        ("%", ["Printer 100% broken"]),
        ("_", ["Gateway_offline"]),
        ("übersicht", ["ÜBERSICHT fehlt"]),
        ("BERICHT fehlt", ["ÜBERSICHT fehlt"]),
        ("C-00004", ["apple"]),
        ("4711", ["apple"]),
        ("acme", ["Printer 100% broken"]),
        ("李伟", ["Gateway_offline"]),
        ("li@globex.example", ["Gateway_offline"]),
        ("printer gateway", []),
        ("'; drop table cases; --", []),
    ],
)
def test_a_search_finds_by_number_words_account_and_contact(anna, cases, words, found):
    assert names(anna.get("/cases", q=words)) == found


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"status": "open"}, {"Printer 100% broken", "apple"}),
        ({"status": "closed"}, {"Gateway_offline"}),
        ({"priority": "high"}, {"ÜBERSICHT fehlt"}),
        ({"assigned_user_id": demo("user", "nora")}, {"ÜBERSICHT fehlt"}),
        ({"assigned_user_id": "none", "status": "new"}, {"Printer 100% broken"}),
        ({"account_id": demo("account", "acme")}, {"Printer 100% broken"}),
        ({"product_id": demo("product", "sync")}, {"apple"}),
        ({"status": "unheard-of"}, set()),
        ({"status": "closed", "q": "apple"}, set()),
    ],
)
def test_filters_narrow_the_list(anna, cases, filters, found):
    assert set(names(anna.get("/cases", **filters))) == found


@pytest.mark.parametrize(
    ("sort", "order", "first", "last"),
    [
        ("name", "ascending", "apple", "ÜBERSICHT fehlt"),
        ("name", "descending", "ÜBERSICHT fehlt", "apple"),
        ("number", "ascending", "Printer 100% broken", "apple"),
        ("priority", "descending", "Gateway_offline", "Printer 100% broken"),
        ("status", "ascending", "Printer 100% broken", "Gateway_offline"),
        ("modified", "descending", "apple", "Printer 100% broken"),
    ],
)
def test_every_heading_sorts_both_ways_and_by_meaning(anna, cases, sort, order, first, last):
    found = names(anna.get("/cases", sort=sort, order=order))
    assert (found[0], found[-1]) == (first, last)
    assert len(found) == 4


def test_a_heading_turns_the_order_and_keeps_the_search(anna, cases):
    page = anna.get("/cases", sort="name", order="ascending", status="open", q="a").text
    link = re.search(r'<th scope="col" aria-sort="ascending"><a href="([^"]*)"', page)[1].replace("&amp;", "&")
    assert names(anna.get(link)) == ["Printer 100% broken", "apple"]
    assert "order=descending" in link
    assert "status=open" in link


@pytest.mark.parametrize(
    "query",
    [
        {"sort": "password_hash"},
        {"sort": "name; drop table cases"},
        {"page": "-1"},
        {"page": "99999999999999999999"},
        {"page": "²"},
        {"order": "sideways", "sort": "name"},
        {"assigned_user_id": "x"},
        {"q": "a\0b"},
        {"q": "x" * 5000},
    ],
)
def test_nonsense_in_the_address_is_harmless(anna, cases, query):
    assert anna.get("/cases", **query).status_code == 200


def test_long_lists_come_in_pages_that_hold_every_case_once(anna, api):
    made = {api.case(name=f"Case {number}")["name"] for number in range(PAGE_SIZE + 3)}
    first, second = (anna.get("/cases", sort="name", page=page) for page in (1, 2))
    assert (len(names(first)), len(names(second))) == (PAGE_SIZE, 3)
    assert {*names(first), *names(second)} == made
    assert f"1–{PAGE_SIZE} of {PAGE_SIZE + 3}" in words_of(first)
    assert 'rel="next"' in first.text
    assert 'rel="next"' not in second.text
    assert names(anna.get("/cases", sort="name", page=77)) == names(second)


def test_a_contact_or_account_with_many_cases_shows_the_newest_and_leads_to_all(anna, api):
    ids = {"account_id": demo("account", "acme"), "contact_id": demo("contact", "carol")}
    made = {api.case(name=f"Case {number}", **ids)["name"] for number in range(PAGE_SIZE + 2)}
    api.case(name="Not theirs")
    beside = api.case(name="Beside", contact_ids=[demo("contact", "carol")])["name"]
    for path, total, expected in [
        (f"/accounts/{ids['account_id']}", PAGE_SIZE + 2, made),
        (f"/contacts/{ids['contact_id']}", PAGE_SIZE + 3, made | {beside}),
    ]:
        page = anna.get(path)
        assert len(names(page)) == PAGE_SIZE
        link = re.search(rf'<a href="([^"]*)">All {total} Cases</a>', page.text)[1].replace("&amp;", "&")
        assert {*names(anna.get(link)), *names(anna.get(f"{link}&page=2"))} == expected


@pytest.mark.parametrize(
    ("path", "found", "missing"),
    [
        ("/accounts", "Globex GmbH & Söhne", "Acme"),
        ("/contacts", "Dave Müller", "Carol"),
        ("/users", "Tariq Aziz", "Nora"),
        ("/products", "Sensor Gateway", "Mobile"),
    ],
)
def test_the_other_lists_are_searched_too(anna, path, found, missing):
    words = words_of(anna.get(path, q=found.upper().split()[0]))
    assert found in words
    assert missing not in words


def test_a_contact_is_found_by_address_and_by_account(anna):
    assert "Sofía García" in words_of(anna.get("/contacts", q="sofia@initech"))
    assert "Li Wei" in words_of(anna.get("/contacts", q="globex"))


def test_an_empty_list_says_so(anna):
    assert "No cases yet" in words_of(anna.get("/cases"))
    assert "Nothing matches" in words_of(anna.get("/cases", q="zebra"))


@pytest.mark.parametrize(("path", "query"), [("products", "product_id"), ("users", "assigned_user_id")])
def test_the_address_of_a_product_or_user_leads_to_its_cases(anna, path, query):
    kind, key = {"products": ("product", "sync"), "users": ("user", "nora")}[path]
    assert anna.get(f"/{path}/{demo(kind, key)}").location == f"/cases?{query}={demo(kind, key)}"
