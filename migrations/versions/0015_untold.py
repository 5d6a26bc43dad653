"""Changes that somebody has to be called about, because no text tells them."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "appointment", sa.Column("untold_from", sa.DateTime(timezone=True), nullable=True)
    )
    op.create_index(op.f("ix_appointment_untold_from"), "appointment", ["untold_from"])


def downgrade() -> None:
    op.drop_index(op.f("ix_appointment_untold_from"), table_name="appointment")
    op.drop_column("appointment", "untold_from")
