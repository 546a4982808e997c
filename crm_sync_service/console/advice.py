"""What to do about a cause, in words. The first line that fits counts."""

import re
from collections.abc import Sequence

_ADVICE: Sequence[tuple[str, str]] = (
    (
        r"refuses our key|refuses the (API key|OAuth2 client|log-in)",
        "Give Casebridge valid credentials (CRM_API_KEY or others) and restart the sync worker. Nothing is lost.",
    ),
    (
        r"is not trusted|no secure connection",
        "Have the CRM's certificate mended; for one of your own name its authority's file in CRM_CA_FILE.",
    ),
    (
        r"no answer from the CRM|the CRM answered 5\d\d|redirects to|no JSON object|web page|cut off|exceeds \S+ bytes",
        "Check that the CRM runs and that CRM_API_URL is right. Casebridge tries again by itself once it answers.",
    ),
    (r"answered 429", "The CRM asked for a pause. Casebridge keeps it and goes on by itself."),
    (
        r"a person has to choose",
        "Both sides changed it, and its policy says that a person decides. Choose on the page Conflicts.",
    ),
    (
        r"set back and forth",
        "Two programs or people overwrite each other. Find out who in the CRM sets it, then release the field.",
    ),
    (
        r"is left out, as|becomes no Note:|in the CRM only, as .* decided",
        "A person decided so. Nothing is to be done; the ticket's page takes it back.",
    ),
    (
        r"contacts of the CRM have the address",
        ("Choose one on the page Contacts, or open them in the CRM, merge those who are one person, then retry."),
    ),
    (
        r"no e-mail address to find the contact",
        "Give the requester an e-mail address in the portal, or link the contact in the CRM, then retry.",
    ),
    (
        r"which the portal does not know",
        "Set the Case to a value that has a counterpart in the portal. The ticket keeps its old value until then.",
    ),
    (
        r"is no user of the CRM|is not in the CRM",
        "Add the missing record in the CRM, or choose another one in the ticket. Casebridge does not guess.",
    ),
    (
        r"was deleted in the CRM|^Case \S+ was merged into|^its Case was merged into",
        (
            "The ticket lives on in the portal. Casebridge makes no second Case, so that nothing comes back that "
            "somebody deleted on purpose. Decide for each ticket: a new Case, another Case, or none."
        ),
    ),
    (
        r"is refused|refuses (a|the) Note",
        "The CRM does not take the text of a reply. Change the rule in the CRM, then retry, or skip this one Note.",
    ),
    (
        r"There is no|no longer active|was merged|was deleted",
        (
            "The ticket names a record that the CRM no longer offers. Restore it there or choose another one in the "
            "ticket, then retry."
        ),
    ),
    (
        r"the CRM refuses",
        (
            "The CRM does not take a value. Correct it in the ticket or relax the rule in the CRM, then retry. Or open "
            "the ticket's page: there you set another value on both sides, or leave this one field alone."
        ),
    ),
    (
        r"stores \w+ differently",
        (
            "Something in the CRM (a rule or a workflow) alters what Casebridge writes. Exempt the Casebridge user "
            "from it, then retry."
        ),
    ),
    (
        r"workers died",
        "A worker was killed while it handled this ticket, several times. Look for the reason in its log, then retry.",
    ),
    (
        r"keeps changing while it is written",
        "Something writes this Case all the time. Find out what (its history in the CRM says who), then retry.",
    ),
    (r"on its way to the ticket", "Check that the portal worker runs: it has not answered yet."),
)
_PAGES: Sequence[tuple[str, str]] = (
    (r"a person has to choose", "conflicts.inbox"),
    (r"contacts of the CRM have the address", "contacts.waiting"),
    (r"set back and forth|is left out, as", "pages.held"),
)
_DEFAULT = (
    "Read the words above, mend the cause there, then retry. If it reads like a mistake in the program, keep the "
    "worker's log of that time and report it."
)
_VARIABLE = re.compile(
    r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"  # ids
    r"|[^\s<>()\"',;]+@[^\s<>()\"',;]+"  # addresses
    r"|\b[A-Z]{1,5}-\d+"  # Case numbers
    r"|\b\d{4,}\b",
    re.IGNORECASE,
)
_KEY_LENGTH = 300


def advice_for(cause: str) -> str:
    return next((words for pattern, words in _ADVICE if re.search(pattern, cause)), _DEFAULT)


def page_for(cause: str) -> str | None:
    """The endpoint where people settle such a cause."""
    return next((page for pattern, page in _PAGES if re.search(pattern, cause)), None)


def cause_key(cause: str) -> str:
    """What the same cause has in common on different tickets: ids, addresses and numbers left out."""
    return " ".join(_VARIABLE.sub("…", cause).split())[:_KEY_LENGTH]
