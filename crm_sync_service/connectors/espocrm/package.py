"""The extension that adds Casebridge's fields to an EspoCRM.

A module of its own: files in EspoCRM's folder Custom would replace what an administrator made there, and take it
along when the extension is removed.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

VERSION = "1.0.0"
_RELEASED = "2026-11-22"
_MODULE = "files/custom/Espo/Modules/Casebridge/Resources"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
_HIDDEN = {
    "duplicateIgnore": True,
    "layoutDetailDisabled": True,
    "layoutListDisabled": True,
    "layoutMassUpdateDisabled": True,
    "massUpdateDisabled": True,
}
_OWN = {"duplicateIgnore": True, "layoutMassUpdateDisabled": True, "massUpdateDisabled": True}


def _unique(name: str) -> dict[str, Any]:
    """EspoCRM, from 8.4 on, marks deleted rows by deleteId, so that their key is free again."""
    return {f"{name}DeleteId": {"type": "unique", "columns": [name, "deleteId"]}}


_CASE: Mapping[str, Any] = {
    "fields": {
        "portalTicketId": {"type": "varchar", "maxLength": 64, **_HIDDEN},
        "portalTicketNumber": {"type": "varchar", "maxLength": 32, **_OWN},
        "portalTicketUrl": {"type": "url", "maxLength": 255, **_OWN},
        "product": {"type": "varchar", "maxLength": 100, "audited": True},
    },
    "indexes": _unique("portalTicketId"),
    "deleteId": True,
}
_NOTE: Mapping[str, Any] = {
    "fields": {"portalReplyId": {"type": "varchar", "maxLength": 64, **_HIDDEN}},
    "indexes": _unique("portalReplyId"),
    "deleteId": True,
}
_DETAIL = [
    {
        "label": "",
        "rows": [
            [{"name": "name"}, {"name": "number"}],
            [{"name": "status"}, {"name": "account"}],
            [{"name": "priority"}, {"name": "contacts"}],
            [{"name": "type"}, {"name": "product"}],
            [{"name": "portalTicketNumber"}, {"name": "portalTicketUrl"}],
            [{"name": "description", "fullWidth": True}],
            [{"name": "attachments", "fullWidth": True}],
        ],
    }
]
"""As delivered, with our fields."""
_LABELS: Mapping[str, Mapping[str, str]] = {
    "en_US": {
        "portalTicketId": "Portal ticket ID",
        "portalTicketNumber": "Portal ticket",
        "portalTicketUrl": "Link to the portal",
        "product": "Product",
        "portalReplyId": "Portal reply ID",
    },
    "nl_NL": {
        "portalTicketId": "Ticket-ID in het portaal",
        "portalTicketNumber": "Ticket in het portaal",
        "portalTicketUrl": "Link naar het portaal",
        "product": "Product",
        "portalReplyId": "Antwoord-ID in het portaal",
    },
}
_MANIFEST = {
    "name": "Casebridge",
    "version": VERSION,
    "acceptableVersions": [">=8.4.0"],
    "php": [">=8.1.0"],
    "releaseDate": _RELEASED,
    "author": "Casebridge",
    "description": "Fields by which support tickets of Casebridge are mirrored as Cases, each exactly once.",
    "skipBackup": True,
}


def build_package() -> bytes:
    """The extension as a zip; the same bytes every time."""
    files = {"manifest.json": _MANIFEST} | {f"{_MODULE}/{path}": content for path, content in _resources().items()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as package:
        for path, content in sorted(files.items()):
            entry = zipfile.ZipInfo(path, date_time=_LONG_AGO)
            entry.compress_type, entry.external_attr, entry.create_system = zipfile.ZIP_DEFLATED, 0o644 << 16, 3
            package.writestr(entry, json.dumps(content, indent=4, ensure_ascii=False) + "\n")
    return buffer.getvalue()


def _resources() -> dict[str, Any]:
    found: dict[str, Any] = {
        "module.json": {"order": 50},
        "metadata/entityDefs/Case.json": _CASE,
        "metadata/entityDefs/Note.json": _NOTE,
        "metadata/recordDefs/Case.json": {
            "duplicateWhereBuilderClassName": "Espo\\Classes\\DuplicateWhereBuilders\\General"
        },
        "metadata/scopes/Case.json": {"duplicateCheckFieldList": ["portalTicketId"]},
        # Otherwise the layout of EspoCRM's own module would be taken; one that an administrator made comes before both.
        "metadata/app/layouts.json": {"Case": {"detail": {"module": "Casebridge"}}},
        "layouts/Case/detail.json": _DETAIL,
    }
    for language, labels in _LABELS.items():
        for entity, definition in (("Case", _CASE), ("Note", _NOTE)):
            own = {name: labels[name] for name in definition["fields"]}
            found[f"i18n/{language}/{entity}.json"] = {"fields": own}
    return found


@click.command("espocrm-package")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("casebridge-espocrm.zip"),
    show_default=True,
    help="The file to write.",
)
def espocrm_package(output: Path) -> None:
    """Make the extension that adds Casebridge's fields to an EspoCRM."""
    try:
        output.write_bytes(build_package())
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}") from error
    click.echo(f"{output} is ready: upload it in EspoCRM under Administration, Extensions, and install it.")
