"""The package for SuiteCRM's Module Loader: our fields with their place on the pages, and hints of changes."""

import io
import re
import zipfile
from collections.abc import Mapping
from importlib.resources import files

_TEMPLATES = files("crm_sync_service.connectors.suitecrm") / "package"
_PLACES: Mapping[str, str] = {
    "manifest.php": "manifest.php",
    "custom/casebridge/CasebridgeHook.php": "CasebridgeHook.php",
    "custom/casebridge/settings.php": "settings.php",
    "Extension/modules/Cases/LogicHooks/casebridge.php": "LogicHooks.php",
    "Extension/modules/Notes/LogicHooks/casebridge.php": "LogicHooks.php",
    "language/application/en_us.casebridge.php": "language_application.php",
    "language/Cases/en_us.casebridge.php": "language_Cases.php",
    "language/Notes/en_us.casebridge.php": "language_Notes.php",
    "scripts/post_install.php": "post_install.php",
    "scripts/pre_uninstall.php": "pre_uninstall.php",
}
"""The template by its place in the package."""
_LAYOUT = (("Notes", "portal_message_id_c"), ("Cases", "portal_ticket_id_c"))
_PRODUCT = ("Cases", "product_c")
_PLACEHOLDER = re.compile("@@([A-Z_]+)@@")
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)
"""Of zip files; the same package whenever it is made."""
_READABLE = 0o100644 << 16


def build_package(
    *, version: str, webhook_url: str, secret: str, products: Mapping[str, str], with_product_field: bool = True
) -> bytes:
    """A zip file, the same for the same arguments. Without URL or secret its hook does nothing."""
    layout = (*_LAYOUT, _PRODUCT) if with_product_field else _LAYOUT
    values = {
        "URL": php_text(webhook_url),
        "SECRET": php_text(secret),
        "VERSION": php_text(version),
        "PRODUCT_FIELD": _template("product_field.php.part") if with_product_field else "",
        "PRODUCTS": "".join(f"    {php_text(key)} => {php_text(label)},\n" for key, label in products.items()),
        "LAYOUT": ", ".join(f"array({php_text(module)} => {php_text(name)})" for module, name in layout),
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as package:
        for place, template in sorted(_PLACES.items()):
            entry = zipfile.ZipInfo(place, _FIRST_DAY)
            entry.external_attr = _READABLE
            entry.compress_type = zipfile.ZIP_DEFLATED
            package.writestr(entry, _filled(_template(template), values))
    return made.getvalue()


def php_text(text: str) -> str:
    """A PHP string in single quotes, where only the quote and the backslash mean something."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _template(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _filled(template: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: values[found.group(1)], template)
