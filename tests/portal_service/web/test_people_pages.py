"""Log-in, log-out, settings, languages."""

import re
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import portal_service
from portal_service.demo import PASSWORD
from portal_service.web.formats import article_html
from portal_service.web.visits import SESSION_COOKIE
from tests.portal_service.web.browsing import Visitor, Visitors, text_of

FOLDER = Path(portal_service.__file__).parent


def test_a_good_log_in_lands_at_home(nobody: Visitor) -> None:
    response = nobody.post("/login", username=" CAROL ", password=PASSWORD)
    assert (response.status_code, response.location) == (303, "/")
    cookie = nobody.client.get_cookie(SESSION_COOKIE)
    assert cookie
    assert cookie.http_only
    assert cookie.same_site == "Lax"
    assert "Hello Carol Jansen" in nobody.get("/").text


def test_a_bad_log_in_says_nothing_about_who_exists(nobody: Visitor) -> None:
    wrong = text_of(nobody.post("/login", username="carol", password="wrong"))
    unknown = text_of(nobody.post("/login", username="nobody-at-all", password="wrong"))
    assert "The user name or the password is wrong." in wrong
    assert wrong == unknown
    assert 'value="carol"' in nobody.post("/login", username="carol", password="wrong").text
    assert "wrong-secret" not in nobody.post("/login", username="carol", password="wrong-secret").text


def test_guessing_is_throttled_even_for_the_right_password(nobody: Visitor) -> None:
    for _ in range(10):
        nobody.post("/login", username="carol", password="wrong")
    assert "Too many attempts" in text_of(nobody.post("/login", username="carol", password=PASSWORD))


@pytest.mark.parametrize(
    ("wanted", "got"),
    [("/cases?status=all", "/cases?status=all"), ("//evil.example", "/"), ("https://evil.example", "/"), ("", "/")],
)
def test_after_the_log_in_one_is_where_one_wanted_to_be(nobody: Visitor, wanted: str, got: str) -> None:
    token = re.findall(r'name="csrf_token" value="([^"]+)"', nobody.get("/login").text)[0]
    response = nobody.client.post(
        "/login",
        query_string={"next": wanted},
        data={"username": "carol", "password": PASSWORD, "csrf_token": token},
    )
    assert response.location == got


def test_staff_land_in_their_queue(nobody: Visitor) -> None:
    response = nobody.post("/login", username="sam", password=PASSWORD, follow=True)
    assert response.request.path == "/staff/tickets"


def test_log_out_ends_the_session_itself(carol: Visitor, visitors: Visitors) -> None:
    cookie = carol.client.get_cookie(SESSION_COOKIE)
    assert cookie
    assert carol.post("/logout").location == "/login"
    thief = visitors.anonymous()
    thief.client.set_cookie(SESSION_COOKIE, cookie.value)
    assert thief.get("/cases").status_code == 303


def test_settings_change_language_and_zone(carol: Visitor) -> None:
    number = carol.file_request()
    assert "CET" in carol.get(f"/cases/{number}").text or "CEST" in carol.get(f"/cases/{number}").text
    page = carol.post("/settings", language="nl", timezone="America/New_York", follow=True)
    assert "Uw instellingen zijn opgeslagen." in page.text
    assert '<html lang="nl">' in page.text
    shown = carol.get(f"/cases/{number}").text
    assert "Gegevens" in shown
    assert re.search(r"E[SD]T", shown)
    assert carol.post("/settings", language="nl", timezone="Mars/Olympus").status_code == 422


def test_a_visitor_reads_the_language_of_the_browser_or_the_one_chosen(nobody: Visitor) -> None:
    assert "Inloggen" in nobody.get("/login", headers={"Accept-Language": "nl-BE,nl;q=0.9"}).text
    assert "Log in" in nobody.get("/login", headers={"Accept-Language": "zh"}).text
    nobody.post("/language", language="nl", next="/login")
    assert "Inloggen" in nobody.get("/login").text


def test_an_error_page_speaks_the_language_of_its_reader(nobody: Visitor) -> None:
    nobody.post("/login", username="sofia", password=PASSWORD)
    nobody.post("/language", language="nl", next="/")
    for path in ("/cases/999999", "/no/such/page", "/staff/tickets"):
        response = nobody.get(path)
        assert response.status_code == 404
        assert '<html lang="nl"' in response.text


def test_knowledge_follows_the_language_and_what_one_may_read(nobody: Visitor, carol: Visitor) -> None:
    assert "Tips for a request" in nobody.get("/knowledge").text
    assert nobody.get("/knowledge/no-such-article").status_code == 404
    assert "Nothing found" in text_of(nobody.get("/knowledge?q=zzzzzz"))
    carol.post("/language", language="nl", next="/")
    page = carol.get("/knowledge/tips-for-a-good-ticket").text
    assert '<article class="card" lang="nl">' in page


def test_an_article_brings_no_html_of_its_own() -> None:
    html = article_html("# A\n\n<script>alert(1)</script>\n\n[x](javascript:alert(1)) ![i](http://a/b.png) **b**")
    assert "<h2>A</h2>" in html
    assert "<script" not in html
    assert "javascript:" not in re.sub(r">[^<]*<", "><", html)
    assert "<img" not in html
    assert "<strong>b</strong>" in html


def test_every_text_has_its_dutch_words() -> None:
    with (FOLDER / "translations/nl/LC_MESSAGES/messages.po").open("rb") as source:
        catalogue = read_po(source, locale="nl", abort_invalid=True)
    methods = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
    keywords = {"_": None, "gettext": None, "ngettext": (1, 2), "message": None, "_l": None}
    used = {
        message for _file, _line, message, _comments, _context in extract_from_dir(FOLDER, methods, keywords=keywords)
    }
    assert len(used) > 250
    untranslated = [text for text in used if not _is_translated(catalogue, text)]
    assert not untranslated
    stale = [entry.id for entry in catalogue if entry.id and entry.id not in used]
    assert not stale
    wrong = [entry.id for entry in catalogue if entry.id and list(entry.check(catalogue))]
    assert not wrong


def _is_translated(catalogue: object, text: str | tuple[str, ...]) -> bool:
    entry = catalogue.get(text if isinstance(text, str) else text[0])  # type: ignore[attr-defined]
    return entry is not None and bool(entry.string) and not entry.fuzzy
