"""Where on a page a refusal is said: at its field when the form has it, else at the top."""

from scheduler.core.errors import Refusal
from scheduler.web.fields import Form


def at_its_field(form: Form, refusal: Refusal) -> Refusal | None:
    """Put a refusal at the field it belongs to; return it when it must be said at the top."""
    field = form[refusal.field] if refusal.field and refusal.field in form else None
    if field is None:
        # A form whose fields are marked already needs no sentence above them.
        return None if any(f.errors for f in form) and refusal.status == 422 else refusal
    field.errors = [*field.errors, refusal.message]
    return None


def lines(refusal: Refusal | None) -> list[str]:
    """Return what a refusal lists beside its sentence: what is missing, or what blocks."""
    for name in ("missing", "blocks", "problems"):
        found = getattr(refusal, name, None)
        if isinstance(found, dict):
            return [f"Visit {number}: {why}" for number, why in found.items()]
        if found:
            return list(found)
    return []
