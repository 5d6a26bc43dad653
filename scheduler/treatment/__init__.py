"""What happened: the outcome of a call, and the record of what is done in the chair."""
