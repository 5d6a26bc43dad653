"""What happens in the demo: a clock that is turned, and what sixty people do as it goes."""

import heapq
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from functools import partial

from flask import current_app

from config import Config
from scheduler.accounts.models import Staff
from scheduler.booking import notices, offers
from scheduler.booking import queries as book
from scheduler.booking.errors import NotOffered, PatientBusy, SlotTaken
from scheduler.booking.models import Appointment, Authority, Status
from scheduler.booking.offers import Audience
from scheduler.cli.demo_cast import (
    CONSENT,
    COURSES,
    FAMILY_NAMES,
    FIRST_NAMES,
    IN_CONFIDENCE,
    PHONE_ONLY,
    TRIED,
    Course,
    Step,
    mobile_of,
)
from scheduler.cli.demo_clinic import BEFORE, PAST_DAYS, Clinic
from scheduler.clinic import supply as clinic_supply
from scheduler.clinic.models import ServiceCode, Site
from scheduler.core.db import db, transaction
from scheduler.core.timespan import PartOfDay, instant
from scheduler.jobs import answer, deliver
from scheduler.jobs.deliver import Delivery, Pace
from scheduler.messaging import consent, reading, texts
from scheduler.messaging import queries as messages
from scheduler.messaging.senders.simulated import (
    KeptMail,
    SimulatedPhones,
    texted_by_patient,
)
from scheduler.messaging.states import Channel
from scheduler.patients import service as patients
from scheduler.patients.models import Pain, PainSince, Patient
from scheduler.plans import (
    approval,
    changes,
    followups,
    pencils,
    preferences,
    previews,
    relief,
    scheduling,
    waiting,
)
from scheduler.plans import service as plans
from scheduler.plans.acts import Ask
from scheduler.plans.finding import Choice
from scheduler.plans.models import ChangeAct, Impression, Plan
from scheduler.plans.preferences import Preferences
from scheduler.tasks import service as tasks
from scheduler.treatment import chair, clearance, readiness, vocabulary
from scheduler.treatment.models import Answer, Decision, Outcome
from scheduler.waitlist import offers as waitlist_offers

AHEAD_DAYS = 28
BUSY_TODAY = 20


@dataclass(order=True)
class _Event:
    at: datetime
    order: int
    act: Callable[[datetime], None] = field(compare=False)


