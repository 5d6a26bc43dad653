"""Texts of a day: what is said in another text, what counts against the caps, a person's zone."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

OLD = (
    "queued",
    "claimed",
    "sending",
    "ambiguous",
    "sent",
    "delivered",
    "undelivered",
    "failed",
    "expired",
    "cancelled",
)
STATES = "ck_message_state"


def _states(*more: str) -> str:
    return "state IN (" + ", ".join(f"'{state}'" for state in (*OLD, *more)) + ")"


def upgrade() -> None:
    op.add_column("patient", sa.Column("zone_name", sa.String(), nullable=True))
    counted = sa.Column("counted_at", sa.DateTime(timezone=True), nullable=True)
    said_in = sa.Column("said_in_id", sa.Integer(), nullable=True)
    states = _states("merged", "suppressed")
    link = (op.f("fk_message_said_in_id_message"), "message", ["said_in_id"], ["id"])
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table("message", recreate="always") as table:
            table.drop_constraint(op.f(STATES), type_="check")
            table.create_check_constraint(op.f(STATES), states)
            table.add_column(counted)
            table.add_column(said_in)
            table.create_foreign_key(*link)
    else:
        op.add_column("message", counted)
        op.add_column("message", said_in)
        op.create_foreign_key(link[0], "message", *link[1:])
        op.drop_constraint(op.f(STATES), "message", type_="check")
        op.create_check_constraint(op.f(STATES), "message", states)
    op.create_index(op.f("ix_message_said_in_id"), "message", ["said_in_id"])


def downgrade() -> None:
    op.execute("UPDATE message SET state = 'cancelled' WHERE state = 'merged'")
    op.drop_index(op.f("ix_message_said_in_id"), table_name="message")
    states = _states("suppressed")
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table("message", recreate="always") as table:
            table.drop_constraint(op.f(STATES), type_="check")
            table.create_check_constraint(op.f(STATES), states)
            table.drop_constraint(op.f("fk_message_said_in_id_message"), type_="foreignkey")
            table.drop_column("said_in_id")
            table.drop_column("counted_at")
    else:
        op.drop_constraint(op.f(STATES), "message", type_="check")
        op.create_check_constraint(op.f(STATES), "message", states)
        op.drop_constraint(op.f("fk_message_said_in_id_message"), "message", type_="foreignkey")
        op.drop_column("message", "said_in_id")
        op.drop_column("message", "counted_at")
    op.drop_column("patient", "zone_name")
