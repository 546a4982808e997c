"""Languages of the pages. Catalogues are the `.po` files themselves: nothing has to be compiled beforehand."""

from io import BytesIO
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from flask import Flask, g, request
from flask_babel import Babel, Domain, get_locale

from portal_service.web.visits import current_user
from shared.settings import LANGUAGES

LANGUAGE_COOKIE = "language"
LANGUAGE_NAMES = {"en": "English", "nl": "Nederlands"}
_FOLDER = Path(__file__).parent.parent / "translations"


def read_catalogue(path: Path, language: str) -> Translations:
    """A catalogue ready for use. Raises OSError or ValueError, so that a broken one stops the start."""
    with path.open("rb") as source:
        catalogue = read_po(source, locale=language, abort_invalid=True)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)


def read_catalogues() -> dict[str, Translations]:
    """One catalogue a language; English is the language of the code and needs none."""
    files = {path.parent.parent.name: path for path in _FOLDER.glob("*/LC_MESSAGES/messages.po")}
    return {language: read_catalogue(path, language) for language, path in files.items()}


class _Catalogues(Domain):  # type: ignore[misc] # flask-babel ships no types
    def __init__(self, catalogues: dict[str, Translations]) -> None:
        super().__init__()
        self._catalogues = catalogues

    def get_translations(self) -> NullTranslations:
        locale = get_locale()
        return self._catalogues.get(locale.language if locale else "en") or NullTranslations()


class _PortalBabel(Babel):  # type: ignore[misc] # flask-babel ships no types
    def __init__(self, app: Flask, catalogues: dict[str, Translations]) -> None:
        self.domain_instance = _Catalogues(catalogues)
        super().__init__(app, locale_selector=language, timezone_selector=zone)


def set_up_languages(app: Flask) -> None:
    """Call it before visits are set up: an error page has a language before anybody is admitted."""
    _PortalBabel(app, read_catalogues())

    @app.before_request
    def tell_error_pages() -> None:
        g.language = language()


def language() -> str:
    """The visitor's own choice, else what this browser chose before, else what it asks for."""
    user = current_user()
    if user is not None and user.language in LANGUAGES:
        return user.language
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    if chosen in LANGUAGES:
        return chosen
    return request.accept_languages.best_match(LANGUAGES, "en") or "en"


def zone() -> str:
    """The time zone in which the visitor reads moments."""
    user = current_user()
    return user.timezone if user is not None else "UTC"


def change_language() -> None:
    """Forget what was chosen earlier in this request, after the visitor's setting changed."""
    for name in ("babel_locale", "babel_tzinfo"):
        g.pop(name, None)


def language_names() -> list[tuple[str, str]]:
    return [(code, LANGUAGE_NAMES.get(code, code)) for code in LANGUAGES]
