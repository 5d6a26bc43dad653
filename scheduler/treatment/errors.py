"""What the rooms of treatment refuse."""

from collections.abc import Sequence

from scheduler.core.errors import Forbidden, Refusal


class NotCleared(Refusal):
    """The screening does not allow an infusion; `missing` says what stands in the way."""

    code = "not-cleared"

    def __init__(self, message: str, missing: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.missing = tuple(missing)


class NotInOrder(Refusal):
    """The session is not at the point where this can happen."""

    code = "not-in-order"


class NotReady(Refusal):
    """Something that must be so before is not; `missing` names it. A clinician may override."""

    code = "not-ready"

    def __init__(self, message: str, missing: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.missing = tuple(missing)


class MayNotSign(Forbidden):
    """This person may not sign that."""

    code = "may-not-sign"
