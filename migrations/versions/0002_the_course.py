"""The course: clearances, the record of the chair, protocols, plans and their visits."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SPACING_HOURS = 47
#: Tables that only grow, each with the one column that may change: two records of one person.
APPEND_ONLY = (
    ("assessment", "patient_id"),
    ("clearance", "patient_id"),
    ("plan_signature", None),
    ("plan_version", None),
    ("screening_entry", "patient_id"),
    ("session_event", None),
)
LIVE_INFUSION = (
    "{0}service_code IN ('first-infusion', 'infusion')"
    " AND {0}status IN ('booked', 'arrived', 'fulfilled') AND {0}spacing_reason IS NULL"
)


def _sqlite_laws() -> list[str]:
    """Two infusions of one patient lie 48 hours apart on the wall, or one of them says why not.

    The database asks for 47: two days on the wall are 47 hours when the clock springs forward.
    """
    close = f"""
        SELECT RAISE(ABORT, 'ex_appointment_spacing') WHERE EXISTS (
            SELECT 1 FROM appointment a
            WHERE a.patient_id = NEW.patient_id AND a.id <> NEW.id
              AND {LIVE_INFUSION.format("a.")}
              AND a.starts_at < strftime(
                    '%Y-%m-%d %H:%M:%S.000000', NEW.starts_at, '+{SPACING_HOURS} hours')
              AND a.starts_at > strftime(
                    '%Y-%m-%d %H:%M:%S.000000', NEW.starts_at, '-{SPACING_HOURS} hours')
        );"""
    live = LIVE_INFUSION.format("NEW.")
    laws = [
        f"""CREATE TRIGGER ex_appointment_spacing_insert AFTER INSERT ON appointment
        WHEN {live} BEGIN {close} END""",
        f"""CREATE TRIGGER ex_appointment_spacing_update
        AFTER UPDATE OF starts_at, status, patient_id, service_code, spacing_reason ON appointment
        WHEN {live} BEGIN {close} END""",
        """CREATE TRIGGER protocol_version_text BEFORE UPDATE ON protocol_version
        WHEN OLD.document <> NEW.document BEGIN
        SELECT RAISE(ABORT, 'protocol_version is append only'); END""",
    ]
    for table, column in APPEND_ONLY:
        same = " AND ".join(f"OLD.{c} IS NEW.{c}" for c in _columns(table) if c != column)
        laws.append(
            f"""CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} BEGIN
            SELECT RAISE(ABORT, '{table} is append only'); END"""
        )
        laws.append(
            f"""CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table}
            WHEN NOT ({same if column else "0"}) BEGIN
            SELECT RAISE(ABORT, '{table} is append only'); END"""
        )
    return laws


def _postgresql_laws() -> list[str]:
    """The same laws, the spacing as an exclusion constraint."""
    laws = [
        f"""ALTER TABLE appointment ADD CONSTRAINT ex_appointment_spacing EXCLUDE USING gist (
            int8range(patient_id, patient_id, '[]') WITH &&,
            tsrange(starts_at AT TIME ZONE 'UTC',
                    (starts_at AT TIME ZONE 'UTC') + interval '{SPACING_HOURS} hours') WITH &&)
        WHERE ({LIVE_INFUSION.format("")})""",
        """CREATE TRIGGER protocol_version_text BEFORE UPDATE ON protocol_version
        FOR EACH ROW WHEN (OLD.document <> NEW.document) EXECUTE FUNCTION append_only()""",
    ]
    for table, column in APPEND_ONLY:
        same = " AND ".join(
            f"OLD.{c}::text IS NOT DISTINCT FROM NEW.{c}::text"
            for c in _columns(table)
            if c != column
        )
        laws.append(
            f"""CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION append_only()"""
        )
        laws.append(
            f"""CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table}
            FOR EACH ROW WHEN (NOT ({same if column else "false"})) EXECUTE FUNCTION append_only()"""
        )
    return laws


def _undone() -> list[str]:
    if op.get_bind().dialect.name == "postgresql":
        return ["ALTER TABLE appointment DROP CONSTRAINT ex_appointment_spacing"]
    return [
        "DROP TRIGGER ex_appointment_spacing_insert",
        "DROP TRIGGER ex_appointment_spacing_update",
    ]


def _columns(table: str) -> list[str]:
    return [column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)]


def upgrade() -> None:
    op.add_column("appointment", sa.Column("spacing_reason", sa.String(), nullable=True))
    op.create_index("uq_appointment_id_starts_at", "appointment", ["id", "starts_at"], unique=True)
    op.create_table(
        "clearance",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Integer(), nullable=False),
        sa.Column(
            "decision",
            sa.Enum(
                "cleared",
                "not-cleared",
                name="decision",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("based_on", sa.JSON(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("signed_by_id", sa.Integer(), nullable=False),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "decision = 'cleared' OR reason IS NOT NULL",
            name=op.f("ck_clearance_refusal_has_a_reason"),
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_clearance_patient_id_patient")
        ),
        sa.ForeignKeyConstraint(
            ["signed_by_id"], ["staff.id"], name=op.f("fk_clearance_signed_by_id_staff")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clearance")),
    )
    op.create_index(op.f("ix_clearance_patient_id"), "clearance", ["patient_id"], unique=False)
    op.create_table(
        "protocol_version",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "draft",
                "active",
                "retired",
                name="protocolstate",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("imported_by", sa.String(), nullable=False),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("activated_by_id", sa.Integer(), nullable=True),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["activated_by_id"],
            ["staff.id"],
            name=op.f("fk_protocol_version_activated_by_id_staff"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_protocol_version")),
        sa.UniqueConstraint("code", "number", name=op.f("uq_protocol_version_code_number")),
    )
    op.create_index(
        "uq_protocol_version_active",
        "protocol_version",
        ["state"],
        unique=True,
        sqlite_where=sa.text("state = 'active'"),
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_table(
        "screening_entry",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Integer(), nullable=False),
        sa.Column("item", sa.String(), nullable=False),
        sa.Column(
            "answer",
            sa.Enum(
                "yes",
                "no",
                "unknown",
                name="answer",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=True,
        ),
        sa.Column("systolic", sa.Integer(), nullable=True),
        sa.Column("diastolic", sa.Integer(), nullable=True),
        sa.Column("consent_version", sa.String(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("recorded_by", sa.String(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(answer IS NOT NULL AND systolic IS NULL AND diastolic IS NULL AND consent_version IS NULL) OR (answer IS NULL AND systolic IS NOT NULL AND diastolic IS NOT NULL AND consent_version IS NULL) OR (answer IS NULL AND systolic IS NULL AND diastolic IS NULL AND consent_version IS NOT NULL)",
            name=op.f("ck_screening_entry_one_thing"),
        ),
        sa.CheckConstraint(
            "systolic IS NULL OR (systolic BETWEEN 40 AND 300 AND diastolic BETWEEN 20 AND 200 AND systolic > diastolic)",
            name=op.f("ck_screening_entry_pressure_of_a_living_person"),
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_screening_entry_patient_id_patient")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_screening_entry")),
    )
    op.create_index(
        "ix_screening_entry_patient_id_item",
        "screening_entry",
        ["patient_id", "item"],
        unique=False,
    )
    op.create_table(
        "assessment",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Integer(), nullable=False),
        sa.Column("infusion_id", sa.Integer(), nullable=False),
        sa.Column("chat_id", sa.Integer(), nullable=True),
        sa.Column("baseline", sa.Integer(), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("relief_days", sa.Integer(), nullable=False),
        sa.Column("relief_holds", sa.Boolean(), nullable=False),
        sa.Column(
            "condition",
            sa.Enum(
                "diabetic-neuropathy",
                "crps",
                "fibromyalgia",
                "post-herpetic",
                "multiple-sclerosis",
                "nerve-compression",
                "inflammatory",
                "poor-circulation",
                "other",
                "not-sure",
                name="pain",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("worst_severity", sa.Integer(), nullable=False),
        sa.Column(
            "impression",
            sa.Enum(
                "very-much-better",
                "much-better",
                "a-little-better",
                "no-change",
                "a-little-worse",
                "much-worse",
                "very-much-worse",
                name="impression",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("goals", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("recorded_by", sa.String(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "baseline BETWEEN 0 AND 10", name=op.f("ck_assessment_baseline_0_to_10")
        ),
        sa.CheckConstraint("relief_days >= 0", name=op.f("ck_assessment_relief_not_negative")),
        sa.CheckConstraint("score BETWEEN 0 AND 10", name=op.f("ck_assessment_score_0_to_10")),
        sa.CheckConstraint(
            "worst_severity BETWEEN 0 AND 3", name=op.f("ck_assessment_severity_0_to_3")
        ),
        sa.ForeignKeyConstraint(
            ["chat_id"], ["appointment.id"], name=op.f("fk_assessment_chat_id_appointment")
        ),
        sa.ForeignKeyConstraint(
            ["infusion_id"], ["appointment.id"], name=op.f("fk_assessment_infusion_id_appointment")
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_assessment_patient_id_patient")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assessment")),
    )
    op.create_index(op.f("ix_assessment_infusion_id"), "assessment", ["infusion_id"], unique=False)
    op.create_index(op.f("ix_assessment_patient_id"), "assessment", ["patient_id"], unique=False)
    op.create_table(
        "follow_up",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Integer(), nullable=False),
        sa.Column("infusion_id", sa.Integer(), nullable=False),
        sa.Column("chat_id", sa.Integer(), nullable=True),
        sa.Column("due_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.CheckConstraint("due_until > due_from", name=op.f("ck_follow_up_until_after_from")),
        sa.ForeignKeyConstraint(
            ["chat_id"], ["appointment.id"], name=op.f("fk_follow_up_chat_id_appointment")
        ),
        sa.ForeignKeyConstraint(
            ["infusion_id"], ["appointment.id"], name=op.f("fk_follow_up_infusion_id_appointment")
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_follow_up_patient_id_patient")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_follow_up")),
        sa.UniqueConstraint("chat_id", name=op.f("uq_follow_up_chat_id")),
        sa.UniqueConstraint("infusion_id", name=op.f("uq_follow_up_infusion_id")),
    )
    op.create_index(op.f("ix_follow_up_patient_id"), "follow_up", ["patient_id"], unique=False)
    op.create_table(
        "session_event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("appointment_id", sa.Integer(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "readiness",
                "comfort",
                "score",
                "vitals",
                "start",
                "dose",
                "side-effect",
                "end",
                "discharge",
                "safe",
                "hand-out",
                "gone",
                "note",
                name="eventkind",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("amends_id", sa.Integer(), nullable=True),
        sa.Column("is_struck", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("signed_by_id", sa.Integer(), nullable=True),
        sa.Column("recorded_by", sa.String(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind <> 'safe' OR signed_by_id IS NOT NULL",
            name=op.f("ck_session_event_safe_is_signed"),
        ),
        sa.CheckConstraint(
            "NOT is_struck OR amends_id IS NOT NULL",
            name=op.f("ck_session_event_only_amendments_strike"),
        ),
        sa.CheckConstraint(
            "amends_id IS NULL OR reason IS NOT NULL",
            name=op.f("ck_session_event_amendment_has_a_reason"),
        ),
        sa.ForeignKeyConstraint(
            ["amends_id"],
            ["session_event.id"],
            name=op.f("fk_session_event_amends_id_session_event"),
        ),
        sa.ForeignKeyConstraint(
            ["appointment_id"],
            ["appointment.id"],
            name=op.f("fk_session_event_appointment_id_appointment"),
        ),
        sa.ForeignKeyConstraint(
            ["signed_by_id"], ["staff.id"], name=op.f("fk_session_event_signed_by_id_staff")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_session_event")),
    )
    op.create_index(
        "ix_session_event_appointment_id_id",
        "session_event",
        ["appointment_id", "id"],
        unique=False,
    )
    op.create_index(
        "uq_session_event_once",
        "session_event",
        ["appointment_id", "kind"],
        unique=True,
        sqlite_where=sa.text("amends_id IS NULL AND kind IN ('start', 'end', 'safe', 'gone')"),
        postgresql_where=sa.text("amends_id IS NULL AND kind IN ('start', 'end', 'safe', 'gone')"),
    )
    op.create_table(
        "plan",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.String(), nullable=False),
        sa.Column("patient_id", sa.Integer(), nullable=False),
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("assessment_id", sa.Integer(), nullable=False),
        sa.Column("protocol_id", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "draft",
                "approved",
                "changed",
                "declined",
                "active",
                "completed",
                "ceased",
                name="planstate",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("review_on", sa.Date(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.String(), nullable=False),
        sa.Column("change", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["assessment_id"], ["assessment.id"], name=op.f("fk_plan_assessment_id_assessment")
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_plan_patient_id_patient")
        ),
        sa.ForeignKeyConstraint(
            ["protocol_id"],
            ["protocol_version.id"],
            name=op.f("fk_plan_protocol_id_protocol_version"),
        ),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_plan_site_id_site")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan")),
        sa.UniqueConstraint("public_id", name=op.f("uq_plan_public_id")),
    )
    op.create_index(op.f("ix_plan_patient_id"), "plan", ["patient_id"], unique=False)
    op.create_index(
        "uq_plan_open_patient",
        "plan",
        ["patient_id"],
        unique=True,
        sqlite_where=sa.text("state IN ('draft', 'approved', 'changed', 'active')"),
        postgresql_where=sa.text("state IN ('draft', 'approved', 'changed', 'active')"),
    )
    op.create_table(
        "plan_version",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("plan_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("proposal", sa.JSON(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["plan_id"], ["plan.id"], name=op.f("fk_plan_version_plan_id_plan")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan_version")),
        sa.UniqueConstraint("plan_id", "number", name=op.f("uq_plan_version_plan_id_number")),
    )
    op.create_index(op.f("ix_plan_version_plan_id"), "plan_version", ["plan_id"], unique=False)
    op.create_table(
        "planned_visit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("plan_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("phase", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "to-place",
                "booked",
                "held",
                "omitted",
                name="visitstate",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("earliest", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ideal", sa.DateTime(timezone=True), nullable=False),
        sa.Column("latest", sa.DateTime(timezone=True), nullable=False),
        sa.Column("min_days", sa.Integer(), nullable=False),
        sa.Column("max_days", sa.Integer(), nullable=False),
        sa.Column("appointment_id", sa.Integer(), nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("former_id", sa.Integer(), nullable=True),
        sa.Column("outside_reason", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.CheckConstraint(
            "(state IN ('booked', 'held')) = (appointment_id IS NOT NULL)",
            name=op.f("ck_planned_visit_booked_has_an_appointment"),
        ),
        sa.CheckConstraint(
            "state <> 'omitted' OR reason IS NOT NULL",
            name=op.f("ck_planned_visit_omitted_has_a_reason"),
        ),
        sa.CheckConstraint(
            "(appointment_id IS NULL) = (starts_at IS NULL)",
            name=op.f("ck_planned_visit_start_of_an_appointment"),
        ),
        sa.CheckConstraint(
            "earliest <= ideal AND ideal < latest", name=op.f("ck_planned_visit_window_in_order")
        ),
        sa.CheckConstraint(
            "starts_at IS NULL OR (starts_at >= earliest AND starts_at < latest) OR outside_reason IS NOT NULL",
            name=op.f("ck_planned_visit_inside_its_window"),
        ),
        sa.ForeignKeyConstraint(
            ["appointment_id", "starts_at"],
            ["appointment.id", "appointment.starts_at"],
            name="fk_planned_visit_appointment",
            onupdate="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["former_id"], ["appointment.id"], name=op.f("fk_planned_visit_former_id_appointment")
        ),
        sa.ForeignKeyConstraint(
            ["plan_id"], ["plan.id"], name=op.f("fk_planned_visit_plan_id_plan")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_planned_visit")),
        sa.UniqueConstraint("appointment_id", name=op.f("uq_planned_visit_appointment_id")),
        sa.UniqueConstraint("plan_id", "number", name=op.f("uq_planned_visit_plan_id_number")),
    )
    op.create_index(op.f("ix_planned_visit_plan_id"), "planned_visit", ["plan_id"], unique=False)
    op.create_table(
        "plan_signature",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("plan_version_id", sa.Integer(), nullable=False),
        sa.Column(
            "verdict",
            sa.Enum(
                "approved",
                "changed",
                "declined",
                name="verdict",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("signed_by_id", sa.Integer(), nullable=False),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "verdict = 'approved' OR reason IS NOT NULL", name=op.f("ck_plan_signature_says_why")
        ),
        sa.ForeignKeyConstraint(
            ["plan_version_id"],
            ["plan_version.id"],
            name=op.f("fk_plan_signature_plan_version_id_plan_version"),
        ),
        sa.ForeignKeyConstraint(
            ["signed_by_id"], ["staff.id"], name=op.f("fk_plan_signature_signed_by_id_staff")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan_signature")),
        sa.UniqueConstraint("plan_version_id", name=op.f("uq_plan_signature_plan_version_id")),
    )
    postgresql = op.get_bind().dialect.name == "postgresql"
    for statement in _postgresql_laws() if postgresql else _sqlite_laws():
        op.execute(statement)


def downgrade() -> None:
    for statement in _undone():
        op.execute(statement)
    op.drop_table("plan_signature")
    op.drop_index(op.f("ix_planned_visit_plan_id"), table_name="planned_visit")
    op.drop_table("planned_visit")
    op.drop_index(op.f("ix_plan_version_plan_id"), table_name="plan_version")
    op.drop_table("plan_version")
    op.drop_index(
        "uq_plan_open_patient",
        table_name="plan",
        sqlite_where=sa.text("state IN ('draft', 'approved', 'changed', 'active')"),
        postgresql_where=sa.text("state IN ('draft', 'approved', 'changed', 'active')"),
    )
    op.drop_index(op.f("ix_plan_patient_id"), table_name="plan")
    op.drop_table("plan")
    op.drop_index(
        "uq_session_event_once",
        table_name="session_event",
        sqlite_where=sa.text("amends_id IS NULL AND kind IN ('start', 'end', 'safe', 'gone')"),
        postgresql_where=sa.text("amends_id IS NULL AND kind IN ('start', 'end', 'safe', 'gone')"),
    )
    op.drop_index("ix_session_event_appointment_id_id", table_name="session_event")
    op.drop_table("session_event")
    op.drop_index(op.f("ix_follow_up_patient_id"), table_name="follow_up")
    op.drop_table("follow_up")
    op.drop_index(op.f("ix_assessment_patient_id"), table_name="assessment")
    op.drop_index(op.f("ix_assessment_infusion_id"), table_name="assessment")
    op.drop_table("assessment")
    op.drop_index("ix_screening_entry_patient_id_item", table_name="screening_entry")
    op.drop_table("screening_entry")
    op.drop_index(
        "uq_protocol_version_active",
        table_name="protocol_version",
        sqlite_where=sa.text("state = 'active'"),
        postgresql_where=sa.text("state = 'active'"),
    )
    op.drop_table("protocol_version")
    op.drop_index(op.f("ix_clearance_patient_id"), table_name="clearance")
    op.drop_table("clearance")
    op.drop_index("uq_appointment_id_starts_at", table_name="appointment")
    op.drop_column("appointment", "spacing_reason")
