"""A time is free: one person after the other is asked, and exactly one can have it."""

import re
from datetime import datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from scheduler.booking.models import Appointment, Hold, HoldKind, Status
from scheduler.clinic import service as clinic
from scheduler.clinic.models import ServiceCode, Site
from scheduler.core.db import db, transaction
from scheduler.jobs import openings
from scheduler.messaging import claims
from scheduler.messaging.composing import Outgoing
from scheduler.messaging.models import Message
from scheduler.messaging.states import State
from scheduler.patients.models import Patient
from scheduler.plans import changes, waiting
from scheduler.plans import service as plans
from scheduler.plans.acts import Ask
from scheduler.plans.errors import SeriesTaken
from scheduler.plans.finding import Choice
from scheduler.plans.models import ChangeAct, PlannedVisit, VisitState
from scheduler.waitlist import notices, offers
from scheduler.waitlist import service as waitlist
from scheduler.waitlist.models import OfferState, WaitlistEntry, WaitlistOffer
from tests import course, make
from tests.conftest import Keep, SignIn, StoppedClock
from tests.messaging import kit

NOW = make.MONDAY
TEN = make.at(10)
URL = "http://localhost"


def waits(who: Patient, **more: object) -> WaitlistEntry:
    """Put somebody on the list for a call tomorrow at ten, the one start there is for them."""
    known: dict[str, object] = {
        "since": TEN,
        "until": make.at(10, 15),
        "actor": "staff:1",
        "now": NOW,
    }
    return waitlist.add(who, ServiceCode.CALL, **(known | more))  # type: ignore[arg-type]


@pytest.fixture
def queue(app: Flask, keep: Keep) -> tuple[int, int]:
    """Ana has waited longer; Ben must be called by tomorrow. One caller, so one of them can."""
    with keep():
        make.clinic_day()
        ana = kit.ana(NOW)
        ben = make.patient("Ben", mobile="+17815550112", email=None)
        kit.agree(ben, NOW)
        waits(ana)
        waits(ben, needed_by=make.at(18))
        return ana.id, ben.id


def tick(app: Flask, now: datetime) -> int:
    """Run the job once, as the worker does."""
    with app.app_context():
        return openings.run(None, now=now)


def text(app: Flask, now: datetime) -> Outgoing | None:
    """Take the next text out of the outbox, with its words made."""
    with app.app_context(), transaction():
        out = claims.claim_next("w", lambda m: notices.judge(m, public_url=URL, now=now), now=now)
        assert out is None or claims.begin_sending(out, now=now)
        return out


def path_in(out: Outgoing | None) -> str:
    """Return where the link in a text leads."""
    assert out is not None
    found = re.search(URL + r"(/my/\S+)", out.body)
    assert found is not None, out.body
    return found[1]


def states(app: Flask) -> list[str]:
    """Return what became of every offer, in order."""
    with app.app_context():
        rows = db.session.scalars(select(WaitlistOffer).order_by(WaitlistOffer.id)).unique()
        return [f"{row.entry.patient.given_name} {row.state.value}" for row in rows]


def press(client: FlaskClient, what: str) -> tuple[int, str]:
    """Press a button of the offer's page, as it was read: it may be gone by now."""
    token = make.form_token(client, "/desk")  # one browser's token is the same on each page
    answer = client.post(f"/my/offer/{what}", data={"csrf_token": token}, follow_redirects=True)
    return answer.status_code, answer.text


def test_the_most_pressing_is_asked_then_the_next_and_one_of_them_has_it(
    app: Flask, client: FlaskClient, clock: StoppedClock, queue: tuple[int, int]
) -> None:
    assert tick(app, NOW) == 1
    assert tick(app, NOW + timedelta(minutes=1)) == 0  # it is kept for Ben alone
    assert states(app) == ["Ben open"]
    first = text(app, NOW)
    assert first is not None
    assert first.recipient == "+17815550112"
    assert "Tue, Mar 3, 10:00 AM" in first.body
    assert "until Mon, Mar 2, 12:00 PM" in first.body

    assert client.get(path_in(first)).status_code == 303
    shown = client.get("/my/offer").text
    assert "10:00 AM" in shown
    assert "Ben" not in shown
    assert "We ask somebody else now." in press(client, "pass")[1]
    assert press(client, "pass")[0] == 200  # pressed twice

    assert tick(app, NOW + timedelta(minutes=2)) == 1
    assert states(app) == ["Ben declined", "Ana open"]
    second = client.application.test_client()
    second.get(path_in(text(app, NOW + timedelta(minutes=3))))
    status, page = press(second, "take")
    assert (status, "10:00 AM" in page) == (200, True)
    assert "This time is no longer free" not in page

    with app.app_context():
        [booked] = db.session.scalars(select(Appointment))
        assert (booked.starts_at, booked.patient_id) == (TEN, queue[0])
        assert [
            e.outcome for e in db.session.scalars(select(WaitlistEntry).order_by(WaitlistEntry.id))
        ] == [
            "came sooner",
            None,
        ]
        assert db.session.scalar(select(func.count()).select_from(Hold)) == 0


