#!/bin/sh
# The locked packages as others know them; each tool comes into an environment that is thrown away.
#
#   sh scripts/dependencies.sh audit    fails where a locked version has a known fault
#   sh scripts/dependencies.sh sbom     lists them as CycloneDX in sbom.json
#
# Without a network nothing can be said, which is no failure.
set -eu
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python=${PYTHON:-python3}

have() {
    "$python" -m venv "$folder/env"
    if ! "$folder/env/bin/pip" --quiet --disable-pip-version-check install "$1" >"$folder/said" 2>&1; then
        tail -n 1 "$folder/said" >&2
        echo "$1 cannot be had here, so nothing is said of the locked packages"
        exit 0
    fi
}

case ${1:-} in
audit)
    have pip-audit==2.10.1
    "$folder/env/bin/pip-audit" --disable-pip --require-hashes --requirement requirements.lock \
        --format json --output "$folder/found.json" >"$folder/said" 2>&1 || tail -n 3 "$folder/said" >&2
    "$python" - "$folder/found.json" <<'END'
import json, sys
from pathlib import Path

path = Path(sys.argv[1])
try:
    packages = json.loads(path.read_text(encoding="utf-8"))["dependencies"]
except (OSError, ValueError, KeyError):
    print("pip-audit wrote no list (see above), so nothing is said of the locked packages")
    sys.exit(0)
skipped = [one for one in packages if "skip_reason" in one]
for one in skipped:
    print(f"{one['name']}: not looked at ({one['skip_reason']})")
known = [(one["name"], one["version"], fault) for one in packages for fault in one.get("vulns", [])]
for name, version, fault in known:
    print(f"{name} {version}: {fault['id']}, mended in {', '.join(fault['fix_versions']) or 'no version yet'}")
print(f"{len(packages) - len(skipped)} packages, {len(known)} known faults")
sys.exit(bool(known))
END
    ;;
sbom)
    have cyclonedx-bom==7.5.0
    "$folder/env/bin/cyclonedx-py" requirements --output-reproducible --output-format JSON \
        --output-file sbom.json requirements.lock
    echo "wrote sbom.json"
    ;;
*)
    echo "usage: sh scripts/dependencies.sh audit|sbom" >&2
    exit 2
    ;;
esac
