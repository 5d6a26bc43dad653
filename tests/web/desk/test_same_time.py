"""Another chair or another person at the same time: by select, by drag, undone, and unsaid."""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from scheduler.accounts.models import Role
from scheduler.audit.models import AuditEntry
from scheduler.booking import queries as book
from scheduler.booking import service as booking
from scheduler.booking.models import Appointment, Claim
from scheduler.clinic.models import Resource, Site
from scheduler.core.db import db
from scheduler.messaging.models import Message
from scheduler.plans import service as plans
from tests import make
from tests.conftest import Keep, Once, SignIn, StoppedClock
from tests.make import at


@pytest.fixture(autouse=True)
def _day(once: Once, clock: StoppedClock) -> None:
    """Woburn on the tests' Monday: three chairs, two nurses, two callers.

    Ben's infusion is at 11:30 and Ana's call at 11; Cara has another chair at noon.
    """

    def made() -> None:
        woburn = make.clinic_day(chairs=3, callers=2, nurses=2)
        make.call(woburn, make.patient(), at(11, days=0))
        ben = make.patient("Ben", "Ito", mobile="+17815550122")
        make.infusion(woburn, ben, at(11, 30, days=0))
        cara = make.patient("Cara", "Diaz", mobile="+17815550133")
        make.infusion(woburn, cara, at(12, days=0))

    once(made)


def stands(app: Flask, given: str) -> dict[str, object]:
    """Return what matters of somebody's appointment."""
    with app.app_context():
        one = db.session.scalars(
            select(Appointment).where(Appointment.patient.has(given_name=given))
        ).one()
        placed = book.placed([one])[0]
        names = {r.id: r.name for r in db.session.execute(select(Resource.id, Resource.name))}
        return {
            "id": one.public_id,
            "version": one.version,
            "starts_at": one.starts_at,
            "sequence": one.sequence,
            "chair": names.get(placed.chair_id or 0),
            "person": names.get(placed.person_id or 0),
        }


def number(app: Flask, name: str) -> int:
    with app.app_context():
        return db.session.scalars(select(Resource.id).where(Resource.name == name)).one()


def messages(app: Flask) -> int:
    with app.app_context():
        return db.session.scalars(select(func.count()).select_from(Message)).one()


def posted(client: FlaskClient, path: str, **form: object) -> TestResponse:
    return client.post(path, data={"csrf_token": make.form_token(client, "/desk"), **form})


def choices(page: str, name: str) -> list[str]:
    select_ = re.search(rf'<select[^>]*name="{name}".*?</select>', page, re.S)
    return re.findall(r'<option[^>]*value="\d+"[^>]*>([^<]+)<', select_[0]) if select_ else []


def test_only_what_is_free_for_all_of_the_time_can_be_chosen(signed_in: SignIn, app: Flask) -> None:
    client = signed_in()
    ben, cara = stands(app, "Ben"), stands(app, "Cara")

    page = client.get(f"/desk/appointments/{ben['id']}/move").text
    assert choices(page, "chair") == [
        c for c in ("Chair 1", "Chair 2", "Chair 3") if c not in (ben["chair"], cara["chair"])
    ]
    assert len(choices(page, "person")) == 1  # a nurse watches three: Cara's could take Ben too

    page = client.get(f"/desk/appointments/{stands(app, 'Ana')['id']}/move").text
    assert choices(page, "chair") == []
    assert len(choices(page, "person")) == 1


def test_another_chair_changes_nothing_for_the_patient_and_can_be_undone(
    signed_in: SignIn, app: Flask
) -> None:
    client = signed_in()
    ben, unsaid = stands(app, "Ben"), messages(app)

    done = posted(
        client,
        f"/desk/appointments/{ben['id']}/seat",
        version=ben["version"],
        chair=number(app, "Chair 3"),
        back="/desk",
    )
    assert done.status_code == 303
    assert "At the same time, now in Chair 3." in client.get("/desk").text

    now_has = stands(app, "Ben")
    assert now_has["chair"] == "Chair 3"
    assert now_has["person"] == ben["person"]
    assert now_has["sequence"] == ben["sequence"]
    assert messages(app) == unsaid
    with app.app_context():
        deed = db.session.scalars(
            select(AuditEntry).where(AuditEntry.action == "appointment.re-seat")
        ).one()
        assert deed.detail["before"]["chair_id"] == number(app, str(ben["chair"]))
    page = client.get(f"/desk/appointments/{ben['id']}").text
    assert "gave it another chair or person" in page
    assert "Undo the change of chair or person" in page

    posted(client, f"/desk/appointments/{ben['id']}/undo", version=now_has["version"])
    assert {**stands(app, "Ben"), "version": 0} == {**ben, "version": 0}
    with app.app_context():
        assert not db.session.scalars(select(Claim).where(Claim.is_pinned)).all()