def test_who_does_not_answer_loses_it_and_a_yes_that_is_late_but_first_still_counts(
    app: Flask, client: FlaskClient, keep: Keep, clock: StoppedClock, queue: tuple[int, int]
) -> None:
    tick(app, NOW)
    out = text(app, NOW)
    client.get(path_in(out))
    make.form_token(client, "/my/offer")  # the page is open, and left lying
    clock.set(NOW + timedelta(hours=2))
    with keep():
        late = db.session.scalars(select(WaitlistOffer)).one()
        late_id = late.id
    tick(app, NOW + timedelta(hours=2))
    assert states(app) == ["Ben expired", "Ana open"]
    client.get(path_in(out))
    status, page = press(client, "take")
    assert status == 409
    assert "This time is no longer free" in page
    assert "You stay on our list" in page

    # Ana's lapses too, but is not closed before she says yes: honoured, for nobody has it.
    with keep():
        hers = db.session.scalars(
            select(WaitlistOffer).where(WaitlistOffer.state == OfferState.OPEN)
        ).one()
        booked = waiting.accept_offer(
            hers.id, actor="patient:1", now=hers.expires_at + timedelta(minutes=1)
        )
        assert booked.starts_at == TEN
    with keep(), pytest.raises(offers.OfferOver):
        waiting.accept_offer(late_id, actor="patient:2", now=NOW)


def test_nobody_is_offered_a_time_at_night_without_consent_or_beyond_the_caps(
    app: Flask, keep: Keep, queue: tuple[int, int]
) -> None:
    night = make.at(22, days=0)
    assert tick(app, night) == 0

    with keep():
        for who in queue:
            for number in range(3):
                row = kit.queue(db.session.get_one(Patient, who), NOW, dedupe_key=f"{who}-{number}")
                row.state, row.counted_at = State.SENT, NOW - timedelta(days=number)
    assert tick(app, NOW + timedelta(hours=1)) == 0

    with keep():
        db.session.execute(Message.__table__.delete())  # type: ignore[attr-defined]
        make.patient("Cara", mobile=None, email=None)
        waits(db.session.scalars(select(Patient).where(Patient.given_name == "Cara")).one())
        # In a course, with reminders on every other day: the offer leaves tomorrow's its place.
        ben = db.session.get_one(Patient, queue[1])
        for days, template in ((1, "visit-prepare"), (3, "visit-tomorrow"), (5, "visit-soon")):
            due = NOW + timedelta(days=days)
            kit.queue(ben, NOW, template=template, dedupe_key=template, send_after=due)
    assert tick(app, NOW + timedelta(hours=2)) == 1  # Ben; Cara is left to the desk
    assert states(app) == ["Ben open"]

    # Its text never went out, for Ben lives where it is night: he left nothing unanswered.
    with keep():
        db.session.get_one(Patient, queue[1]).zone_name = "Asia/Tokyo"
        db.session.get_one(Patient, queue[0]).zone_name = "Asia/Tokyo"
    assert text(app, NOW + timedelta(hours=2)) is None
    assert tick(app, NOW + timedelta(hours=4)) == 0  # nor is he asked again by night
    assert states(app) == ["Ben withdrawn"]
    with keep():
        db.session.get_one(Patient, queue[1]).zone_name = None
    assert tick(app, NOW + timedelta(hours=4, minutes=1)) == 1  # the same time once more
    assert states(app) == ["Ben withdrawn", "Ben open"]


