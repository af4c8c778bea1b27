"""The control plane of the test: an etcd and an API server on this machine's loopback, and nothing else."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import msgspec

from tests.cluster.native.images import ROOT
from tests.cluster.native.pki import Pki
from tests.cluster.native.sandbox import ClusterError, wait
from tests.cluster.native.tools import ETCD, KUBERNETES
from tests.cluster.scale.place import HOME, Place

NAMESPACE = "pairsim"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:pairsim-controller"
_ADDRESS = "127.0.0.1"
_STRATEGIC = "application/strategic-merge-patch+json"


class ControlPlane:
    """The etcd and the API server."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._programs = KUBERNETES.programs() | ETCD.programs()
        self._store, self._peer, port = free_ports(3)
        self.url = f"https://{_ADDRESS}:{port}"
        self.pki = Pki(HOME / "pki", self.url)
        self._admin = self.pki.kubeconfig("admin", "admin", "system:masters")
        self._audit = HOME / "logs" / "audit.log"

    def open(self) -> None:
        """Starts both and installs the manifests; returns when pods can be made."""
        store, peer = (f"http://{_ADDRESS}:{port}" for port in (self._store, self._peer))
        self._place.start(
            "etcd",
            self._programs["etcd"],
            f"--data-dir={HOME / 'data' / 'etcd'}",
            f"--listen-client-urls={store}",
            f"--advertise-client-urls={store}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
        )
        certificate, key = self.pki.pair("apiserver", "kube-apiserver", "kube", (_ADDRESS, "localhost"))
        self._place.start(
            "kube-apiserver",
            self._programs["kube-apiserver"],
            f"--etcd-servers={store}",
            f"--bind-address={_ADDRESS}",
            f"--secure-port={self.url.rpartition(':')[2]}",
            "--endpoint-reconciler-type=none",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            f"--client-ca-file={self.pki.ca}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.pki.accounts_public}",
            f"--service-account-signing-key-file={self.pki.accounts_key}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=RBAC",
            f"--audit-policy-file={self._audit_policy()}",
            f"--audit-log-path={self._audit}",
        )
        wait("the API server is ready", self._ready, 60)
        self.kubectl("apply", "-k", str(ROOT / "manifests" / "overlays" / "default"))
        # There is no controller manager that would make it.
        self.kubectl("create", "serviceaccount", "default", "-n", NAMESPACE)

    def kubectl(self, *words: str) -> str:
        """Runs kubectl as the cluster's administrator.

        Raises:
            ClusterError: It failed, with what it said.
        """
        command = (self._programs["kubectl"], f"--kubeconfig={self._admin}", *words)
        done = subprocess.run(command, capture_output=True, timeout=60, check=False, text=True)
        if done.returncode:
            raise ClusterError(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def controller_config(self) -> str:
        """The path of a kubeconfig with the rights of the controller's service account, and no others."""
        token = self.kubectl("create", "token", "pairsim-controller", "-n", NAMESPACE, "--duration=1h").strip()
        document = json.loads(self._admin.read_text())
        document["users"] = [{"name": "admin", "user": {"token": token}}]
        path = HOME / "pki" / "controller.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(json.dumps(document))
        return str(path)

    def client(self) -> Client:
        """For the test's own requests."""
        context = ssl.create_default_context(cafile=str(self.pki.ca))
        context.load_cert_chain(self.pki.folder / "admin.crt", self.pki.folder / "admin.key")
        return Client(self.url, context)

    def audit(self) -> list[dict[str, Any]]:
        """The controller's requests, each once."""
        events = [json.loads(line) for line in self._audit.read_text().splitlines() if line.endswith("}")]
        return list({event["auditID"]: event for event in reversed(events)}.values())

    def _audit_policy(self) -> str:
        path = self.pki.folder / "audit.json"
        path.write_text(
            '{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": '
            f'[{{"level": "Metadata", "users": ["{ACCOUNT}"]}}, {{"level": "None"}}]}}'
        )
        return str(path)

    def _ready(self) -> bool:
        try:
            return self.kubectl("get", "--raw", "/readyz") == "ok"
        except ClusterError:
            return False


class Client:
    """Requests of the cluster's administrator, many at once."""

    def __init__(self, url: str, context: ssl.SSLContext) -> None:
        connector = aiohttp.TCPConnector(ssl=context, limit=0)
        self._http = aiohttp.ClientSession(url, connector=connector, timeout=aiohttp.ClientTimeout(total=60))
        self._room = asyncio.Semaphore(24)

    async def close(self) -> None:
        await self._http.close()

    async def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return await self._ask("POST", path, body, "application/json")

    async def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return await self._ask("PATCH", path, body, _STRATEGIC)

    async def get(self, path: str) -> dict[str, Any]:
        return await self._ask("GET", path, None, "application/json")

    async def watch(self, path: str) -> AsyncIterator[bytes]:
        """The lines of a watch without an end, from what there is now on."""
        limits = aiohttp.ClientTimeout(total=None, sock_connect=5)
        query = {"watch": "true", "timeoutSeconds": "3600"}
        async with self._http.get(path, params=query, timeout=limits, read_bufsize=2**22) as answer:
            if answer.status != 200:
                raise ClusterError(f"watch {path}: {await answer.text()}")
            async for line in answer.content:
                yield line

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None, content: str) -> dict[str, Any]:
        data = msgspec.json.encode(body) if body is not None else None
        async with (
            self._room,
            self._http.request(method, path, data=data, headers={"Content-Type": content}) as answer,
        ):
            read = await answer.read()
            if answer.status >= 400:
                raise ClusterError(f"{method} {path}: {read.decode(errors='replace')}")
            return msgspec.json.decode(read, type=dict[str, Any])


def free_ports(number: int) -> list[int]:
    """Returns free ports of loopback."""
    sockets = [socket.create_server((_ADDRESS, 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
