"""A node: containerd, kubelet and kube-proxy in a network namespace and a cgroup of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path

from tests.cluster.native.controlplane import DNS, ControlPlane
from tests.cluster.native.network import PODS, addresses, pods
from tests.cluster.native.sandbox import HOME, ClusterError, Program, Sandbox, wait
from tests.cluster.native.tools import CNI

PAUSE = "docker.io/pairsim-test/pause:1"
_CGROUPS = Path("/sys/fs/cgroup")

_CONTAINERD = """
version = 2
root = "{data}/containerd"
state = "/run/{name}"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "{data}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""


class Node:
    """A node; `number` counts from 1."""

    def __init__(self, sandbox: Sandbox, control: ControlPlane, programs: dict[str, Path], number: int) -> None:
        self.number, self.name = number, f"node{number}"
        self._sandbox, self._control, self._programs = sandbox, control, programs
        self._data = HOME / "data" / self.name
        self._socket = f"/run/{self.name}/containerd.sock"

    def open(self) -> None:
        """Starts containerd; pods can run after `join`."""
        self._data.mkdir(parents=True)
        (self._data / "cni").mkdir()
        (self._data / "cni" / "10-pods.conflist").write_text(json.dumps(self._pod_network()))
        config = self._data / "containerd.toml"
        text = _CONTAINERD.format(data=self._data, name=self.name, socket=self._socket, pause=PAUSE, cni=CNI)
        config.write_text(text)
        self._make_cgroup()
        self._start("containerd", "containerd", "-c", str(config))
        wait(f"containerd of {self.name} answers", self._answers, 20)

    def load(self, archive: Path) -> None:
        """Loads an image on the node."""
        self._ctr("images", "import", str(archive), seconds=120)

    def join(self) -> None:
        """Starts kubelet and kube-proxy."""
        group, pki = f"pairsim-{self.name}", self._control.pki
        config = self._data / "kubelet.json"
        config.write_text(json.dumps(self._kubelet()))
        kubeconfig = pki.kubeconfig(f"kubelet-{self.name}", f"system:node:{self.name}", "system:nodes")
        self._start(
            "kubelet",
            self._programs["kubelet"],
            f"--config={config}",
            f"--kubeconfig={kubeconfig}",
            f"--root-dir={self._data / 'kubelet'}",
            f"--hostname-override={self.name}",
            f"--node-ip={','.join(addresses(self.number))}",
            f"--cgroup-root=/{group}",
        )
        proxy = pki.kubeconfig("proxy", "system:kube-proxy", "kube")
        self._start(
            "kube-proxy",
            self._programs["kube-proxy"],
            f"--kubeconfig={proxy}",
            "--proxy-mode=iptables",
            f"--cluster-cidr={PODS}",
            f"--hostname-override={self.name}",
            "--metrics-bind-address=[::]:10249",
            "--conntrack-max-per-core=0",
            "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
        )

    def signal(self, uid: str, container: str, number: signal.Signals) -> float:
        """Sends a signal to the first process of a pod's container, as the kernel or a machine's operator would.

        Returns:
            The Unix time at which it did.
        """
        for pid in self._pids(uid, "io.kubernetes.container.name", container):
            at = time.time()
            os.kill(pid, number)
            return at
        raise ClusterError(f"{self.name} runs no container {container} of the pod {uid}")

    def move(self, uid: str, container: str) -> None:
        """Kills a pod's process and sandbox at once, so that the kubelet starts both anew and runs no preStop hook."""
        sandbox = self._pids(uid, "io.cri-containerd.kind", "sandbox")
        self.signal(uid, container, signal.SIGKILL)
        for pid in sandbox:
            os.kill(pid, signal.SIGKILL)

    def _pids(self, uid: str, label: str, value: str) -> list[int]:
        """Returns the first process of each running container of a pod that has a label."""
        listed = self._ctr("containers", "list", "-q", f'labels."io.kubernetes.pod.uid"=={uid}').split()
        for found in listed:
            about = json.loads(self._ctr("containers", "info", found))
            if about["Labels"].get(label) == value:
                tasks = [line.split() for line in self._ctr("tasks", "list").splitlines()]
                if pids := [int(task[1]) for task in tasks if task[0] == found and task[2] == "RUNNING"]:
                    return pids
        return []

    def _start(self, name: str, program: str | Path, *words: str) -> Program:
        return self._sandbox.start(f"{name}-{self.name}", program, *words, net=self.name)

    def _ctr(self, *words: str, seconds: float = 60.0) -> str:
        return self._sandbox.run("ctr", "-a", self._socket, "-n", "k8s.io", *words, seconds=seconds)

    def _answers(self) -> bool:
        try:
            self._ctr("version", seconds=5)
        except ClusterError:
            return False
        return True

    def _pod_network(self) -> dict[str, object]:
        bridge = {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "dataDir": f"/run/ipam-{self.name}",
                "ranges": [[{"subnet": subnet}] for subnet in pods(self.number)],
                "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
            },
        }
        ports = {"type": "portmap", "capabilities": {"portMappings": True}}
        return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, ports]}

    def _kubelet(self) -> dict[str, object]:
        pki = self._control.pki
        certificate, key = pki.pair(
            f"kubelet-{self.name}-server", self.name, "system:nodes", (self.name, *addresses(self.number))
        )
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": "::",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(pki.ca)},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(certificate),
            "tlsPrivateKeyFile": str(key),
            "containerRuntimeEndpoint": f"unix://{self._socket}",
            "cgroupDriver": "cgroupfs",
            "clusterDNS": [DNS],
            "clusterDomain": "cluster.local",
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "volumePluginDir": str(self._data / "plugins"),
            "podLogsDir": f"/var/log/pods-{self.name}",
            "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%", "memory.available": "100Mi"},
            "imageGCHighThresholdPercent": 100,
            "nodeStatusUpdateFrequency": "1s",
            "resolvConf": "/etc/resolv.conf",
            "logging": {"verbosity": 2},
        }

    def _make_cgroup(self) -> None:
        """Kubelets of one machine must not share a cgroup root; a cpuset (v1) is unusable until it is filled in."""
        for controller in _controllers():
            group = controller / f"pairsim-{self.name}"
            group.mkdir(exist_ok=True)
            for file in ("cpuset.cpus", "cpuset.mems"):
                if (controller / file).exists():
                    (group / file).write_text((controller / file).read_text())


def _controllers() -> list[Path]:
    return [path for path in _CGROUPS.iterdir() if path.is_dir() and (path / "cgroup.procs").exists()]


def remove_left_overs() -> None:
    """Ends all processes in the nodes' cgroups, and removes the cgroups."""

    def gone() -> bool:
        groups = [g for c in _controllers() for g in c.glob("pairsim-node*")]
        for group in groups:
            for folder, _folders, _files in os.walk(group, topdown=False):
                for pid in (Path(folder) / "cgroup.procs").read_text().split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
                with contextlib.suppress(OSError):  # a process that is dying still holds it: again
                    Path(folder).rmdir()
        return not groups

    wait("the nodes' cgroups are gone", gone, 30)
