"""Airflow's REST API, used as its own UI does: log in, unpause, trigger, follow, read a log."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

import requests

from infra import proxies
from infra.errors import OrchestrationError

FINAL = frozenset({"success", "failed"})
DONE = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
TAIL = 40
"""Lines of a task's log that are shown."""
READ_S = 300.0
"""In which the DAG processor must have read a file."""


@dataclass(frozen=True, kw_only=True)
class TaskState:
    """One task instance of a run, as the grid shows it."""

    task_id: str
    map_index: int
    label: str
    """What the grid writes on a mapped task (its day); else empty."""
    state: str
    seconds: float
    tries: int

    @property
    def name(self) -> str:
        """`events [2026-03-02]`, or `train`."""
        return f"{self.task_id} [{self.label}]" if self.label else self.task_id


@dataclass(frozen=True, kw_only=True)
class RunState:
    """A DAG run and its tasks."""

    state: str
    tasks: tuple[TaskState, ...]

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self.state in FINAL


@dataclass(frozen=True, kw_only=True)
class Pool:
    """How many tasks of a kind may run at once."""

    name: str
    slots: int
    description: str


class Airflow:
    """A client of one Airflow; the token is renewed when it expires."""

    def __init__(self, address: str, user: str, password: str) -> None:
        self.address = address.rstrip("/")
        self._login = {"username": user, "password": password}
        self._session = proxies.session()

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One request below `/api/v2`, decoded.

        Raises:
            OrchestrationError: Airflow refused it; the message holds its words.
        """
        answer = self._send(method, path, body)
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            self._authorize()
            answer = self._send(method, path, body)
        if not answer.ok:
            raise OrchestrationError(
                f"Airflow answered {answer.status_code} to {method} {path}: {answer.text[:500]}"
            )
        return answer.json() if answer.content else None

    def wait_for_components(self, timeout_s: float) -> None:
        """Block until scheduler and DAG processor beat."""

        def healthy() -> bool:
            parts = self.call("GET", "/monitor/health")
            return all(
                parts[part]["status"] == "healthy" for part in ("scheduler", "dag_processor")
            )

        _until(healthy, timeout_s, "Airflow's scheduler does not beat. Look at airflow.log.")

    def set_pool(self, pool: Pool) -> None:
        """Create or resize a pool."""
        body = {**asdict(pool), "include_deferred": False}
        if self._send("GET", f"/pools/{pool.name}", None).status_code == HTTPStatus.NOT_FOUND:
            self.call("POST", "/pools", body)
        else:
            self.call("PATCH", f"/pools/{pool.name}", body)

    def wait_for_dag(self, dag_id: str) -> None:
        """Block until the DAG processor has read the file.

        Raises:
            OrchestrationError: the file has an import error, or it took too long.
        """

        def known() -> bool:
            errors = self.call("GET", "/importErrors")["import_errors"]
            if errors:
                first = errors[0]
                raise OrchestrationError(
                    f"{first['filename']} cannot be imported by Airflow:\n{first['stack_trace']}"
                )
            answer = self._send("GET", f"/dags/{dag_id}", None)
            return answer.status_code != HTTPStatus.NOT_FOUND and answer.ok

        _until(known, READ_S, f"Airflow does not know the DAG {dag_id}. Look at airflow.log.")

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Unpause the DAG and start a run with `conf` over its Params; the id of the run."""
        self.wait_for_dag(dag_id)
        self.call("PATCH", f"/dags/{dag_id}", {"is_paused": False})
        # The key logical_date must be there (null: a run of no particular date), or it answers 422.
        body = {"logical_date": None, "conf": dict(conf or {})}
        return str(self.call("POST", f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def run(self, dag_id: str, run_id: str) -> RunState:
        """The state of a run now."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}"
        tasks = self.call("GET", f"{path}/taskInstances?limit=500")["task_instances"]
        return RunState(
            state=self.call("GET", path)["state"],
            tasks=tuple(_task(entry) for entry in tasks),
        )

    def log_tail(self, dag_id: str, run_id: str, task: TaskState) -> str:
        """The end of what a task instance wrote in its last try."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task.task_id}"
        query = f"/logs/{max(task.tries, 1)}?map_index={task.map_index}&full_content=true"
        content = self.call("GET", path + query)["content"]
        return "\n".join(_sentences(content)[-TAIL:])

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> requests.Response:
        if "Authorization" not in self._session.headers:
            self._authorize()
        with self._answering():
            return self._session.request(
                method, f"{self.address}/api/v2{path}", json=body, timeout=60
            )

    def _authorize(self) -> None:
        with self._answering(), proxies.session() as login:  # one that has no token of before
            answer = login.post(f"{self.address}/auth/token", json=self._login, timeout=60)
        if not answer.ok:
            raise OrchestrationError(
                f"Airflow at {self.address} refused the login of {self._login['username']}: "
                f"{answer.text[:200]}. Another Airflow may listen there, or the password was "
                "changed since it started: `dupn down`, then `dupn up`."
            )
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except requests.RequestException as error:
            raise OrchestrationError(
                f"Airflow does not answer at {self.address} ({error}). Start it with `dupn up`."
            ) from None


def _until(condition: Callable[[], bool], timeout_s: float, complaint: str) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise OrchestrationError(complaint)
        time.sleep(0.5)


def _task(entry: Mapping[str, Any]) -> TaskState:
    return TaskState(
        task_id=entry["task_id"],
        map_index=entry["map_index"],
        label=entry["rendered_map_index"]
        or ("" if entry["map_index"] < 0 else str(entry["map_index"])),
        state=entry["state"] or "waiting",
        seconds=float(entry["duration"] or 0.0),
        tries=int(entry["try_number"]),
    )


def _sentences(content: Any) -> list[str]:
    """Structured log entries as lines; tracebacks are spelled out."""
    if isinstance(content, str):
        return content.splitlines()
    out: list[str] = []
    for entry in content:
        out.append(str(entry.get("event", entry)))
        for error in entry.get("error_detail") or ():
            frames = [
                f"  {f['filename']}:{f['lineno']} {f['name']}" for f in error.get("frames", ())
            ]
            out += [*frames, f"{error.get('exc_type')}: {error.get('exc_value')}"]
    return out
