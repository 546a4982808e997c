"""Demo content of the knowledge base: articles in files beside this one, a troubleshooter and a download."""

from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile, ZipInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal_service.files.storage import Storage, store_upload
from portal_service.knowledge.download_models import Download
from portal_service.knowledge.downloads import NewDownload, offer
from portal_service.knowledge.editing import Content, begin, publish
from portal_service.knowledge.models import Article, Publisher
from portal_service.knowledge.trouble_models import TroubleQuestion
from portal_service.knowledge.troubleshooter import OptionEntered, QuestionEntered, save
from portal_service.people.models import Staff
from shared.settings import LANGUAGES

_ARTICLES = Path(__file__).parent / "demo_articles"
_KINDS = {
    "release-notes-sync-engine": "release_notes",
    "system-requirements": "system_requirements",
    "planned-maintenance": "announcement",
    "new-support-portal": "announcement",
}
"""Every other article is documentation."""
EDITOR = "Sam Peters"


def load_knowledge(session: Session, *, now: datetime) -> None:
    """Add what is missing; what is there stays as people have left it."""
    _load_articles(session, now=now)
    _load_troubleshooter(session)
    _name_publisher(session)


def load_download(session: Session, storage: Storage, *, now: datetime) -> None:
    """One file to download, unless there is any."""
    if session.scalar(select(Download.id).limit(1)) is not None:
        return
    content = BytesIO()
    with ZipFile(content, "w") as archive:
        archive.writestr(ZipInfo("READ ME.txt"), "Sync Engine 4.2 of the demo. There is no program in here.\n")
    content.seek(0)
    new = NewDownload(
        title="Sync Engine",
        version="4.2",
        summary_en="Starts twice as fast and keeps its queue when the disk is full.",
        summary_nl="Start twee keer zo snel en houdt de wachtrij vast als de schijf vol is.",
        article_slug="release-notes-sync-engine",
        visibility="public",
        released_at=now - timedelta(days=2),
    )
    offer(session, new, [store_upload(storage, "sync-engine-4.2.zip", content, limit=100_000)], by=EDITOR)


def _load_articles(session: Session, *, now: datetime) -> None:
    for age, path in enumerate(sorted(_ARTICLES.glob("*.md"))):
        slug, language = path.stem.rsplit(".", 1)
        known = session.scalar(select(Article.id).where(Article.slug == slug, Article.language == language))
        if known is not None or language not in LANGUAGES:
            continue
        heading, summary, body = path.read_text(encoding="utf-8").split("\n", 2)
        content = Content(
            kind=_KINDS.get(slug, "documentation"),
            title=heading.removeprefix("# "),
            summary=summary,
            body=body,
            visibility="public",
        )
        # Both languages of an article get the same day.
        day = now - timedelta(days=1 + age // len(LANGUAGES))
        publish(session, begin(session, content, language=language, slug=slug, by=EDITOR, now=day), by=EDITOR, now=day)


def _load_troubleshooter(session: Session) -> None:
    if session.scalar(select(TroubleQuestion.id).limit(1)) is not None:
        return
    log = save(
        session,
        None,
        QuestionEntered(
            text_en="Does the log end with an error?",
            text_nl="Eindigt het logboek met een fout?",
            hint_en="The log is sync-engine.log in the folder of the program.",
            hint_nl="Het logboek is sync-engine.log in de map van het programma.",
            options=[
                OptionEntered(text_en="Yes", text_nl="Ja", article_slug="sync-engine-does-not-start"),
                OptionEntered(
                    text_en="No, or there is no log",
                    text_nl="Nee, of er is geen logboek",
                    type_key="level-2",
                    subject_en="Sync Engine does not start and writes no log",
                    subject_nl="Sync Engine start niet en schrijft geen logboek",
                ),
            ],
        ),
    )
    save(session, None, _beginning(log))
    save(session, None, _LOG_IN)


def _beginning(log: TroubleQuestion) -> QuestionEntered:
    return QuestionEntered(
        text_en="Sync Engine does not work",
        text_nl="Sync Engine werkt niet",
        hint_en="What does it do?",
        hint_nl="Wat doet hij?",
        begins=True,
        options=[
            OptionEntered(text_en="It does not start", text_nl="Hij start niet", next_id=log.id),
            OptionEntered(
                text_en="It starts but sends nothing",
                text_nl="Hij start, maar verstuurt niets",
                type_key="level-1",
                subject_en="Sync Engine runs but sends nothing",
                subject_nl="Sync Engine loopt maar verstuurt niets",
            ),
        ],
    )


_LOG_IN = QuestionEntered(
    text_en="I cannot log in",
    text_nl="Ik kan niet inloggen",
    begins=True,
    options=[
        OptionEntered(
            text_en="I forgot my password",
            text_nl="Ik ben mijn wachtwoord vergeten",
            article_slug="reset-your-password",
        ),
        OptionEntered(
            text_en="My password is refused",
            text_nl="Mijn wachtwoord wordt geweigerd",
            type_key="level-1",
            subject_en="My password is refused",
            subject_nl="Mijn wachtwoord wordt geweigerd",
        ),
    ],
)


def _name_publisher(session: Session) -> None:
    sam = session.scalar(select(Staff).where(Staff.name == EDITOR))
    if sam is not None and session.get(Publisher, sam.id) is None:
        session.add(Publisher(staff_id=sam.id))
        session.flush()
