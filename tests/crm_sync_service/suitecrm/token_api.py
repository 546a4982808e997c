"""OAuth2 of the simulated SuiteCRM."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from werkzeug.wrappers import Response

from tests.crm_sync_service.suitecrm.refusals import json_answer


@dataclass
class Token:
    """One access token, with the refresh token that came with it."""

    value: str
    refresh: str | None
    ends: float
    revoked: bool = False
    refresh_revoked: bool = False


@dataclass
class TokenApi:
    """Gives tokens out and looks at them."""

    clients: Mapping[str, tuple[str, str]]
    """Secret and grant by client id."""
    passwords: Mapping[str, str]
    clock: Callable[[], float]
    inactive: set[str] = field(default_factory=set)
    life: int = 3600
    given: list[Token] = field(default_factory=list)
    refused: int = 0
    """Requests that came with a token that was not taken."""

    def answer(self, form: Mapping[str, str]) -> Response:
        grant, client = form.get("grant_type", ""), form.get("client_id", "")
        if client not in self.clients:
            return _unknown_error(f"OAuth2Clients module with id {client} is not found")
        if grant == "refresh_token":
            return self._refreshed(form.get("refresh_token", ""))
        if self.clients[client] != (form.get("client_secret"), grant):
            words = "Client authentication failed"
            body = {"error": "invalid_client", "error_description": words, "message": words}
            return json_answer(body, 401, kind="application/json")
        if grant == "password":
            user, password = form.get("username", ""), form.get("password", "")
            if user in self.inactive:
                return _unknown_error("Not Authorized")
            if self.passwords.get(user) != password:
                return _unknown_error(f"The password is invalid: {password}")
        return self._give(refresh=grant == "password")

    def _give(self, *, refresh: bool) -> Response:
        token = Token(f"a.{uuid.uuid4()}.c", str(uuid.uuid4()) if refresh else None, self.clock() + self.life)
        self.given.append(token)
        body = {"token_type": "Bearer", "expires_in": self.life, "access_token": token.value}
        if token.refresh:
            body["refresh_token"] = token.refresh
        return json_answer(body, kind="application/json; charset=UTF-8")

    def _refreshed(self, refresh: str) -> Response:
        old = next((token for token in self.given if token.refresh == refresh), None)
        if old is None or old.refresh_revoked:
            hint = "Token has been revoked" if old else "Cannot decrypt the refresh token"
            words = "The refresh token is invalid."
            body = {"error": "invalid_request", "error_description": words, "hint": hint, "message": words}
            return json_answer(body, 401, kind="application/json")
        old.revoked = old.refresh_revoked = True
        return self._give(refresh=True)

    def refusal(self, header: str) -> str | None:
        """Why a request's token is not taken, or None."""
        hint = self._hint(header)
        self.refused += hint is not None
        return hint

    def _hint(self, header: str) -> str | None:
        value = header.removeprefix("Bearer ")
        if value.count(".") != 2:
            return "The JWT string must have two dots"
        token = next((token for token in self.given if token.value == value), None)
        if token is None or self.clock() >= token.ends:
            return "Access token could not be verified"
        return "Access token has been revoked" if token.revoked else None


def _unknown_error(words: str) -> Response:
    body = {"error": "unknown_error", "error_description": words, "message": words}
    return json_answer(body, 500, kind="application/json")