def test_an_appointment_is_moved_sooner_and_one_that_fell_away_is_waited_for_no_more(
    app: Flask, keep: Keep, clock: StoppedClock
) -> None:
    with keep():
        where = make.clinic_day()
        who = kit.ana(NOW)
        call = make.call(where, who, make.at(10, days=5), notify=False)
        waiting.put_on_list(
            who,
            call.topic,
            since=make.at(9, days=2),
            until=make.at(9, days=9),
            actor="staff:1",
            now=NOW,
        )
        other = make.call(where, who, make.at(15, days=6), notify=False)
        waiting.put_on_list(
            who, other.topic, since=NOW, until=make.at(9, days=9), actor="staff:1", now=NOW
        )
        plans.cancel(other, actor="staff:1", now=NOW, notify=False)
        call_id = call.id
    tick(app, NOW)

    with keep():
        offer = db.session.scalars(select(WaitlistOffer)).one()
        assert offer.starts_at == make.at(9, days=2)
        moved = waiting.accept_offer(offer.id, actor="patient:1", now=NOW + timedelta(minutes=5))
        assert (moved.id, moved.starts_at) == (call_id, make.at(9, days=2))
        assert [
            e.outcome for e in db.session.scalars(select(WaitlistEntry).order_by(WaitlistEntry.id))
        ] == [
            "came sooner",
            "the appointment no longer stands",
        ]


def test_who_passes_a_sooner_time_on_hears_that_theirs_stays(
    app: Flask, client: FlaskClient, keep: Keep, clock: StoppedClock
) -> None:
    with keep():
        who = kit.ana(NOW)
        call = make.call(make.clinic_day(), who, make.at(10, days=5), notify=False)
        until = make.at(9, days=9)
        waiting.put_on_list(who, call.topic, since=NOW, until=until, actor="staff:1", now=NOW)
    tick(app, NOW)
    client.get(path_in(text(app, NOW)))

    assert "You keep your time: Sat, Mar 7, 10:00 AM." in press(client, "pass")[1]


def test_a_visit_of_a_plan_is_offered_only_where_window_spacing_and_series_allow(
    app: Flask, keep: Keep
) -> None:
    now = course.at(10, 9)
    with keep():
        where = course.clinic()
        who = kit.ana(NOW)
        plan = course.scheduled(who, where)
        visit = plan.visits[1]
        gone = visit.appointment
        assert gone is not None
        plans.cancel(gone, actor="staff:4", now=now)
        entry = waiting.put_on_list(
            who,
            f"visit:{visit.id}",
            since=now,
            until=now + timedelta(days=60),
            actor="staff:4",
            now=now,
        )
        assert (entry.since, entry.until) == (visit.earliest, visit.latest)
        assert (entry.longer_minutes, waiting.lags(entry)) == (0, False)
        # The visit is put off, and infusions take longer now: the wish follows it.
        later = Ask(ChangeAct.DEFER, visit=2, to=course.at(17).date())
        shown = changes.preview(plan, later, now=now)
        changes.apply(
            plan,
            later,
            {
                r.number: Choice(r.row.spot.site_id, r.row.spot.starts_at)
                for r in shown.rows
                if r.row and r.row.spot and r.number != 2
            },
            reason="Away.",
            keep_rest=False,
            version=plan.version,
            actor="staff:4",
            now=now,
        )
        for site in db.session.scalars(select(Site)):
            clinic.choose(site, "infusion_minutes", 60, actor="operator", now=now)
        assert waiting.lags(entry)
        numbers = visit.id, entry.id
    with app.app_context():
        assert openings.run("https://not-heard-from-yet.example", now=now) == 0, "only followed"
    with keep():
        visit = db.session.get_one(PlannedVisit, numbers[0])
        entry = db.session.get_one(WaitlistEntry, numbers[1])
        plan = visit.plan
        assert (entry.since, entry.until) == (visit.earliest, visit.latest)
        assert (entry.needed_by, entry.longer_minutes) == (visit.latest, 20)
        assert not waiting.lags(entry)
        around = [v.starts_at for v in plan.visits if v.starts_at is not None]
        found = offers.fitting(entry, waiting.allowed, now=now, most=500)
        assert found
        for one in found:
            assert visit.earliest <= one.starts_at < visit.latest
            assert min(abs(one.starts_at - at) for at in around) >= timedelta(hours=47)
        days = [abs(one.starts_at - visit.ideal) for one in found]
        assert days == sorted(days)
        made = offers.make(
            entry.id, found[0].site_id, found[0].starts_at, by_text=False, actor="staff:4", now=now
        )
        booked = waiting.accept_offer(made.id, actor="staff:4", now=now)
        answered = db.session.get_one(PlannedVisit, visit.id)
        assert (answered.appointment_id, answered.state) == (booked.id, VisitState.BOOKED)
        assert booked.longer_minutes == 20
        assert booked.authority_ref is not None
        assert booked.authority_ref.startswith("plan-version:")


