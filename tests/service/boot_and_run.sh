#!/usr/bin/env bash
# Boots a real systemd (Debian 12, in a container of its own) and runs the shipped units in it, with all of their
# sandbox: the node, its broker, and a simulated exchange. Needs root, debootstrap and systemd-container; takes some two
# minutes, most of it the first time.
#
#   tests/service/boot_and_run.sh [FOLDER]     FOLDER is kept: a second run needs no new Debian
set -euo pipefail
here="$(cd "$(dirname "$0")/../.." && pwd)"
work="${1:-$(mktemp -d)}"
root="$work/root"
mirror="${DEBIAN_MIRROR:-$(awk '/^URIs:/{print $2; exit}' /etc/apt/sources.list.d/debian.sources)}"
mkdir -p "$work/wheels"

step() { printf '\n== %s\n' "$*"; }

if [ ! -x "$root/usr/bin/systemctl" ]; then
  step "a minimal Debian"
  debootstrap --variant=minbase \
    --include=systemd,systemd-sysv,dbus,python3,python3-venv,ca-certificates,mosquitto,mosquitto-clients,procps \
    bookworm "$root" "$mirror" > "$work/debootstrap.log" 2>&1
fi

step "the program, as a user installs it"
exec 3>&2 2> "$work/install.log"
source="$work/source"
rm -rf "$source" && mkdir "$source"
(cd "$here" && git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$source")
python3 -m venv "$work/venv"
lock="$source/requirements.lock"
if [ -f "$lock" ]; then
  "$work/venv/bin/pip" -q wheel --require-hashes -w "$work/wheels" -r "$lock"
  "$work/venv/bin/pip" -q wheel --no-deps -w "$work/wheels" "$source"
else
  "$work/venv/bin/pip" -q wheel -w "$work/wheels" "$source"
fi
rm -rf "$root/opt/sovereign-node" "$root/wheels" && cp -r "$work/wheels" "$root/wheels"
chroot "$root" python3 -m venv /opt/sovereign-node
chroot "$root" /opt/sovereign-node/bin/pip install -q --no-index --find-links /wheels --force-reinstall sovereign-node

exec 2>&3
step "units, broker, and what happens inside"
rm -rf "$root"/etc/sovereign-node "$root"/var/lib/private "$root"/var/lib/sovereign-node* "$root/results"
# Without one it would be a first boot, at which systemd enables whatever can be.
tr -d - < /proc/sys/kernel/random/uuid > "$root/etc/machine-id"
rm -rf "$root/var/log/journal" "$root"/etc/systemd/system/multi-user.target.wants/sovereign-node*
cp -r "$source/systemd/." "$root/etc/systemd/system/"
sed 's#config/broker/#/var/lib/mosquitto/#; s#config/#/etc/mosquitto/#' "$source/config/mosquitto.conf" \
  > "$root/etc/mosquitto/mosquitto.conf"
cp "$source/config/mosquitto.acl" "$root/etc/mosquitto/"
cp "$source/config/node.example.toml" "$source/config/signals.example.toml" "$root/"
cp "$here/tests/service/inside.sh" "$root/inside.sh"
cat > "$root/etc/systemd/system/inside.service" <<'UNIT'
[Unit]
After=multi-user.target
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
Environment=HOME=/root
ExecStart=/bin/bash /inside.sh
TimeoutStartSec=240
[Install]
WantedBy=default.target
UNIT
ln -sf /etc/systemd/system/inside.service "$root/etc/systemd/system/multi-user.target.wants/inside.service"
rm -f "$root/etc/systemd/system/multi-user.target.wants/mosquitto.service"  # the test starts it

step "boot"
timeout 300 systemd-nspawn --directory="$root" --boot --register=no --keep-unit --machine=sovereign-node-test \
  --private-network < /dev/null > "$work/boot.log" 2>&1 || true
cat "$root/results" 2>/dev/null || { tail -40 "$work/boot.log"; exit 1; }
grep -q '^ALL HELD$' "$root/results"
