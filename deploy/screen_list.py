"""Which pages are pictured, as whom, and which addresses are no pages. A test holds it against the routes."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Service = Literal["PORTAL", "CONSOLE", "CRM", "MAILS"]


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One page as one person sees it."""

    name: str
    service: Service
    path: str
    """With {names} of what `screen_story.tell` found out, such as a ticket's number."""
    person: str | None = None
    """A user name, or whoever the story left a browser of."""
    in_readme: bool = False


def _shots(service: Service, person: str | None, paths: Mapping[str, str], *, readme: str = "") -> list[Shot]:
    return [
        Shot(name=name, service=service, path=path, person=person, in_readme=name == readme)
        for name, path in paths.items()
    ]


SHOTS: Sequence[Shot] = (
    *_shots("PORTAL", None, {
        "login": "/login",
        "register": "/register",
        "register-sent": "/register/sent",
        "register-confirm": "/register/confirm/{confirm}",
        "register-confirmed": "/register/confirmed",
        "password-forgot": "/password/forgot",
        "password-sent": "/password/sent",
        "password-new": "/password/reset/{reset}",
        "password-link-ended": "/password/reset/ended",
        "guest-look-up": "/guest",
        "guest-form": "/guest/new",
        "public-knowledge": "/knowledge",
        "public-article": "/knowledge/connect-a-sensor-gateway",
        "not-found": "/knowledge/nothing-like-it",
    }),
    *_shots("PORTAL", "gina", {
        "guest-received": "/guest/received",
        "guest-ticket": "/guest/tickets/{guest_ticket}",
    }),
    *_shots("PORTAL", "dave-halfway", {"second-step": "/login/second"}),
    *_shots("PORTAL", "carol", {
        "home": "/",
        "cases": "/cases",
        "cases-nothing": "/cases?q=nothing-like-it",
        "case": "/cases/{case}",
        "case-comments": "/cases/{case}/comments",
        "case-files": "/cases/{filed}/files",
        "case-print": "/cases/{case}/print",
        "received": "/requests/{filed}/received",
        "type": "/requests/new",
        "form": "/requests/new/{request_type}",
        "form-draft": "/requests/new/billing",
        "knowledge": "/knowledge",
        "knowledge-search": "/knowledge?q=engine+does+not+start",
        "article": "/knowledge/{article}",
        "answer-panel": "/suggestions/{article}",
        "news": "/news",
        "downloads": "/downloads",
        "troubleshooter": "/troubleshooter",
        "troubleshooter-question": "/troubleshooter/{question}",
        "troubleshooter-answer": "/troubleshooter/answer/{option}",
        "settings": "/settings",
        "security": "/settings/security",
        "authenticator": "/settings/two-factor/authenticator",
        "passkey": "/settings/two-factor/passkey",
        "password-again": "/settings/two-factor/again",
        "tokens": "/settings/tokens",
        "token-new": "/settings/tokens/new",
        "api-docs": "/api/v1/docs",
        "api-docs-topic": "/api/v1/docs/{topic}",
    }),
    *_shots("PORTAL", "peter", {
        "company-cases-nl": "/cases?status=all",
        "home-nl": "/",
        "form-nl": "/requests/new/level-2",
    }),
    *_shots("PORTAL", "sofia", {"case-closed-nl": "/cases/{closed}"}),
    *_shots("PORTAL", "sam", {
        "staff-queue": "/staff/tickets",
        "staff-queue-all": "/staff/tickets?status=all",
        "staff-ticket": "/staff/tickets/{case}",
        "staff-ticket-filed": "/staff/tickets/{filed}",
        "staff-delete": "/staff/tickets/{filed}/delete",
        "staff-transfer": "/staff/tickets/{filed}/transfer",
        "staff-calls": "/staff/tickets/calls",
        "staff-deleted": "/staff/tickets/deleted",
        "staff-new": "/staff/tickets/new?q=an",
        "staff-new-type": "/staff/tickets/new/{contact}",
        "staff-new-form": "/staff/tickets/new/{contact}/{request_type}",
        "staff-articles": "/staff/articles",
        "staff-article-new": "/staff/articles/new",
        "staff-article": "/staff/articles/{article_id}",
        "staff-article-versions": "/staff/articles/{article_id}/versions",
        "staff-article-from-ticket": "/staff/articles/from-ticket/{closed}",
        "staff-troubleshooter": "/staff/troubleshooter",
        "staff-troubleshooter-edit": "/staff/troubleshooter/{question}",
        "staff-troubleshooter-new": "/staff/troubleshooter/new",
    }),
    *_shots("PORTAL", "alex", {
        "admin-queue": "/staff/tickets",
        "admin-registrations": "/staff/registrations",
        "admin-registration": "/staff/registrations/{registration}",
        "admin-people": "/staff/people",
        "admin-person": "/staff/people/{staff}",
        "admin-person-new": "/staff/people/new",
        "admin-offer": "/staff/offer",
        "admin-offer-new": "/staff/offer/types/new",
        "admin-offer-one": "/staff/offer/types/{offered}",
        "admin-contact": "/staff/contacts/{contact}",
        "admin-mails": "/staff/mails",
        "admin-downloads": "/staff/downloads",
        "admin-publishers": "/staff/articles/publishers",
    }),
    *_shots("CRM", None, {"crm-login": "/login"}),
    *_shots("CRM", "anna", {
        "crm-cases": "/cases",
        "crm-case": "/cases/{crm_case}",
        "crm-case-delete": "/cases/{crm_case}/delete",
        "crm-merge": "/cases/{crm_case}/merge",
        "crm-contacts": "/contacts",
        "crm-contact": "/contacts/{crm_contact}",
        "crm-accounts": "/accounts",
        "crm-account": "/accounts/{crm_account}",
        "crm-products": "/products",
        "crm-users": "/users",
        "crm-me": "/me",
        "crm-nothing": "/cases?q=nothing-like-it",
    }, readme="crm-case"),
    *_shots("CONSOLE", None, {"console-login": "/log-in"}),
    *_shots("CONSOLE", "alex", {
        "console": "/",
        "console-tickets": "/tickets",
        "console-ticket": "/tickets/{sync_ticket}",
        "console-moment": "/tickets/{sync_ticket}/at/{entry}",
        "console-case": "/tickets/{sync_ticket}/case",
        "console-field": "/tickets/{sync_ticket}/fields/priority",
        "console-note": "/tickets/{sync_ticket}/notes/{note}",
        "console-failures": "/failures",
        "console-failure": "/failures/{failure}",
        "console-conflicts": "/conflicts",
        "console-conflict": "/conflicts/{conflict}",
        "console-contacts": "/contacts",
        "console-held": "/held",
        "console-unreadable": "/unreadable",
        "console-drift": "/drift",
        "console-drift-run": "/drift/{drift_run}",
        "console-drift-preview": "/drift/preview?tickets={case}",
        "console-backfill": "/backfill",
        "console-job": "/jobs/{job}",
        "console-actions": "/actions",
        "console-action": "/actions/{action}",
    }, readme="console"),
    *_shots("MAILS", None, {"mails": "/", "mail": "/mails/{mail}", "mail-alone": "/mails/{mail}/html"}),
    Shot(name="portal-ticket", service="PORTAL", path="/cases/{case}/comments", person="carol", in_readme=True),
)  # fmt: skip

