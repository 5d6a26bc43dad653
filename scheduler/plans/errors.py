"""What the plans' room refuses, and in which words."""

from collections.abc import Sequence

from scheduler.core.errors import Forbidden, Refusal, Stale


class OutsideWindow(Refusal):
    """The visit would leave its window, and nobody said why it may."""

    code = "outside-window"


class PlanOvertaken(Stale):
    """Somebody signed or changed the plan since this page was read; the text says who."""


class DraftBlocked(Refusal):
    """Nothing may be proposed before a clinician has looked; `blocks` says at what."""

    code = "draft-blocked"

    def __init__(self, message: str, blocks: Sequence[str]) -> None:
        super().__init__(message)
        self.blocks = tuple(blocks)


class NoProtocol(Refusal):
    """No protocol is active, so nothing can be proposed."""

    code = "no-protocol"


class NotFit(Refusal):
    """The protocol does not answer every combination exactly once; `problems` says where."""

    status = 422
    code = "not-fit"

    def __init__(self, message: str, problems: Sequence[str]) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class MayNotSign(Forbidden):
    """Only a clinician signs that."""

    code = "may-not-sign"


class WrongPlanState(Refusal):
    """The plan is not at a point where this can be done."""

    code = "wrong-plan-state"


class NotSchedulable(Refusal):
    """Dates were chosen that the plan does not allow; `problems` says which and why, by visit.

    `asks` are the visits whose date could be had with a reason from staff.
    """

    code = "not-schedulable"

    def __init__(
        self, message: str, problems: dict[int, str], asks: frozenset[int] = frozenset()
    ) -> None:
        super().__init__(message)
        self.problems, self.asks = problems, asks


class SeriesTaken(Refusal):
    """Some of the dates were taken meanwhile, and all or nothing was asked for: nothing was booked.

    `taken` are the numbers of the visits whose date is gone, with the reason of each; `asks` those
    of them whose nurses only watch as many as usual.
    """

    code = "series-taken"

    def __init__(
        self, message: str, taken: dict[int, str], asks: frozenset[int] = frozenset()
    ) -> None:
        super().__init__(message)
        self.taken, self.asks = taken, asks
