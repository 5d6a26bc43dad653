"""What else is asked in the follow-up chat: PEG, and the mood by PHQ-9."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("peg_before", "peg_since"):
        op.add_column("assessment", sa.Column(name, sa.JSON(), nullable=True))
    # Written out: SQLite takes a CHECK with a column that is added, but not by itself afterwards.
    for name, most in (("phq9", 27), ("phq9_item9", 3)):
        op.execute(
            f"ALTER TABLE assessment ADD COLUMN {name} INTEGER"
            f" CONSTRAINT ck_assessment_{name}_0_to_{most} CHECK ({name} BETWEEN 0 AND {most})"
        )


def downgrade() -> None:
    for name in ("phq9_item9", "phq9", "peg_since", "peg_before"):
        op.execute(f"ALTER TABLE assessment DROP COLUMN {name}")
