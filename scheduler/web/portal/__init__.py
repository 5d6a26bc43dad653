"""What a patient sees."""
