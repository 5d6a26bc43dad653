"""Doors for people and machines."""

from flask import Flask

from config import Config


def join(app: Flask, config: Config) -> None:
    """Give the app its pages."""
