"""Identifiers. Derived ids make a repeated create recognisable on the other side (FAILURES 1, 8, 11)."""

import uuid

_NAMESPACE = uuid.UUID("6f0f4f55-9c1c-5a3b-8a53-3c62c5f3b0de")


def new_id() -> uuid.UUID:
    return uuid.uuid4()


def derived_id(kind: str, key: object) -> uuid.UUID:
    """The same id for the same kind and key, on every machine and after every restore."""
    return uuid.uuid5(_NAMESPACE, f"{kind}:{key}")
