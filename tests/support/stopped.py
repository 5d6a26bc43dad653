"""The app as gunicorn serves it for pictures: the same in everything, but its clock stands still.

gunicorn tests.support.stopped:app, with the moment in STOPPED_AT (ISO text with an offset)
"""

import os
from datetime import datetime
from unittest import mock

import wsgi
from scheduler.core import clock

MOMENT = datetime.fromisoformat(os.environ["STOPPED_AT"])

mock.patch.object(clock, "now", return_value=MOMENT).start()
mock.patch.object(clock, "database_now", return_value=MOMENT).start()

app = wsgi.app
