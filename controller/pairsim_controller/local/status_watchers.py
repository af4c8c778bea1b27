"""The status watchers of all processes of a local world."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pairsim.client import ProcessClient
from pairsim.model.status import ReplicaStatus
from pairsim_controller.local.process_pool import ProcessPool
from pairsim_controller.reconcile.reconnect_pace import ReconnectPace
from pairsim_controller.reconcile.status_watcher import StatusWatcher


class StatusWatchers(Mapping[str, StatusWatcher]):
    """A status watcher for each process of a pool, by name; empty until they are started."""

    def __init__(self) -> None:
        self._watchers: dict[str, StatusWatcher] = {}

    def start(self, pool: ProcessPool, token: str, on_change: Callable[[], None]) -> None:
        """Watches every process of the pool; `on_change` is called with each status and lost connection."""
        pace = ReconnectPace()
        for name, process in pool.processes.items():
            self._watchers[name] = StatusWatcher(name, process.url, process.spec.kind, token, on_change, pace)

    async def close(self) -> None:
        """Stops to watch."""
        for watcher in self._watchers.values():
            await watcher.close()

    def client(self, name: str) -> ProcessClient | None:
        """Returns the client for requests to one process; None if it is not watched."""
        watcher = self._watchers.get(name)
        return watcher.client if watcher is not None else None

    def replica_status(self, name: str) -> ReplicaStatus | None:
        """Returns the status of a simulator; None if it cannot be reached or is a witness."""
        watcher = self._watchers.get(name)
        status = watcher.status if watcher is not None else None
        return status if isinstance(status, ReplicaStatus) else None

    def __getitem__(self, name: str) -> StatusWatcher:
        return self._watchers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._watchers)

    def __len__(self) -> int:
        return len(self._watchers)
