"""The troubleshooter's questions and answers (S81)."""

import uuid

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal_service.base import Base
from shared.ids import new_id


class TroubleQuestion(Base):
    """A question of the troubleshooter. Those that no answer leads to begin a tree of their own."""

    __tablename__ = "trouble_questions"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    text_en: Mapped[str] = mapped_column(String(255))
    text_nl: Mapped[str] = mapped_column(String(255), default="")
    hint_en: Mapped[str] = mapped_column(Text, default="")
    hint_nl: Mapped[str] = mapped_column(Text, default="")
    begins: Mapped[bool] = mapped_column(default=False)
    """Offered on the troubleshooter's first page."""
    position: Mapped[int] = mapped_column(default=0)

    options: Mapped[list["TroubleOption"]] = relationship(
        foreign_keys="TroubleOption.question_id",
        order_by="TroubleOption.position",
        cascade="all, delete-orphan",
        back_populates="question",
    )


class TroubleOption(Base):
    """One answer to a question and where it leads: to another question, to an article or to a request."""

    __tablename__ = "trouble_options"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    question_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("trouble_questions.id"), index=True)
    position: Mapped[int]
    text_en: Mapped[str] = mapped_column(String(255))
    text_nl: Mapped[str] = mapped_column(String(255), default="")
    next_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("trouble_questions.id"), index=True)
    article_slug: Mapped[str | None] = mapped_column(String(120))
    type_key: Mapped[str | None] = mapped_column(String(64))
    """The kind of request it ends in, which is filled in with the subject and the way that led here."""
    subject_en: Mapped[str] = mapped_column(String(255), default="")
    subject_nl: Mapped[str] = mapped_column(String(255), default="")

    question: Mapped[TroubleQuestion] = relationship(foreign_keys=[question_id], back_populates="options")
    next: Mapped[TroubleQuestion | None] = relationship(foreign_keys=[next_id])
