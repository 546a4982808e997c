"""Addresses of the simulated EspoCRM that name no record, and what a role may do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.crm_sync_service.espocrm.filters import RefusedError
from tests.crm_sync_service.espocrm.schema import PRIORITIES, STATUSES


@dataclass
class Request:
    method: str
    path: str
    """What follows /api/v1/."""
    is_api: bool
    query: Mapping[str, Any]
    headers: Mapping[str, str]
    body: bytes
    values: dict[str, Any] = field(default_factory=dict)
    user: str | None = None


class Rights:
    def __init__(self, simulator: Any) -> None:
        self._simulator = simulator

    def is_admin(self, request: Request) -> bool:
        return self._simulator.state.tables["User"].get(str(request.user), {}).get("type") == "admin"

    def _given(self, request: Request) -> Mapping[str, Any]:
        if self.is_admin(request):
            return {}
        special: Mapping[str, Any] = self._simulator.rights.get(f"of {request.user}") or self._simulator.rights
        return special

    def level(self, request: Request, entity: str, action: str) -> str:
        given = self._given(request).get(entity, {})
        if not isinstance(given, dict):
            return "all" if given else "no"
        return str(given.get(action, "all"))

    def demand(self, request: Request, entity: str, action: str, words: str) -> None:
        if self.level(request, entity, action) == "no":
            raise RefusedError(403, words)


class Specials:
    def __init__(self, simulator: Any, rights: Rights, streamed: Callable[..., Any]) -> None:
        self._simulator, self._state = simulator, simulator.state
        self._rights, self._streamed = rights, streamed
        self.handlers: dict[str, Callable[[Request, list[str]], Any]] = {
            "Settings": self._settings,
            "Metadata": self._metadata,
            "I18n": self._i18n,
            "App": self._app,
            "GlobalStream": self._globalstream,
            "Stream": self._globalstream,
            "Action": self._action,
            "MassAction": self._massaction,
            "Admin": self._admin,
        }

    def _settings(self, request: Request, _: list[str]) -> Any:
        settings = {"applicationName": "EspoCRM", "siteUrl": self._simulator.url, "timeZone": "UTC"}
        return settings if request.user is None else settings | {"version": self._simulator.version}

    def _metadata(self, request: Request, _: list[str]) -> Any:
        node: Any = {"entityDefs": {entity: self._definitions(entity) for entity in ("Case", "Note")}}
        for step in filter(None, str(request.query.get("key") or "").split(".")):
            node = node.get(step) if isinstance(node, dict) else None
        return b"" if node is None else node

    def _definitions(self, entity: str) -> dict[str, Any]:
        fields: dict[str, Any] = {
            name: {"type": "varchar", "maxLength": length, "isCustom": True}
            for name, length in self._state.custom[entity].items()
        }
        indexes = {
            f"{name}DeleteId": {**self._state.says_unique, "columns": [name, "deleteId"]}
            for kind, name in self._state.unique
            if kind == entity
        }
        if entity == "Case":
            fields |= {
                "name": {"type": "varchar", "required": True, "pattern": "$noBadCharacters"},
                "status": {"type": "enum", "options": list(STATUSES), "default": "New"},
                "priority": {"type": "enum", "options": list(PRIORITIES), "default": "Normal"},
                "description": {"type": "text"},
                "type": {"type": "enum", "options": ["", "Question", "Incident", "Problem"]},
                "account": {"type": "link"},
                "contact": {"type": "link"},
                "contacts": {"type": "linkMultiple"},
                "assignedUser": {"type": "link"},
            }
        return {"fields": fields, "indexes": indexes}

    def _i18n(self, _: Request, __: list[str]) -> Any:
        return {"Case": {"options": {"status": {"Pending": "Waiting"}}}}

    def _app(self, request: Request, _: list[str]) -> Any:
        user = self._state.tables["User"].get(str(request.user), {"id": request.user})
        acl = {"table": self._simulator.rights, "assignmentPermission": self._simulator.assignment_permission}
        return {"user": user, "acl": acl}

    def _globalstream(self, request: Request, _: list[str]) -> Any:
        if not self._simulator.rights.get("GlobalStream") or self._rights.level(request, "Case", "read") == "own":
            raise RefusedError(403)
        return self._streamed(request, self._state.live("Note"), globally=True)

    def _action(self, request: Request, _: list[str]) -> Any:
        values = request.values
        for source in values["data"]["sourceIdList"]:
            self._state.merge(values["entityType"], source, into=values["id"], by=str(request.user))
        return self._state.shown(values["entityType"], self._state.tables[values["entityType"]][values["id"]])

    def _massaction(self, request: Request, _: list[str]) -> Any:
        values = request.values
        ids = values["params"]["ids"]
        for record_id in ids:
            if values["action"] == "delete":
                self._state.delete(values["entityType"], record_id, by=str(request.user))
            else:
                self._state.update(values["entityType"], record_id, values["data"]["values"], by=str(request.user))
        return {"count": len(ids), "ids": ids}

    def _admin(self, request: Request, parts: list[str]) -> Any:
        if not self._rights.is_admin(request):
            raise RefusedError(403)
        fields = self._state.custom[parts[1]]
        if request.method == "POST":
            fields[f"c{request.values['name'][:1].upper()}{request.values['name'][1:]}"] = request.values["maxLength"]
            return {name: value for name, value in request.values.items() if name != "name"} | {"isCustom": True}
        if request.method == "DELETE":
            del fields[parts[2]]
            return True
        return self._definitions(parts[1])["fields"][parts[2]]

    def action_of(self, request: Request, parts: list[str]) -> Any:
        if parts[2:] != ["restoreDeleted"]:
            raise RefusedError(404, f"Action {request.method} '{parts[2]}' does not exist in controller '{parts[0]}'.")
        if not self._rights.is_admin(request):
            raise RefusedError(403)
        row = self._state.tables[parts[0]][request.values["id"]]
        if not row["deleted"]:
            raise RefusedError(404)
        row |= {"deleted": False, "deleteId": "0", "modifiedAt": self._state.stamp()}
        row["versionNumber"] += 1
        return True