_ANSWERS = r"/healthz|/readyz|/metrics"
_STATIC = r"/static/.*"
NOT_PAGES: Mapping[Service, Mapping[str, str]] = {
    "PORTAL": {
        _ANSWERS: "for machines",
        _STATIC: "style sheets, scripts and icons",
        r"/api/v1/(?!docs).*": "the API; its documentation is pictured",
        r"/attachments/.*|/files/<token>|/guest/tickets/.*/files/.*|/knowledge/<slug>/files/.*": "files",
        r"/downloads/<uuid:download_id>/.*": "files",
        r".*/export\.csv": "tables for spreadsheets",
        r"/drafts/token|/tickets/<ticket:number>/freshness": "parts of pages for scripts",
        r"/sso/(start|callback)|/guest/open/.*|/tickets/<ticket:number>": "leads on to a page that is pictured",
    },
    "CONSOLE": {
        _ANSWERS: "for machines",
        _STATIC: "style sheets, scripts and icons",
        r"/api/v1/.*": "the same as JSON",
        r"/tickets/<uuid:ticket_id>/evidence": "a file",
    },
    "CRM": {
        _ANSWERS: "for machines",
        _STATIC: "style sheets, scripts and icons",
        r"/api/v1/.*": "the API",
        r"/": "leads on to the Cases",
        r"/(users|products)/<uuid:record_id>": "leads on to the Cases of that record",
    },
    "MAILS": {
        _ANSWERS: "for machines",
        _STATIC: "style sheets, scripts and icons",
        r"/api/.*": "the same as JSON",
        r"/mails/<name>/attachments/.*": "files",
    },
}


def missing(service: Service, rules: Collection[str]) -> list[str]:
    """Those routes that can be opened, are not pictured, and are not named as something else than a page."""
    pictured = [shot.path.partition("?")[0] for shot in SHOTS if shot.service == service]
    seen = {_rule_of(path, rules) for path in pictured}
    return sorted(
        rule for rule in set(rules) - seen if not any(re.fullmatch(reason, rule) for reason in NOT_PAGES[service])
    )


def _rule_of(path: str, rules: Collection[str]) -> str | None:
    """The route that a path leads to: the one with the same fixed parts, else one that has room for it."""
    same = [rule for rule in rules if re.sub("<[^>]+>", "{}", rule) == re.sub("{[^}]+}", "{}", path)]
    roomy = [rule for rule in rules if re.fullmatch(re.sub("<[^>]+>", "[^/]+", rule), path)]
    return next(iter(same + sorted(roomy, key=lambda rule: rule.count("<"))), None)
