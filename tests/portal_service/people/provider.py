"""A small but real OpenID Connect provider on loopback: discovery, PKCE, one-time codes, keys that change."""

import base64
import hashlib
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, jsonify, redirect, request
from joserfc import jwt
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server

from tests.stack import free_ports

CLIENT_ID, CLIENT_SECRET = "casebridge", "a secret/with:signs"


class TestProvider:
    """Its `person` is who logs in next; what it does wrong is in `tricks`."""

    __test__ = False

    def __init__(self, url: str) -> None:
        self.url = url
        self.person: dict[str, Any] = {"sub": "carol-1", "email": "carol@acme.example", "email_verified": True}
        self.tricks: dict[str, Any] = {}
        self.key = self._new_key()
        self.asks_first = False
        self._codes: dict[str, dict[str, str]] = {}
        self._keys_read = 0

    @property
    def keys_read(self) -> int:
        """How often somebody asked for the keys."""
        return self._keys_read

    def rotate(self) -> None:
        """Sign with a new key from now on; the old one is gone."""
        self.key = self._new_key()

    def app(self) -> Flask:
        app = Flask(__name__)
        app.add_url_rule("/.well-known/openid-configuration", view_func=self.about)
        app.add_url_rule("/authorize", view_func=self.authorize)
        app.add_url_rule("/token", view_func=self.token, methods=["POST"])
        app.add_url_rule("/keys", view_func=self.keys)
        app.add_url_rule("/userinfo", view_func=self.userinfo)
        return app

    def about(self) -> Response:
        return jsonify(
            issuer=self.tricks.get("issuer", self.url),
            authorization_endpoint=f"{self.url}/authorize",
            token_endpoint=self.tricks.get("token_endpoint", f"{self.url}/token"),
            jwks_uri=f"{self.url}/keys",
            userinfo_endpoint=f"{self.url}/userinfo",
            token_endpoint_auth_methods_supported=self.tricks.get("auth", ["client_secret_basic"]),
        )

    def authorize(self) -> Any:
        asked = request.args.to_dict()
        if "openid" not in asked["scope"].split() or asked["code_challenge_method"] != "S256":
            return "bad request", 400
        if self.asks_first and "agreed" not in asked:
            agree = urlencode({**asked, "agreed": "yes"})
            return f'<a href="/authorize?{agree.replace("&", "&amp;")}">Continue as {self.person["sub"]}</a>'
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        back = {"code": code, "state": asked["state"], "iss": self.tricks.get("iss", self.url)}
        return redirect(f"{asked['redirect_uri']}?{urlencode(back)}", 302)

    def token(self) -> Any:
        form = request.form
        asked = self._codes.pop(form["code"], None)
        verifier = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).decode().rstrip("=")
        if not self._is_client() or asked is None or challenge != asked["code_challenge"]:
            return jsonify(error="invalid_grant"), 400
        if form["redirect_uri"] != asked["redirect_uri"]:
            return jsonify(error="invalid_grant"), 400
        claims = {
            "iss": self.url,
            "aud": CLIENT_ID,
            "iat": int(time.time()),
            "exp": int(time.time()) + 300,
            "nonce": asked["nonce"],
            **({} if "only_userinfo" in self.tricks else self.person),
            "sub": self.person["sub"],
            **self.tricks.get("claims", {}),
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        key = self.tricks.get("key", self.key)
        header = {"alg": self.tricks.get("alg", "RS256"), "kid": self.key.kid}
        algorithms = [header["alg"]]
        return jsonify(id_token=jwt.encode(header, claims, key, algorithms=algorithms), access_token="for-userinfo")

    def keys(self) -> Response:
        self._keys_read += 1
        return jsonify(keys=[self.key.as_dict(private=False)])

    def userinfo(self) -> Any:
        if request.headers["Authorization"] != "Bearer for-userinfo":
            return jsonify(error="invalid_token"), 401
        return jsonify(self.person | self.tricks.get("userinfo", {}))

    def _is_client(self) -> bool:
        if self.tricks.get("auth") == ["client_secret_post"]:
            return (request.form["client_id"], request.form["client_secret"]) == (CLIENT_ID, CLIENT_SECRET)
        given = request.authorization
        return given is not None and given.username == CLIENT_ID and given.password == "a%20secret%2Fwith%3Asigns"

    @staticmethod
    def _new_key() -> RSAKey:
        return RSAKey.generate_key(2048, {"kid": secrets.token_hex(4), "use": "sig"})


@contextmanager
def running_provider() -> Iterator[TestProvider]:
    port = free_ports(1)[0]
    provider = TestProvider(f"http://127.0.0.1:{port}")
    server = make_server("127.0.0.1", port, provider.app(), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
