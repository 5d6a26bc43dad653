"""What is answered before a visit: who takes them home, food and drink, medicines, illness."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLE = "readiness_answer"


def _laws() -> list[str]:
    """Answers are added, never changed."""
    deeds = ("DELETE", "UPDATE")
    if op.get_bind().dialect.name == "postgresql":
        return [
            f"CREATE TRIGGER {TABLE}_no_{deed.lower()} BEFORE {deed} ON {TABLE}"
            " FOR EACH ROW EXECUTE FUNCTION append_only()"
            for deed in deeds
        ]
    return [
        f"CREATE TRIGGER {TABLE}_no_{deed.lower()} BEFORE {deed} ON {TABLE} BEGIN"
        f" SELECT RAISE(ABORT, '{TABLE} is append only'); END"
        for deed in deeds
    ]


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("appointment_id", sa.Integer(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("has_escort", sa.Boolean(), nullable=False),
        sa.Column("escort_name", sa.Text(), nullable=True),
        sa.Column("escort_phone", sa.Text(), nullable=True),
        sa.Column("keeps_times", sa.Boolean(), nullable=False),
        sa.Column("knows_medicines", sa.Boolean(), nullable=False),
        sa.Column("is_ill", sa.Boolean(), nullable=False),
        sa.Column("illness", sa.Text(), nullable=True),
        sa.Column("agrees", sa.Boolean(), nullable=False),
        sa.Column("consent_version", sa.String(), nullable=True),
        sa.Column("recorded_by", sa.String(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "NOT has_escort OR escort_name IS NOT NULL",
            name=op.f("ck_readiness_answer_escort_has_a_name"),
        ),
        sa.ForeignKeyConstraint(
            ["appointment_id"],
            ["appointment.id"],
            name=op.f("fk_readiness_answer_appointment_id_appointment"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_readiness_answer")),
    )
    op.create_index("ix_readiness_answer_appointment_id_id", TABLE, ["appointment_id", "id"])
    for law in _laws():
        op.execute(law)


def downgrade() -> None:
    op.drop_table(TABLE)