def test_a_call_is_handed_to_somebody_else_whole(signed_in: SignIn, app: Flask) -> None:
    client = signed_in()
    ana = stands(app, "Ana")
    other = next(n for n in ("Caller 1", "Caller 2") if n != ana["person"])

    answer = posted(
        client,
        f"/desk/appointments/{ana['id']}/seat",
        version=ana["version"],
        person=number(app, other),
    )

    assert answer.status_code == 303
    assert stands(app, "Ana")["person"] == other
    with app.app_context():
        freed = number(app, str(ana["person"]))
        lanes = {lane.id for lane in db.session.get_one(Resource, freed).lanes}
        assert not db.session.scalars(select(Claim).where(Claim.lane_id.in_(lanes))).all()


def test_dropping_a_card_beside_its_own_time_is_the_same_act(signed_in: SignIn, app: Flask) -> None:
    client = signed_in()
    ben = stands(app, "Ben")

    answer = posted(
        client,
        f"/desk/appointments/{ben['id']}/move",
        version=ben["version"],
        at="2026-03-02T11:30",
        site="woburn",
        chair=number(app, "Chair 3"),
        person="",
    )

    assert answer.status_code == 303
    assert stands(app, "Ben")["chair"] == "Chair 3"
    assert stands(app, "Ben")["person"] == ben["person"]  # the nurse does not change with it


@pytest.mark.parametrize(
    ("field", "name", "status", "words"),
    [
        ("chair", "cara", 409, " is not free for all of that time."),
        ("chair", "own", 409, " has it already."),
        ("person", "Caller 1", 409, "Caller 1 is not free for all of that time."),
        ("chair", "", 422, "Choose a chair or a person."),
        ("chair", "999999", 409, "That chair is not free for all of that time."),
        ("chair", "a stool", 422, "Choose a chair or a person."),
    ],
)
def test_what_cannot_take_it_is_refused_in_words_and_nothing_changes(
    signed_in: SignIn, app: Flask, field: str, name: str, status: int, words: str
) -> None:
    client = signed_in()
    ben = stands(app, "Ben")
    names = {"cara": stands(app, "Cara")["chair"], "own": ben["chair"]}
    known = names.get(name, name)
    value = number(app, str(known)) if name in (*names, "Caller 1") else name

    answer = posted(
        client,
        f"/desk/appointments/{ben['id']}/seat",
        version=ben["version"],
        **{field: value},
    )

    assert answer.status_code == status
    assert words in answer.text
    assert "At the same time" in answer.text
    assert stands(app, "Ben") == ben


def test_a_page_that_is_stale_is_told_who_was_faster(
    signed_in: SignIn, app: Flask, keep: Keep
) -> None:
    client = signed_in()
    ben = stands(app, "Ben")
    path = f"/desk/appointments/{ben['id']}/seat"
    form = {"version": ben["version"], "chair": number(app, "Chair 3")}

    assert posted(client, path, **form).status_code == 303
    again = posted(client, path, **form)

    assert again.status_code == 409
    assert "reassigned it while you had this open" in again.text


def test_what_is_over_or_called_off_is_not_reseated(
    signed_in: SignIn, app: Flask, clock: StoppedClock, keep: Keep
) -> None:
    client = signed_in()
    ben, chair = stands(app, "Ben"), number(app, "Chair 3")
    path = f"/desk/appointments/{ben['id']}"
    posted(client, f"{path}/cancel", version=ben["version"])
    off = posted(client, f"{path}/seat", version=stands(app, "Ben")["version"], chair=chair)
    assert off.status_code == 409
    assert "This appointment is cancelled, so it cannot be reassigned." in off.text

    ana = stands(app, "Ana")
    clock.set(at(13, days=0))
    over = posted(
        signed_in(),
        f"/desk/appointments/{ana['id']}/seat",
        version=ana["version"],
        person=number(app, "Caller 1" if ana["person"] != "Caller 1" else "Caller 2"),
    )
    assert over.status_code == 409
    assert "All of its time is over" in over.text


def test_somebody_in_a_chair_goes_to_another_that_was_busy_before(
    signed_in: SignIn, app: Flask, clock: StoppedClock, keep: Keep
) -> None:
    """Of a visit that runs only what is left counts: Dora's chair is free again by then."""
    with keep():
        woburn = db.session.scalars(select(Site)).one()
        dora = make.patient("Dora", "Low", mobile=None, email=None)
        made = make.infusion(woburn, dora, at(10, 15, days=0), chair_id=number(app, "Chair 3"))
        assert book.placed([made])[0].chair_id == number(app, "Chair 3")
    clock.set(at(11, 55, days=0))
    client = signed_in()
    ben = stands(app, "Ben")
    posted(client, f"/desk/appointments/{ben['id']}/arrive", version=ben["version"])
    ben = stands(app, "Ben")

    answer = posted(
        client,
        f"/desk/appointments/{ben['id']}/seat",
        version=ben["version"],
        chair=number(app, "Chair 3"),
    )

    assert answer.status_code == 303
    assert stands(app, "Ben")["chair"] == "Chair 3"


