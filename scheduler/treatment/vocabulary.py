"""The lists of the chair, as data: code -> what staff read. Codes are stored, words are shown."""

#: What speaks against a first infusion. Each must be known to be absent before it is booked.
CONTRAINDICATIONS: dict[str, str] = {
    "blood-pressure": "Uncontrolled blood pressure",
    "heart": "Heart disease that is not well controlled",
    "psychosis-mania": "Psychosis or mania, now or not well controlled",
    "liver": "Severe liver disease",
    "pressure-head-eye": "Raised pressure in the head or the eyes",
    "substances": "Active substance misuse",
    "pregnancy": "Pregnancy",
    "thyroid": "Untreated thyroid disease",
}

#: What else a clearance needs, beside the answers.
PRESSURE = "pressure-reading"
CONSENT = "treatment-consent"
MEASURES: dict[str, str] = {
    PRESSURE: "Blood pressure reading",
    CONSENT: "Consent to treatment, signed",
}

READINESS: dict[str, str] = {
    "escort": "Somebody will take them home; name and phone known",
    "fasting": "Has kept to the food and drink times",
    "medicines": "Medicines gone through",
    "no-new-illness": "No new illness since the last contact",
    "consent": "Consent still stands",
}

COMFORT: dict[str, str] = {
    "mask": "Eye mask",
    "headphones": "Headphones",
    "playlist": "Playlist",
    "light": "Light dimmed",
    "blanket": "Blanket",
}

SIDE_EFFECTS: dict[str, str] = {
    "euphoria": "Euphoria or talkativeness",
    "dream-like": "Dream-like or heightened senses",
    "anxiety": "Mild anxiety",
    "nausea": "Nausea",
    "headache": "Headache",
    "sweating": "Sweating",
    "other": "Other",
}

SEVERITIES: dict[int, str] = {1: "mild", 2: "moderate", 3: "severe"}

ACTIONS: dict[str, str] = {
    "none": "None needed",
    "reassured": "Talked to and reassured",
    "slowed": "Slowed the drip",
    "paused": "Paused the drip",
    "medicine": "Gave a medicine",
    "clinician": "Called the clinician",
    "stopped": "Stopped the drip",
}

ENDINGS: dict[str, str] = {
    "complete": "Complete",
    "side-effect": "Stopped: side effect",
    "patient": "Stopped: the patient wished it",
    "line": "Stopped: trouble with the line",
    "other": "Stopped: other reason",
}

DISCHARGE: dict[str, str] = {
    "awake": "Awake, knows where and when",
    "walks": "Walks steadily",
    "vitals": "Vital signs near where they began",
    "nausea": "No nausea, or little",
    "calm": "Calm, no dream-like senses left",
}

HANDOUTS: dict[str, str] = {"printed": "Printed", "link": "As a link"}

#: Who may watch and release: a skill of the person's resource; a clinician needs none.
SAFE_SKILLS = frozenset({"nurse", "safe-to-go"})
