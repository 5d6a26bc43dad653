"""What entitles an infusion, and how close two of them may be."""

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import select

from scheduler.accounts.models import Staff
from scheduler.accounts.rules import Act, may
from scheduler.audit import service as audit
from scheduler.booking.errors import NoAuthority, TooClose
from scheduler.booking.models import LIVE, Appointment, Authority
from scheduler.clinic.models import ServiceCode, Site
from scheduler.core.db import db
from scheduler.core.errors import Invalid
from scheduler.patients.models import Patient
from scheduler.plans import library, rules
from scheduler.plans.errors import MayNotSign
from scheduler.plans.models import SIGNED, Plan, PlanVersion, Verdict
from scheduler.treatment import clearance
from scheduler.treatment.chair import Override

INFUSIONS = (ServiceCode.FIRST_INFUSION, ServiceCode.INFUSION)
#: Between two infusions when no protocol says otherwise; below it the database wants a reason.
USUAL_HOURS = 48

Grant = tuple[Authority, str, str | None]


def by_override(override: Override, *, patient: Patient, now: datetime) -> Grant:
    """Return a clinician's own word as the authority of an infusion.

    Raises:
        MayNotSign: they are no clinician.
        Invalid: they give no reason.
    """
    check_override(override)
    audit.record(
        "safety.authority-override",
        f"patient:{patient.id}",
        actor=f"staff:{override.staff.id}",
        now=now,
        patient_id=patient.id,
    )
    return Authority.OVERRIDE, f"staff:{override.staff.id}", override.reason.strip()


def check_override(override: Override) -> None:
    """Refuse an override that is no clinician's or says no reason."""
    if not may(override.staff.role, Act.OVERRIDE_SAFETY):
        raise MayNotSign("Only a clinician may decide that.")
    if not override.reason.strip():
        raise Invalid("Please say why.", field="reason")


def check_authority(service: ServiceCode, patient: Patient, grant: Grant | None) -> None:
    """Refuse an infusion that nothing entitles: what is named must exist, be theirs, and hold.

    Raises:
        NoAuthority: there is none, or what is named does not hold.
        NotCleared: the clearance named does not hold (any more).
    """
    if service not in INFUSIONS:
        return
    if grant is None:
        raise NoAuthority("This visit needs a clinician's clearance or an approved plan first.")
    kind, ref, reason = grant
    source, _, number = ref.partition(":")
    ident = int(number) if number.isdigit() else 0
    if kind is Authority.CLEARANCE:
        if source != "clearance" or clearance.require(patient).id != ident:
            raise NoAuthority("That clearance is not the one that holds.")
    elif kind is Authority.PLAN:
        if source != "plan-version" or not _entitles(ident, patient):
            raise NoAuthority("That plan is not approved, or no longer runs.")
    else:
        staff = db.session.get(Staff, ident) if source == "staff" else None
        if staff is None or not may(staff.role, Act.OVERRIDE_SAFETY) or not reason:
            raise NoAuthority("Only a clinician may decide that, with a reason.")


def check_spacing(
    patient: Patient,
    starts_at: datetime,
    zone: ZoneInfo,
    *,
    but: int | None = None,
    override: Override | None = None,
    actor: str,
    now: datetime,
) -> str | None:
    """Return what to store as the reason of an infusion that is close to another; mostly None.

    The caller holds the patient's lock.

    Raises:
        TooClose: another infusion is nearer than the protocol allows, and nobody overrides it.
        MayNotSign, Invalid: the override is no clinician's, or has no reason.
    """
    nearest = _nearest(patient, starts_at, zone, but=but)
    least = least_hours(patient)
    if nearest is None or nearest >= max(least, USUAL_HOURS):
        return None
    if nearest >= least:
        return f"The protocol allows {least} hours."
    if override is None:
        raise TooClose(
            f"Another infusion is {nearest:.0f} hours from it; at least {least} are needed. "
            "A clinician may allow it, with a reason."
        )
    check_override(override)
    audit.record(
        "safety.spacing-override",
        f"patient:{patient.id}",
        actor=f"staff:{override.staff.id}",
        now=now,
        patient_id=patient.id,
        hours=round(nearest),
        least=least,
        asked_by=actor,
    )
    return f"staff:{override.staff.id}: {override.reason.strip()}"


def least_hours(patient: Patient) -> int:
    """Return the least hours between two of this patient's infusions, by their protocol."""
    plan = signed_plan(patient.id)
    row = plan.protocol if plan else library.find_active()
    return library.table_of(row).min_hours_between if row else USUAL_HOURS


def least_hours_of(plan: Plan) -> int:
    """Return the same for the patient of a plan: a signed one is the one that counts."""
    if plan.state in SIGNED:
        return library.table_of(plan.protocol).min_hours_between
    return least_hours(plan.patient)


def signed_plan(patient_id: int) -> Plan | None:
    """Return the plan that entitles a patient's infusions now, or None."""
    return db.session.scalar(
        select(Plan).where(Plan.patient_id == patient_id, Plan.state.in_(SIGNED))
    )


def _entitles(version_id: int, patient: Patient) -> bool:
    version = db.session.get(PlanVersion, version_id)
    return (
        version is not None
        and version.plan.patient_id == patient.id
        and version.plan.state in SIGNED
        and version.signature is not None
        and version.signature.verdict is not Verdict.DECLINED
    )


def _nearest(
    patient: Patient, starts_at: datetime, zone: ZoneInfo, *, but: int | None
) -> float | None:
    rows = db.session.execute(
        select(Appointment.starts_at, Site.zone_name)
        .join(Site, Appointment.site_id == Site.id)
        .where(
            Appointment.patient_id == patient.id,
            Appointment.service_code.in_(INFUSIONS),
            Appointment.status.in_(LIVE),
            Appointment.id != (but or 0),
        )
    )
    apart = [rules.hours_apart(starts_at, zone, other, ZoneInfo(name)) for other, name in rows]
    return min(apart, default=None)
