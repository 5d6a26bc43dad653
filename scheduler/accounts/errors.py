"""What accounts refuse."""

from scheduler.core.errors import Refusal


class SignInRefused(Refusal):
    """The name and password do not open anything; which of the two was wrong is not said."""

    status = 422
    code = "sign-in-refused"


class TooManyTries(SignInRefused):
    """So many tries failed that no password is looked at for a while."""

    status = 429
    code = "too-many-tries"


class PersonTaken(Refusal):
    """That person, or that sign-in, belongs to another already."""

    code = "person-taken"


class UsernameTaken(Refusal):
    """Somebody else signs in with that name."""

    code = "username-taken"
