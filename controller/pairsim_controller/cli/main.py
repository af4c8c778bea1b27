"""The command `pairsim-controller`: the controller of a world in a Kubernetes namespace."""

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
from pairsim.server.http.origins import AccessRules
from pairsim.system.inherited_signals import accepted_stop_signals
from pairsim.system.output import use_reliable_output
from pairsim.system.port_users import listen_error
from pairsim_controller.cli.cluster_console import add_locator, console_app, map_response
from pairsim_controller.kube.api.connection import Connection
from pairsim_controller.kube.api.port import ApiError
from pairsim_controller.kube.manager import Manager
from pairsim_controller.kube.metrics import ControllerMetrics
from pairsim_controller.reconcile.backup_folder import BackupFolder

log = structlog.get_logger()

_LOOPBACK_ALONE = AccessRules(frozenset())
"""Rules of the console, which may act on the world without a token: loopback names, and its own pages."""


@click.command()
@click.option(
    "--namespace",
    envvar="POD_NAMESPACE",
    help="Namespace of the world. [default: that of the kubeconfig or service account]",
)
@click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    envvar="KUBECONFIG",
    help="Kubeconfig file with the cluster and its credentials. [default: the pod's service account]",
)
@click.option("--http", default="127.0.0.1:8080", show_default=True, help="Address of the probes and metrics.")
@click.option(
    "--console", default="", metavar="HOST:PORT", help="Loopback address of the console. [default: no console]"
)
@click.option(
    "--backups",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the last states of deleted areas. [default: they are not kept]",
)
@click.option(
    "--identity",
    envvar="POD_NAME",
    help="Name of this controller, unique in the namespace. [default: host name and process id]",
)
@click.option(
    "--log-level", default="info", show_default=True, envvar="PAIRSIM_LOG_LEVEL", help="Log level: debug, info, …"
)
def main(
    namespace: str | None,
    kubeconfig: Path | None,
    http: str,
    console: str,
    backups: Path | None,
    identity: str | None,
    log_level: str,
) -> None:
    """Runs a pair for every Area, and keeps the role labels of its pods up to date.

    Of several controllers in a namespace, the one that holds the Lease works.
    """
    use_reliable_output()
    logs.configure(log_level)
    name = identity or f"{socket.gethostname()}-{os.getpid()}"
    try:
        folder = BackupFolder(backups) if backups is not None else None
        asyncio.run(_run(namespace, kubeconfig, http, console, name, folder))
    except ApiError as error:
        raise click.ClickException(str(error)) from error
    except (OSError, ValueError) as error:
        where = f"{http} and {console}" if console else http
        reason = listen_error(error, *filter(None, (http, console)))
        raise click.ClickException(f"cannot serve at {where}: {reason}") from error


async def _run(
    namespace: str | None,
    kubeconfig: Path | None,
    http: str,
    console: str,
    identity: str,
    backups: BackupFolder | None,
) -> None:
    stop = asyncio.Event()
    for number in accepted_stop_signals((signal.SIGINT, signal.SIGTERM)):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    metrics = ControllerMetrics()
    connection = await Connection.open(kubeconfig, observe=metrics.observe_request)
    try:
        manager = Manager(connection, namespace or connection.namespace, identity, metrics, backups)
        async with contextlib.AsyncExitStack() as servers:
            await servers.enter_async_context(serve_app(probes(manager, metrics), http))
            if console:
                await servers.enter_async_context(serve_app(console_app(manager), console, access=_LOOPBACK_ALONE))
            log.info("listening", identity=identity, namespace=namespace or connection.namespace, http=http)
            work = asyncio.create_task(manager.run())
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            work.cancel()
            try:
                await work
            except asyncio.CancelledError:
                log.info("stopped", identity=identity)
    finally:
        await connection.close()


def probes(manager: Manager, metrics: ControllerMetrics) -> web.Application:
    """Returns the application with the kubelet's probes, Prometheus's metrics, and the maps of the planes."""

    async def live(_request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def ready(_request: web.Request) -> web.Response:
        if manager.ready:
            return web.Response(text="ready\n")
        return web.Response(status=503, text="the API server has not answered yet\n")

    async def render_metrics(_request: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={"Content-Type": metrics.content_type})

    async def maps(_request: web.Request) -> web.Response:
        return map_response(manager)

    app = web.Application()
    app.add_routes(
        [
            web.get("/livez", live),
            web.get("/readyz", ready),
            web.get("/metrics", render_metrics),
            web.get("/v1/map", maps),
        ]
    )
    add_locator(app, manager)
    return app


if __name__ == "__main__":
    main()
