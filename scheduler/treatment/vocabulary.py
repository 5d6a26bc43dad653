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

#: Asked of the house, not of the patient; the line may name who it is.
CLINICIAN = "clinician"

#: What must be so before the drip runs, as the nurse asks it at the chair.
READINESS: dict[str, str] = {
    "escort": "Somebody will take them home; name and phone known",
    "fasting": "Has kept to the food and drink times",
    "medicines": "Medicines gone through",
    "no-new-illness": "No new illness since the last contact",
    "consent": "Consent still stands",
    CLINICIAN: "A clinician is on site",
}

#: How awake somebody is, noted with their vital signs.
AWAKE: dict[str, str] = {
    "alert": "Awake and talking",
    "drowsy": "Drowsy, wakes to a voice",
    "asleep": "Hard to wake",
}

#: What staff changed about the drip, in their own figures; nothing here proposes one.
DOSE_CHANGES: dict[str, str] = {
    "set": "Set to",
    "raised": "Raised to",
    "lowered": "Lowered to",
    "paused": "Paused",
    "resumed": "Running again at",
}
RESCUE = "rescue"  # another medicine, given against a side effect

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

#: Vital signs, as the chair writes them down.
VITALS: dict[str, str] = {
    "systolic": "Upper pressure",
    "diastolic": "Lower pressure",
    "pulse": "Pulse",
    "oxygen": "Oxygen %",
    "breaths": "Breaths a minute",
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

#: The score of going home: five items of 0 to 2 points.
DISCHARGE: dict[str, str] = {
    "awake": "Awake",
    "walks": "Walking",
    "vitals": "Vital signs",
    "nausea": "Nausea",
    "calm": "Senses",
}
MOST_POINTS = 2
DISCHARGE_POINTS: dict[str, tuple[str, str, str]] = {
    "awake": ("Hard to wake, or confused", "Drowsy, wakes to a voice", "Knows where and when"),
    "walks": ("Cannot walk", "Walks with help", "Walks steadily"),
    "vitals": ("Far from where they began", "Somewhat off", "Near where they began"),
    "nausea": ("Much, or vomiting", "Some, eased", "None, or little"),
    "calm": ("Frightened or far away", "A little dream-like", "Calm, nothing dream-like"),
}

HANDOUTS: dict[str, str] = {"printed": "Printed", "link": "As a link"}

#: Who may watch and release: a skill of the person's resource; a clinician needs none.
SAFE_SKILLS = frozenset({"nurse", "safe-to-go"})
