"""The sync console as a web application."""

from collections.abc import Callable

from flask import Flask

from crm_sync_service.connectors.base import Connector
from crm_sync_service.console import context, words
from crm_sync_service.console.alert_post import AlertPost
from crm_sync_service.console.alert_settings import read_alert_settings
from crm_sync_service.console.api import api
from crm_sync_service.console.broker_watch import BrokerWatch
from crm_sync_service.console.conflict_views import conflicts
from crm_sync_service.console.contact_views import contacts
from crm_sync_service.console.context import Console
from crm_sync_service.console.drift_views import drift
from crm_sync_service.console.entry import entry, guard
from crm_sync_service.console.fix_views import fix
from crm_sync_service.console.gauges import read_gauges
from crm_sync_service.console.hook_intake import HookIntake
from crm_sync_service.console.hooks import hooks
from crm_sync_service.console.job_views import job_pages
from crm_sync_service.console.live import LiveCrm
from crm_sync_service.console.pages import pages
from crm_sync_service.console.running_views import running
from crm_sync_service.crm import open_crm
from crm_sync_service.mapping import CaseMapping
from crm_sync_service.models import open_database
from crm_sync_service.operation_settings import read_operation_settings
from crm_sync_service.settings import SyncSettings
from shared.broker import open_broker
from shared.broker_ops import open_operations
from shared.clock import utc_now
from shared.web import create_web_app, exempt_from_csrf

OpenCrm = Callable[[SyncSettings], tuple[Connector, CaseMapping]]


def create_app(settings: SyncSettings, *, open_crm: OpenCrm = open_crm) -> Flask:
    """Works while broker and CRM are down: it waits for the broker two seconds at most, and asks the CRM only where
    somebody wants to see a Case as it is now."""
    database = open_database(settings.database_url)
    operations = open_operations(open_broker(settings.common))
    limits = read_operation_settings()
    watch = BrokerWatch(operations.queues, now=utc_now)
    app = create_web_app(
        __name__,
        service="console",
        settings=settings.common,
        public_url=settings.common.console_url,
        database=database,
        gauges=lambda: read_gauges(database, watch.look(), limits),
    )
    intake = HookIntake(settings=settings, database=database)
    app.extensions["console"] = Console(
        settings=settings,
        database=database,
        broker=operations,
        watch=watch,
        live=LiveCrm(lambda: open_crm(settings)),
        limits=limits,
        hooks=intake,
    )
    guard(app)
    exempt_from_csrf(app, hooks)
    for blueprint in (entry, pages, conflicts, contacts, fix, drift, running, job_pages, api, hooks):
        app.register_blueprint(blueprint)
    _add_words(app)
    return app


def start_alerts(app: Flask) -> Flask:
    """Let this process tell people what needs them, if anybody is to be told. Raises SettingsError."""
    console: Console = app.extensions["console"]
    common = console.settings.common
    post = AlertPost(
        database=console.database,
        watch=console.watch,
        settings=read_alert_settings(common),
        console_url=common.console_url,
    )
    post.start()
    return app


def _add_words(app: Flask) -> None:
    """What the templates say with."""
    app.template_filter("clock")(lambda moment: words.clock(moment, now=context.now()))
    app.template_filter("age")(lambda moment: words.age(context.now() - moment))
    app.template_filter("span")(words.age)
    app.template_filter("counted")(words.counted)
    app.context_processor(lambda: {"visitor": context.visitor(), "may": context.may, "now": context.now()})
