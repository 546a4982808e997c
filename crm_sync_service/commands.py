"""What `casebridge migrate` and `casebridge demo-data` do for the sync service and the bundled CRM."""

from crm_sync_service.console.demo import load_demo as load_console_demo
from crm_sync_service.desk.base import open_database as open_desk_database
from crm_sync_service.desk.demo import load_demo as load_desk_demo
from crm_sync_service.desk.settings import read_settings as read_desk_settings
from crm_sync_service.models import open_database
from crm_sync_service.settings import read_settings
from shared.clock import utc_now
from shared.database import opened


def migrate_sync() -> None:
    with opened(open_database(read_settings().database_url)) as database:
        database.upgrade()


def migrate_crm() -> None:
    with opened(open_desk_database(read_desk_settings().database_url)) as database:
        database.upgrade()


def load_sync_demo_data() -> None:
    with opened(open_database(read_settings().database_url)) as database, database.write() as session:
        load_console_demo(session, utc_now())


def load_crm_demo_data() -> None:
    with opened(open_desk_database(read_desk_settings().database_url)) as database, database.write() as session:
        load_desk_demo(session, utc_now())
