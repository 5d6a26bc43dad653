"""How patients are reached in confidence: another number, and phones that others read."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("patient", sa.Column("private_mobile", sa.String(), nullable=True))
    op.add_column(
        "patient",
        sa.Column("shares_phone", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.create_index(op.f("ix_patient_private_mobile"), "patient", ["private_mobile"])


def downgrade() -> None:
    op.drop_index(op.f("ix_patient_private_mobile"), table_name="patient")
    op.drop_column("patient", "shares_phone")
    op.drop_column("patient", "private_mobile")
