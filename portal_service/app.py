"""The portal's pages as a Flask application."""

from typing import Any

from flask import Flask, request
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError

from portal_service import site
from portal_service.api.reference_web import reference_pages
from portal_service.api.web import register_api
from portal_service.base import open_database
from portal_service.channels.web import mail_pages
from portal_service.clocks.review import review_of
from portal_service.files.content import TYPES
from portal_service.files.storage import FolderStorage
from portal_service.files.web import PICTURES, own_files, signed_files, upload_url
from portal_service.guests.web import guest_pages
from portal_service.knowledge.download_web import download_editor_pages, download_pages
from portal_service.knowledge.editor_web import article_pages
from portal_service.knowledge.from_ticket_web import from_ticket_pages
from portal_service.knowledge.suggest_web import suggest_pages
from portal_service.knowledge.trouble_web import trouble_editor_pages, trouble_pages
from portal_service.knowledge.web import comment_pages, knowledge_pages, news_pages
from portal_service.people.access_web import access_pages
from portal_service.people.password_web import password_pages
from portal_service.people.registration_web import decide_pages, register_pages
from portal_service.people.second_step_web import second_step_pages
from portal_service.people.security_web import security_pages
from portal_service.people.sso import Provider
from portal_service.people.sso_web import sso_pages
from portal_service.people.staff_web import people_pages
from portal_service.people.tokens_web import token_pages
from portal_service.people.two_factor_web import two_factor_pages
from portal_service.people.web import open_pages, own_pages
from portal_service.settings import PortalSettings
from portal_service.tickets.attachments import MAX_FILES
from portal_service.tickets.calls_web import call_pages
from portal_service.tickets.drafts_web import answer_expired_form, draft_pages, own_drafts, rescue
from portal_service.tickets.export_web import case_export_pages
from portal_service.tickets.filing_web import request_pages
from portal_service.tickets.markdown import reply_html
from portal_service.tickets.offer_web import offer_pages
from portal_service.tickets.staff_lists_web import staff_list_pages
from portal_service.tickets.staff_web import staff_pages
from portal_service.tickets.web import case_pages, home_pages, shared_pages
from portal_service.web import formats, texts
from portal_service.web.addresses import TicketNumber
from portal_service.web.catalogues import LANGUAGE_NAMES, language, language_names, set_up_languages
from portal_service.web.situation import situation_for
from portal_service.web.visits import Audience, Portal, open_to, set_up_visits, this_visit
from shared.web import MEBIBYTE, create_web_app

_FORM_ROOM = 2 * MEBIBYTE


def create_app(settings: PortalSettings) -> Flask:
    """The portal's pages. Raises what a wrong setting or a broken catalogue causes, so that the process stops."""
    site.use(settings.common)
    database = open_database(settings.database_url)
    app = create_web_app(
        __name__,
        service="portal",
        settings=settings.common,
        public_url=settings.common.portal_url,
        database=database,
        max_body_bytes=settings.max_upload_bytes + _FORM_ROOM,
    )
    app.url_map.converters["ticket"] = TicketNumber
    set_up_languages(app)
    set_up_visits(app, Portal(settings, database, FolderStorage(settings.files_root)))
    app.extensions["portal_rescue"] = rescue
    app.register_error_handler(CSRFError, answer_expired_form)
    app.extensions["portal_sso"] = Provider(settings.sso) if settings.sso else None
    open_to(app, Audience.ANYONE, open_pages, second_step_pages, sso_pages, register_pages, password_pages)
    open_to(app, Audience.ANYONE, guest_pages, signed_files)
    open_to(app, Audience.ANYONE, knowledge_pages, news_pages, suggest_pages, trouble_pages, download_pages)
    open_to(app, Audience.STAFF, article_pages, from_ticket_pages, trouble_editor_pages, download_editor_pages)
    open_to(app, Audience.SIGNED_IN, comment_pages, token_pages)
    open_to(app, Audience.SIGNED_IN, own_pages, security_pages, two_factor_pages, home_pages, shared_pages, own_files)
    open_to(app, Audience.SIGNED_IN, draft_pages)
    open_to(app, Audience.STAFF, call_pages)
    open_to(app, Audience.CUSTOMER, case_pages, case_export_pages, request_pages)
    open_to(app, Audience.STAFF, staff_pages, staff_list_pages, decide_pages, access_pages, people_pages, mail_pages)
    open_to(app, Audience.ANYONE, reference_pages)
    open_to(app, Audience.STAFF, offer_pages)
    register_api(app)
    _set_up_templates(app, settings)
    return app


def _set_up_templates(app: Flask, settings: PortalSettings) -> None:
    app.jinja_env.filters.update(
        moment=formats.moment,
        clock=formats.clock,
        day=formats.day,
        ago=lambda value: formats.ago(value, this_visit().now),
        size=formats.size,
        ending=formats.ending,
        initials=formats.initials,
        article_html=formats.article_html,
        reply_html=reply_html,
        language_name=lambda code: LANGUAGE_NAMES.get(code, code),
    )
    tables = {name: table for name, table in vars(texts).items() if name.isupper()}
    app.jinja_env.globals.update(
        tables,
        words=texts.words,
        name_of=texts.name_of,
        hint_of=texts.hint_of,
        detail_value=texts.detail_value,
        freshness_text=texts.freshness_text,
        say=_,
        own_drafts=own_drafts,
        upload_url=upload_url,
        zone_name=formats.zone_name,
        review_of=lambda ticket: review_of(ticket, settings.clocks, now=this_visit().now),
        INLINE_TYPES=PICTURES,
        sso_name=settings.sso.name if settings.sso else None,
        max_files=MAX_FILES,
        office=settings.office,
        this_moment=lambda: this_visit().now,
        office_hours=formats.office_hours,
        guests_may_file=settings.guests_may_file,
        file_endings=" ".join(TYPES),
        max_file_bytes=settings.max_file_bytes,
        max_upload_bytes=settings.max_upload_bytes,
    )
    app.context_processor(_of_every_page)


def _of_every_page() -> dict[str, Any]:
    visit = this_visit()
    staff = visit.user.staff if visit.user is not None else None
    person = staff or (visit.user.contact if visit.user is not None else None)
    now = situation_for(visit) if staff is not None else None
    return {
        "user": visit.user,
        "staff": staff,
        "visitor_name": person.name if person is not None else "",
        "language": language(),
        "language_names": language_names(),
        "here": request.full_path.rstrip("?"),
        "registrations_waiting": now.registrations_waiting if now else 0,
        "mails_given_up": now.mails_given_up if now else 0,
        "crm_trouble": now.troubles if now else [],
    }
