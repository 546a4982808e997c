from collections.abc import Iterator

import pytest

from tests.portal_service.channels.mail_server import MailServer, running
from tests.portal_service.support_desk import Help


@pytest.fixture
def server() -> Iterator[MailServer]:
    with running() as server:
        yield server


@pytest.fixture
def filed(desk: Help) -> Help:
    """A desk with Carol's ticket: one mail to her and one to the agent wait."""
    with desk.write() as session:
        desk.submit(session, subject="Größe 尺寸 👍", description="Zeile 1\n" + "x" * 2_000 + "\nשלום")
    return desk
