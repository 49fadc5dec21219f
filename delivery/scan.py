"""Scan the images' packages for known vulnerabilities: the SBOMs of `make sbom`, against an OSV database.

OSV_DATABASE is the address of a server with OSV's API (https://osv.dev), or a folder of OSV records: JSON files, and
ZIP files as OSV publishes them for each ecosystem. Only a vulnerability that has a fixed version fails the scan:
Debian lists many that it does not fix.

We don't use grype: its database is unreachable from our machines. osv-scanner 2.5 ignores the Debian packages of
syft's SBOMs.
"""

from __future__ import annotations

import json
import re
import urllib.request
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from delivery.errors import ScanError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from delivery.settings import Settings

Record = dict[str, Any]
PURL = re.compile(r"pkg:(pypi|deb/debian)/([^@?]+)@([^?]+)(?:\?(.*))?")
NOTHING = "OSV_DATABASE is not set, so nothing was scanned."
SECONDS = 60.0


@dataclass(frozen=True, order=True)
class Package:
    """A package as OSV names it; a Debian package has the name of its source package."""

    ecosystem: str
    name: str
    version: str

    @classmethod
    def of(cls, purl: str) -> Package | None:
        """Return the package of a package URL; None if OSV can't match it.

        OSV matches Python's packages, and Debian's if the URL names the release.
        """
        match = PURL.fullmatch(purl)
        if not match:
            return None
        kind, name, version = match[1], unquote(match[2]), unquote(match[3])
        if kind == "pypi":
            return cls("PyPI", canonicalize_name(name), version)
        qualifiers = dict(pair.split("=", 1) for pair in (match[4] or "").split("&") if "=" in pair)
        release = re.search(r"debian-(\d+)", qualifiers.get("distro", ""))
        source, _, source_version = unquote(qualifiers.get("upstream", "")).partition("@")
        return cls(f"Debian:{release[1]}", source or name, source_version or version) if release else None

    def __str__(self) -> str:
        """Return name, version and ecosystem for the report."""
        return f"{self.name} {self.version} ({self.ecosystem})"


@dataclass(frozen=True, order=True)
class Finding:
    """A package's vulnerability, and the lowest version above the package's that fixes it."""

    package: Package
    id: str
    fixed: str | None

    def __str__(self) -> str:
        """Return the finding for the report."""
        return f"{self.id} in {self.package}, {f'fixed in {self.fixed}' if self.fixed else 'not fixed yet'}"


