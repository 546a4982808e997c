"""What people type, made safe to store."""

from email.message import EmailMessage

import pytest

from portal_service.tickets.text import clean_line


@pytest.mark.parametrize("separator", ["\r\n", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"])
def test_every_line_can_be_the_subject_of_a_mail(separator: str) -> None:
    message = EmailMessage()
    message["Subject"] = clean_line(f"It is{separator}broken")
    assert message["Subject"].replace(" ", "") == "Itisbroken"
