"""The second step: each code once, nothing to guess, asked of staff where the setting says so."""

import dataclasses
import json
import re
from collections.abc import Iterator
from datetime import timedelta

import pyotp
import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import select

from portal_service.app import create_app
from portal_service.channels.models import OutgoingMail
from portal_service.commands import remove_second_step
from portal_service.demo import PASSWORD
from portal_service.people import one_time, passkeys, second_factor, throttle
from portal_service.people.credentials import Authenticator, RecoveryCode
from portal_service.people.models import LoginSession, User
from portal_service.people.second_factor import WRONG_CODE
from portal_service.settings import PortalSettings
from portal_service.tickets.errors import Refused
from tests.portal_service.support_desk import Help
from tests.portal_service.web.browsing import Visitor, Visitors, text_of


@dataclasses.dataclass
class App:
    """Carol's authenticator app and her recovery codes."""

    desk: Help
    secret: str
    codes: list[str]

    def code(self, *, ahead: int = 0) -> str:
        return pyotp.TOTP(self.secret).at(self.desk.clock.now + timedelta(seconds=30 * ahead))

    def try_(self, code: str) -> str:
        """How a code was answered; an empty text when it was taken."""
        with self.desk.write() as session:
            try:
                second_factor.check_code(session, self.desk.user(session, "carol"), code, now=self.desk.clock.now)
            except Refused as refused:
                return refused.message_key
        return ""


@pytest.fixture
def carols(desk: Help) -> App:
    with desk.write() as session:
        user, now = desk.user(session, "carol"), desk.clock.now
        setup = second_factor.begin_setup(session, user, now=now)
        code = pyotp.TOTP(setup.secret).at(now)
        codes = second_factor.finish_setup(session, user, setup.token, code, now=now)
    app = App(desk, setup.secret, codes)
    desk.clock.forward(minutes=2)
    return app


def test_a_code_works_once_and_only_around_its_time(carols: App) -> None:
    code = carols.code()
    assert carols.try_(f" {code[:3]} {code[3:]} ") == ""
    assert carols.try_(code) == WRONG_CODE
    assert carols.try_(carols.code(ahead=1)) == ""
    assert carols.try_(carols.code()) == WRONG_CODE
    carols.desk.clock.forward(minutes=3)
    assert carols.try_(carols.code(ahead=-2)) == carols.try_(carols.code(ahead=2)) == WRONG_CODE
    assert carols.try_(carols.code(ahead=-1)) == ""


@pytest.mark.parametrize("code", ["", "abcdef", "１２３４５６", "12345", "\ud800"])
def test_what_is_no_code_is_refused(carols: App, code: str) -> None:
    assert carols.try_(code) == WRONG_CODE


def test_codes_cannot_be_guessed(carols: App) -> None:
    for _ in range(10):
        assert carols.try_("000000") == WRONG_CODE
    assert carols.try_(carols.code()) == throttle.THROTTLED
    carols.desk.clock.forward(minutes=16)
    assert carols.try_(carols.code()) == ""


def test_a_recovery_code_works_once_for_its_owner(carols: App) -> None:
    assert len(set(carols.codes)) == 10
    first = carols.codes[0]
    with carols.desk.write() as session:
        dave = carols.desk.user(session, "dave")
        with pytest.raises(Refused):
            second_factor.check_code(session, dave, first, now=carols.desk.clock.now)
    assert carols.try_(first.upper().replace("-", " ")) == ""
    assert carols.try_(first) == WRONG_CODE
    with carols.desk.write() as session:
        user = carols.desk.user(session, "carol")
        assert second_factor.factors_of(session, user).codes_left == 9
        second_factor.new_codes(session, user)
    assert carols.try_(carols.codes[1]) == WRONG_CODE


def test_secret_and_codes_are_not_stored_readable(carols: App) -> None:
    with carols.desk.write() as session:
        assert carols.secret not in session.scalars(select(Authenticator.secret)).one()
        assert not {code.replace("-", "") for code in carols.codes} & set(
            session.scalars(select(RecoveryCode.code_hash))
        )


def test_without_any_factor_the_codes_end_and_the_owner_is_told(carols: App) -> None:
    with carols.desk.write() as session:
        user = carols.desk.user(session, "carol")
        second_factor.remove_authenticator(session, user, now=carols.desk.clock.now)
        assert not second_factor.factors_of(session, user)
        assert session.scalars(select(RecoveryCode)).all() == []
        assert ("carol@acme.example", "A way to log in was removed") in carols.desk.mails(session)


