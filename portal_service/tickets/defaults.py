"""What a new portal offers to begin with: the request types of S14, and categories for where no product fits."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal_service.tickets.models import Category, RequestType

CATEGORIES = {
    "Account and access": "Account en toegang",
    "Installation": "Installatie",
    "Other": "Overig",
}
REQUEST_TYPES = {
    "level-1": (
        "Level 1 support",
        "Eerstelijnssupport",
        "Something does not work, or you have a question",
        "Er werkt iets niet, of u hebt een vraag",
    ),
    "level-2": (
        "Level 2 support",
        "Tweedelijnssupport",
        "A harder problem: a specialist phones you or looks at your computer",
        "Een lastiger probleem: een specialist belt u of kijkt mee op uw computer",
    ),
    "billing": (
        "Billing",
        "Facturatie",
        "Invoices, payments and contract data",
        "Facturen, betalingen en contractgegevens",
    ),
    "sales": ("Sales", "Verkoop", "Prices, licences and new products", "Prijzen, licenties en nieuwe producten"),
    "custom-programming": (
        "Custom programming request",
        "Maatwerkverzoek",
        "A change or an addition made for you",
        "Een wijziging of uitbreiding speciaal voor u",
    ),
}


def load_offer(session: Session) -> None:
    """Add them where there are none at all; what an administrator made or took away stays so."""
    if session.scalar(select(RequestType.id).limit(1)) is None:
        for position, (key, (name_en, name_nl, hint_en, hint_nl)) in enumerate(REQUEST_TYPES.items()):
            names = {"name_en": name_en, "name_nl": name_nl, "hint_en": hint_en, "hint_nl": hint_nl}
            session.add(RequestType(key=key, position=position, **names))
    if session.scalar(select(Category.id).limit(1)) is None:
        session.add_all(Category(name_en=name_en, name_nl=name_nl) for name_en, name_nl in CATEGORIES.items())
    session.flush()
