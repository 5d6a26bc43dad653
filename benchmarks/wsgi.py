"""The product as its server serves it, with one page more: the floor the others are held to.

BENCH_SPANS names a file to which each request adds where its time went; without it nothing is
watched.
"""

import os
from pathlib import Path

from flask import Flask, render_template

import wsgi
from benchmarks import spans
from scheduler.core.db import db
from scheduler.patients.models import Patient

ROW = """<!doctype html>
<html lang="en">
<title>One row</title>
<p>{{ patient.shown_name }}, {{ patient.public_id }}</p>
</html>
"""


def join(app: Flask) -> None:
    """Add the floor: one row, read by its key through the ORM, in the smallest template."""
    template = app.jinja_env.from_string(ROW)

    @app.get("/floor/<int:number>")
    def floor(number: int) -> str:
        return render_template(template, patient=db.session.get_one(Patient, number))


app = wsgi.app
join(app)
if os.environ.get("BENCH_SPANS"):
    spans.watch(app, Path(os.environ["BENCH_SPANS"]))