def test_a_set_up_of_another_cannot_be_finished(desk: Help) -> None:
    with desk.write() as session:
        setup = second_factor.begin_setup(session, desk.user(session, "carol"), now=desk.clock.now)
        code = pyotp.TOTP(setup.secret).at(desk.clock.now)
        with pytest.raises(Refused):
            second_factor.finish_setup(session, desk.user(session, "dave"), setup.token, code, now=desk.clock.now)


def garbage(challenge: str) -> list[str]:
    data = passkeys.webauthn.helpers.bytes_to_base64url(json.dumps({"challenge": challenge}).encode())
    whole = {"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": {"clientDataJSON": data}}
    return ["", "x", "[]", "{}", json.dumps({"response": {"clientDataJSON": "!!"}}), json.dumps(whole)]


def test_what_is_no_passkey_is_refused_and_uses_up_its_challenge(desk: Help) -> None:
    with desk.write() as session:
        user = desk.user(session, "carol")
        challenge = json.loads(passkeys.options_to_add(session, user, now=desk.clock.now))["challenge"]
        for answer in garbage(challenge):
            with pytest.raises(Refused):
                passkeys.add(session, user, answer, name="x", now=desk.clock.now)
        assert one_time.look_up(session, "passkey-add", challenge, now=desk.clock.now) is None
        for who in (None, user):
            challenge = json.loads(passkeys.options_to_log_in(session, who, now=desk.clock.now))["challenge"]
            for answer in garbage(challenge):
                with pytest.raises(Refused):
                    passkeys.verify(session, answer, who, now=desk.clock.now)


def test_a_challenge_for_anybody_is_none_for_somebody(desk: Help) -> None:
    with desk.write() as session:
        challenge = json.loads(passkeys.options_to_log_in(session, None, now=desk.clock.now))["challenge"]
        with pytest.raises(Refused):
            passkeys._spend(session, "passkey-log-in", garbage(challenge)[-1], desk.user(session, "carol"),
                            now=desk.clock.now)  # fmt: skip


# The pages


def set_up(visitor: Visitor) -> tuple[str, list[str]]:
    """Turn the app on; the code that did it and the recovery codes."""
    again = visitor.get("/settings/two-factor/authenticator")
    assert again.location.startswith("/settings/two-factor/again?next=")
    assert visitor.post("/settings/two-factor/again", password=PASSWORD).status_code == 303
    page = visitor.get("/settings/two-factor/authenticator").text
    secret = re.findall(r'data-copy="([A-Z2-7]{32})"', page)[0]
    token = re.findall(r'name="token" value="([^"]+)"', page)[0]
    wrong = visitor.post("/settings/two-factor/authenticator", token=token, code="000000")
    assert wrong.status_code == 422
    assert secret in wrong.text
    code = pyotp.TOTP(secret).now()
    done = visitor.post("/settings/two-factor/authenticator", token=token, code=code)
    return code, re.findall(r'class="access-key">([a-z2-9]{5}-[a-z2-9]{5})<', done.text)


def test_with_the_app_the_password_alone_lets_nobody_in(carol: Visitor, nobody: Visitor) -> None:
    code, codes = set_up(carol)
    assert len(codes) == 10
    first = nobody.post("/login", username="carol", password=PASSWORD)
    assert first.location == "/login/second"
    assert nobody.get("/cases").status_code == 303
    used = nobody.post("/login/second", code=code)
    assert used.status_code == 422
    assert "wrong or was used already" in text_of(used)
    assert nobody.post("/login/second", code=codes[0]).location == "/"
    assert nobody.get("/cases").status_code == 200
    page = text_of(nobody.get("/settings/security"))
    assert "9 codes left" in page
    assert "with the password and a second step" in page


def test_the_second_step_needs_the_first(nobody: Visitor) -> None:
    assert nobody.get("/login/second").location == "/login"
    assert nobody.post("/login/second", code="000000").location == "/login"


def test_a_half_log_in_ends(carol: Visitor, nobody: Visitor) -> None:
    _code, codes = set_up(carol)
    nobody.post("/login", username="carol", password=PASSWORD)
    with nobody.database.write() as session:
        one_time.revoke_all(session, session.scalars(select(User).where(User.username == "carol")).one())
    assert nobody.post("/login/second", code=codes[0]).location == "/login"


