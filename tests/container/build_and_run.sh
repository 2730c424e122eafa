#!/usr/bin/env bash
# Builds the image from the shipped Dockerfile and runs it, without a daemon and without an image registry: bases made by
# debootstrap, buildah with chroot isolation, runc. Needs root, debootstrap, buildah and runc; some three minutes the
# first time.
#
#   tests/container/build_and_run.sh [FOLDER]     FOLDER is kept: a second run needs no new Debian
#
# The runtime base has no shell and no package manager: nothing in the image may need one. The build base is given the
# wheels of the lock files, so that the build itself reaches no network; pip checks the same hashes.
set -euo pipefail
here="$(cd "$(dirname "$0")/../.." && pwd)"
work="${1:-$(mktemp -d)}"
mirror="${DEBIAN_MIRROR:-$(awk '/^URIs:/{print $2; exit}' /etc/apt/sources.list.d/debian.sources)}"
mkdir -p "$work"
image() { buildah --root "$work/storage" --runroot "$work/runroot" --storage-driver vfs "$@"; }
step() { printf '\n== %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

base() { # base NAME FOLDER: an image of one layer
  local container
  container="$(image from scratch)"
  tar -C "$2" --exclude ./dev -cf "$work/layer.tar" .
  image add -q "$container" "$work/layer.tar" / > /dev/null
  image commit -q "$container" "$1" > /dev/null
  image rm "$container" > /dev/null
  rm "$work/layer.tar"
}

step "bases"
if [ ! -d "$work/runtime" ]; then
  debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$work/build" "$mirror" \
    > "$work/debootstrap.log" 2>&1
  rm -rf "$work"/build/var/cache/apt/* "$work"/build/var/lib/apt/lists/*
  cp -a "$work/build" "$work/runtime.part"
  # What a program in Python does not need; without a shell nobody who breaks in has one either.
  chroot "$work/runtime.part" dpkg --purge --force-all python3-venv python3.11-venv python3-pip-whl \
    python3-setuptools-whl python3-distutils python3-lib2to3 > /dev/null 2>&1 || true
  (cd "$work/runtime.part" && rm -rf usr/share/doc usr/share/man usr/share/locale usr/share/info var/lib/dpkg var/lib/apt \
    usr/lib/apt usr/bin/apt* usr/bin/dpkg* usr/bin/perl* usr/share/perl* usr/lib/*/perl* var/log/* usr/lib/python3.11/ensurepip \
    usr/sbin usr/lib/*/libapt* usr/share/zoneinfo && mkdir -p usr/sbin && rm -f usr/bin/sh usr/bin/dash usr/bin/bash usr/bin/rbash)
  mv "$work/runtime.part" "$work/runtime"
fi
rm -rf "$work/wheels" && mkdir "$work/wheels"
python3 -m venv "$work/venv"
for lock in requirements.lock config/requirements-build.lock; do
  "$work/venv/bin/pip" download -q --require-hashes --only-binary :all: --python-version 3.11 \
    -d "$work/wheels" -r "$here/$lock" 2> "$work/pip.log"
done
rm -rf "$work/build/wheels" && cp -r "$work/wheels" "$work/build/wheels"
printf '[global]\nno-index = true\nfind-links = /wheels\n' > "$work/build/etc/pip.conf"
base localhost/build-base "$work/build"
base localhost/runtime-base "$work/runtime"

step "the image"
image build --isolation chroot --pull-never -q -t localhost/sovereign-node \
  --build-arg BUILD_IMAGE=localhost/build-base --build-arg RUNTIME_IMAGE=localhost/runtime-base \
  --build-arg REVISION="$(git -C "$here" rev-parse HEAD)" --format docker -f "$here/Dockerfile" "$here" > "$work/build.log" 2>&1 \
  || { tail -30 "$work/build.log"; fail "build"; }
container="$(image from --pull-never localhost/sovereign-node)"
root="$(image mount "$container")"
trap 'image rm "$container" > /dev/null' EXIT
du -sh --apparent-size "$root" "$root/opt/sovereign-node" "$work/runtime" | sed "s#$work/##; s#storage.*/diff#image#; s#storage.*/#.../#"
image inspect --type image localhost/sovereign-node > "$work/image.json"
python3 - "$work/image.json" <<'PYTHON'
import json, sys

