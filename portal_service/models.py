"""Every table of the portal, for migrations and for mapping."""

from portal_service.api.models import KeptAnswer
from portal_service.base import Base
from portal_service.channels.models import OutgoingMail, SuppressedAddress
from portal_service.clocks.models import ClockStrike
from portal_service.crm.models import CrmStatus, CrmUser, Mirror
from portal_service.files.models import Attachment, StagedFile
from portal_service.guests.models import GuestKey, GuestTicket
from portal_service.knowledge.download_models import Download
from portal_service.knowledge.models import (
    Article,
    ArticleComment,
    ArticleEvent,
    ArticleFile,
    ArticleVersion,
    ArticleVote,
    Deflection,
    Misspelling,
    Posting,
    Publisher,
    SearchWord,
)
from portal_service.knowledge.pace import CallCount
from portal_service.knowledge.sources import ArticleSource
from portal_service.knowledge.trouble_models import TroubleOption, TroubleQuestion
from portal_service.people.credentials import (
    Authenticator,
    ExternalLogin,
    OneTimeToken,
    Passkey,
    RecoveryCode,
    Registration,
)
from portal_service.people.models import (
    Account,
    AccountGrant,
    Contact,
    ContactEmail,
    LoginFailure,
    LoginSession,
    PeopleChange,
    Staff,
    StaffPermission,
    User,
)
from portal_service.people.tokens_models import ApiToken
from portal_service.tickets.drafts import Draft
from portal_service.tickets.models import (
    Category,
    Entry,
    HistoryEntry,
    InternalNote,
    Product,
    Rating,
    Reply,
    RequestType,
    Ticket,
)

__all__ = [
    "Account",
    "AccountGrant",
    "ApiToken",
    "Article",
    "ArticleComment",
    "ArticleEvent",
    "ArticleFile",
    "ArticleSource",
    "ArticleVersion",
    "ArticleVote",
    "Attachment",
    "Authenticator",
    "Base",
    "CallCount",
    "Category",
    "ClockStrike",
    "Contact",
    "ContactEmail",
    "CrmStatus",
    "CrmUser",
    "Deflection",
    "Download",
    "Draft",
    "Entry",
    "ExternalLogin",
    "GuestKey",
    "GuestTicket",
    "HistoryEntry",
    "InternalNote",
    "KeptAnswer",
    "LoginFailure",
    "LoginSession",
    "Mirror",
    "Misspelling",
    "OneTimeToken",
    "OutgoingMail",
    "Passkey",
    "PeopleChange",
    "Posting",
    "Product",
    "Publisher",
    "Rating",
    "RecoveryCode",
    "Registration",
    "Reply",
    "RequestType",
    "SearchWord",
    "Staff",
    "StaffPermission",
    "StagedFile",
    "SuppressedAddress",
    "Ticket",
    "TroubleOption",
    "TroubleQuestion",
    "User",
]
