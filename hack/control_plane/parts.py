"""A control plane's processes and their configuration."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from hack.control_plane.api import Api, listening
from hack.control_plane.certificates import Authority
from hack.control_plane.instance import ADDRESS
from hack.toolchain.processes import Part

if TYPE_CHECKING:
    from pathlib import Path

    from hack.control_plane.instance import Instance
    from hack.toolchain.tools import Tools

MODULES = ("cluster", "kubernetes")
DEFAULT_SERVICE_ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"


def configured(instance: Instance, tools: Tools) -> list[Part]:
    """Write the certificates and kubeconfigs; return the processes in start order."""
    parts = _Parts(instance, tools)
    parts.authority.create()
    parts.kubeconfig("kubeconfig", user="admin", group="system:masters")
    return [parts.etcd(), parts.api_server(), parts.controller_manager()]


@dataclass(frozen=True)
class _Parts:
    instance: Instance
    tools: Tools

    @property
    def authority(self) -> Authority:
        return Authority(self.instance.state / "pki")

    @property
    def api(self) -> Api:
        return Api(self.instance.server, self.authority)

    def kubeconfig(self, name: str, *, user: str, group: str = "") -> Path:
        path = self.instance.state / name
        return self.authority.kubeconfig(path, server=self.instance.server, user=user, group=group)

    def etcd(self) -> Part:
        ports = self.instance.ports()
        client, peer = f"https://{ADDRESS}:{ports.etcd}", f"http://{ADDRESS}:{ports.etcd_peer}"
        certificate, key = self.authority.issue("etcd", user="etcd", addresses=(f"IP:{ADDRESS}",))
        command: list[str | Path] = [
            self.tools.binary("cluster", "server"),
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
            "--unsafe-no-fsync",  # its data is disposable
            "--log-level=warn",
        ]
        return Part("etcd", command, ready=partial(listening, ADDRESS, ports.etcd))

    def api_server(self) -> Part:
        authority, ports = self.authority, self.instance.ports()
        names = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
        certificate, key = authority.issue(
            "api-server",
            user="kube-apiserver",
            addresses=(f"IP:{ADDRESS}", *(f"DNS:{name}" for name in names)),
        )
        etcd_certificate, etcd_key = authority.issue("api-server-etcd", user="kube-apiserver-etcd")
        proxy_certificate, proxy_key = authority.issue("front-proxy", user="front-proxy-client")
        service_accounts = authority.path("service-accounts.key")
        command: list[str | Path] = [
            self.tools.binary("kubernetes", "kube-apiserver"),
            f"--bind-address={ADDRESS}",
            f"--advertise-address={ADDRESS}",
            f"--secure-port={ports.api}",
            "--endpoint-reconciler-type=none",  # only pods use the `kubernetes` Service
            f"--etcd-servers=https://{ADDRESS}:{ports.etcd}",
            f"--etcd-cafile={authority.certificate}",
            f"--etcd-certfile={etcd_certificate}",
            f"--etcd-keyfile={etcd_key}",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            f"--client-ca-file={authority.certificate}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={service_accounts}",
            f"--service-account-signing-key-file={service_accounts}",
            "--service-cluster-ip-range=10.214.0.0/16",
            f"--requestheader-client-ca-file={authority.certificate}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={proxy_certificate}",
            f"--proxy-client-key-file={proxy_key}",
            "--profiling=false",
        ]
        return Part("kube-apiserver", command, ready=partial(self.api.serves, "/readyz"))

    def controller_manager(self) -> Part:
        kubeconfig = self.kubeconfig("controller-manager.kubeconfig", user="system:kube-controller-manager")
        command: list[str | Path] = [
            self.tools.binary("kubernetes", "kube-controller-manager"),
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
        return Part(
            "kube-controller-manager", command, ready=partial(self.api.serves, DEFAULT_SERVICE_ACCOUNT)
        )