config = json.load(open(sys.argv[1]))["Docker"]["config"]
program = ["/opt/sovereign-node/bin/sovereign-node"]
assert config["Entrypoint"] == program, config["Entrypoint"]
assert config["User"] == "10001:10001", config["User"]
assert config["Healthcheck"]["Test"][:3] == ["CMD", *program, "ping"], config["Healthcheck"]
assert config["StopSignal"] == "SIGTERM"
assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
print("entrypoint, user, health check, signal and labels are as they should be")
PYTHON
[ ! -e "$root/bin/sh" ] && [ ! -e "$root/bin/bash" ] || fail "there is a shell"

# bundle NAME ARGUMENTS...: how `--read-only --cap-drop ALL --security-opt no-new-privileges --network none` would run it.
bundle() {
  local folder="$work/bundles/$1"
  rm -rf "$folder" && mkdir -p "$folder/state" "$folder/run" && chown 10001:10001 "$folder/state" "$folder/run"
  shift
  (cd "$folder" && runc spec)
  python3 - "$folder" "$root" "$work/image.json" "$@" <<'PYTHON'
import json, sys

folder, root, image, *arguments = sys.argv[1:]
config = json.load(open(image))["Docker"]["config"]
spec = json.load(open(f"{folder}/config.json"))
process = spec["process"]
process.update(
    terminal=False,
    user={"uid": 10001, "gid": 10001, "umask": 0o77},
    args=[*config["Entrypoint"], *arguments],
    env=config["Env"],
    cwd=config["WorkingDir"],
    noNewPrivileges=True,
    capabilities={kind: [] for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")},
)
spec["root"] = {"path": root, "readonly": True}
spec["mounts"] = [mount for mount in spec["mounts"] if mount["destination"] != "/sys/fs/cgroup"] + [
    {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "noexec", "mode=1777"]},
    {"destination": "/var/lib/sovereign-node", "type": "bind", "source": f"{folder}/state", "options": ["bind", "rw"]},
    {"destination": "/run/sovereign-node", "type": "bind", "source": f"{folder}/run", "options": ["bind", "rw"]},
]
spec["linux"].pop("resources", None)
json.dump(spec, open(f"{folder}/config.json", "w"))
PYTHON
  printf '%s' "$folder"
}
run() { runc --root "$work/runc" "$@"; }

step "demo: not root, nothing writable but /tmp and the two folders, no capability, no network but loopback"
run run -b "$(bundle demo demo)" sovereign-node-demo | tee "$work/demo.out"
grep -q 'The exchange agrees with every verdict' "$work/demo.out" || fail "demo"

step "run: health check, reload, end"
served="$(bundle run run --config /var/lib/sovereign-node/node.toml)"
cat > "$served/state/node.toml" <<'TOML'
[node]
id = "node-1"
tenant = "acme"
state_dir = "/var/lib/sovereign-node"
runtime_dir = "/run/sovereign-node"
TOML
chown 10001:10001 "$served/state/node.toml"
run run -d -b "$served" --pid-file "$work/pid" sovereign-node-run > "$work/run.log" 2>&1 < /dev/null
check=(/opt/sovereign-node/bin/sovereign-node ping --socket /run/sovereign-node/operator.sock)
for _ in $(seq 100); do
  run exec sovereign-node-run "${check[@]}" > "$work/ping.out" 2>&1 && break
  sleep 0.2
done
grep -qx alive "$work/ping.out" || { cat "$work/run.log" "$work/ping.out"; fail "health check"; }
run exec sovereign-node-run "${check[@]}" --ready || fail "readiness"
grep -E '^(Uid|CapBnd|NoNewPrivs)' "/proc/$(cat "$work/pid")/status"
run kill sovereign-node-run HUP
run exec sovereign-node-run "${check[@]}" > /dev/null || fail "it did not survive a reload"
run kill sovereign-node-run TERM
for _ in $(seq 150); do
  run state sovereign-node-run 2> /dev/null | grep -q '"status": "running"' || break
  sleep 0.2
done
grep -q '"event": "node_stopped"' "$work/run.log" || { tail -5 "$work/run.log"; fail "it did not end in order"; }
run delete -f sovereign-node-run > /dev/null 2>&1 || true
printf '\nBUILT AND RUN\n'
