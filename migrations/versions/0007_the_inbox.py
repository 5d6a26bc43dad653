"""The inbox: what staff write back, and who looks after a conversation."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("message", sa.Column("words", sa.Text(), nullable=True))
    op.create_table(
        "conversation",
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("assignee", sa.String(), nullable=True),
        sa.Column("assigned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("assigned_by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_conversation")),
    )
    op.create_index(op.f("ix_conversation_assignee"), "conversation", ["assignee"])


def downgrade() -> None:
    op.drop_index(op.f("ix_conversation_assignee"), table_name="conversation")
    op.drop_table("conversation")
    op.drop_column("message", "words")
