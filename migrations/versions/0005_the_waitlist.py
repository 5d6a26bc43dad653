"""The waitlist: days, parts and sites as lists, the clinical window, and offers."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

LISTS = ("site_ids", "weekdays", "parts")


def upgrade() -> None:
    entry = sa.table(
        "waitlist_entry",
        sa.column("id", sa.Integer()),
        sa.column("site_id", sa.Integer()),
        sa.column("site_ids", sa.JSON()),
        sa.column("weekdays", sa.JSON()),
        sa.column("parts", sa.JSON()),
    )
    with op.batch_alter_table("waitlist_entry") as batch:
        for name in LISTS:
            batch.add_column(sa.Column(name, sa.JSON(), nullable=True))
        batch.add_column(sa.Column("needed_by", sa.DateTime(timezone=True), nullable=True))
    bind = op.get_bind()
    for number, site_id in bind.execute(sa.select(entry.c.id, entry.c.site_id)).all():
        bind.execute(
            entry.update()
            .where(entry.c.id == number)
            .values(site_ids=[site_id] if site_id else [], weekdays=[], parts=[])
        )
    with op.batch_alter_table("waitlist_entry") as batch:
        for name in LISTS:
            batch.alter_column(name, existing_type=sa.JSON(), nullable=False)
        batch.drop_constraint("fk_waitlist_entry_site_id_site", type_="foreignkey")
        batch.drop_column("site_id")
    op.create_table(
        "waitlist_offer",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.String(), nullable=False),
        sa.Column("entry_id", sa.Integer(), nullable=False),
        sa.Column("site_id", sa.Integer(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_by_text", sa.Boolean(), nullable=False),
        sa.Column("offered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("offered_by", sa.String(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "open",
                "accepted",
                "declined",
                "expired",
                "withdrawn",
                name="offerstate",
                native_enum=False,
                create_constraint=True,
                length=24,
            ),
            nullable=False,
        ),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_by", sa.String(), nullable=True),
        sa.Column("appointment_id", sa.Integer(), nullable=True),
        sa.CheckConstraint("expires_at > offered_at", name=op.f("ck_waitlist_offer_lasts")),
        sa.CheckConstraint(
            "(state = 'open') = (answered_at IS NULL)",
            name=op.f("ck_waitlist_offer_answered_when_no_longer_open"),
        ),
        sa.ForeignKeyConstraint(
            ["appointment_id"],
            ["appointment.id"],
            name=op.f("fk_waitlist_offer_appointment_id_appointment"),
        ),
        sa.ForeignKeyConstraint(
            ["entry_id"],
            ["waitlist_entry.id"],
            name=op.f("fk_waitlist_offer_entry_id_waitlist_entry"),
        ),
        sa.ForeignKeyConstraint(
            ["site_id"], ["site.id"], name=op.f("fk_waitlist_offer_site_id_site")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waitlist_offer")),
        sa.UniqueConstraint("public_id", name=op.f("uq_waitlist_offer_public_id")),
    )
    op.create_index(op.f("ix_waitlist_offer_entry_id"), "waitlist_offer", ["entry_id"])
    op.create_index(
        "uq_waitlist_offer_open_entry",
        "waitlist_offer",
        ["entry_id"],
        unique=True,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )


def downgrade() -> None:
    op.drop_table("waitlist_offer")
    with op.batch_alter_table("waitlist_entry") as batch:
        batch.add_column(sa.Column("site_id", sa.Integer(), nullable=True))
        batch.create_foreign_key("fk_waitlist_entry_site_id_site", "site", ["site_id"], ["id"])
        for name in (*LISTS, "needed_by"):
            batch.drop_column(name)
