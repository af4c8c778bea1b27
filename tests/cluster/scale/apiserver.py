"""An API server with its store, on loopback, and nothing else: no nodes, no kubelets, no controllers but ours."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path

from tests.cluster.native.pki import Pki
from tests.cluster.native.sandbox import ClusterError
from tests.cluster.native.tools import ETCD, KUBERNETES
from tests.cluster.scale.processes import Processes, wait

_HOST = "127.0.0.1"
_FIRST_SERVICE = "10.96.0.1"
_SERVICES = "10.96.0.0/16"
ACCOUNT = "system:serviceaccount:pairsim:pairsim-controller"


class Control:
    """The API server and its store."""

    def __init__(self, folder: Path, processes: Processes) -> None:
        self._folder, self._processes = folder, processes
        self._programs = KUBERNETES.programs() | ETCD.programs()
        self._port = free_port()
        self._pki = Pki(folder / "pki", f"https://{_HOST}:{self._port}")
        self.admin = self._pki.kubeconfig("admin", "admin", "system:masters")
        # The name that RBAC knows the ServiceAccount by: what the controller may do is what its Role says.
        self.account = self._pki.kubeconfig("controller", ACCOUNT, "system:serviceaccounts")
        self._audit = folder / "audit.log"

    def open(self) -> None:
        """Returns when the API server is ready."""
        store, peer = f"http://{_HOST}:{free_port()}", f"http://{_HOST}:{free_port()}"
        self._processes.start(
            "etcd",
            self._programs["etcd"],
            f"--data-dir={self._folder / 'etcd'}",
            f"--listen-client-urls={store}",
            f"--advertise-client-urls={store}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
        )
        pki = self._pki
        certificate, key = pki.pair("apiserver", "kube-apiserver", "kube", ("localhost", _FIRST_SERVICE, _HOST))
        self._processes.start(
            "kube-apiserver",
            self._programs["kube-apiserver"],
            f"--etcd-servers={store}",
            f"--bind-address={_HOST}",
            f"--advertise-address={_HOST}",
            # No pod needs the API server's endpoint, and a loopback address is not allowed there.
            "--endpoint-reconciler-type=none",
            f"--secure-port={self._port}",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            f"--client-ca-file={pki.ca}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki.accounts_public}",
            f"--service-account-signing-key-file={pki.accounts_key}",
            f"--service-cluster-ip-range={_SERVICES}",
            "--authorization-mode=RBAC",
            # Nobody makes a namespace's default account here.
            "--disable-admission-plugins=ServiceAccount",
            f"--audit-policy-file={self._policy()}",
            f"--audit-log-path={self._audit}",
            "--audit-log-maxsize=1000",
        )
        wait("the API server is ready", self._ready, 60)

    def kubectl_command(self, *words: str) -> list[str]:
        """As the administrator."""
        return [str(self._programs["kubectl"]), f"--kubeconfig={self.admin}", *words]

    def kubectl(self, *words: str, stdin: str = "") -> str:
        """Runs kubectl; what it prints. Raises ClusterError."""
        done = subprocess.run(
            self.kubectl_command(*words), input=stdin, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode:
            raise ClusterError(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def requests(self) -> dict[str, tuple[str, str]]:
        """The controller's requests so far: verb and resource, by audit id."""
        found = {}
        for line in self._audit.read_text().splitlines():
            if line.endswith("}"):  # the last one may be half written
                event = json.loads(line)
                found[event["auditID"]] = event["verb"], event["objectRef"]["resource"]
        return found

    def _ready(self) -> bool:
        self._processes.check()
        try:
            return self.kubectl("get", "--raw", "/readyz", "--request-timeout=2s") == "ok"
        except ClusterError:
            return False

    def _policy(self) -> Path:
        path = self._folder / "policy.json"
        rules = [{"level": "Metadata", "users": [ACCOUNT]}, {"level": "None"}]
        policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": rules}
        path.write_text(json.dumps(policy))
        return path


def free_port() -> int:
    """Returns a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])