@dataclass(frozen=True)
class Server:
    """A server with OSV's API."""

    url: str

    def vulnerabilities(self, packages: Iterable[Package]) -> Iterator[tuple[Package, Record]]:
        """Yield the OSV records that affect the packages: ask for each package. Raises ScanError."""
        for package in packages:
            query: dict[str, Any] = {
                "package": {"ecosystem": package.ecosystem, "name": package.name},
                "version": package.version,
            }
            while True:
                page = self._post(query)
                yield from ((package, record) for record in page.get("vulns", []))
                if not page.get("next_page_token"):
                    break
                query["page_token"] = page["next_page_token"]

    def _post(self, query: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(f"{self.url.rstrip('/')}/v1/query", json.dumps(query).encode())
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as response:
                page: dict[str, Any] = json.load(response)
                return page
        except (OSError, ValueError) as error:
            raise ScanError(f"OSV_DATABASE={self.url} did not answer: {error}") from error


@dataclass(frozen=True)
class Folder:
    """A folder of OSV records."""

    path: Path

    def vulnerabilities(self, packages: Iterable[Package]) -> Iterator[tuple[Package, Record]]:
        """Yield the records that affect the packages. Raises ScanError if there is no record."""
        by_name = defaultdict(list)
        for package in packages:
            by_name[package.ecosystem, package.name].append(package)
        records = 0
        for record in self._records():
            records += 1
            named = {_name(entry) for entry in record.get("affected", [])}
            for package in (each for name in sorted(named) for each in by_name.get(name, [])):
                if any(_affects(entry, package) for entry in record["affected"]):
                    yield package, record
        if not records:
            message = (
                f"OSV_DATABASE={self.path} is a folder without records: no *.json, and no *.zip with them."
            )
            raise ScanError(message)

    def _records(self) -> Iterator[Record]:
        for path in sorted(self.path.rglob("*.json")):
            yield json.loads(path.read_text())
        for path in sorted(self.path.rglob("*.zip")):
            with zipfile.ZipFile(path) as archive:
                yield from (json.loads(archive.read(name)) for name in archive.namelist())


def scan(settings: Settings, sboms: list[Path]) -> list[str]:
    """Return a report. Raises ScanError for findings with a fix; SettingError or ScanError for a missing database."""
    address = settings.osv_database
    if not address:
        if settings.scan_required:
            raise ScanError(f"{NOTHING} SCAN_REQUIRED makes that an error: set OSV_DATABASE.")
        return [NOTHING]
    database = Server(address) if "://" in address else Folder(Path(address))
    purls = [each["purl"] for path in sboms for each in _components(path) if "purl" in each]
    packages = {package for package in map(Package.of, purls) if package}
    others = sum(Package.of(purl) is None for purl in set(purls))
    found = findings(database, packages)
    report = [
        f"Scanned {len(packages)} packages of {len(sboms)} images; skipped {others} that OSV can't match."
    ]
    report += [f"  ignored: {each}" for each in found if each.id in settings.scan_ignored]
    open_findings = [each for each in found if each.id not in settings.scan_ignored]
    report += [f"  {each}" for each in open_findings if not each.fixed]
    if fixable := [f"  {each}" for each in open_findings if each.fixed]:
        raise ScanError("\n".join([*report, "Vulnerabilities that a newer version fixes:", *fixable]))
    return [*report, "No vulnerability that a newer version fixes."]


def findings(database: Server | Folder, packages: Iterable[Package]) -> list[Finding]:
    """Return the vulnerabilities of the packages, without withdrawn records."""
    found = {
        Finding(package, record["id"], _fixed(record, package))
        for package, record in database.vulnerabilities(sorted(packages))
        if "withdrawn" not in record
    }
    return sorted(found, key=lambda each: (each.package, each.id))


def _components(sbom: Path) -> list[dict[str, Any]]:
    try:
        components: list[dict[str, Any]] = json.loads(sbom.read_text()).get("components", [])
    except FileNotFoundError:
        raise ScanError(f"{sbom} does not exist: `make sbom` writes it.") from None
    return components


def _name(entry: dict[str, Any]) -> tuple[str, str]:
    """Return ecosystem and name of a record's `affected` entry."""
    ecosystem, name = entry.get("package", {}).get("ecosystem", ""), entry.get("package", {}).get("name", "")
    return ecosystem, canonicalize_name(name) if ecosystem == "PyPI" else name


def _affects(entry: dict[str, Any], package: Package) -> bool:
    if _name(entry) != (package.ecosystem, package.name):
        return False
    return package.version in entry.get("versions", []) or any(
        _in_range(events, package) for events in _ranges(entry)
    )


def _in_range(events: list[dict[str, str]], package: Package) -> bool:
    """Return whether the version lies in a range: the last event below it decides.

    True if the versions can't be compared.
    """
    limits = [(kind, limit) for event in events for kind, limit in event.items()]
    try:
        version = version_key(package.ecosystem, package.version)
        keys = [(kind, version_key(package.ecosystem, limit)) for kind, limit in limits]
    except InvalidVersion:
        return True
    inside = False
    for kind, limit in sorted(keys, key=lambda each: each[1]):
        if version > limit or (version == limit and kind != "last_affected"):
            inside = kind == "introduced"
    return inside


def _ranges(entry: dict[str, Any]) -> Iterator[list[dict[str, str]]]:
    """Yield the events of each range of versions; skip ranges of git commits."""
    yield from (each["events"] for each in entry.get("ranges", []) if each["type"] != "GIT")


def _fixed(record: Record, package: Package) -> str | None:
    """Return the lowest fixed version above the package's.

    None if there is none, or if the versions can't be compared.
    """
    limits = [
        event["fixed"]
        for entry in record.get("affected", [])
        if _name(entry) == (package.ecosystem, package.name)
        for events in _ranges(entry)
        for event in events
        if "fixed" in event
    ]
    try:
        version = version_key(package.ecosystem, package.version)
        fixes = sorted((version_key(package.ecosystem, limit), limit) for limit in limits)
    except InvalidVersion:
        return None
    return next((limit for key, limit in fixes if key > version), None)


def version_key(ecosystem: str, version: str) -> Any:
    """Return a sort key in the ecosystem's order of versions. Raises InvalidVersion."""
    return _debian_key(version) if ecosystem.startswith("Debian") else Version(version)


def _debian_key(version: str) -> tuple[Any, ...]:
    """Return a sort key in the order of deb-version(7)."""
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "0")
    return int(epoch), _debian_part(upstream), _debian_part(revision)


def _debian_part(text: str) -> list[tuple[list[int], int]]:
    """Return the alternating non-digit and digit parts.

    In a non-digit part, `~` sorts before the end of the part, and letters sort before other characters.
    """
    return [
        (
            [-1 if each == "~" else ord(each) + (0 if each.isalpha() else 256) for each in word] + [0],
            int(digits or 0),
        )
        for word, digits in re.findall(r"(\D*)(\d*)", text)
    ]