class Story:
    """A clock that is turned, and what happens as it goes."""

    def __init__(self, built: Clinic, now: datetime) -> None:
        self.built = built
        self.now = now
        # Not a secret: the demo must be the same on every machine on the same day.
        self.dice = random.Random(f"emerge {now.date().isoformat()}")  # noqa: S311
        self.events: list[_Event] = []
        self.count = 0
        self.config: Config = current_app.extensions["emerge_config"]
        zone = built.woburn.zone
        self.today = now.astimezone(zone).date()
        self.zone = zone

    def tell(self) -> Iterator[int]:
        """Run every event up to now, texts going out in between; yield as days pass."""
        self._cast()
        day = (self.now - BEFORE).date()
        while self.events and self.events[0].at <= self.now:
            event = heapq.heappop(self.events)
            self._deliver(event.at)
            event.act(event.at)
            soon = event.at + timedelta(minutes=1)
            if soon < min([self.now, *(e.at for e in self.events[:1])]):
                self._deliver(soon)  # nobody waits for an answer, or word of today, until then
            if event.at.date() > day:
                yield (event.at.date() - day).days
                day = event.at.date()
        self._deliver(self.now - timedelta(minutes=1))
        self._waiting()

    def at(self, when: datetime, act: Callable[[datetime], None]) -> None:
        """Let something happen at a moment."""
        self.count += 1
        heapq.heappush(self.events, _Event(when, self.count, act))

    def wall(self, days: int, hour: int, minute: int = 0) -> datetime:
        """Return a wall time so many days from today."""
        return instant(self.today + timedelta(days=days), time(hour, minute), self.zone)

    # ------------------------------------------------------------ people

    def _cast(self) -> None:
        """Sixty people: forty-six in a course, fourteen who found us online."""
        for number in range(60):
            given, family = FIRST_NAMES[number], FAMILY_NAMES[number]
            language = {7: "es", 19: "es", 24: "es", 36: "es", 39: "pt_BR", 44: "pt_BR"}.get(
                number, "en"
            )
            site = self.built.danvers if number % 5 in (1, 4) else self.built.woburn
            if number < 46:
                self._in_a_course(number, given, family, language, site)
            else:
                self._found_us(number, given, family, language, site)

    def _in_a_course(self, number: int, given: str, family: str, language: str, site: Site) -> None:
        dice = self.dice
        begins = self.now - BEFORE
        with transaction():
            person = patients.add(
                given,
                family,
                birth_date=date(1950 + dice.randrange(45), dice.randrange(12) + 1, 1 + number % 28),
                sex=dice.choice(("female", "male")),
                mobile=mobile_of(number),
                phone_text="781-555-0190 (home)" if number == 11 else None,
                email=f"{given}.{family}@example.org".lower() if number % 3 else None,
                language=language,
                city=site.name,
                state="MA",
                mrn=f"EM{4000 + number}",
                is_deceased=number == 45,
                home_site_id=site.id,
                pain=COURSES[number].pain if number in COURSES else dice.choice(list(Pain)),
                actor="operator",
                now=begins,
            )
            self._reached(person, number)
        self.built.people.append(person)
        if number == 45:
            return
        if number in COURSES:
            self._told_from_the_call(person.id, COURSES[number])
            return
        first = -PAST_DAYS + number * 7 % 33  # courses begin all along, some still ahead
        gap = dice.choice((3, 3, 4, 7))
        slot = dice.choice(range(8 * 4, 14 * 4 + 2))
        shift = 0
        if number < BUSY_TODAY:  # their course is laid so that one visit falls on today
            slot = 8 * 4 + 1 + number * 22 // BUSY_TODAY
            shift = -min((first + n * gap for n in range(6)), key=abs)
        hour, minute = divmod(slot * 15, 60)
        begins_here = first + shift >= 0
        for index in range(1 if begins_here else 12):  # what follows a first visit is for its plan
            # Six visits close together, then one a week.
            days = first + shift + min(index, 6) * gap + max(index - 6, 0) * 7
            if days > AHEAD_DAYS:
                break
            booked = self.wall(min(days - 6, -1 - number % 3), 10, dice.randrange(50))
            self.at(
                max(booked, begins + timedelta(minutes=number)),
                self._infusion(person.id, site, index == 0, days, hour, minute),
            )
        if number == 33:
            self.at(self.wall(-4, 18, 12), self._text(person.id, "STOP"))
        if number == PHONE_ONLY:
            self.at(self.now - timedelta(minutes=40), self._call_off_next(person.id))
        if number == 26:
            self.at(self.now - timedelta(minutes=50), self._text(person.id, "Can I park there?"))
        # A chat that follows a visit of ours is booked after it: then it is the one they are owed.
        known = booked if begins_here else begins
        self.at(
            max(self.wall(first, 16, dice.randrange(50)), known + timedelta(hours=1)),
            self._chat(person.id, site, first + shift + 2),
        )

    def _reached(self, person: Patient, number: int) -> None:
        """Note how somebody is reached, and that they agreed to texts; not all did."""
        begins = self.now - BEFORE
        if number in IN_CONFIDENCE:
            chosen = IN_CONFIDENCE[number]
            patients.change(person, chosen, version=person.version, actor="operator", now=begins)
        if person.reached_at and number not in (PHONE_ONLY, 23):
            consent.grant(
                person,
                person.reached_at,
                wording=CONSENT,
                source="paper",
                actor="staff:5",
                origin="demo",
                now=begins,
            )

    def _infusion(
        self, person_id: int, site: Site, is_first: bool, days: int, hour: int, minute: int
    ) -> Callable[[datetime], None]:
        def act(moment: datetime) -> None:
            begins_here = is_first and days >= 0  # what lies behind began before it was kept here
            code = ServiceCode.FIRST_INFUSION if begins_here else ServiceCode.INFUSION
            wanted = self.wall(days, hour, minute)
            found = self._book(code, person_id, site, wanted, moment)
            if found is not None:
                self._live_through(found, moment)

        return act

    def _call_off_next(self, person_id: int) -> Callable[[datetime], None]:
        """Call a visit off for somebody who gets no texts: they are to be called about it."""

        def act(moment: datetime) -> None:
            with transaction():
                far = moment + timedelta(days=2)
                coming = [a for a in book.upcoming(person_id, now=moment) if a.starts_at > far]
                for visit in coming[:1]:
                    plans.cancel(visit, actor=self._actor(visit.site), now=moment)

        return act

    def _chat(self, person_id: int, site: Site, days: int) -> Callable[[datetime], None]:
        def act(moment: datetime) -> None:
            with transaction():
                coming = book.upcoming(person_id, now=moment)
                has_one = any(a.service_code is ServiceCode.CHAT for a in coming)
            if has_one:
                return
            found = self._book(ServiceCode.CHAT, person_id, site, self.wall(days, 11), moment)
            if found is not None:
                self._live_through(found, moment)

        return act

    def _found_us(self, number: int, given: str, family: str, language: str, site: Site) -> None:
        dice = self.dice
        days = (number - 46) * 2 - 16 if number < 54 else (number - 54) // 2
        wanted = self.wall(days, dice.choice((10, 11, 13, 14, 15)), dice.choice((0, 15, 30)))
        booked = min(wanted - timedelta(days=2), self.now - timedelta(minutes=7 * (number - 40)))
        self.at(
            max(booked, self.now - BEFORE + timedelta(hours=2)),
            self._call(number, given, family, language, site, wanted),
        )
        if number in (50, 53, 57):  # some come back, before anybody linked the first record
            self.at(
                self.now - timedelta(minutes=90 + number),
                self._call(number, given, family, language, site, self.wall(3, 14, 30)),
            )

    def _call(
        self, number: int, given: str, family: str, language: str, site: Site, wanted: datetime
    ) -> Callable[[datetime], None]:
        def act(moment: datetime) -> None:
            with transaction():
                person = patients.enquire(
                    given,
                    family,
                    mobile=f"+1978555{100 + number:04d}",
                    email=f"{given}@example.net".lower() if number % 2 else None,
                    language=language,
                    pain=self.dice.choice(list(Pain)),
                    pain_since=self.dice.choice(list(PainSince)),
                    tried=self.dice.choice(TRIED),
                    home_site_id=site.id,
                    actor="visitor",
                    now=moment,
                )
                if number % 5:
                    consent.grant(
                        person,
                        person.mobile or "",
                        wording=CONSENT,
                        source="portal",
                        actor="visitor",
                        origin="demo",
                        now=moment,
                    )
            found = self._book(ServiceCode.CALL, person.id, site, wanted, moment)
            if found is not None:
                self._live_through(found, moment)

        return act

    # ------------------------------------------------------------ days

    def _book(
        self, code: ServiceCode, person_id: int, site: Site, wanted: datetime, moment: datetime
    ) -> int | None:
        """Book the free start nearest to what is wanted that day; return the appointment's id."""
        zone_day = wanted.astimezone(self.zone).replace(hour=0, minute=0)
        with transaction():
            person = db.session.get_one(Patient, person_id)
            free = offers.find(
                code,
                site_ids=[site.id],
                since=zone_day,
                until=zone_day + timedelta(days=1),
                now=moment,
                audience=Audience.DESK,
            )
            notice = clinic_supply.current().services[code].notice
            usual = [o for o in free if o.starts_at >= moment + notice]
            for offer in sorted(usual, key=lambda o: (abs(o.starts_at - wanted), o.starts_at))[:3]:
                try:
                    with db.session.begin_nested():
                        return plans.book(
                            code,
                            site.id,
                            offer.starts_at,
                            person,
                            actor=self._actor(site),
                            now=moment,
                            authority=self._authority(code),
                        ).id
                except (SlotTaken, NotOffered, PatientBusy):
                    continue
        return None

    def _authority(self, code: ServiceCode) -> tuple[Authority, str, str | None] | None:
        if code not in (ServiceCode.FIRST_INFUSION, ServiceCode.INFUSION):
            return None
        clinician = self.built.staff["amara"]
        why = (
            "Cleared on paper, before clearances were kept here."
            if code is ServiceCode.FIRST_INFUSION
            else "Course begun before it was kept here."
        )
        return Authority.OVERRIDE, f"staff:{clinician.id}", why

    def _actor(self, site: Site) -> str:
        return f"staff:{self.built.staff['ines' if site is self.built.woburn else 'nell'].id}"

    def _live_through(self, appointment_id: int, booked_at: datetime) -> None:
        """Let the appointment happen: answer, come (or not), be done."""
        found = db.session.get_one(Appointment, appointment_id)
        starts, ends, code = found.starts_at, found.ends_at, found.service_code
        luck = self.dice.random()
        answer = starts - timedelta(hours=self.dice.randrange(15, 23))
        if luck < 0.62:
            self.at(max(answer, booked_at + timedelta(minutes=20)), self._reply(found.id, "1"))
        elif luck > 0.965:
            self.at(max(answer, booked_at + timedelta(minutes=20)), self._reply(found.id, "2"))
        elif luck > 0.955:
            words = "Can I bring my sister along?"
            asked = max(answer, booked_at + timedelta(minutes=20))
            self.at(asked, self._reply(found.id, words))
            self.at(asked + timedelta(minutes=25), self._answer(found.patient_id))
        if 0.62 <= luck < 0.66:
            self.at(starts + timedelta(minutes=16), self._verb(found.id, plans.no_show))
            return
        if 0.66 <= luck < 0.69:
            self.at(
                max(starts - timedelta(hours=30), booked_at), self._verb(found.id, plans.cancel)
            )
            return
        early = timedelta(minutes=self.dice.randrange(-7, 9))
        if code in (ServiceCode.FIRST_INFUSION, ServiceCode.INFUSION) and (
            starts > self.now - timedelta(days=2)
        ):
            self._session(found.id, starts + early)
            return
        came = starts if code in (ServiceCode.CALL, ServiceCode.CHAT) else starts + early
        self.at(came, self._verb(found.id, plans.arrive))
        if code is ServiceCode.CALL:
            self.at(ends, self._outcome(found.id))
        else:
            done = partial(plans.complete_visit, on_paper=True)  # infusions of before we were here
            self.at(ends + timedelta(minutes=3), self._verb(found.id, done))

    # ------------------------------------------------------------ courses

    def _told_from_the_call(self, person_id: int, course: Course) -> None:
        """A call, a clearance, a first infusion, a chat, a plan, its visits: as far as it goes."""
        called = max(self.wall(course.begins - 6, 10), self.now - BEFORE + timedelta(hours=3))
        called = min(called, self.wall(-1, 10))

        def call(moment: datetime) -> None:
            found = self._book(ServiceCode.CALL, person_id, self.built.woburn, called, moment)
            if found is not None:
                ends = db.session.get_one(Appointment, found).ends_at
                self.at(ends, self._outcome(found, Outcome.CANDIDATE))
            if course.until >= Step.HALF:
                self.at(called + timedelta(hours=4), self._clear(person_id, course))

        self.at(called - timedelta(hours=2), call)

    def _clear(self, person_id: int, course: Course) -> Callable[[datetime], None]:
        def act(moment: datetime) -> None:
            with transaction():
                person = db.session.get_one(Patient, person_id)
                items = list(vocabulary.CONTRAINDICATIONS)
                nurse = f"staff:{self.built.staff['rosa'].id}"
                for item in items[:5] if course.until is Step.HALF else items:
                    is_one = course.refused and item == items[0]
                    answer = Answer.YES if is_one else Answer.NO
                    clearance.answer(person, item, answer, actor=nurse, now=moment)
                if course.until is Step.HALF:
                    return
                systolic = self.dice.randrange(112, 138)
                clearance.record_pressure(person, systolic, 78, actor=nurse, now=moment)
                clearance.record_consent(person, "2026-01", actor=nurse, now=moment)
                clearance.sign(
                    person,
                    self._doctor(),
                    Decision.NOT_CLEARED if course.refused else Decision.CLEARED,
                    basis=clearance.current(person).basis,
                    reason="Blood pressure first; asked to see their own doctor."
                    if course.refused
                    else None,
                    now=moment,
                )
            if not course.refused:
                self.at(moment + timedelta(hours=1), self._first(person_id, course))

        return act

    def _first(self, person_id: int, course: Course) -> Callable[[datetime], None]:
        def act(moment: datetime) -> None:
            ago = course.minutes_ago
            wanted = (
                self.wall(course.begins, 10, 30)
                if ago is None
                else self.now - timedelta(minutes=ago)
            )
            with transaction():
                person = db.session.get_one(Patient, person_id)
                free = offers.find(
                    ServiceCode.FIRST_INFUSION,
                    site_ids=[self.built.woburn.id],
                    since=self.wall(course.begins, 0),
                    until=self.wall(course.begins + 4, 0),  # over a long weekend
                    now=moment,
                    audience=Audience.DESK,
                )
                if not free:
                    return
                best = min(free, key=lambda o: abs(o.starts_at - wanted))
                booked = plans.book_first_infusion(
                    person,
                    best.site_id,
                    best.starts_at,
                    actor=self._actor(self.built.woburn),
                    now=moment,
                )
                infusion, chat = booked.infusion, booked.chat
                at = best.starts_at
                held = chat.ends_at if chat else at + timedelta(days=2)
            self._session(infusion.id, at, severity=course.severity, stops=course.stops)
            if course.pencilled:
                self.at(at + timedelta(days=1), self._pencil(infusion.id))
            if course.until >= Step.CHAT:
                self.at(held, self._hold_chat(infusion.id, course))

        return act

    def _pencil(self, infusion_id: int) -> Callable[[datetime], None]:
        def act(moment: datetime) -> None:
            with transaction():
                owed = followups.find_for_infusion(infusion_id)
                if owed is not None and owed.closed_at is None and pencils.likely(owed):
                    best = pencils.likely(owed)[0]
                    actor = self._actor(self.built.woburn)
                    pencils.pencil(owed, best.response, actor=actor, now=moment)

        return act

    def _hold_chat(self, infusion_id: int, course: Course) -> Callable[[datetime], None]:
        def act(moment: datetime) -> None:
            with transaction():
                owed = followups.find_for_infusion(infusion_id)
                if owed is None or owed.infusion.status is not Status.FULFILLED:
                    return
                held = approval.record_chat(
                    owed,
                    baseline=8,
                    score=course.score,
                    relief_days=3,
                    relief_holds=course.score < 7,
                    condition=course.pain,
                    impression=(
                        Impression.MUCH_BETTER if course.score < 7 else Impression.NO_CHANGE
                    ),
                    peg_before=(8, 7, 8),
                    peg_since=(course.score, course.score, min(course.score + 1, 10)),
                    phq9=13 if course.low else 6,
                    phq9_item9=1 if course.low else 0,
                    goals="To sleep through, and to walk the dog again.",
                    actor=f"staff:{self._doctor().id}",
                    now=moment,
                )
                plan = held.plan.id if held.plan else None
            if plan is not None and course.until >= Step.SIGNED:
                self.at(moment + timedelta(hours=2), self._sign(plan, course))

        return act

    def _sign(self, plan_id: int, course: Course) -> Callable[[datetime], None]:
        def act(moment: datetime) -> None:
            with transaction():
                plan = db.session.get_one(Plan, plan_id)
                if course.declined:
                    approval.decline(
                        plan,
                        self._doctor(),
                        reason="They would rather wait until summer.",
                        version=plan.version,
                        now=moment,
                    )
                elif course.changed:
                    proposal = approval.proposal_of(plan)
                    *before, last = proposal.phases
                    approval.change(
                        plan,
                        self._doctor(),
                        act=proposal.act,
                        phases=[*before, replace(last, count=max(last.count - 1, 1))],
                        reason="They travel far; one visit less to begin with.",
                        version=plan.version,
                        now=moment,
                    )
                else:
                    approval.approve(plan, self._doctor(), version=plan.version, now=moment)
            if course.until >= Step.RUNNING and not course.declined:
                self.at(moment + timedelta(minutes=20), self._schedule(plan_id, course))

        return act

    def _schedule(self, plan_id: int, course: Course) -> Callable[[datetime], None]:
        def act(moment: datetime) -> None:
            with transaction():
                plan = db.session.get_one(Plan, plan_id)
                shown = previews.preview(plan, now=moment)
                done = scheduling.schedule(
                    plan,
                    {
                        row.number: Choice(row.spot.site_id, row.spot.starts_at)
                        for row in shown.rows
                        if row.spot is not None
                    },
                    keep_rest=True,
                    version=plan.version,
                    actor=self._actor(self.built.woburn),
                    now=moment,
                )
                booked = [v.appointment for v in done.booked if v.appointment is not None]
                visits = [(a.id, a.starts_at) for a in booked]
            if course.ceased:
                self.at(self.now - timedelta(hours=5), self._cease(plan_id))
            if course.defers:
                self.at(self.now - timedelta(hours=4), self._defer(plan_id))
            ahead = [a for a, starts in visits if starts > self.now]
            if course.loses_one and ahead:
                self.at(self.now - timedelta(hours=3), self._verb(ahead[0], plans.cancel))
            for appointment_id, starts in visits:
                self._session(appointment_id, starts)

        return act

    def _defer(self, plan_id: int) -> Callable[[datetime], None]:
        """Put the last visit off, write down what suits, and how long relief lasted so far."""

        def act(moment: datetime) -> None:
            with transaction():
                plan = db.session.get_one(Plan, plan_id)
                actor = self._actor(self.built.woburn)
                held = relief.infusions(plan)[0]
                relief.record(plan, held, 4, holds=False, actor=actor, now=moment)
                relief.record_peg(plan, (4, 3, 4), actor=actor, now=moment)
                suits = Preferences(escort=frozenset({0, 1, 2, 3, 4}))  # a daughter, on weekdays
                preferences.keep(plan, suits, actor=actor, now=moment)
                ahead = [x for x in changes.lines_of(plan, now=moment) if not x.is_past]
                if not ahead:
                    return
                ask = Ask(
                    ChangeAct.DEFER,
                    visit=ahead[-1].number,
                    to=max(ahead[-1].ideal, moment.date()) + timedelta(days=7),
                )
                shown = changes.preview(plan, ask, now=moment)
                changes.apply(
                    plan,
                    ask,
                    {
                        r.number: Choice(r.row.spot.site_id, r.row.spot.starts_at)
                        for r in shown.rows
                        if r.row and r.row.spot and r.what is not changes.What.PAST
                    },
                    reason="They visit their sister until then.",
                    keep_rest=True,
                    version=plan.version,
                    actor=actor,
                    now=moment,
                )

        return act

    def _cease(self, plan_id: int) -> Callable[[datetime], None]:
        def act(moment: datetime) -> None:
            with transaction():
                plan = db.session.get_one(Plan, plan_id)
                changes.cease(
                    plan,
                    self._doctor(),
                    reason="They are well and wish to stop here.",
                    version=plan.version,
                    now=moment,
                )

        return act

    def _session(
        self,
        appointment_id: int,
        came: datetime,
        *,
        severity: int | None = None,
        stops: bool = False,
    ) -> None:
        """Live through an infusion as it is recorded at the chair, as far as now."""
        luck = self.dice.random()
        worst = severity if severity is not None else 1 if luck < 0.5 else 0
        starts = db.session.get_one(Appointment, appointment_id).starts_at
        begins = max(came + timedelta(minutes=8), starts + timedelta(minutes=15))
        ended = begins + timedelta(minutes=25 if stops else 40)
        safe = ended + timedelta(minutes=22 + int(luck * 8))
        baseline, after = 5 + int(luck * 4), 2 + int(luck * 3)
        if severity is not None:  # a first one, told from the call on
            baseline = 8
        nurse = f"staff:{self.built.staff['rosa'].id}"

        def at(when: datetime, deed: Callable[[Appointment, datetime], object]) -> None:
            def act(moment: datetime) -> None:
                with transaction():
                    found = db.session.get_one(Appointment, appointment_id)
                    if found.status in (Status.BOOKED, Status.ARRIVED):
                        deed(found, moment)

            self.at(when, act)

        def ready(a: Appointment, moment: datetime) -> None:
            for item in vocabulary.READINESS:
                who = self._doctor() if item == vocabulary.CLINICIAN else None
                chair.note_readiness(a, item, is_met=True, who=who, actor=nurse, now=moment)
            wishes = {item: item != "blanket" for item in vocabulary.COMFORT}
            chair.note_comfort(a, wishes, note="Rain on a lake", actor=nurse, now=moment)
            chair.note_score(a, baseline, when="baseline", actor=nurse, now=moment)
            readings = {"systolic": 118 + int(luck * 16), "diastolic": 76, "pulse": 70}
            chair.note_vitals(a, readings, actor=nurse, now=moment)

        at(starts - timedelta(hours=15 + int(luck * 6)), _answered(luck))

        at(came, lambda a, moment: plans.arrive(a, actor=self._actor(a.site), now=moment))
        at(came + timedelta(minutes=6), ready)
        at(begins, lambda a, moment: plans.start_infusion(a, actor=nurse, now=moment))
        if worst:
            at(begins + timedelta(minutes=12), _effect(worst, luck, nurse))
        at(begins + timedelta(minutes=14), _watched(worst, luck, nurse))
        why = "patient" if stops else "complete"
        at(ended, lambda a, moment: chair.end(a, why, actor=nurse, now=moment))
        at(safe, _going_home(after, self.built.staff["rosa"].id))
        at(
            safe + timedelta(minutes=5),
            lambda a, moment: plans.complete_visit(a, actor=nurse, now=moment),
        )
        self.at(safe + timedelta(hours=25), self._called_after(appointment_id, nurse))

    def _called_after(self, appointment_id: int, actor: str) -> Callable[[datetime], None]:
        def act(moment: datetime) -> None:
            topic = f"appointment:{appointment_id}"
            with transaction():
                tasks.close_by_event(chair.CALL_AFTER, topic, "All well", actor=actor, now=moment)

        return act

    def _doctor(self) -> Staff:
        return db.session.get_one(Staff, self.built.staff["amara"].id)

    def _verb(self, appointment_id: int, verb: Callable[..., object]) -> Callable[[datetime], None]:
        def act(moment: datetime) -> None:
            with transaction():
                found = db.session.get_one(Appointment, appointment_id)
                if found.status in (Status.BOOKED, Status.ARRIVED):
                    verb(found, actor=self._actor(found.site), now=moment)

        return act

    def _outcome(
        self, appointment_id: int, known: Outcome | None = None
    ) -> Callable[[datetime], None]:
        def act(moment: datetime) -> None:
            outcome = known or self.dice.choice((*Outcome, Outcome.CANDIDATE, Outcome.CANDIDATE))
            with transaction():
                found = db.session.get_one(Appointment, appointment_id)
                if found.is_live:
                    plans.record_call(
                        found, outcome, note=None, actor=self._actor(found.site), now=moment
                    )

        return act

    def _reply(self, appointment_id: int, words: str) -> Callable[[datetime], None]:
        def act(moment: datetime) -> None:
            found = db.session.get_one(Appointment, appointment_id)
            asked = messages.open_question(found.patient.reached_at or "", now=moment)
            if asked is not None:
                self._text(found.patient_id, words)(moment)

        return act

    def _text(self, patient_id: int, words: str) -> Callable[[datetime], None]:
        def act(moment: datetime) -> None:
            with transaction():
                person = db.session.get_one(Patient, patient_id)
                number = person.reached_at
                if number and consent.may_text(person, now=moment):
                    reference = texted_by_patient(number, words, now=moment)
                    answer.take_in(provider_ref=reference, number=number, body=words, now=moment)

        return act

    def _answer(self, patient_id: int) -> Callable[[datetime], None]:
        """Have the desk answer what somebody wrote, and look after them from then on."""

        def act(moment: datetime) -> None:
            with transaction():
                person = db.session.get_one(Patient, patient_id)
                text = reading.newest(person.reached_at or "")
                if text is None or text.read_at or reading.silence(text.number, now=moment):
                    return
                site = self.built.woburn
                reading.answer(
                    text,
                    texts.phrase("ready/will-call", person.language, {}),
                    patient=person,
                    phone=site.phone,
                    address=site.address,
                    once=f"demo:{text.id}",
                    actor=self._actor(site),
                    now=moment,
                )
                reading.assign(
                    text,
                    self._actor(site),
                    seen=reading.assignee(text.number),
                    actor=self._actor(site),
                    now=moment,
                )

        return act

    def _deliver(self, moment: datetime) -> None:
        """Send what is due by then, as the worker would have."""
        deliver.run(
            Delivery(
                worker="demo",
                senders={Channel.SMS: SimulatedPhones(), Channel.EMAIL: KeptMail()},
                judge=lambda message, at: notices.judge(
                    message,
                    public_url=self.config.public_url,
                    organizer=self.config.organizer,
                    asks_first=readiness.is_unanswered,
                    now=at,
                ),
                after_sent=lambda message, at: notices.after_sent(message, now=at),
                inbound_url=None,
                clock=lambda: moment,
                pace=Pace(0, lambda _: None),
                jitter=self.dice,
            )
        )

    def _waiting(self) -> None:
        """Three would come sooner; the time that suits the first of them is kept for a call."""
        with transaction():
            listed = 0
            for built in self.built.people:
                person = db.session.get_one(Patient, built.id)
                coming = [w for w in waiting.wants(person, now=self.now) if w.until]
                soon = self.now + timedelta(days=3)
                want = next((w for w in coming if w.until and w.until > soon), None)
                if want is None or want.until is None or listed == 3:
                    continue
                entry = waiting.put_on_list(
                    person,
                    want.key,
                    since=self.now,
                    until=want.until,
                    parts=(PartOfDay.AFTERNOON,) if listed else (),
                    actor="staff:5",
                    now=self.now,
                )
                found = waitlist_offers.fitting(entry, waiting.allowed, now=self.now, most=1)
                if listed == 0 and found:
                    waitlist_offers.make(
                        entry.id,
                        found[0].site_id,
                        found[0].starts_at,
                        by_text=False,
                        actor="staff:5",
                        now=self.now,
                    )
                listed += 1


