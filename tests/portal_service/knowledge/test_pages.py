"""The knowledge base as people browse it."""

import hashlib
import re
import uuid
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from portal_service.knowledge import demo, suggest_web
from portal_service.knowledge.models import Article, ArticleVote, Deflection
from portal_service.knowledge.pace import CallCount
from portal_service.knowledge.trouble_models import TroubleQuestion
from portal_service.people.models import User
from portal_service.tickets.drafts import Draft, Place, Typed, save
from shared.clock import utc_now
from tests.portal_service.web.browsing import Visitor, Visitors, text_of

TIPS = "/knowledge/tips-for-a-good-ticket"


@pytest.fixture
def nora(visitors: Visitors) -> Visitor:
    """An agent who may write but not publish."""
    return visitors.log_in("nora")


@pytest.fixture
def alex(visitors: Visitors) -> Visitor:
    """An admin."""
    return visitors.log_in("alex")


def write(visitor: Visitor, title: str, body: str = "Some **text**.", **more: str) -> str:
    """Save an article as a draft; returns the address of its editor."""
    fields = {"language": "en", "kind": "documentation", "visibility": "public", "do": "save", **more}
    response = visitor.post("/staff/articles/new", title=title, body=body, **fields)
    assert response.status_code == 303, text_of(response)
    return str(response.location)


def suggested(visitor: Visitor, about: str, words: str) -> list[str]:
    response = visitor.post("/suggestions", about=about, **{about: words})
    return re.findall(r'href="/suggestions/([\w-]+)', response.text)


def test_search_shows_where_the_words_are(nobody: Visitor) -> None:
    page = nobody.get("/knowledge?q=forgoten+pasword").text
    assert "<mark>" in page
    assert page.index("reset-your-password") < page.index("</ol>")


def test_suggestions_come_as_a_list_and_as_a_page(carol: Visitor, nobody: Visitor) -> None:
    for visitor in (carol, nobody):
        assert suggested(visitor, "description", "I forgot my password and cannot log in")[0] == "reset-your-password"
        page = visitor.post("/suggestions", subject="Password", description="I forgot it").text
        assert "Answers to your request" in page
        assert "reset-your-password" in page
    assert carol.post("/suggestions", about="subject", subject="qwertyuiop").status_code == 204
    assert "We know no article" in carol.post("/suggestions", subject="qwertyuiop").text


def test_suggestions_are_not_given_without_end(nobody: Visitor, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    minute = utc_now().replace(second=0, microsecond=0)
    monkeypatch.setattr(suggest_web, "utc_now", lambda: minute)
    for _ in range(2):
        assert nobody.post("/suggestions", about="subject", subject="password").status_code == 200
    with nobody.database.write() as session:
        mine = CallCount.key.startswith("suggest:")
        assert session.scalars(select(CallCount.calls).where(mine)).all() == [2]
        # As if another process had answered the others.
        session.execute(update(CallCount).where(mine).values(calls=90))
    assert nobody.post("/suggestions", about="subject", subject="password").status_code == 429
    monkeypatch.setattr(suggest_web, "utc_now", lambda: minute + timedelta(minutes=1))
    assert nobody.post("/suggestions", about="subject", subject="password").status_code == 200
    with nobody.database.write() as session:
        session.execute(update(CallCount).where(CallCount.key.startswith("suggest@")).values(calls=600))
    assert nobody.post("/suggestions", about="subject", subject="password").status_code == 429


def test_solved_drops_the_draft_and_counts_once(carol: Visitor, sam: Visitor) -> None:
    with carol.database.write() as session:
        user = session.scalars(select(User.id).where(User.username_key == "carol")).one()
        save(session, Place(user_id=user, type_key="level-1"), Typed(values={"subject": "x"}), revision=None,
             owner=str(user), now=utc_now())  # fmt: skip
    draft = str(uuid.uuid4())
    for _ in range(2):
        response = carol.post("/suggestions/reset-your-password/solved", draft=draft, type="level-1", follow=True)
        assert "Nothing was sent" in text_of(response)
    with carol.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Deflection)) == 1
        assert session.scalar(select(func.count()).select_from(Draft)) == 0
    assert "1 request was not needed this month" in text_of(sam.get("/staff/articles"))


