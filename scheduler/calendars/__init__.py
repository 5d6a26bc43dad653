"""iCalendar documents from plain values. Pure, and the only room that imports icalendar."""