def test_who_may_not_book_does_not_reseat(signed_in: SignIn, app: Flask) -> None:
    client = signed_in(Role.ADMIN)
    ben = stands(app, "Ben")

    answer = posted(client, f"/desk/appointments/{ben['id']}/seat", version=1, chair=1)

    assert answer.status_code == 403
    assert "Another chair or person" not in client.get(f"/desk/appointments/{ben['id']}").text


def test_lanes_of_a_nurse_make_way_for_one_more(keep: Keep, app: Flask) -> None:
    """By count she has room, although no lane of hers is free throughout."""
    with keep():
        woburn = db.session.scalars(select(Site)).one()
        nurse = db.session.get_one(Resource, number(app, "Nurse 2"))
        lanes = [lane.id for lane in sorted(nurse.lanes, key=lambda x: x.number)]
        visits = []
        for n, start in enumerate((at(13, days=2), at(14, 35, days=2), at(13, days=2))):
            who = make.patient(f"D{n}", "Low", mobile=None, email=None)
            visits.append(make.infusion(woburn, who, start, person_id=nurse.id))
        for visit, lane in zip(visits, lanes, strict=True):
            claim = next(c for c in visit.claims if c.lane_id in lanes)
            claim.lane_id = lane
            db.session.flush()
        other = make.infusion(
            woburn,
            make.patient("Eve", "Low", mobile=None, email=None),
            at(13, 45, days=2),
            person_id=number(app, "Nurse 1"),
        )
        plans.reseat(
            other,
            person_id=nurse.id,
            version=other.version,
            actor="staff:1",
            now=make.MONDAY,
        )
        assert book.placed([other])[0].person_id == nurse.id
        assert {book.placed([v])[0].person_id for v in visits} == {nurse.id}


@pytest.mark.parametrize("how", ["cancel", "no-show"])
def test_what_was_called_off_or_missed_is_put_back_as_long_as_its_time_is_free(
    signed_in: SignIn, app: Flask, clock: StoppedClock, keep: Keep, how: str
) -> None:
    client = signed_in()
    clock.set(at(11, 10, days=0))
    client = signed_in()
    ana = stands(app, "Ana")
    path = f"/desk/appointments/{ana['id']}"
    posted(client, f"{path}/{how}", version=ana["version"])
    clock.advance(minutes=20)  # too late to undo
    client = signed_in()
    gone = stands(app, "Ana")
    page = client.get(path).text
    assert ("Put it back" if how == "cancel" else "Reached after all") in page

    stale = posted(client, f"{path}/reinstate", version=ana["version"])
    assert stale.status_code == 409
    back = posted(client, f"{path}/reinstate", version=gone["version"])
    assert back.status_code == 303
    assert stands(app, "Ana")["person"]
    twice = posted(client, f"{path}/reinstate", version=stands(app, "Ana")["version"])
    assert twice.status_code == 409
    assert "This appointment is booked, so it cannot be put back." in twice.text


def test_a_time_that_was_given_away_is_not_put_back(
    signed_in: SignIn, app: Flask, keep: Keep
) -> None:
    client = signed_in()
    ana = stands(app, "Ana")
    path = f"/desk/appointments/{ana['id']}"
    posted(client, f"{path}/cancel", version=ana["version"])
    with keep():
        woburn = db.session.scalars(select(Site)).one()
        for n in range(2):
            who = make.patient(f"D{n}", "Low", mobile=None, email=None)
            booking.book(
                make.ServiceCode.CALL,
                woburn.id,
                at(11, days=0),
                who,
                actor="staff:1",
                now=make.MONDAY,
            )

    answer = posted(client, f"{path}/reinstate", version=stands(app, "Ana")["version"])

    assert answer.status_code == 409
    assert stands(app, "Ana")["person"] is None


DEEDS = ("arrive", "no-show", "cancel", "close", "undo", "seat", "reinstate", "confirm", "move")


@pytest.mark.parametrize("deed", DEEDS)
def test_each_act_on_what_was_struck_or_changed_meanwhile_is_a_kind_page(
    signed_in: SignIn, app: Flask, clock: StoppedClock, keep: Keep, deed: str
) -> None:
    """A page left open: somebody has closed the call, and then a button of the old page is used."""
    clock.set(at(11, 10, days=0))
    client = signed_in()
    ana = stands(app, "Ana")
    with keep():
        one = db.session.scalars(
            select(Appointment).where(Appointment.public_id == ana["id"])
        ).one()
        booking.strike(one, actor="staff:1", now=clock())

    answer = posted(
        client,
        f"/desk/appointments/{ana['id']}/{deed}",
        version=ana["version"],
        at="2026-03-02T15:00",
        person=number(app, "Caller 2"),
        chair="",
    )

    assert answer.status_code == 409
    assert "Ana Duarte" in answer.text
    assert re.search(r'role="alert"[^>]*><p>[^<]{20,}</p>', answer.text)
