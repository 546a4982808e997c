"""The company log-in against a real provider: who gets in as whom, and what is not believed."""

import dataclasses
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from flask import Flask
from joserfc.jwk import OctKey, RSAKey
from sqlalchemy import select

from portal_service.app import create_app
from portal_service.channels.models import OutgoingMail
from portal_service.people import sso_login
from portal_service.people.credentials import ExternalLogin, Registration
from portal_service.people.models import Contact, ContactEmail, User
from portal_service.people.sso import is_safe_url
from portal_service.settings import PortalSettings, SsoSettings
from shared.emails import email_key
from tests.portal_service.people.provider import CLIENT_ID, CLIENT_SECRET, TestProvider, running_provider
from tests.portal_service.web.browsing import Visitor, Visitors, text_of

Sso = dict[str, Any]


@pytest.fixture(scope="module")
def only_provider() -> Iterator[TestProvider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture
def provider(only_provider: TestProvider) -> TestProvider:
    only_provider.person = {"sub": "carol-1", "email": "carol@acme.example", "email_verified": True}
    only_provider.tricks = {}
    return only_provider


@pytest.fixture
def sign_up() -> bool:
    return False


@pytest.fixture
def app(settings: PortalSettings, portal_site: None, provider: TestProvider, sign_up: bool) -> Iterator[Flask]:
    sso = SsoSettings(
        issuer=provider.url, client_id=CLIENT_ID, client_secret=CLIENT_SECRET, name="Acme ID", sign_up=sign_up
    )
    app = create_app(dataclasses.replace(settings, sso=sso))
    yield app
    app.extensions["portal_sso"].close()
    app.extensions["portal"].database.dispose()


def go(visitor: Visitor, *, next_: str = "") -> str:
    """To the provider and back; the address of the answer, without this portal's name."""
    start = visitor.get("/sso/start", query_string={"next": next_})
    return httpx.get(start.location).headers["location"].removeprefix("http://localhost")


def log_in(visitor: Visitor, **options: str) -> str:
    """Where somebody is sent in the end."""
    return str(visitor.get(go(visitor, **options)).location)


def refusal(visitor: Visitor) -> str:
    """What the log-in page says of a log-in that failed."""
    assert log_in(visitor) == "/login"
    return text_of(visitor.get("/login"))


def test_a_verified_address_logs_in_and_is_linked_for_good(nobody: Visitor, provider: TestProvider) -> None:
    assert "Log in with Acme ID" in text_of(nobody.get("/login"))
    assert log_in(nobody, next_="/cases?status=all") == "/cases?status=all"
    assert "Carol Jansen" in nobody.get("/").text
    assert "through the company log-in" in text_of(nobody.get("/settings/security"))
    with nobody.database.read() as session:
        subjects = session.scalars(select(OutgoingMail.subject).where(OutgoingMail.recipient == "carol@acme.example"))
        assert list(subjects).count("A new way to log in was added") == 1
    provider.person = {"sub": "carol-1", "email": "renamed@acme.example", "email_verified": False}
    nobody.post("/logout")
    assert log_in(nobody) == "/"


def test_staff_come_in_the_same_way(nobody: Visitor, provider: TestProvider) -> None:
    provider.person = {"sub": "sam-1", "email": "Sam@Support.example", "email_verified": "true"}
    assert log_in(nobody, next_="/staff/tickets") == "/staff/tickets"
    assert nobody.get("/staff/tickets").status_code == 200


@pytest.mark.parametrize("verified", [False, None, "false", 1])
def test_an_address_that_nobody_verified_links_nothing(nobody: Visitor, provider: TestProvider, verified: Any) -> None:
    provider.person = {"sub": "thief", "email": "carol@acme.example", "email_verified": verified}
    assert "vouches for no e-mail address" in refusal(nobody)
    with nobody.database.read() as session:
        assert session.scalars(select(ExternalLogin)).all() == []


def test_an_address_of_several_is_not_guessed(nobody: Visitor) -> None:
    with nobody.database.write() as session:
        peter = session.scalars(select(Contact).where(Contact.name == "Peter de Vries")).one()
        peter.emails.append(ContactEmail(position=1, address="carol@acme.example", key=email_key("carol@acme.example")))
    assert "Several log-ins have your address" in refusal(nobody)


def test_nobody_unknown_gets_in_unless_that_is_turned_on(nobody: Visitor, provider: TestProvider) -> None:
    provider.person = {"sub": "new", "email": "new@new.example", "email_verified": True}
    assert "Nobody here has your address yet" in refusal(nobody)


def test_somebody_deactivated_stays_out(nobody: Visitor) -> None:
    assert log_in(nobody) == "/"
    with nobody.database.write() as session:
        session.scalars(select(Contact).where(Contact.name == "Carol Jansen")).one().active = False
    assert "no longer active" in refusal(nobody)


def test_keys_may_change_at_any_time(nobody: Visitor, provider: TestProvider) -> None:
    assert log_in(nobody) == "/"
    read = provider.keys_read
    provider.rotate()
    assert log_in(nobody) == "/"
    assert log_in(nobody) == "/"
    assert provider.keys_read == read + 1


def test_an_address_of_userinfo_is_not_vouched_for_by_the_id_token(nobody: Visitor, provider: TestProvider) -> None:
    provider.person = {"sub": "thief", "email_verified": True}
    provider.tricks = {"userinfo": {"email": "carol@acme.example", "email_verified": False}}
    assert "vouches for no e-mail address" in refusal(nobody)


def test_the_address_may_come_from_userinfo_and_the_secret_in_the_form(nobody: Visitor, provider: TestProvider) -> None:
    provider.tricks = {"only_userinfo": True, "auth": ["client_secret_post"]}
    assert log_in(nobody) == "/"


BELIEVED_NOT: list[Sso] = [
    {"claims": {"iss": "https://evil.example"}},
    {"claims": {"aud": "somebody-else"}},
    {"claims": {"aud": [CLIENT_ID, "other"]}},
    {"claims": {"azp": "other"}},
    {"claims": {"nonce": "replayed"}},
    {"claims": {"nonce": None}},
    {"claims": {"exp": 1_700_000_000}},
    {"claims": {"sub": None}},
    {"key": RSAKey.generate_key(2048)},
    {"alg": "HS256", "key": OctKey.import_key(CLIENT_SECRET)},
    {"only_userinfo": True, "userinfo": {"sub": "somebody-else"}},
]


@pytest.mark.parametrize("tricks", BELIEVED_NOT, ids="-".join)
def test_a_token_that_is_not_for_this_log_in_is_not_believed(
    nobody: Visitor, provider: TestProvider, tricks: Sso
) -> None:
    provider.tricks = tricks
    assert "does not answer as it should" in refusal(nobody)
    assert nobody.get("/cases").status_code == 303


@pytest.mark.parametrize("tricks", [{"issuer": "https://evil.example"}, {"token_endpoint": "http://evil.example/t"}])
def test_a_provider_that_is_not_who_we_asked_is_not_used(nobody: Visitor, provider: TestProvider, tricks: Sso) -> None:
    provider.tricks = tricks
    assert nobody.get("/sso/start").location == "/login"
    assert "does not answer as it should" in text_of(nobody.get("/login"))


def test_an_answer_in_the_name_of_another_provider_is_refused(nobody: Visitor, provider: TestProvider) -> None:
    provider.tricks = {"iss": "https://evil.example"}
    assert "was not finished" in refusal(nobody)


def test_only_the_browser_that_started_it_finishes_it_and_once(nobody: Visitor, visitors: Visitors) -> None:
    answer = go(nobody)
    victim = visitors.anonymous()
    assert victim.get(answer).location == "/login"
    assert victim.get("/cases").status_code == 303
    assert nobody.get(answer).location == "/"
    nobody.post("/logout")
    assert nobody.get(answer).location == "/login"
    for path in ("/sso/callback", "/sso/callback?error=access_denied", "/sso/callback?code=x&state="):
        assert nobody.get(path).location == "/login"


def test_what_is_sent_to_the_provider(nobody: Visitor, provider: TestProvider) -> None:
    sent = urlsplit(nobody.get("/sso/start").location)
    asked = {name: values[0] for name, values in parse_qs(sent.query).items()}
    assert f"{sent.scheme}://{sent.netloc}" == provider.url
    assert asked["redirect_uri"] == "http://localhost/sso/callback"
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["state"]) >= 43
    assert len(asked["nonce"]) >= 43
    assert "client_secret" not in asked