def test_comments_ask_for_a_log_in_and_are_counted(nobody: Visitor, carol: Visitor, sam: Visitor) -> None:
    assert nobody.post(f"{TIPS}/comments", body="Hi").location == "/login"
    assert carol.post(f"{TIPS}/comments", body="<b>Good</b> tips").status_code == 303
    page = nobody.get(TIPS)
    assert "Comments 1 " in text_of(page)
    assert "Carol J." in page.text
    assert "&lt;b&gt;Good" in page.text
    removal = re.search(r'action="(/staff/articles/[^"]+/comments/[^"]+/remove)"', sam.get(TIPS).text)
    assert removal
    assert carol.post(removal[1]).status_code == 404
    assert sam.post(removal[1]).status_code == 303
    assert "Comments 0 " in text_of(nobody.get(TIPS))


def test_one_vote_a_person_and_a_browser(nobody: Visitor, visitors: Visitors, carol: Visitor, sam: Visitor) -> None:
    for visitor in (nobody, nobody, carol, carol, visitors.anonymous()):
        visitor.post(f"{TIPS}/helpful", helpful="yes")
    carol.post(f"{TIPS}/helpful", helpful="no")
    with carol.database.read() as session:
        votes = sorted(session.scalars(select(ArticleVote.helpful)))
    assert votes == [False, True, True]
    assert "Yes 2 No 1" in text_of(sam.get(TIPS))
    assert "Yes 2" not in text_of(carol.get(TIPS))
    assert carol.post(f"{TIPS}/helpful", helpful="maybe").status_code == 400


def test_an_article_from_draft_to_readers_and_back(nora: Visitor, sam: Visitor, nobody: Visitor) -> None:
    editor = write(nora, "Clean the drum", visibility="public")
    assert nobody.get("/knowledge/clean-the-drum").status_code == 404
    nora.post(f"{editor}/publish")
    assert "not allowed" in text_of(nora.get(editor))
    assert nobody.get("/knowledge/clean-the-drum").status_code == 404
    sam.post(f"{editor}/publish")
    assert "<strong>text</strong>" in nobody.get("/knowledge/clean-the-drum").text
    assert "clean-the-drum" in nobody.get("/knowledge?q=drums").text
    fields = {"kind": "documentation", "visibility": "public", "do": "save", "summary": ""}
    nora.post(editor, title="Clean the drum", body="Better words", seen="1", **fields)
    assert "<strong>text</strong>" in nobody.get("/knowledge/clean-the-drum").text
    assert "From version 1 to version 2" in text_of(sam.get(f"{editor}/versions"))
    assert (
        "somebody else has changed"
        in text_of(sam.post(editor, title="Clean the drum", body="Other words", seen="1", **fields)).lower()
    )
    sam.post(f"{editor}/publish")
    assert "Better words" in nobody.get("/knowledge/clean-the-drum").text
    sam.post(f"{editor}/versions/1/restore")
    assert "Some **text**." in sam.get(editor).text
    sam.post(f"{editor}/withdraw")
    assert nobody.get("/knowledge/clean-the-drum").status_code == 404


def test_a_preview_saves_nothing(sam: Visitor) -> None:
    response = sam.post("/staff/articles/new", title="T", body="**b**<script>", language="en", do="preview")
    assert "<strong>b</strong>" in response.text
    assert "&lt;script&gt;" in response.text
    with sam.database.read() as session:
        assert session.scalar(select(Article.id).where(Article.title == "T")) is None


def test_a_scheduled_article_is_not_there_yet(sam: Visitor, nobody: Visitor) -> None:
    editor = write(sam, "From next year on")
    sam.post(f"{editor}/publish", at="2099-01-01T10:00")
    assert "Scheduled" in text_of(sam.get(editor))
    assert nobody.get("/knowledge/from-next-year-on").status_code == 404
    sam.post(f"{editor}/publish")
    assert nobody.get("/knowledge/from-next-year-on").status_code == 200