def test_after_the_second_step_one_is_where_one_wanted_to_be(carol: Visitor, nobody: Visitor) -> None:
    _code, codes = set_up(carol)
    first = nobody.post("/login?next=/cases", username="carol", password=PASSWORD)
    assert first.location == "/login/second?next=/cases"
    assert nobody.post(first.location, code=codes[0]).location == "/cases"


def test_an_open_browser_cannot_change_how_one_logs_in(carol: Visitor) -> None:
    for path in ("authenticator/remove", "codes", "passkey", "passkey/options", "authenticator"):
        answer = carol.post(f"/settings/two-factor/{path}")
        assert answer.location == "/settings/two-factor/again?next=/settings/security", path
    wrong = carol.post("/settings/two-factor/again", password="wrong")
    assert "The password is wrong." in text_of(wrong)
    assert carol.get("/settings/two-factor/passkey").status_code == 303


def test_the_app_is_removed_with_the_password(carol: Visitor, nobody: Visitor) -> None:
    set_up(carol)
    carol.post("/settings/two-factor/authenticator/remove")
    assert nobody.post("/login", username="carol", password=PASSWORD).location == "/"
    with carol.database.read() as session:
        subjects = session.scalars(select(OutgoingMail.subject).where(OutgoingMail.recipient == "carol@acme.example"))
        assert "A way to log in was removed" in list(subjects)


def test_a_challenge_for_a_passkey_is_given_to_anybody_but_not_without_end(nobody: Visitor) -> None:
    token = re.findall(r'name="csrf_token" value="([^"]+)"', nobody.get("/login").text)[0]
    answers = [nobody.client.post("/login/passkey/options", headers={"X-CSRFToken": token}) for _ in range(61)]
    assert json.loads(answers[0].text)["userVerification"] == "required"
    assert [answer.status_code for answer in answers[-2:]] == [200, 429]
    assert nobody.post("/login/passkey", credential="{}").status_code == 422


def test_an_admin_helps_who_lost_phone_and_codes(carol: Visitor, nobody: Visitor, visitors: Visitors) -> None:
    set_up(carol)
    alex = visitors.log_in("alex")
    with alex.database.read() as session:
        contact_id = session.scalars(select(User.contact_id).where(User.username == "carol")).one()
    assert "Remove the second step" in text_of(alex.get(f"/staff/contacts/{contact_id}"))
    alex.post(f"/staff/contacts/{contact_id}/second-step/remove")
    assert carol.get("/cases").status_code == 303
    assert nobody.post("/login", username="carol", password=PASSWORD).location == "/"


def test_a_command_helps_an_agent_who_lost_everything(
    sam: Visitor, nobody: Visitor, settings: PortalSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(sam)
    monkeypatch.setenv("CASEBRIDGE_HOME", str(settings.common.home))
    monkeypatch.setenv("PORTAL_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("PORTAL_URL", settings.common.portal_url)
    assert CliRunner().invoke(remove_second_step, ["no-one"]).exit_code == 1
    done = CliRunner().invoke(remove_second_step, ["SAM"])
    assert done.exit_code == 0, done.output
    assert sam.get("/staff/tickets").status_code == 303
    assert nobody.post("/login", username="sam", password=PASSWORD).location == "/"


def test_pages_with_secrets_stay_in_no_cache(carol: Visitor) -> None:
    assert carol.get("/settings/two-factor/again").headers["Cache-Control"] == "no-store"


class TestRequiredForStaff:
    @pytest.fixture
    def app(self, settings: PortalSettings, portal_site: None) -> Iterator[Flask]:
        app = create_app(dataclasses.replace(settings, two_factor_for_staff=True))
        yield app
        app.extensions["portal"].database.dispose()

    def test_an_agent_sees_nothing_before_it_is_set_up(self, sam: Visitor, carol: Visitor) -> None:
        for path in ("/staff/tickets", "/", "/staff/registrations"):
            assert sam.get(path).location == "/settings/security#second-step", path
        assert "Staff need a second step" in text_of(sam.get("/settings/security"))
        assert carol.get("/cases").status_code == 200
        set_up(sam)
        assert sam.get("/staff/tickets").status_code == 200
        sam.post("/settings/two-factor/authenticator/remove")
        assert sam.get("/staff/tickets").status_code == 303

    def test_a_session_from_before_is_asked_too(self, sam: Visitor, visitors: Visitors) -> None:
        other = visitors.log_in("sam")
        set_up(sam)
        assert other.get("/staff/tickets").status_code == 303
        with sam.database.read() as session:
            assert sorted(session.scalars(select(LoginSession.method))) == ["password", "two_factor"]