def _effect(worst: int, luck: float, actor: str) -> Callable[[Appointment, datetime], object]:
    return lambda a, moment: chair.note_side_effect(
        a,
        "nausea" if luck < 0.25 else "dream-like",
        worst,
        action="reassured" if worst < 3 else "clinician",
        actor=actor,
        now=moment,
    )


def _answered(luck: float) -> Callable[[Appointment, datetime], object]:
    """Answer the questions before a visit; one in five does not, one in ten has nobody yet."""

    def deed(a: Appointment, moment: datetime) -> None:
        if luck > 0.8:
            return
        given = readiness.Given(
            escort_name=FIRST_NAMES[int(luck * 59)] if luck > 0.08 else None,
            escort_phone=None,
            keeps_times=True,
            knows_medicines=luck < 0.75,
            is_ill=False,
            illness=None,
            agrees=True,
        )
        actor = f"patient:{a.patient_id}"
        readiness.answer(a, given, seen_start=a.starts_at, actor=actor, now=moment)

    return deed


def _watched(worst: int, luck: float, actor: str) -> Callable[[Appointment, datetime], object]:
    """Look at the vital signs while the drip runs; give something against what is worse."""

    def deed(a: Appointment, moment: datetime) -> None:
        readings = {"systolic": 124 + int(luck * 14), "diastolic": 80, "oxygen": 97}
        chair.note_vitals(a, readings, awake="drowsy", actor=actor, now=moment)
        if worst > 1:
            chair.note_rescue(a, "Ondansetron", "4 mg", against="nausea", actor=actor, now=moment)

    return deed


def _going_home(score: int, nurse_id: int) -> Callable[[Appointment, datetime], object]:
    def deed(a: Appointment, moment: datetime) -> None:
        actor = f"staff:{nurse_id}"
        for item in vocabulary.DISCHARGE:
            chair.note_discharge(a, item, 2, actor=actor, now=moment)
        readings = {"systolic": 124, "diastolic": 77, "pulse": 68, "oxygen": 97}
        chair.note_vitals(a, readings, awake="alert", actor=actor, now=moment)
        chair.note_score(a, score, when="after", actor=actor, now=moment)
        chair.note_handout(a, "printed", actor=actor, now=moment)
        signer = db.session.get_one(Staff, nurse_id)
        chair.sign_safe(a, signer, escort=True, now=moment)

    return deed
