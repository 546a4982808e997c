"""The second step of a log-in: an authenticator app (RFC 6238), or once each a recovery code."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyotp
from cryptography.fernet import Fernet
from sqlalchemy import CursorResult, delete, func, select, update
from sqlalchemy.orm import Session

from portal_service import site
from portal_service.messages import message
from portal_service.people import letters, one_time, throttle
from portal_service.people.credentials import Authenticator, Passkey, RecoveryCode
from portal_service.people.models import LoginSession, User
from portal_service.tickets.errors import Refused

ISSUER = "Casebridge"
CODES = 10
_SETUP = "authenticator-setup"
_SETUP_WITHIN = timedelta(minutes=30)
_STEP_SECONDS = 30
_MOST_CODES = 10
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_CODE_LENGTH, _CODE_GROUP = 10, 5

WRONG_CODE = message("This code is wrong or was used already. Wait for the next one and try again.")
SETUP_ENDED = message("This took too long. Please start again.")


@dataclass(frozen=True)
class Setup:
    """An authenticator that is being set up."""

    token: str
    secret: str
    uri: str
    """What the QR code holds."""


@dataclass(frozen=True)
class Factors:
    """What a user has for the second step."""

    authenticator: Authenticator | None
    passkeys: Sequence[Passkey]
    codes_left: int

    def __bool__(self) -> bool:
        return self.authenticator is not None or bool(self.passkeys)


def factors_of(session: Session, user: User) -> Factors:
    left = session.scalar(select(func.count()).where(RecoveryCode.user_id == user.id)) or 0
    passkeys = session.scalars(select(Passkey).where(Passkey.user_id == user.id).order_by(Passkey.created_at)).all()
    return Factors(session.get(Authenticator, user.id), passkeys, left)


def begin_setup(session: Session, user: User, *, now: datetime) -> Setup:
    """A new secret for an app to scan; nothing changes until its first code was typed."""
    secret = pyotp.random_base32()
    data = {"secret": _cipher().encrypt(secret.encode()).decode()}
    token = one_time.issue(session, _SETUP, user=user, lifetime=_SETUP_WITHIN, data=data, now=now)
    return _setup(user, token, secret)


def go_on(session: Session, user: User, token: str, *, now: datetime) -> Setup | None:
    """A set-up begun before, to be shown again after a wrong code."""
    found = one_time.look_up(session, _SETUP, token, now=now)
    if found is None or found.user_id != user.id:
        return None
    return _setup(user, token, _cipher().decrypt(found.data["secret"]).decode())


def finish_setup(session: Session, user: User, token: str, code: str, *, now: datetime) -> list[str]:
    """Turn the app on; returns new recovery codes if the user has none. Raises Refused."""
    setup = go_on(session, user, token, now=now)
    if setup is None:
        raise Refused(SETUP_ENDED)
    step = _step_of(setup.secret, code, now=now)
    if step is None:
        raise Refused(WRONG_CODE)
    one_time.spend(session, _SETUP, token, now=now)
    session.execute(delete(Authenticator).where(Authenticator.user_id == user.id))
    secret = _cipher().encrypt(setup.secret.encode()).decode()
    session.add(Authenticator(user_id=user.id, secret=secret, last_step=step, created_at=now))
    session.flush()
    return factor_added(session, user, now=now)


def factor_added(session: Session, user: User, *, now: datetime) -> list[str]:
    """Tell the owner; returns recovery codes for somebody who has none yet."""
    letters.security_changed(session, user, "factor_added", now=now)
    return [] if factors_of(session, user).codes_left else new_codes(session, user)


def remove_authenticator(session: Session, user: User, *, now: datetime) -> None:
    session.execute(delete(Authenticator).where(Authenticator.user_id == user.id))
    factor_removed(session, user, now=now)


def remove_all(session: Session, user: User, *, now: datetime) -> None:
    """For somebody who lost everything and proved to an admin who he is."""
    for table in (Authenticator, Passkey):
        session.execute(delete(table).where(table.user_id == user.id))
    factor_removed(session, user, now=now)


def factor_removed(session: Session, user: User, *, now: datetime) -> None:
    """Tell the owner; without any factor left, codes and strong sessions end too."""
    letters.security_changed(session, user, "factor_removed", now=now)
    if not factors_of(session, user):
        session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
        weaker = (LoginSession.user_id == user.id, LoginSession.method == "two_factor")
        session.execute(update(LoginSession).where(*weaker).values(method="password"))


def new_codes(session: Session, user: User) -> list[str]:
    """Ten new recovery codes; the old ones end. They are shown once, only their hashes are kept."""
    session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    codes = ["".join(secrets.choice(_ALPHABET) for _ in range(_CODE_LENGTH)) for _ in range(CODES)]
    session.add_all(RecoveryCode(user_id=user.id, code_hash=_hash(user, code)) for code in codes)
    session.flush()
    return [f"{code[:_CODE_GROUP]}-{code[_CODE_GROUP:]}" for code in codes]


def check_code(session: Session, user: User, code: str, *, now: datetime) -> None:
    """Accept a code of the app or a recovery code, each of them once. Raises Refused.

    Catch it inside the transaction: the failure it counted has to be committed.
    """
    limits = [throttle.limit("second-step", str(user.id), _MOST_CODES)]
    if throttle.is_exceeded(session, limits, now=now):
        raise Refused(throttle.THROTTLED)
    if not (_use_app(session, user, code, now=now) or _use_recovery_code(session, user, code)):
        throttle.count(session, limits, now=now)
        raise Refused(WRONG_CODE)
    throttle.forgive(session, limits[0])


def _use_app(session: Session, user: User, code: str, *, now: datetime) -> bool:
    found = session.get(Authenticator, user.id)
    if found is None:
        return False
    step = _step_of(_cipher().decrypt(found.secret).decode(), code, now=now)
    if step is None:
        return False
    # Of two who use one code at the same moment, one comes first.
    unused = update(Authenticator).where(Authenticator.user_id == user.id, Authenticator.last_step < step)
    return _changed_one(session.execute(unused.values(last_step=step)))


def _use_recovery_code(session: Session, user: User, code: str) -> bool:
    plain = code.strip().casefold().replace("-", "").replace(" ", "")
    mine = (RecoveryCode.user_id == user.id, RecoveryCode.code_hash == _hash(user, plain))
    return _changed_one(session.execute(delete(RecoveryCode).where(*mine)))


def _changed_one(result: object) -> bool:
    assert isinstance(result, CursorResult)
    return bool(result.rowcount == 1)


def _step_of(secret: str, code: str, *, now: datetime) -> int | None:
    """The 30 seconds a code belongs to: the present ones or, for slow typing and wrong clocks, those beside them."""
    digits = code.strip().replace(" ", "")
    totp = pyotp.TOTP(secret)
    present = int(now.timestamp()) // _STEP_SECONDS
    if not (digits.isascii() and digits.isdigit()):
        return None
    steps = (present, present - 1, present + 1)
    return next((step for step in steps if secrets.compare_digest(totp.generate_otp(step), digits)), None)


def _setup(user: User, token: str, secret: str) -> Setup:
    return Setup(token, secret, pyotp.TOTP(secret).provisioning_uri(name=user.username, issuer_name=ISSUER))


def _cipher() -> Fernet:
    key = hashlib.sha256(f"authenticator:{site.current().secret_key}".encode()).digest()
    return Fernet(base64.urlsafe_b64encode(key))


def _hash(user: User, code: str) -> str:
    # With a key: ten letters alone could be tried out by whoever reads a copy of the database.
    key = f"recovery-code:{site.current().secret_key}".encode()
    return hmac.new(key, f"{user.id}:{code}".encode(errors="replace"), hashlib.sha256).hexdigest()
