"""People, log-ins and tokens in calls and answers."""

from marshmallow import Schema, fields
from marshmallow.validate import Length, Range

from portal_service.api.fields import Flag, Id, Number, Out, QueryNumber, choice, nullable, text
from portal_service.api.shapes import Named, Password
from portal_service.people.access import LEVELS
from portal_service.people.tokens import DAYS, MAX_NAME, MOST_DAYS, SCOPES
from shared.settings import LANGUAGES


class TokenOut(Out):
    """A token; its text is shown once, where it is made."""

    id = fields.UUID()
    name = fields.String()
    scopes = fields.List(fields.String())
    created_at = fields.DateTime()
    expires_at = fields.DateTime()
    last_used_at = nullable(fields.DateTime())


class NewTokenOut(TokenOut):
    token = fields.String()


class Tokens(Out):
    items = fields.List(fields.Nested(TokenOut))


class _TokenIn(Schema):
    name = text(MAX_NAME, load_default="API")
    scopes = fields.List(choice(*SCOPES), validate=Length(min=1, max=3), load_default=["read"])
    days = Number(validate=Range(min=1, max=MOST_DAYS), load_default=DAYS)


class LogInIn(_TokenIn):
    """What a log-in page asks for."""

    username = text(150, required=True)
    password = text(200, required=True)
    code = text(40, load_default="", metadata={"description": "Of the authenticator app, or a recovery code."})


class TokenIn(_TokenIn, Password):
    """A further token."""


class Me(Out):
    """Who calls."""

    id = fields.UUID()
    username = fields.String()
    name = fields.String()
    email = nullable(fields.String())
    role = choice("customer", "agent", "admin")
    language = choice(*LANGUAGES)
    timezone = fields.String()
    account = nullable(fields.Nested(Named))
    available = nullable(fields.Boolean())
    scopes = fields.List(fields.String())


class MeIn(Schema):
    language = choice(*LANGUAGES)
    timezone = text(64)


class NewPassword(Schema):
    current = text(200, required=True)
    password = text(200, required=True)


class SessionOut(Out):
    """A browser that is logged in."""

    id = fields.String()
    browser = fields.String()
    address = fields.String()
    method = fields.String()
    created_at = fields.DateTime()
    last_seen_at = fields.DateTime()


class Sessions(Out):
    items = fields.List(fields.Nested(SessionOut))


class PasskeyOut(Out):
    id = fields.UUID()
    name = fields.String()
    created_at = fields.DateTime()
    last_used_at = nullable(fields.DateTime())


class ExternalOut(Out):
    id = fields.UUID()
    issuer = fields.String()
    email = fields.String()
    created_at = fields.DateTime()


class SecondStep(Out):
    """What protects the log-in besides the password."""

    authenticator = fields.Boolean()
    passkeys = fields.List(fields.Nested(PasskeyOut))
    recovery_codes_left = fields.Integer()
    external_logins = fields.List(fields.Nested(ExternalOut))


class SetupOut(Out):
    """An authenticator being set up."""

    setup = fields.String(metadata={"description": "Send it back with the first code."})
    secret = fields.String()
    uri = fields.String(metadata={"description": "What the QR code holds."})


class SetupIn(Schema):
    setup = text(200, required=True)
    code = text(40, required=True)


class Codes(Out):
    recovery_codes = fields.List(fields.String())


class ApplicationIn(Schema):
    """Somebody asks for a log-in."""

    username = text(1000, required=True)
    password = text(1000, required=True)
    name = text(1000, required=True)
    email = text(1000, required=True)
    company = text(1000, required=True)


class ConfirmIn(Schema):
    token = text(200, required=True, metadata={"description": "From the link in the mail."})
    password = text(200, required=True)


class WhoIn(Schema):
    who = text(320, least=1, required=True, metadata={"description": "User name or e-mail address."})


class RegistrationOut(Out):
    """A request for a log-in whose address is proved."""

    id = fields.UUID(attribute="user_id")
    username = fields.String(attribute="user.username")
    name = fields.String()
    email = fields.String()
    company = fields.String()
    state = fields.String(attribute="user.state")
    created_at = fields.DateTime()
    confirmed_at = nullable(fields.DateTime())
    decided_at = nullable(fields.DateTime())
    decided_by = nullable(fields.String())
    reason = nullable(fields.String())


class Registrations(Out):
    items = fields.List(fields.Nested(RegistrationOut))


class RegistrationMatch(RegistrationOut):
    contacts = fields.List(fields.Nested(Named), metadata={"description": "Whom the directory knows by this address."})


class RegistrationQuery(Schema):
    state = choice("waiting", "decided", load_default="waiting")


class ApproveIn(Schema):
    contact_id = Id(metadata={"description": "A known contact; without it a new one is made."})
    account_id = Id()


class RefuseIn(Schema):
    reason = text(5000, required=True)


class ContactLine(Out):
    id = fields.UUID()
    name = fields.String()
    emails = fields.List(fields.String())
    account = nullable(fields.Nested(Named))


class Contacts(Out):
    items = fields.List(fields.Nested(ContactLine))


class ContactQuery(Schema):
    q = text(200, load_default="")
    limit = QueryNumber(validate=Range(min=1, max=100), load_default=30)


class AccessOut(Out):
    account = fields.Nested(Named)
    level = choice(*LEVELS)
    own = fields.Boolean(attribute="is_own")


class ContactOut(Out):
    """A contact and what he may see."""

    id = fields.UUID()
    name = fields.String()
    emails = fields.List(fields.String())
    accounts = fields.List(fields.Nested(AccessOut))
    username = nullable(fields.String())
    second_step = fields.Boolean()


class LevelIn(Schema):
    level = choice(*LEVELS, required=True)


class AgentOut(Out):
    id = fields.UUID()
    name = fields.String()
    available = fields.Boolean()


class Agents(Out):
    items = fields.List(fields.Nested(AgentOut))


class AvailabilityIn(Schema):
    available = Flag(required=True)
