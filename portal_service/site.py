"""Where this portal is reached from outside and what signs its links: set once when a process starts."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from shared.settings import CommonSettings


@dataclass(frozen=True, kw_only=True)
class Site:
    portal_url: str
    """Public base URL, without a slash at its end."""
    secret_key: str

    @property
    def host(self) -> str:
        return urlsplit(self.portal_url).hostname or "localhost"

    def ticket_url(self, number: int) -> str:
        """The page of a ticket, the same for its requester and for staff."""
        return f"{self.portal_url}/tickets/{number}"


_current: list[Site] = []


def use(settings: CommonSettings) -> None:
    """Make these the addresses and the key of this process; every process calls it before it serves."""
    _current[:] = [Site(portal_url=settings.portal_url, secret_key=settings.secret_key)]


def current() -> Site:
    """Raises RuntimeError when the process forgot `site.use(settings.common)`."""
    if not _current:
        raise RuntimeError("call portal_service.site.use(settings.common) when the process starts")
    return _current[0]
