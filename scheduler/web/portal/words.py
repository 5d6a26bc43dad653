"""The words of our codes, as a patient reads them, and the exact wording of the consent."""

from scheduler.patients.models import Pain, PainSince
from scheduler.web.i18n import gettext as _
from scheduler.web.i18n import lazy_gettext

#: What core/phone.py answers, so that translators see it; MobileField looks it up.
NUMBER_REASONS = (
    lazy_gettext("Enter a mobile number, like (781) 555-0134."),
    lazy_gettext("Enter a US mobile number. We cannot text other countries."),
    lazy_gettext("This is not a full US number. Check for a missing digit."),
    lazy_gettext("This number cannot get texts. Enter a mobile number."),
)


def pains() -> list[tuple[str, str]]:
    """Return what may hurt: (code, words), in the order asked."""
    return [
        (Pain.DIABETIC, _("Nerve pain from diabetes")),
        (Pain.CRPS, _("CRPS (complex regional pain syndrome)")),
        (Pain.FIBROMYALGIA, _("Fibromyalgia")),
        (Pain.HERPETIC, _("Pain after shingles")),
        (Pain.SCLEROSIS, _("Multiple sclerosis (MS)")),
        (Pain.COMPRESSION, _("A pinched nerve, such as carpal tunnel")),
        (Pain.INFLAMMATORY, _("Inflammation, such as endometriosis")),
        (Pain.CIRCULATION, _("Poor blood flow (circulation)")),
        (Pain.OTHER, _("Something else")),
        (Pain.UNSURE, _("I am not sure")),
    ]


def sinces() -> list[tuple[str, str]]:
    """Return how long it may have hurt: (code, words), shortest first."""
    return [
        (PainSince.MONTHS, _("Less than 6 months")),
        (PainSince.YEAR, _("6 to 12 months")),
        (PainSince.YEARS, _("1 to 5 years")),
        (PainSince.LONG, _("More than 5 years")),
    ]


def consent() -> str:
    """Return what is agreed to by the tick, word for word as it is shown and stored."""
    return _(
        "Emerge Wellness may text me about my appointments: a confirmation, reminders and "
        "changes. Usually 3 texts a week or fewer. Msg & data rates may apply. "
        "Reply HELP for help, STOP to stop. I do not have to agree to book. "
        "My number is not shared for marketing."
    )
