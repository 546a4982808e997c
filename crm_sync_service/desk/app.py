"""The desk as a web application."""

from flask import Flask

from crm_sync_service.desk.api import api
from crm_sync_service.desk.base import open_database
from crm_sync_service.desk.context import Desk
from crm_sync_service.desk.hints import Hints
from crm_sync_service.desk.pages import case_actions, lists, login, merges, record_pages
from crm_sync_service.desk.pages.visit import pages
from crm_sync_service.desk.serialise import Serialiser
from crm_sync_service.desk.settings import DeskSettings
from shared.web import MEBIBYTE, create_web_app, exempt_from_csrf

# Each of these adds its routes to `pages`.
_PAGE_MODULES = (login, lists, record_pages, case_actions, merges)


def create_app(settings: DeskSettings) -> Flask:
    """The application for one process: fault plans and counters live in its memory, so run one worker with threads."""
    database = open_database(settings.database_url)
    app = create_web_app(
        __name__,
        service="crm",
        settings=settings.common,
        public_url=settings.common.crm_url,
        database=database,
        max_body_bytes=MEBIBYTE,
    )
    app.extensions["desk"] = Desk(
        settings=settings,
        database=database,
        serialise=Serialiser(settings.common.crm_url),
        hints=Hints(settings.webhook_url, key=settings.api_key) if settings.webhook_url else None,
    )
    app.register_blueprint(api)
    app.register_blueprint(pages)
    exempt_from_csrf(app, api)
    return app
