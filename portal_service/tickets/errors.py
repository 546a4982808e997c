"""Why something a person asked for was not done. Texts are message keys: the pages translate them."""

from collections.abc import Mapping

from portal_service.messages import message

UNKNOWN = message("Please choose one of the entries of the list.")
NOT_OFFERED = message("This type of request is no longer offered. Please choose another one.")
PRODUCT_OR_CATEGORY = message("Please choose a product or a category.")


class Invalid(Exception):  # noqa: N818 (reads as what it says: the input is invalid)
    """What was entered cannot be taken as it is; nothing was changed."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        """`errors`: message key by field; the field "" is the form as a whole."""
        super().__init__("; ".join(f"{field}: {text}" for field, text in errors.items()))
        self.errors = dict(errors)


class Refused(Exception):  # noqa: N818 (reads as what it says: the action is refused)
    """The action is not allowed for this person or in this status; nothing was changed."""

    def __init__(self, message_key: str) -> None:
        super().__init__(message_key)
        self.message_key = message_key
