"""That no more Livy sessions are there at once than the cluster is sized for.

A driver holds its memory from its start on. If more of them started than have room together with their executors, each
would wait for executors for ever. Airflow bounds how many runs a job is under way in, and so the sessions where no job
waits for another; where one does, the sessions of one run's first job and of another run's last one add up to more.
"""

from __future__ import annotations

from airflow_lib.errors import NotReady
from airflow_lib.spark.livy import SESSION_FAILED, LivyClient, SessionView
from airflow_lib.steps import Run


def wait_for_room(run: Run, livy: LivyClient) -> None:
    """Return where one more session fits. Raises NotReady while as many are there as the cluster is sized for."""
    there, most = len(_list_live(run, livy)), run.session_size.sessions
    if there >= most:
        raise NotReady(f"room for a Livy session: {there} are there, and the cluster is sized for {most}")


def is_surplus(run: Run, livy: LivyClient, session: SessionView) -> bool:
    """Whether the session has to give way: as many older ones are there as the cluster is sized for.

    Two runs may both have found room, and each made a session. Ids tell which is older: Livy counts them up, so whoever
    asks is told the same, and one that was no surplus once can never become one.
    """
    older = [one for one in _list_live(run, livy) if one.id < session.id]
    return len(older) >= run.session_size.sessions


def _list_live(run: Run, livy: LivyClient) -> list[SessionView]:
    """Those of this environment's sessions that hold memory: one that is ending still does."""
    found = livy.list_sessions(run.environment.prefix)
    return [session for session in found if session.state not in SESSION_FAILED]