def test_afterwards_one_is_never_on_another_site(nobody: Visitor) -> None:
    assert log_in(nobody, next_="https://evil.example/") == "/"


def test_a_link_is_removed_by_its_owner_only(nobody: Visitor, carol: Visitor, dave: Visitor) -> None:
    log_in(nobody)
    with nobody.database.read() as session:
        link = session.scalars(select(ExternalLogin)).one()
    for visitor, left in ((dave, 1), (nobody, 0)):
        visitor.owner_is_here()
        visitor.post(f"/settings/two-factor/external/{link.id}/remove")
        with nobody.database.read() as session:
            assert len(session.scalars(select(ExternalLogin)).all()) == left


class TestSignUp:
    @pytest.fixture
    def sign_up(self) -> bool:
        return True

    def test_a_contact_of_the_directory_gets_a_log_in_at_once(self, nobody: Visitor, provider: TestProvider) -> None:
        with nobody.database.write() as session:
            contact = Contact(name="New One", crm_id="C-new")
            contact.emails = [ContactEmail(position=0, address="new@new.example", key=email_key("new@new.example"))]
            session.add(contact)
        provider.person = {"sub": "new", "email": "New@new.example", "email_verified": True}
        assert log_in(nobody) == "/"
        assert "New One" in nobody.get("/").text
        assert nobody.post("/login", username="new@new.example", password="!").status_code == 422

    def test_somebody_the_directory_does_not_know_waits_for_approval(
        self, nobody: Visitor, provider: TestProvider, sam: Visitor
    ) -> None:
        provider.person = {"sub": "x", "email": "x@new.example", "email_verified": True, "name": "Xaver"}
        for _ in range(2):
            assert "has not been approved yet" in refusal(nobody)
        with nobody.database.read() as session:
            registration = session.scalars(select(Registration)).one()
            assert (registration.name, registration.user.state) == ("Xaver", "awaiting_approval")
            account = str(session.scalars(select(Contact.account_id).where(Contact.name == "Carol Jansen")).one())
        sam.post(f"/staff/registrations/{registration.user_id}/approve", account_id=account)
        assert log_in(nobody) == "/"

    def test_a_second_identity_of_a_waiting_address_makes_no_second_registration(
        self, nobody: Visitor, provider: TestProvider
    ) -> None:
        for subject in ("x", "y"):
            provider.person = {"sub": subject, "email": "x@new.example", "email_verified": True}
            assert "has not been approved yet" in refusal(nobody)
        with nobody.database.read() as session:
            assert len(session.scalars(select(Registration)).all()) == 1

    def test_a_user_name_that_is_taken_gets_an_ending(self, nobody: Visitor) -> None:
        with nobody.database.write() as session:
            taken = session.scalars(select(User).where(User.username == "carol")).one()
            name = sso_login._free_username(session, taken.username)
            assert name.startswith("carol-")


def test_without_a_provider_there_is_no_such_page(settings: PortalSettings, portal_site: None) -> None:
    app = create_app(settings)
    visitor = Visitor(app)
    assert "Log in with" not in text_of(visitor.get("/login"))
    assert visitor.get("/sso/start").status_code == visitor.get("/sso/callback").status_code == 404
    app.extensions["portal"].database.dispose()


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://id.example/x", True),
        ("http://127.0.0.1:1/x", True),
        ("http://id.example/x", False),
        ("ftp://id.example", False),
        ("", False),
        ("https://[", False),
    ],
)
def test_only_safe_addresses_are_used(url: str, safe: bool) -> None:
    assert is_safe_url(url) is safe
