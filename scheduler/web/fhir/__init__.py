"""FHIR resources for other systems."""