def test_a_yes_is_asked_again_whether_it_may_be(app: Flask, keep: Keep) -> None:
    """Between offer and yes another infusion was booked close by: spacing is the law."""
    now = course.at(10, 9)
    with keep():
        where = course.clinic()
        who = kit.ana(NOW)
        plan = course.approved(who, where)
        visit = plan.visits[0]
        entry = waiting.put_on_list(
            who,
            f"visit:{visit.id}",
            since=now,
            until=now + timedelta(days=60),
            actor="staff:4",
            now=now,
        )
        start = offers.fitting(entry, waiting.allowed, now=now, most=1)[0]
        made = offers.make(
            entry.id, start.site_id, start.starts_at, by_text=False, actor="staff:4", now=now
        )
        made_id = made.id
        make.infusion(
            db.session.get_one(Site, where.woburn),
            who,
            start.starts_at + timedelta(hours=24),
            now=now,
        )
    with keep(), pytest.raises(SeriesTaken):
        waiting.accept_offer(made_id, actor="patient:1", now=now)
    assert states(app) == ["Ana open"]


def test_the_desk_puts_somebody_on_the_list_offers_by_hand_and_answers_for_them(
    app: Flask, keep: Keep, signed_in: SignIn, clock: StoppedClock
) -> None:
    with keep():
        where = make.clinic_day()
        who = make.patient(mobile=None, phone_text="781 555 0199", email=None)
        call = make.call(where, who, make.at(10, days=5))
        public_id, topic, site_id = who.public_id, call.topic, where.id
    desk = signed_in()
    form = f"/desk/waitlist/{public_id}/new?what={topic}"
    token = make.form_token(desk, form)
    page = desk.get(form).text
    assert "sooner than Mar 7" in page

    typed = {"csrf_token": token, "what": topic, "since": "2026-03-05", "until": "2026-03-04"}
    wrong = desk.post(form, data=typed)
    assert wrong.status_code == 422
    assert "must not be before the first" in wrong.text
    answer = desk.post(
        form, data=typed | {"until": "2026-03-06", "parts": ["afternoon"], "weekdays": ["3"]}
    )
    assert answer.status_code == 303
    again = desk.post(form, data=typed | {"until": "2026-03-06"})
    assert again.status_code == 422
    assert "on the list already" in again.text
    shown = desk.get("/desk/waitlist").text
    assert "Thu · afternoon · Thu, Mar 5" in shown
    assert "not texted: call them" in shown

    times = desk.get("/desk/waitlist/1/offer").text
    assert "Thu, Mar 5, 12:00 PM, Woburn" in times
    assert "Offer it by text" not in times
    data = {"csrf_token": token, "start": f"{site_id}|{make.at(12, days=3).isoformat()}"}
    assert desk.post("/desk/waitlist/1/offer", data=data | {"how": "text"}).status_code == 409
    assert desk.post("/desk/waitlist/1/offer", data=data | {"start": "x"}).status_code == 422
    assert desk.post("/desk/waitlist/1/offer", data=data | {"how": "call"}).status_code == 303
    assert "on the phone" in desk.get("/desk/waitlist").text
    taken = desk.post("/desk/waitlist/offers/1/take", data={"csrf_token": token})
    assert taken.status_code == 303
    assert "Nobody waits" in desk.get("/desk/waitlist").text
    late = desk.post("/desk/waitlist/offers/1/pass", data={"csrf_token": token})
    assert late.status_code == 409
    assert "no longer kept" in late.text
    with app.app_context():
        [one] = db.session.scalars(select(Appointment))
        assert (one.starts_at, one.status) == (make.at(12, days=3), Status.BOOKED)


def test_what_was_taken_off_the_list_gives_its_time_back(app: Flask, keep: Keep) -> None:
    with keep():
        make.clinic_day()
        who = kit.ana(NOW)
        waits(who)
        site = db.session.scalars(select(Site)).one()
        clinic.choose(site, "offer_hold_minutes", 45, actor="staff:1", now=NOW)
    tick(app, NOW)
    with keep():
        offer = db.session.scalars(select(WaitlistOffer)).one()
        assert offer.expires_at == NOW + timedelta(minutes=45)
        hold = db.session.scalars(select(Hold)).one()
        assert (hold.kind, hold.expires_at) == (HoldKind.OFFER, offer.expires_at)
        offers.remove(offer.entry_id, "changed their mind", actor="staff:1", now=NOW)
        assert offer.state is OfferState.WITHDRAWN
        assert db.session.scalars(select(Hold)).all() == []
        assert db.session.scalars(select(Message)).one().state is State.CANCELLED
