"""The company's log-in service: OpenID Connect, code flow with PKCE, keys that may be renewed at any time."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.discovery import OpenIDProviderMetadata
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from portal_service.settings import SsoSettings

_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
"""Signed with a key of the provider's own; never `none`, and never a secret that we know, too."""
_ABOUT_ADDRESS = ("email", "email_verified")
_METADATA_SECONDS = 3600.0
_TIMEOUT_SECONDS = 10.0
_LEEWAY_SECONDS = 60
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class SsoError(Exception):
    """The log-in service could not be asked, or its answer cannot be believed; the text is for the log."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who somebody is, as the log-in service vouches for it."""

    issuer: str
    subject: str
    email: str
    """Empty when it is unknown or nobody has verified it."""
    name: str


@dataclass(frozen=True, kw_only=True)
class Request:
    """What one log-in has to bring back."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str


class Provider:
    """One log-in service. What it says of itself is kept for an hour, its keys until one is missing."""

    def __init__(self, settings: SsoSettings) -> None:
        self.settings = settings
        self._http = httpx.Client(timeout=_TIMEOUT_SECONDS, follow_redirects=False)
        self._metadata: Mapping[str, Any] = {}
        self._read_at = 0.0
        self._keys: KeySet | None = None

    def authorization_url(self, asked: Request) -> str:
        """Where to send the browser. Raises SsoError."""
        return str(
            prepare_grant_uri(
                self._about()["authorization_endpoint"],
                self.settings.client_id,
                "code",
                redirect_uri=asked.redirect_uri,
                scope="openid email profile",
                state=asked.state,
                nonce=asked.nonce,
                code_challenge=create_s256_code_challenge(asked.verifier),  # type: ignore[no-untyped-call]
                code_challenge_method="S256",
            )
        )

    def identify(self, code: str, asked: Request) -> Identity:
        """Trade the code the browser brought for who it is. Raises SsoError."""
        answer = self._trade(code, asked)
        claims = self._checked(str(answer.get("id_token", "")), nonce=asked.nonce)
        if not claims.get("email") and answer.get("access_token") and "userinfo_endpoint" in self._about():
            told = self._userinfo(str(answer["access_token"]), str(claims["sub"]))
            # Address and "verified" from one source: what one says of its own address proves nothing of another.
            claims = {**told, **{name: value for name, value in claims.items() if name not in _ABOUT_ADDRESS}}
        # Some providers send the flag as text.
        verified = claims.get("email_verified") is True or claims.get("email_verified") == "true"
        return Identity(
            issuer=self.settings.issuer,
            subject=str(claims["sub"])[:255],
            email=str(claims.get("email") or "") if verified else "",
            name=str(claims.get("name") or claims.get("preferred_username") or ""),
        )

    def close(self) -> None:
        self._http.close()

    def _about(self) -> Mapping[str, Any]:
        """What the provider says of itself, checked."""
        if not self._metadata or time.monotonic() - self._read_at > _METADATA_SECONDS:
            found = OpenIDProviderMetadata(
                self._json("GET", f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration")
            )
            if found.get("issuer") != self.settings.issuer:
                raise SsoError(f"the provider calls itself {found.get('issuer')!r}, not {self.settings.issuer!r}")
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                if not is_safe_url(str(found.get(name, ""))):
                    raise SsoError(f"the provider's {name} is no https address: {found.get(name)!r}")
            self._metadata, self._read_at = found, time.monotonic()
        return self._metadata

    def _trade(self, code: str, asked: Request) -> Mapping[str, Any]:
        about = self._about()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": asked.redirect_uri,
            "code_verifier": asked.verifier,
        }
        ours, secret = self.settings.client_id, self.settings.client_secret
        if "client_secret_basic" in about.get("token_endpoint_auth_methods_supported", ["client_secret_basic"]):
            # RFC 6749, 2.3.1: both are encoded before they are joined.
            return self._json("POST", about["token_endpoint"], data=form, auth=(quote(ours, ""), quote(secret, "")))
        return self._json("POST", about["token_endpoint"], data={**form, "client_id": ours, "client_secret": secret})

    def _checked(self, id_token: str, *, nonce: str) -> Mapping[str, Any]:
        """The claims of an ID token that was made by this provider, for us, now and for this very log-in."""
        rules = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_SECONDS,
            iss={"essential": True, "value": self.settings.issuer},
            aud={"essential": True, "value": self.settings.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            claims = self._decoded(id_token).claims
            rules.validate(claims)
        except (JoseError, ValueError, TypeError) as error:
            raise SsoError(f"the ID token cannot be believed: {error}") from error
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", None if several else self.settings.client_id) != self.settings.client_id:
            raise SsoError("the ID token was made for another client")
        return claims

    def _decoded(self, id_token: str) -> jwt.Token:
        """Checked with the keys we know; with those of now if it was signed by another one."""
        if self._keys is not None:
            try:
                return jwt.decode(id_token, self._keys, algorithms=_ALGORITHMS)
            except (InvalidKeyIdError, ValueError):
                pass
        self._keys = KeySet.import_key_set(self._json("GET", self._about()["jwks_uri"]))  # type: ignore[arg-type]
        return jwt.decode(id_token, self._keys, algorithms=_ALGORITHMS)

    def _userinfo(self, access_token: str, subject: str) -> Mapping[str, Any]:
        url = str(self._about()["userinfo_endpoint"])
        found = self._json("GET", url, headers={"Authorization": f"Bearer {access_token}"})
        if found.get("sub") != subject:
            raise SsoError("the provider told of somebody else")
        return found

    def _json(self, method: str, url: str, **options: Any) -> dict[str, Any]:
        headers = {"Accept": "application/json", **options.pop("headers", {})}
        try:
            response = self._http.request(method, url, headers=headers, **options)
            body = response.json() if response.status_code == 200 else None
        except (httpx.HTTPError, ValueError) as error:
            raise SsoError(f"{method} {url}: {error}") from error
        if not isinstance(body, dict):
            raise SsoError(f"{method} {url} answered {response.status_code}: {response.text[:300]!r}")
        return body


def is_safe_url(url: str) -> bool:
    """Whether nobody on the way can read or change what is sent there: https, or this very machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    )
