"""Ask pip-audit about a lock file. Known vulnerabilities fail; advisories that cannot be reached are said, loudly."""

from __future__ import annotations

import json
import subprocess
import sys


def main(lock: str) -> int:
    """Exit status 1 if anything that is locked has a known vulnerability."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "-r", lock, "-f", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)  # noqa: S603
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(f"NOT AUDITED: no advisories could be asked: {(done.stderr.strip().splitlines() or ['?'])[-1][:200]}")
        return 0
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    affected = [package for package in packages if package.get("vulns")]
    for package in affected:
        for found in package["vulns"]:
            fixed = ", ".join(found["fix_versions"]) or "none yet"
            print(f"{package['name']} {package['version']}: {found['id']}, fixed in: {fixed}")
    if skipped:
        print(f"NOT AUDITED: the registry in use tells no advisories of {len(skipped)} of {len(packages)} packages")
    print(f"{len(packages) - len(skipped)} packages audited, {len(affected)} affected")
    return 1 if affected else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
