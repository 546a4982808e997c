"""The portal's addresses, and the support desk most tests happen at."""

from pathlib import Path

import pytest

from portal_service import site
from shared.database import Database
from shared.settings import CommonSettings
from tests.portal_service.support_desk import Help, add_people


@pytest.fixture
def portal_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "_current", [])
    site.use(
        CommonSettings(
            home=tmp_path,
            broker_url="embedded:///unused",
            secret_key="k" * 40,
            portal_url="https://support.test",
            console_url="https://console.test",
            crm_url="https://crm.test",
        )
    )


@pytest.fixture
def desk(portal_database: Database, portal_site: None) -> Help:
    """Acme with Carol and Peter (whole account), Globex with Dave; agents Sam and Nora, Mila away, Admin for none."""
    with portal_database.write() as session:
        add_people(session)
    return Help(database=portal_database)
