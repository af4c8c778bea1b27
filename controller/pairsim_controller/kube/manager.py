"""One controller of several: waits for the lease, works while it holds it, and begins anew when it gets it again.

Nothing is carried over from one time to the next: what is written in the cluster, and what the pods say, is all there
is.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Awaitable, Callable, Sized

import structlog

from pairsim_controller.kube.api.connection import Connection
from pairsim_controller.kube.api.events import Events
from pairsim_controller.kube.api.lease import Lease
from pairsim_controller.kube.api.objects import COMPONENT, MANAGER, PART_OF
from pairsim_controller.kube.api.port import BUDGETS, PODS, SERVICES, WATCHED, ApiError, Body, ChangedError, Resource
from pairsim_controller.kube.api.reflector import Watching
from pairsim_controller.kube.api.workqueue import WorkQueue
from pairsim_controller.kube.api.writes import SECRETS, KubeApi
from pairsim_controller.kube.cluster import Cluster
from pairsim_controller.kube.metrics import Meters
from pairsim_controller.kube.ports import LeaseLostError
from pairsim_controller.reconcile.backup_folder import BackupFolder

log = structlog.get_logger()

WORLD = "pairsim"
"""Name of the Secret, and the value of the label by which pods, Services and budgets are told from others."""

_LOOKERS, _CLERKS = 32, 4
_AGAIN = 1.0
_PAUSE, _GIVES_WAY = 0.05, 40
_SELECTED = {PODS, SERVICES, BUDGETS}


class Candidate:
    """A controller that may work, and does when it holds the lease.

    Attributes:
        ready: Whether it has heard of the API server.
        cluster: What it works on, while it does.
    """

    def __init__(
        self,
        connection: Connection,
        namespace: str,
        identity: str,
        meters: Meters,
        backups: BackupFolder | None = None,
    ) -> None:
        """For the world in a namespace; `identity` is nobody else's. Deleted areas are backed up to `backups`."""
        self._backups = backups
        self._connection, self._namespace, self._meters = connection, namespace, meters
        self._events = Events(connection, namespace, identity)
        self._api = KubeApi(connection, namespace, self._events)
        self._lease = Lease(self._api, MANAGER, identity)
        self.ready = False
        self.cluster: Cluster | None = None

    async def run(self) -> None:
        """For ever; ends by cancellation, and lets the lease go at once then."""
        try:
            while True:
                token = await self._token()
                self.ready = True
                await self._lease.acquire()
                self._meters.leading.set(1)
                try:
                    await self._work(token)
                except* LeaseLostError:
                    log.warning("stopped working: another controller may have the lease")
                finally:
                    self.cluster = None
                    self._meters.idle()
        finally:
            await asyncio.shield(self._lease.release())

    async def _work(self, token: str) -> None:
        """Ends by an error as soon as the lease is lost; everything that it began is ended then."""
        looks = self._queue("looks", lambda key: cluster.reconcile(key), _LOOKERS)  # noqa: PLW0108 - there is no cluster yet
        papers = self._queue("papers", lambda key: cluster.sync_status(key), _CLERKS, ahead=looks)  # noqa: PLW0108
        cluster = Cluster(
            self._api, looks, papers, token, metrics=self._meters, holds=self._lease.holds, backups=self._backups
        )
        self._meters.census = cluster.counts
        self.cluster = cluster
        watches = [self._watching(resource, cluster) for resource in WATCHED]
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep())
            group.create_task(cluster.run())
            group.create_task(self._events.run())
            # In this order: an area is known with its plane, and a pod with what it is promised to.
            for watching in watches:
                group.create_task(watching.run())
                await watching.listed.wait()
            log.info("works", namespace=self._namespace)
            group.create_task(looks.run())
            group.create_task(papers.run())

    def _queue(
        self, name: str, work: Callable[[str], Awaitable[None]], workers: int, *, ahead: Sized = ()
    ) -> WorkQueue:
        retries = self._meters.retries.labels(queue=name)
        timed = after(ahead, self._meters.timed(name, work))
        queue = WorkQueue(timed, workers=workers, failed=lambda _area, _error: retries.inc())
        self._meters.depth(name, queue)
        return queue

    def _watching(self, resource: Resource, cluster: Cluster) -> Watching:
        selector = f"{PART_OF}={WORLD}" if resource in _SELECTED else ""
        return Watching(self._connection, self._namespace, resource, cluster.on_event, selector=selector)

    async def _keep(self) -> None:
        await self._lease.keep()
        raise LeaseLostError

    async def _token(self) -> str:
        """Of the simulators' control paths; the world's Secret is made if there is none."""
        while True:
            try:
                found = await self._api.get(SECRETS, WORLD)
                if found is None:
                    found = await self._api.create(SECRETS, new_secret())
                return token_of(found)
            except ChangedError:
                continue  # another controller made it just now
            except ApiError as error:
                log.warning("waits for the world's secret", name=WORLD, reason=str(error))
                await asyncio.sleep(_AGAIN)


def after(ahead: Sized, work: Callable[[str], Awaitable[None]]) -> Callable[[str], Awaitable[None]]:
    """The same work, which gives way to what waits in another queue.

    When many actives are lost at once the API server is what all wait for: it is to write their labels first, for
    Services follow those. Who gives way is not starved: it waits for two seconds at most.
    """

    async def last(key: str) -> None:
        for _ in range(_GIVES_WAY):
            if not len(ahead):
                break
            await asyncio.sleep(_PAUSE)
        await work(key)

    return last


def new_secret() -> Body:
    """A world's secret and token: random, and kept by the cluster alone."""
    data = {key: base64.b64encode(secrets.token_hex(32).encode()).decode() for key in ("secret", "token")}
    labels = {PART_OF: WORLD, "app.kubernetes.io/name": WORLD, COMPONENT: "controller"}
    return {"metadata": {"name": WORLD, "labels": labels}, "type": "Opaque", "data": data}


def token_of(found: Body) -> str:
    """The token in a Secret.

    Raises:
        ApiError: There is none.
    """
    data = found.get("data")
    token = data.get("token") if isinstance(data, dict) else None
    try:
        word = base64.b64decode(token if isinstance(token, str) else "", validate=True).decode("ascii").strip()
    except ValueError:
        word = ""
    if not word:
        raise ApiError(f"the Secret {WORLD} has no token: put one in, or delete it and every pod that uses it")
    return word
