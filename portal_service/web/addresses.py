"""What stands in addresses."""

from werkzeug.routing import IntegerConverter, Map


class TicketNumber(IntegerConverter):
    """A ticket's number, no larger than a database can hold; anything else is no page."""

    def __init__(self, url_map: Map) -> None:
        super().__init__(url_map, max=10**15)
