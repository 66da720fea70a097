# shellcheck shell=bash
# Installs and removes the systemd service. Part of setup.sh, which sources it and whose functions it uses.
#
# DESTDIR, if set, is a folder that stands for / (for tests, and to prepare a memory card): nothing is started then.

service=movinet-pi
unit=${DESTDIR-}/etc/systemd/system/$service.service
settings=${DESTDIR-}/etc/$service
state=${DESTDIR-}/var/lib/$service
cache=${DESTDIR-}/var/cache/$service

install_service() {
  need_systemd --service
  check_program
  say "Service $service, in $PWD"
  add_user
  write_unit
  write_settings
  systemctl ${DESTDIR:+--root="$DESTDIR"} --quiet enable $service
  warn_of_memory
  local started='Started now, and at every boot.'
  if [ -z "${DESTDIR-}" ]; then
    systemctl daemon-reload
    systemctl reset-failed $service
    systemctl --no-block restart $service # which may take minutes: it compiles the model, or waits for a camera
  else
    started="Starts at every boot of the system in $DESTDIR."
  fi
  cat <<END
$started
  systemctl status $service              # how it is
  journalctl -u $service -f -o cat       # what it sees
  sudo python3 classify.py --live        # what is in force; with --top-k 5, say, changes that
  sudo nano /etc/$service/config.toml    # its settings; then: sudo systemctl restart $service
END
}

remove_service() {
  need_systemd --uninstall-service
  if [ -e "$unit" ]; then
    systemctl ${DESTDIR:+--root="$DESTDIR"} --quiet disable $service
    if [ -z "${DESTDIR-}" ]; then
      systemctl stop $service
      systemctl reset-failed $service 2>/dev/null || true # there may be nothing to reset
    fi
    rm -rf "$unit" "$unit.d"
    [ -n "${DESTDIR-}" ] || systemctl daemon-reload
  fi
  rm -rf "$cache"
  if [ -n "$purge" ]; then rm -rf "$settings" "$state"; fi
  local kept=() folder
  for folder in "$settings" "$state"; do
    if [ -e "$folder" ]; then kept+=("$folder"); fi
  done
  if [ ${#kept[@]} -gt 0 ]; then
    chown -R 0:0 "${kept[@]}" # the user's number may become another's
    say "Kept: ${kept[*]} (./setup.sh --uninstall-service --purge deletes that as well)"
  fi
  remove_user
  say "The service $service is removed."
}

need_systemd() {
  [ -z "${DESTDIR-}" ] || return 0
  [ -d /run/systemd/system ] || die 'this system was not started by systemd, so it has no services of that kind'
  [ "$(id -u)" = 0 ] || die "only root may do that; type: sudo ./setup.sh $1"
}

# The service reads this folder as another user, who sees no home folder but this one.
check_program() {
  local python hidden
  python=$(readlink -e .venv/bin/python) || die 'type ./setup.sh first, without sudo; then: sudo ./setup.sh --service'
  case $python in
    /home/* | /root/* | /tmp/* | /run/user/*)
      die "a service can't see $python, which .venv was made from; type ./setup.sh --python /usr/bin/python3 first" ;;
  esac
  hidden=$(find . -name .git -prune -o ! -type l ! -perm -004 -print -quit)
  [ -z "$hidden" ] || die "others may not read $PWD/${hidden#./}, nor would the service; type:
chmod -R go+rX $(printf %q "$PWD")"
}

# Its own user, in those groups that may use the camera, the screen and the GPU.
add_user() {
  local group
  grep -q "^$service:" "${DESTDIR-}/etc/passwd" ||
    useradd ${DESTDIR:+--prefix "$DESTDIR"} --system --user-group --no-create-home --home-dir /var/lib/$service \
      --shell /usr/sbin/nologin $service
  for group in video render; do
    if grep -q "^$group:" "${DESTDIR-}/etc/group"; then
      usermod ${DESTDIR:+--prefix "$DESTDIR"} --append --groups $group $service
    fi
  done
}

remove_user() {
  local kind
  for kind in user group; do # the group goes with the user, but not under a prefix
    if grep -q "^$service:" "${DESTDIR-}/etc/${kind/user/passwd}"; then
      ${kind}del ${DESTDIR:+--prefix "$DESTDIR"} $service
    fi
  done
}

write_unit() {
  local text folder=$PWD
  text=$(<service/$service.service)
  folder=${folder//\\/\\\\} folder=${folder//\"/\\\"} folder=${folder//%/%%} # as the unit's quoted strings want it
  mkdir -p "${unit%/*}"
  printf '%s\n' "${text//@FOLDER@/"$folder"}" >"$unit"
}

# Settings that are there already are the owner's. They may hold a camera's password.
write_settings() {
  local group
  group=$(sed -n "s/^$service:[^:]*:\([0-9]*\):.*/\1/p" "${DESTDIR-}/etc/group")
  mkdir -p "$settings"
  [ -e "$settings/config.toml" ] || install -m 640 service/config.toml "$settings/config.toml"
  chown "0:$group" "$settings/config.toml"
}

warn_of_memory() {
  local controllers=${DESTDIR-}/sys/fs/cgroup/cgroup.controllers
  if [ -e "$controllers" ] && ! grep -qw memory "$controllers"; then
    warn 'this kernel does not limit memory; on a Raspberry Pi, add cgroup_enable=memory to the line in
/boot/firmware/cmdline.txt and reboot, so that the service can not take all of it'
  fi
}
