"""Every mail about log-ins can be written in every language, and links that open something are not kept."""

import pytest
from sqlalchemy import select

from portal_service.channels.mail_out import Recipient, queue_mail
from portal_service.channels.models import OutgoingMail
from shared.settings import LANGUAGES
from tests.portal_service.support_desk import Help

KINDS = ["confirm_registration", "already_known", "registration_waits", "approved", "refused", "reset",
         "password_changed", "factor_added", "factor_removed"]  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_mail_can_be_written_in_every_language(desk: Help, language: str, kind: str) -> None:
    words = {"username": "zoe", "applicant": "Zoe", "email": "zoe@new.example", "company": "New"}
    with desk.write() as session:
        to = Recipient(name="Zoe", address="zoe@new.example", language=language)
        queue_mail(session, kind, key=kind, recipient=to, now=desk.clock.now, words=words, url="https://x", secret=True)
        mail = session.scalars(select(OutgoingMail)).one()
        assert mail.subject
        assert "{" not in mail.text
        assert mail.text.startswith("Dear Zoe," if language == "en" else "Beste Zoe,")
        assert mail.secret
