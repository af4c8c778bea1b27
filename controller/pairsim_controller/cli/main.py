"""`pairsim-controller`: the controller of a world in a Kubernetes namespace."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from pathlib import Path

import click
import structlog
from aiohttp import web

from pairsim import logs
from pairsim.server.http.listener import serve_app
from pairsim_controller.cli.cluster_console import console_app
from pairsim_controller.kube.api.connection import Connection
from pairsim_controller.kube.api.port import ApiError
from pairsim_controller.kube.manager import Candidate
from pairsim_controller.kube.metrics import Meters
from pairsim_controller.reconcile.backup_folder import BackupFolder

log = structlog.get_logger()


@click.command()
@click.option(
    "--namespace", envvar="POD_NAMESPACE", help="Of the world. [default: that of the kubeconfig or service account]"
)
@click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    envvar="KUBECONFIG",
    help="File with the cluster and its credentials. [default: the pod's service account]",
)
@click.option("--http", default="127.0.0.1:8080", show_default=True, help="Where probes and metrics are served.")
@click.option(
    "--console", default="", metavar="HOST:PORT", help="Where the console is served, on loopback. [default: nowhere]"
)
@click.option(
    "--backups",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the last states of areas that are deleted. [default: they are not kept]",
)
@click.option(
    "--identity", envvar="POD_NAME", help="Of this controller, unlike any other's. [default: host name and process id]"
)
@click.option("--log-level", default="info", show_default=True, envvar="PAIRSIM_LOG_LEVEL", help="debug, info, …")
def main(
    namespace: str | None,
    kubeconfig: Path | None,
    http: str,
    console: str,
    backups: Path | None,
    identity: str | None,
    log_level: str,
) -> None:
    """Makes a pair of every Area, and keeps the role labels of its pods true.

    Of several controllers in a namespace the one that holds the Lease works.
    """
    logs.configure(log_level)
    name = identity or f"{socket.gethostname()}-{os.getpid()}"
    try:
        folder = BackupFolder(backups) if backups is not None else None
        asyncio.run(_run(namespace, kubeconfig, http, console, name, folder))
    except ApiError as error:
        raise click.ClickException(str(error)) from error
    except (OSError, ValueError) as error:
        where = f"{http} and {console}" if console else http
        raise click.ClickException(f"cannot serve at {where}: {error}") from error


async def _run(
    namespace: str | None,
    kubeconfig: Path | None,
    http: str,
    console: str,
    identity: str,
    backups: BackupFolder | None,
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    meters = Meters()
    connection = await Connection.open(kubeconfig, observe=meters.request)
    try:
        candidate = Candidate(connection, namespace or connection.namespace, identity, meters, backups)
        async with contextlib.AsyncExitStack() as served:
            await served.enter_async_context(serve_app(probes(candidate, meters), http))
            if console:
                await served.enter_async_context(serve_app(console_app(candidate), console))
            log.info("serves", identity=identity, namespace=namespace or connection.namespace, http=http)
            work = asyncio.create_task(candidate.run())
            told = asyncio.create_task(stop.wait())
            await asyncio.wait({work, told}, return_when=asyncio.FIRST_COMPLETED)
            told.cancel()
            work.cancel()
            try:
                await work
            except asyncio.CancelledError:
                log.info("stopped", identity=identity)
    finally:
        await connection.close()


def probes(candidate: Candidate, meters: Meters) -> web.Application:
    """What the kubelet and Prometheus ask."""

    async def live(_request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def ready(_request: web.Request) -> web.Response:
        if candidate.ready:
            return web.Response(text="ready\n")
        return web.Response(status=503, text="it has not heard of the API server yet\n")

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=meters.text(), headers={"Content-Type": meters.content_type})

    app = web.Application()
    app.add_routes([web.get("/livez", live), web.get("/readyz", ready), web.get("/metrics", metrics)])
    return app


if __name__ == "__main__":
    main()