def test_a_translation_shares_the_address(sam: Visitor, nobody: Visitor) -> None:
    editor = write(sam, "Two tongues")
    of = editor.rpartition("/")[2]
    dutch = write(sam, "Twee talen", language="nl", of=of)
    for one in (editor, dutch):
        sam.post(f"{one}/publish")
    assert "Two tongues" in nobody.get("/knowledge/two-tongues").text
    assert "Twee talen" in nobody.get("/knowledge/two-tongues?in=nl").text


def test_files_of_an_article_go_to_its_readers_only(sam: Visitor, carol: Visitor, nobody: Visitor, png: bytes) -> None:
    response = sam.post(
        "/staff/articles/new", title="With a plan", body="x", language="en", kind="documentation", visibility="users",
        do="save", files=[("plan.png", png)],
    )  # fmt: skip
    sam.post(f"{response.location}/publish")
    found = re.search(r'href="(/knowledge/with-a-plan/files/[^"]+)"', carol.get("/knowledge/with-a-plan").text)
    assert found
    assert carol.get(found[1]).data == png
    assert nobody.get(found[1]).status_code == 404
    assert carol.get(found[1].replace("with-a-plan", "tips-for-a-good-ticket")).status_code == 404


def test_only_admins_name_publishers(alex: Visitor, sam: Visitor, nora: Visitor) -> None:
    assert sam.get("/staff/articles/publishers").status_code == 404
    assert sam.post("/staff/articles/publishers").status_code == 404
    page = alex.get("/staff/articles/publishers").text
    (chosen,) = re.findall(r'value="([^"]+)"[^>]*> <span>Nora Bakker', page)
    alex.post("/staff/articles/publishers", staff_id=chosen)
    assert "Publish" in text_of(nora.get(write(nora, "Mine")))
    nora.post(f"{write(nora, 'Mine too')}/publish")
    assert nora.get("/knowledge/mine-too").status_code == 200


def test_a_solved_ticket_becomes_an_article_by_a_review(carol: Visitor, sam: Visitor, nobody: Visitor) -> None:
    number = carol.file_request(subject="Carol Jansen cannot print", description="Mail carol@acme.example. Tray empty.")
    review = f"/staff/articles/from-ticket/{number}"
    assert sam.get(review).status_code == 404
    sam.post(f"/staff/tickets/{number}/reply", body="Dear Carol, fill the tray.")
    sam.post(f"/staff/tickets/{number}/note", body="Internal unicorn")
    sam.post(f"/staff/tickets/{number}/close")
    assert review in sam.get(f"/staff/tickets/{number}").text
    page = sam.get(review).text
    assert "unicorn" not in page
    keys = re.findall(r'name="confirm" value="([^"]+)"', page)
    body = re.search(r'<textarea id="body"[^>]*>\n(.*?)</textarea>', page, re.DOTALL)
    assert body
    assert "Carol" not in body[1]
    fields = {
        "title": "Cannot print",
        "body": body[1],
        "language": "en",
        "kind": "documentation",
        "visibility": "users",
    }
    assert sam.post(review, read="yes", **fields).status_code == 422
    again = sam.post(review, read="yes", confirm=keys, **{**fields, "body": "Carol says so"})
    assert again.status_code == 422
    assert "Carol says so" not in again.text
    done = sam.post(review, read="yes", confirm=keys, **fields)
    assert done.status_code == 303
    sam.post(f"{done.location}/publish")
    assert "fill the tray" in carol.get("/knowledge/cannot-print").text
    assert nobody.get("/knowledge/cannot-print").status_code == 404


def test_the_troubleshooter_ends_in_an_answer_or_a_filled_in_request(carol: Visitor, nobody: Visitor) -> None:
    start = nobody.get("/troubleshooter")
    question = _link(start.text, "Sync Engine does not work")
    log = nobody.get(_link(nobody.get(question).text, "It does not start"), follow_redirects=True)
    end = nobody.get(_link(log.text, "Yes"))
    assert "Three causes" in text_of(end) or "Look at the last lines" in text_of(end)
    assert "It does not start" in text_of(end)
    asked = carol.get(_link(log.text, "No, or there is no log")).text
    form = carol.get(re.findall(r'href="(/requests/new/level-2\?[^"]+)"', asked)[0].replace("&amp;", "&")).text
    assert 'value="Sync Engine does not start and writes no log"' in form
    assert "Sync Engine does not work – It does not start" in form


