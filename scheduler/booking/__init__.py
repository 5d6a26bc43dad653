"""The appointment book: offers, holds, bookings, moves; the no-overlap law."""
