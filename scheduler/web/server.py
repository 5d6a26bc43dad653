"""How a process of the web server takes its work: gunicorn's threads, and no more than they can do.

gunicorn's own worker takes each connection at once, also when all its threads are at work, while
the process beside it has nothing to do (github.com/benoitc/gunicorn/issues/3433): of thirty
people who press at one instant one process may get nearly all.
"""

from concurrent.futures import Future

from gunicorn.workers.gthread import TConn, ThreadWorker


class FairWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Threads that leave a new connection to another process while all of them are at work."""

    #: Requests that a thread works at or that wait for one; only the main thread counts.
    under_way = 0

    def enqueue_req(self, conn: TConn) -> None:
        """Give a request to the threads, and take no connection more when that was the last."""
        self.under_way += 1
        super().enqueue_req(conn)
        if self.under_way >= self.cfg.threads:
            self.set_accept_enabled(False)

    def finish_request(self, conn: TConn, done: Future[object]) -> None:
        """Count a request that is over; the main loop then takes connections again."""
        self.under_way -= 1
        super().finish_request(conn, done)

    def set_accept_enabled(self, enabled: bool) -> None:
        """Take connections, or take none: none while all threads are at work."""
        super().set_accept_enabled(enabled and self.under_way < self.cfg.threads)
