"""PEG asked again during a course; how much longer than usual a time somebody waits for is."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TABLE = "peg_report"


def _laws() -> list[str]:
    if op.get_bind().dialect.name == "postgresql":
        return [
            f"""CREATE TRIGGER {TABLE}_no_{deed.lower()} BEFORE {deed} ON {TABLE}
            FOR EACH ROW EXECUTE FUNCTION append_only()"""
            for deed in ("DELETE", "UPDATE")
        ]
    return [
        f"""CREATE TRIGGER {TABLE}_no_{deed.lower()} BEFORE {deed} ON {TABLE} BEGIN
        SELECT RAISE(ABORT, '{TABLE} is append only'); END"""
        for deed in ("DELETE", "UPDATE")
    ]


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("plan_id", sa.Integer(), nullable=False),
        sa.Column("scores", sa.JSON(), nullable=False),
        sa.Column("recorded_by", sa.String(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["plan_id"], ["plan.id"], name=op.f("fk_peg_report_plan_id_plan")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_peg_report")),
    )
    op.create_index(op.f("ix_peg_report_plan_id"), TABLE, ["plan_id"], unique=False)
    for statement in _laws():
        op.execute(statement)
    op.add_column(
        "waitlist_entry",
        sa.Column("longer_minutes", sa.Integer(), nullable=False, server_default="0"),
    )


def downgrade() -> None:
    op.drop_column("waitlist_entry", "longer_minutes")
    op.drop_index(op.f("ix_peg_report_plan_id"), table_name=TABLE)
    op.drop_table(TABLE)
