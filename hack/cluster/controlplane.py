"""etcd, the API server, the controller manager and the scheduler, as processes of this machine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hack.cluster import instance as names
from hack.cluster.api import Api, listening
from hack.cluster.certificates import Authority
from hack.cluster.files import write
from hack.cluster.processes import Part

if TYPE_CHECKING:
    from pathlib import Path

    from hack.cluster.instance import Instance
    from hack.cluster.tools import Tools

MODULES = ("etcd", "kubernetes")

# Reads are not logged: what the log is for is to count and to attribute writes.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "None", "verbs": ["get", "list", "watch"]}, {"level": "Metadata"}],
}


@dataclass(frozen=True)
class ControlPlane:
    """The control plane of one instance."""

    instance: Instance
    tools: Tools

    @property
    def authority(self) -> Authority:
        """Who signs this cluster's certificates."""
        return Authority(self.instance.state / "pki")

    @property
    def api(self) -> Api:
        """The API server, as the administrator sees it."""
        return Api(self.instance.server, self.authority)

    def configure(self) -> None:
        """Write the certificates, the administrator's kubeconfig and the audit policy."""
        self.authority.create()
        self.kubeconfig("kubeconfig", user="admin", group="system:masters")
        write(self._audit_policy, json.dumps(AUDIT_POLICY))

    def kubeconfig(self, name: str, *, user: str, group: str = "") -> Path:
        """A kubeconfig in the state directory."""
        path = self.instance.state / name
        return self.authority.kubeconfig(path, server=self.instance.server, user=user, group=group)

    def parts(self) -> list[Part]:
        """The processes, in the order they start in; a scheduler only where there is a node."""
        parts = [self._etcd(), self._api_server(), self._controller_manager()]
        return [*parts, self._scheduler()] if self.instance.has_node else parts

    @property
    def _audit_policy(self) -> Path:
        return self.instance.state / "audit-policy.yaml"

    def _binary(self, name: str) -> Path:
        return self.tools.binary("kubernetes", name)

    def _etcd(self) -> Part:
        ports = self.instance.ports()
        client, peer = f"https://127.0.0.1:{ports.etcd}", f"http://127.0.0.1:{ports.etcd_peer}"
        certificate, key = self.authority.issue("etcd", user="etcd", addresses=("IP:127.0.0.1",))
        command: list[str | Path] = [
            self.tools.binary("etcd", "server"),
            "--name=mcq",
            f"--data-dir={self.instance.state / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=mcq={peer}",
            f"--cert-file={certificate}",
            f"--key-file={key}",
            f"--trusted-ca-file={self.authority.certificate}",
            "--client-cert-auth",
            "--unsafe-no-fsync",  # a crash of the machine may lose the cluster, which `up` makes anew
            "--log-level=warn",
        ]
        return Part("etcd", command, ready=lambda: listening("127.0.0.1", ports.etcd))

    def _api_server(self) -> Part:
        instance, authority, ports = self.instance, self.authority, self.instance.ports()
        addresses = (
            "IP:127.0.0.1", f"IP:{instance.address}", f"IP:{names.API_SERVICE_ADDRESS}", "DNS:localhost",
            "DNS:kubernetes", "DNS:kubernetes.default", "DNS:kubernetes.default.svc",
            f"DNS:kubernetes.default.svc.{names.DNS_DOMAIN}",
        )  # fmt: skip
        certificate, key = authority.issue("api-server", user="kube-apiserver", addresses=addresses)
        etcd_certificate, etcd_key = authority.issue("api-server-etcd", user="kube-apiserver-etcd")
        kubelet_certificate, kubelet_key = authority.issue(
            "api-server-kubelet", user="kube-apiserver-kubelet", group="system:masters"
        )
        proxy_certificate, proxy_key = authority.issue("front-proxy", user="front-proxy-client")
        service_accounts = authority.path("service-accounts.key")
        command: list[str | Path] = [
            self._binary("kube-apiserver"),
            f"--bind-address={instance.address}",
            f"--advertise-address={instance.address}",
            f"--secure-port={ports.api}",
            # A Service of the API server's own is for pods; without a node there are none.
            f"--endpoint-reconciler-type={'lease' if instance.has_node else 'none'}",
            f"--etcd-servers=https://127.0.0.1:{ports.etcd}",
            f"--etcd-cafile={authority.certificate}",
            f"--etcd-certfile={etcd_certificate}",
            f"--etcd-keyfile={etcd_key}",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            f"--client-ca-file={authority.certificate}",
            f"--kubelet-client-certificate={kubelet_certificate}",
            f"--kubelet-client-key={kubelet_key}",
            "--kubelet-preferred-address-types=InternalIP",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={service_accounts}",
            f"--service-account-signing-key-file={service_accounts}",
            f"--service-cluster-ip-range={names.SERVICE_RANGE}",
            f"--requestheader-client-ca-file={authority.certificate}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={proxy_certificate}",
            f"--proxy-client-key-file={proxy_key}",
            f"--audit-policy-file={self._audit_policy}",
            f"--audit-log-path={instance.audit_log}",
            "--audit-log-maxsize=200",
            "--audit-log-maxbackup=1",
            "--profiling=false",
        ]
        return Part("kube-apiserver", command, ready=self.api.ready)

    def _controller_manager(self) -> Part:
        kubeconfig = self.kubeconfig("controller-manager.kubeconfig", user="system:kube-controller-manager")
        command: list[str | Path] = [
            self._binary("kube-controller-manager"),
            f"--kubeconfig={kubeconfig}",
            "--use-service-account-credentials=true",
            f"--root-ca-file={self.authority.certificate}",
            f"--service-account-private-key-file={self.authority.path('service-accounts.key')}",
            f"--cluster-signing-cert-file={self.authority.certificate}",
            f"--cluster-signing-key-file={self.authority.path('ca.key')}",
            "--leader-elect=false",
            "--allocate-node-cidrs=false",
            "--secure-port=0",
            "--profiling=false",
        ]
        service_account = "/api/v1/namespaces/default/serviceaccounts/default"  # which a controller makes
        return Part(
            "kube-controller-manager", command, ready=lambda: self.api.get(service_account) is not None
        )

    def _scheduler(self) -> Part:
        kubeconfig = self.kubeconfig("scheduler.kubeconfig", user="system:kube-scheduler")
        command: list[str | Path] = [
            self._binary("kube-scheduler"),
            f"--kubeconfig={kubeconfig}",
            "--leader-elect=false",
            "--secure-port=0",
            "--profiling=false",
        ]
        return Part("kube-scheduler", command, ready=lambda: True)
