"""Mail, with the calendar entry that belongs to it (RFC 6047)."""

import smtplib
import ssl
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr

from scheduler.core.mail import is_address
from scheduler.messaging import rules
from scheduler.messaging.composing import Outgoing
from scheduler.messaging.queries import Unanswered
from scheduler.messaging.rules import Trouble
from scheduler.messaging.senders.outcomes import NoAnswer, Outcome, Refused, Taken, Trace


class SmtpMail:
    """Hands mail to the clinic's mail server.

    Its Message-ID is made from the message, and a calendar entry has a lasting UID: a mail that
    goes out twice after a call without an answer is one mail and one entry to its reader.
    """

    def __init__(
        self, *, host: str, port: int, user: str, password: str, starttls: bool, mail_from: str
    ) -> None:
        self._host = host
        self._port = port
        self._user = user
        self._password = password
        self._starttls = starttls
        self._from = mail_from

    def send(self, outgoing: Outgoing, *, now: datetime) -> Outcome:
        """Hand one mail over.

        Until the server has been given the text, a failure means it is not out; a lost
        connection after that means nobody can say.
        """
        if not is_address(outgoing.recipient):
            return Refused(Trouble.NEVER, None, "this is not a mail address")
        letter = self.letter(outgoing, now=now)
        reached = taken = False
        try:
            with smtplib.SMTP(
                self._host, self._port, timeout=rules.CALL_TIMEOUT.total_seconds()
            ) as server:
                self._greet(server)
                reached = True
                server.send_message(letter)
                taken = True
        except (OSError, smtplib.SMTPException) as trouble:
            if not taken:  # else only the goodbye failed
                return _failed(trouble, reached=reached)
        return Taken(letter["Message-ID"], "sent")

    def _greet(self, server: smtplib.SMTP) -> None:
        server.ehlo()
        if self._starttls:
            server.starttls(context=ssl.create_default_context())
            server.ehlo()
        if self._user:
            server.login(self._user, self._password)

    def look_for(self, sought: Unanswered) -> list[Trace] | None:
        """A mail server keeps no list for us."""
        return None

    def letter(self, outgoing: Outgoing, *, now: datetime) -> EmailMessage:
        """Return the mail: words, and where there is one the calendar entry in both usual forms.

        Programs look for `text/calendar` beside the words, with the same METHOD in its type as
        inside; people look for a file.
        """
        letter = EmailMessage()
        letter["Subject"] = outgoing.subject or ""
        letter["From"] = self._from
        letter["To"] = outgoing.recipient
        letter["Date"] = format_datetime(now)
        domain = parseaddr(self._from)[1].partition("@")[2] or "localhost"
        letter["Message-ID"] = f"<{outgoing.public_id}@{domain}>"
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(outgoing.body)
        if outgoing.attachment is not None:
            entry = outgoing.attachment.decode()
            letter.add_alternative(
                entry,
                subtype="calendar",
                params={"method": outgoing.attachment_method or "PUBLISH"},
            )
            letter.add_attachment(
                outgoing.attachment,
                maintype="text",
                subtype="calendar",
                filename="appointment.ics",
            )
        return letter


def _failed(trouble: Exception, *, reached: bool) -> Outcome:
    """Say what a failure means: a number is the server's own refusal, silence is silence."""
    if isinstance(trouble, smtplib.SMTPRecipientsRefused):
        return _refused(next(iter(trouble.recipients.values()))[0], "the address was refused")
    if isinstance(trouble, smtplib.SMTPAuthenticationError):
        return Refused(Trouble.LATER, str(trouble.smtp_code), "the mail server refused our key")
    if isinstance(trouble, smtplib.SMTPResponseException):
        return _refused(trouble.smtp_code, "the mail server refused")
    if reached:
        return NoAnswer(type(trouble).__name__)
    return Refused(Trouble.LATER, None, f"not reached: {type(trouble).__name__}")


def _refused(code: int, text: str) -> Outcome:
    passing = 400 <= code < 500
    return Refused(Trouble.LATER if passing else Trouble.NEVER, str(code), text)
