"""Where servers and `flask` find the app."""

from config import from_environment
from scheduler.app import create_app

app = create_app(from_environment())
