"""Real processes at one instant. They are children of one fork server, loaded once a run."""

#: What the fork server loads before its first child; whoever starts a child asks for the same.
PRELOADED = [
    "tests.races.bookers",
    "tests.races.movers",
    "tests.races.nursery",
    "tests.races.signers",
    "tests.jobs.crew",
    "tests.jobs.mortal",
    "tests.support.programs",
]
