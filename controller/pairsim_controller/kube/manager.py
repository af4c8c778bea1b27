"""The controller manager: of several controllers in a namespace, the one that holds the Lease works.

A manager waits for the lease, works while it holds the lease, and waits again after a loss. Each term of work begins
from the objects in the cluster and the statuses of the processes; no state is carried over from an earlier term.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Awaitable, Callable, Sized

import structlog

from pairsim.model.labels import (
    APP_NAME,
    COMPONENT_LABEL,
    CONTROLLER_COMPONENT,
    FIELD_MANAGER,
    PART_OF_LABEL,
    SECRET_NAME,
)
from pairsim_controller.kube.adapters import LeaseLostError
from pairsim_controller.kube.api.connection import Connection
from pairsim_controller.kube.api.events import EventRecorder
from pairsim_controller.kube.api.lease import Lease
from pairsim_controller.kube.api.objects import world_labels
from pairsim_controller.kube.api.port import (
    BUDGETS,
    DEPLOYMENTS,
    SERVICES,
    WATCHED,
    ApiError,
    Body,
    ChangedError,
    Resource,
)
from pairsim_controller.kube.api.reflector import Reflector
from pairsim_controller.kube.api.workqueue import WorkQueue
from pairsim_controller.kube.api.writes import SECRETS, KubeApi
from pairsim_controller.kube.cluster import Cluster
from pairsim_controller.kube.metrics import RECONCILE_QUEUE, STATUS_QUEUE, ControllerMetrics
from pairsim_controller.reconcile.backup_folder import BackupFolder
from pairsim_controller.story.history import History

log = structlog.get_logger()

RECONCILE_WORKERS, STATUS_WORKERS = 32, 4
_SECRET_RETRY_SECONDS = 1.0
_YIELD_POLL_SECONDS, _MAX_YIELD_POLLS = 0.05, 40
"""Work of lower priority waits for 2 s at most."""

_SELECTED_BY_LABEL = {SERVICES, BUDGETS, DEPLOYMENTS}
"""The kinds of object that are watched by the label of the world. A pod whose labels were edited must stay in sight."""


class Manager:
    """One controller process.

    Attributes:
        ready: Whether the API server has answered.
        cluster: The reconciler of the cluster while this controller holds the lease, else None.
        history: What happened while this controller held the lease.
    """

    def __init__(
        self,
        connection: Connection,
        namespace: str,
        identity: str,
        metrics: ControllerMetrics,
        backups: BackupFolder | None = None,
    ) -> None:
        """Controls the world in a namespace.

        Args:
            connection: The API server.
            namespace: The namespace of the world.
            identity: This controller's name in the Lease, which no other controller has.
            metrics: Counts the work.
            backups: The folder for the last states of deleted areas; None keeps no states.
        """
        self._backups = backups
        self._connection, self._namespace, self._metrics = connection, namespace, metrics
        self._events = EventRecorder(connection, namespace, identity)
        self._api = KubeApi(connection, namespace, self._events)
        self._lease = Lease(self._api, FIELD_MANAGER, identity)
        self.ready = False
        self.history = History()
        self.cluster: Cluster | None = None

    async def run(self) -> None:
        """Runs until it is cancelled, and releases the lease then."""
        try:
            while True:
                token = await self._read_token()
                self.ready = True
                await self._lease.acquire()
                self._metrics.leading.set(1)
                try:
                    await self._work(token)
                except* LeaseLostError:
                    log.warning("stopped working: another controller may hold the lease")
                finally:
                    self.cluster = None
                    self._metrics.reset()
        finally:
            await asyncio.shield(self._lease.release())

    async def _work(self, token: str) -> None:
        """Works until the lease is lost, which ends all tasks. Raises LeaseLostError."""
        reconcile_queue = self._queue(
            RECONCILE_QUEUE,
            lambda key: cluster.reconcile(key),  # noqa: PLW0108 - the cluster does not exist yet
            RECONCILE_WORKERS,
        )
        status_queue = self._queue(
            STATUS_QUEUE,
            lambda key: cluster.sync_status(key),  # noqa: PLW0108 - the cluster does not exist yet
            STATUS_WORKERS,
            prior=reconcile_queue,
        )
        cluster = Cluster(
            self._api,
            reconcile_queue,
            status_queue,
            token,
            metrics=self._metrics,
            holds=self._lease.holds,
            backups=self._backups,
            history=self.history,
        )
        self._metrics.area_counts, self._metrics.balances = cluster.counts, cluster.balances
        self.cluster = cluster
        reflectors = [self._reflector(resource, cluster) for resource in WATCHED]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._renew_lease())
            group.create_task(cluster.run())
            group.create_task(self._events.run())
            # In the order of WATCHED: planes before their areas, and areas before the pods that are assigned to them.
            for resource, reflector in zip(WATCHED, reflectors, strict=True):
                group.create_task(reflector.run())
                if resource != DEPLOYMENTS:  # they only explain; an older Role does not allow to read them
                    await reflector.listed.wait()
            log.info("became leader", namespace=self._namespace)
            group.create_task(reconcile_queue.run())
            group.create_task(status_queue.run())

    def _queue(
        self, name: str, work: Callable[[str], Awaitable[None]], workers: int, *, prior: Sized = ()
    ) -> WorkQueue:
        retries = self._metrics.retries.labels(queue=name)
        timed = yield_to(prior, self._metrics.timed(name, work))
        queue = WorkQueue(timed, workers=workers, on_failure=lambda _key, _error: retries.inc())
        self._metrics.track_depth(name, queue)
        return queue

    def _reflector(self, resource: Resource, cluster: Cluster) -> Reflector:
        selector = f"{PART_OF_LABEL}={APP_NAME}" if resource in _SELECTED_BY_LABEL else ""
        return Reflector(self._connection, self._namespace, resource, cluster.on_event, selector=selector)

    async def _renew_lease(self) -> None:
        await self._lease.renew_until_lost()
        raise LeaseLostError

    async def _read_token(self) -> str:
        """Returns the token of the simulators' control paths; creates the world's Secret if it does not exist."""
        while True:
            try:
                found = await self._api.get(SECRETS, SECRET_NAME)
                if found is None:
                    found = await self._api.create(SECRETS, new_secret())
                return token_of(found)
            except ChangedError:
                continue  # another controller created it at the same moment
            except ApiError as error:
                log.warning("reading the world's secret failed", name=SECRET_NAME, reason=str(error))
                await asyncio.sleep(_SECRET_RETRY_SECONDS)


def yield_to(prior: Sized, work: Callable[[str], Awaitable[None]]) -> Callable[[str], Awaitable[None]]:
    """Returns the same work with a lower priority than the keys that wait in the queue `prior`.

    When many actives are lost at once, all work waits for the API server. Role labels have to be written first, since
    Services follow them. The delayed work does not starve: it waits for two seconds at most.
    """

    async def delayed(key: str) -> None:
        for _ in range(_MAX_YIELD_POLLS):
            if not len(prior):
                break
            await asyncio.sleep(_YIELD_POLL_SECONDS)
        await work(key)

    return delayed


def new_secret() -> Body:
    """Returns a Secret with a random secret and a random token; only the cluster keeps them."""
    data = {key: base64.b64encode(secrets.token_hex(32).encode()).decode() for key in ("secret", "token")}
    labels = {**world_labels(), COMPONENT_LABEL: CONTROLLER_COMPONENT}
    return {"metadata": {"name": SECRET_NAME, "labels": labels}, "type": "Opaque", "data": data}


def token_of(found: Body) -> str:
    """Returns the token in a Secret.

    Raises:
        ApiError: The Secret has no token.
    """
    data = found.get("data")
    token = data.get("token") if isinstance(data, dict) else None
    try:
        word = base64.b64decode(token if isinstance(token, str) else "", validate=True).decode("ascii").strip()
    except ValueError:
        word = ""
    if not word:
        raise ApiError(
            f"the Secret {SECRET_NAME} has no token: add one, or delete the Secret and every pod that uses it"
        )
    return word
