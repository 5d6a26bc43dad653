"""Refusals: what the clinic cannot do, said in words a person may read."""


class Refusal(Exception):
    """The request was understood and cannot be done; the text says why, kindly.

    `status` is the HTTP status a door answers with; `code` is a stable word for machines;
    `field` is the form field the refusal belongs to, when there is one.
    """

    status = 409
    code = "refused"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class NotFound(Refusal):
    """What was asked for does not exist, or is not for the asker: the two look the same."""

    status = 404
    code = "not-found"


class Forbidden(Refusal):
    """Known, but this person may not."""

    status = 403
    code = "forbidden"


class Stale(Refusal):
    """Somebody changed it since it was read."""

    code = "stale"


class Invalid(Refusal):
    """A value makes no sense; the form is shown again."""

    status = 422
    code = "invalid"
