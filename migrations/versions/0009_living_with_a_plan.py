"""Living with a plan: what each act did to its visits, what suits the patient, how long it lasted."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

#: Tables that only grow, each with the one column that may change: two records of one person.
APPEND_ONLY = (("plan_change", None), ("relief_report", "patient_id"))


def _laws() -> list[str]:
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    laws = []
    for table, column in APPEND_ONLY:
        names = [c["name"] for c in sa.inspect(op.get_bind()).get_columns(table)]
        if is_postgresql:
            same = " AND ".join(
                f"OLD.{c}::text IS NOT DISTINCT FROM NEW.{c}::text" for c in names if c != column
            )
            laws.append(
                f"""CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table}
                FOR EACH ROW EXECUTE FUNCTION append_only()"""
            )
            laws.append(
                f"""CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} FOR EACH ROW
                WHEN (NOT ({same if column else "false"})) EXECUTE FUNCTION append_only()"""
            )
        else:
            same = " AND ".join(f"OLD.{c} IS NEW.{c}" for c in names if c != column)
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


def upgrade() -> None:
    op.create_table(
        "plan_change",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("plan_version_id", sa.Integer(), nullable=False),
        sa.Column(
            "act",
            sa.Enum(
                "defer",
                "carry-forward",
                "omit",
                "re-space",
                "other-site",
                "cease",
                "go-on",
                "complete",
                name="changeact",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("visits", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["plan_version_id"],
            ["plan_version.id"],
            name=op.f("fk_plan_change_plan_version_id_plan_version"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan_change")),
        sa.UniqueConstraint("plan_version_id", name=op.f("uq_plan_change_plan_version_id")),
    )
    op.create_table(
        "plan_wishes",
        sa.Column("plan_id", sa.Integer(), nullable=False),
        sa.Column("wishes", sa.JSON(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["plan_id"], ["plan.id"], name=op.f("fk_plan_wishes_plan_id_plan")),
        sa.PrimaryKeyConstraint("plan_id", name=op.f("pk_plan_wishes")),
    )
    op.create_table(
        "relief_report",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Integer(), nullable=False),
        sa.Column("appointment_id", sa.Integer(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("holds", sa.Boolean(), nullable=False),
        sa.Column("recorded_by", sa.String(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("days BETWEEN 0 AND 366", name=op.f("ck_relief_report_days_of_a_year")),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_relief_report_patient_id_patient")
        ),
        sa.ForeignKeyConstraint(
            ["appointment_id"],
            ["appointment.id"],
            name=op.f("fk_relief_report_appointment_id_appointment"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_relief_report")),
    )
    op.create_index(
        "ix_relief_report_patient_id_appointment_id",
        "relief_report",
        ["patient_id", "appointment_id"],
        unique=False,
    )
    for statement in _laws():
        op.execute(statement)


def downgrade() -> None:
    op.drop_index("ix_relief_report_patient_id_appointment_id", table_name="relief_report")
    op.drop_table("relief_report")
    op.drop_table("plan_wishes")
    op.drop_table("plan_change")