def _link(page: str, words: str) -> str:
    (found,) = re.findall(rf'href="([^"]+)"[^>]*><strong>{re.escape(words)}</strong>', page)
    return str(found).replace("&amp;", "&")


def test_staff_edit_the_troubleshooter(sam: Visitor, nobody: Visitor) -> None:
    fields = {"text_en": "Is it on?", "text_nl": "Staat het aan?", "begins": "yes", "text_en_0": "Yes",
              "article_slug_0": "reset-your-password", "text_en_1": "No", "type_key_1": "level-1",
              "subject_en_1": "It is off"}  # fmt: skip
    assert sam.post("/staff/troubleshooter/new", **fields).status_code == 303
    assert "Is it on?" in nobody.get("/troubleshooter").text
    with sam.database.read() as session:
        mine = session.scalars(select(TroubleQuestion.id).where(TroubleQuestion.text_en == "Is it on?")).one()
    page = f"/staff/troubleshooter/{mine}"
    assert "It is off" in sam.get(page).text
    circle = sam.post(page, **{**fields, "article_slug_0": "", "next_id_0": str(mine)})
    assert circle.status_code == 422
    assert "leads back" in text_of(circle)
    assert sam.post(f"{page}/remove").status_code == 303
    assert "Is it on?" not in nobody.get("/troubleshooter").text


def test_downloads_have_version_date_size_and_checksum(app: Flask, sam: Visitor, nobody: Visitor) -> None:
    storage = app.extensions["portal"].storage
    with nobody.database.write() as session:
        demo.load_download(session, storage, now=utc_now())
        demo.load_download(session, storage, now=utc_now())
    page = nobody.get("/downloads")
    (address,) = re.findall(r'href="(/downloads/[^"]+)"', page.text)
    (checksum,) = re.findall(r"[0-9a-f]{64}", text_of(page))
    assert "Sync Engine 4.2" in text_of(page)
    assert hashlib.sha256(nobody.get(address).data).hexdigest() == checksum
    (withdraw,) = re.findall(r'action="(/staff/downloads/[^"]+)"', sam.get("/staff/downloads").text)
    sam.post(withdraw)
    assert nobody.get(address).status_code == 404


def test_staff_offer_a_download_to_those_it_is_meant_for(
    sam: Visitor, nora: Visitor, carol: Visitor, nobody: Visitor
) -> None:
    fields = {"title": "Tool", "version": "1.0", "released_at": "2026-01-02", "visibility": "users"}
    refused = sam.post("/staff/downloads", **fields)
    assert refused.status_code == 422
    assert "exactly one file" in text_of(refused)
    assert nora.post("/staff/downloads", files=[("tool.txt", b"x")], **fields).status_code == 422
    assert sam.post("/staff/downloads", files=[("tool.txt", b"tool")], **fields).status_code == 303
    (address,) = re.findall(r'href="(/downloads/[^"]+tool.txt)"', carol.get("/downloads").text)
    assert carol.get(address).data == b"tool"
    assert nobody.get(address).status_code == 404
    assert "Tool" not in text_of(nobody.get("/downloads"))


def test_news_has_dates_and_stands_on_the_home_page(nobody: Visitor, carol: Visitor) -> None:
    page = nobody.get("/news").text
    titles = re.findall(r"<h2><a [^>]+>([^<]+)", page)
    assert len(titles) == 2
    assert page.count("<time datetime=") == 2
    home = carol.get("/").text
    assert all(title in home for title in titles)
    for address in ("/troubleshooter", "/news", "/downloads", "/knowledge", "/cases?status=all", "/requests/new"):
        assert f'href="{address}"' in home
        assert carol.get(address).status_code == 200
