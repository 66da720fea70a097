#!/usr/bin/env bash
# Makes this folder ready to run: system libraries (apt), .venv with the Python packages, models. Safe to run again.
set -euo pipefail

usage() {
  cat <<'END'
usage: ./setup.sh [--models NAMES] [--extras NAMES] [--python PATH] [--dev] [--yes]
       sudo ./setup.sh --service | --uninstall-service [--purge]

Makes classify.py ready to run: installs the system libraries that its window needs (with apt, after asking), Python
packages into .venv, and models into models/. Run again, it takes seconds and mends what is missing.

  --models NAMES  models to fetch, comma-separated: a0 (default), a1, a2, a0-float16, a1-float16, a2-float16,
                  resnet34 (looks at clips, 254 MB), all, none
  --extras NAMES  what further packages are for, comma-separated: remote (web page, MQTT), teach (your own
                  actions), lang (labels in other letters), timeline (pictures of time), cluster (an archive on
                  several machines)
  --python PATH   the Python to use, 3.9 or newer (default: python3; on a Raspberry Pi /usr/bin/python3)
  --dev           also install all extras and what the tests need
  --yes, -y       install system packages without asking
  --help, -h      print this

Once that is done:

  --service       make it a systemd service that starts at boot, with its settings in /etc/movinet-pi
  --uninstall-service [--purge]
                  remove the service; with --purge also its settings and recordings
END
}

say() { printf '%s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() { printf 'setup.sh: %s\n' "$*" >&2; exit 1; }
misused() { printf 'setup.sh: %s (./setup.sh --help lists the flags)\n' "$*" >&2; exit 2; }

read_flags() {
  models=a0 extras='' python='' dev='' yes='' task='' purge=''
  while [ $# -gt 0 ]; do
    case $1 in
      --models=* | --extras=* | --python=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
      --models | --extras | --python)
        [ -n "${2-}" ] || misused "$1 needs a value"
        printf -v "${1#--}" %s "$2"
        shift 2 ;;
      --dev) dev=1; shift ;;
      --yes | -y) yes=1; shift ;;
      --service) task=install_service; shift ;;
      --uninstall-service) task=remove_service; shift ;;
      --purge) purge=1; shift ;;
      --help | -h) usage; exit ;;
      *) misused "unknown flag $1" ;;
    esac
  done
  if [ -n "$purge" ] && [ "$task" != remove_service ]; then misused '--purge goes with --uninstall-service'; fi
  local name
  for name in ${models//,/ }; do
    case $name in
      a[012] | a[012]-float16 | movinet_a[012]_int8 | movinet_a[012]_float16 | resnet34 | resnet-34_kinetics | all | none) ;;
      *) misused "--models: no model is called $name" ;;
    esac
  done
  for name in ${extras//,/ }; do
    case $name in
      remote | teach | lang | timeline | cluster) ;;
      *) misused "--extras: there is remote, teach, lang, timeline and cluster, not $name" ;;
    esac
  done
}

# The board, as its firmware names it. DEVICE_MODEL stands in for it in the tests.
find_board() {
  local file=/proc/device-tree/model
  [ -r $file ] || file=/sys/firmware/devicetree/base/model
  board=${DEVICE_MODEL-$(tr -d '\0' 2>/dev/null <$file || true)}
  case $board in *'Raspberry Pi'*) on_pi=1 ;; *) on_pi='' ;; esac
}

# Sets python (its full path), version and bits. Looks through an active virtual environment at the Python it was made
# from, since that environment may be the .venv that is to be replaced.
find_python() {
  python_asked=$python
  # picamera2 is a package of the system's Python, so on a Pi that one is wanted, not one put in front of it.
  if [ -z "$python" ] && [ -n "$on_pi" ] && [ -x /usr/bin/python3 ]; then python=/usr/bin/python3; fi
  local asked=${python:-python3} facts
  facts=$("$asked" -c 'import struct, sys; print("%d.%d" % sys.version_info[:2], struct.calcsize("P") * 8,
    getattr(sys, "_base_executable", sys.executable))' 2>/dev/null) ||
    die "$asked does not run; install Python 3.9 or newer, or name one with --python PATH"
  read -r version bits python <<<"$facts"
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' ||
    die "$python is Python $version; 3.9 or newer is needed: name one with --python PATH"
  if [ "$bits" = 32 ] && ! "$python" -c 'import sys; sys.exit(sys.version_info >= (3, 12))'; then
    die "no TensorFlow Lite runtime exists for 32-bit Python $version; use the 64-bit edition of the system"
  fi
}

installed() { [[ $(dpkg-query -W -f '${db:Status-Status} ' "$1" 2>/dev/null) == installed* ]]; }
available() { [ -n "$(apt-cache show "$1" 2>/dev/null)" ]; }

# Prints those of the packages that are not installed. NAME|OTHER: either will do; only the last name may be asked for
# where apt doesn't know the first.
missing() {
  local names
  for names in "$@"; do
    installed "${names%|*}" || installed "${names#*|}" || say "$names"
  done
}

# Sets sudo to what must stand before a command that needs root, and why to the reason if no such command may run.
find_root() {
  sudo='' why=''
  [ "$(id -u)" = 0 ] || sudo='sudo '
  if [ -n "$sudo" ] && ! command -v sudo >/dev/null; then
    why='this user is not root, and there is no sudo (type it as root, without the word sudo)'
  elif [ -t 0 ]; then
    return
  elif [ -n "$sudo" ] && ! sudo -n true 2>/dev/null; then
    why='sudo wants a password, and there is no terminal to ask for it'
  elif [ -z "$yes" ]; then
    why='there is no terminal to ask whether it may (./setup.sh --yes does not ask)'
  fi
}

# Installs the packages that are missing, of those named. Afterwards todo is empty, or the command that is left to type,
# and why says why.
apt_install() {
  local wanted names packages=() answer=''
  todo=''
  wanted=$(missing "$@")
  [ -n "$wanted" ] || return 0
  for names in $wanted; do
    if available "${names%|*}"; then packages+=("${names%|*}"); else packages+=("${names#*|}"); fi
  done
  find_root
  todo="${sudo}apt-get update && ${sudo}apt-get install --no-install-recommends ${packages[*]}"
  [ -z "$why" ] || return 0
  if [ -z "$yes" ]; then
    read -r -p "    Install ${packages[*]} with apt? [Y/n] " answer
    case $answer in '' | [yY]*) ;; *) why=declined; return 0 ;; esac
  fi
  say "    installing ${packages[*]}"
  $sudo apt-get update -qq >/dev/null || warn 'apt could not update all of its package lists'
  if $sudo env DEBIAN_FRONTEND=noninteractive \
    apt-get install -qq -y --no-install-recommends "${packages[@]}" >/dev/null; then
    todo=''
  else
    why='apt could not, for the reason above'
  fi
}

install_system_packages() {
  # What OpenCV's wheel and the Qt in it link to and don't bring along.
  local packages=(libgl1 'libglib2.0-0t64|libglib2.0-0' libsm6 libxext6 libxss1)
  if ! command -v apt-get >/dev/null; then
    say '    no apt here: see to it that libGL, GLib 2, libSM and libXext are installed, which the window needs'
    return
  fi
  if [ -n "$on_pi" ]; then
    if installed python3-picamera2 || available python3-picamera2; then
      packages+=(python3-picamera2)
    else
      warn 'apt has no python3-picamera2, so a camera on the ribbon cable will not be found; Raspberry Pi OS has it'
    fi
  fi
  if [ "$bits" = 32 ]; then packages+=(python3-numpy python3-opencv python3-av); fi
  # Debian keeps this half of venv in a package of its own.
  if [[ $python == /usr/bin/* ]] && ! "$python" -c 'import ensurepip' 2>/dev/null; then
    packages+=("python$version-venv")
  fi
  apt_install "${packages[@]}"
  if [ -n "$todo" ]; then
    [ "$why" = declined ] || die "system packages are missing: $why. Type

    $todo

then run ./setup.sh again."
    warn "classify.py will not run before you type: $todo"
  fi
  [ -n "$dev" ] || return 0
  apt_install xvfb openbox xdotool imagemagick ffmpeg openssl fonts-dejavu-core python3-gi gir1.2-gst-rtsp-server-1.0 \
    gstreamer1.0-plugins-{base,good,bad,ugly} systemd x11-xserver-utils dbus gcc libc6-dev \
    linux-libc-dev mosquitto chromium chromium-driver fonts-noto-cjk
  [ -z "$todo" ] || warn "the tests skip what needs packages that are not here; to have them: $todo"
}

# Prints what is wrong with .venv; nothing if it can be used.
venv_trouble() {
  if [ ! -e .venv ]; then
    say 'is missing'
  elif [ "$(cat .venv/made-by-setup.sh 2>/dev/null)" = unfinished ]; then
    say 'was left half made'
  elif ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    say 'does not run'
  elif ! grep -qF -- "$PWD/.venv" .venv/bin/activate; then
    say 'was made for another folder'
  elif [ -n "$python_asked" ] && [ ! -e ".venv/lib/python$version" ]; then
    say "is not of Python $version"
  elif [ -n "$system_site" ] && ! grep -q 'include-system-site-packages = true' .venv/pyvenv.cfg; then
    say "does not see the system's packages"
  fi
}

make_venv() {
  local trouble
  # Where some packages come from apt: picamera2 on a Pi, OpenCV on 32-bit.
  if [ -n "$on_pi" ] || [ "$bits" = 32 ]; then system_site=--system-site-packages; else system_site=''; fi
  trouble=$(venv_trouble)
  [ -n "$trouble" ] || return 0
  if [ -e .venv ]; then
    [ -e .venv/made-by-setup.sh ] ||
      die ".venv $trouble, and was not made by setup.sh; move it away (mv .venv .venv.old), then run ./setup.sh again"
    say "    .venv $trouble: making it anew"
    rm -rf .venv
  fi
  mkdir .venv
  say unfinished >.venv/made-by-setup.sh
  "$python" -m venv $system_site .venv || die "$python can't make a virtual environment; its own words are above"
}

# Turns pip's account into a line for each download.
downloads() { sed -nE 's/^ *Downloading ([^-]+)-([^-]+)-.*\.whl \((.*)\)$/    \1 \2, \3/p'; }

install_python_packages() {
  local files=(-r requirements.txt)
  if [ "$bits" = 32 ]; then
    # Markers see the kernel, which is 64-bit even under most 32-bit Raspberry Pi OSes.
    sed -E '/^(ai-edge-litert|opencv-python|av)\b/d; /^tflite\b[^-]/s/;.*//' requirements.txt >.venv/requirements.txt
    files=(-r .venv/requirements.txt)
  fi
  local name
  for name in ${extras//,/ }; do files+=(-r "requirements-$name.txt"); done
  if [ -n "$dev" ]; then files+=(-r requirements-dev.txt); fi
  # Someone's pip settings may send packages to their home folder instead.
  PIP_USER=0 .venv/bin/python -m pip install --disable-pip-version-check "${files[@]}" | downloads ||
    die 'pip could not install the Python packages, for the reason above; run ./setup.sh again to go on'
  local works
  works=$(.venv/bin/python -c 'import cv2, numpy, platform, runtime
print(f"Python {platform.python_version()}, OpenCV {cv2.__version__}, numpy {numpy.__version__}, "
      f"{runtime.choose_runtime()}")' 2>&1) ||
    die "the installed packages do not work: ${works##*$'\n'}"
  say "    ${works##*$'\n'}"
  [ ! -e .venv/made-by-setup.sh ] || say finished >.venv/made-by-setup.sh
}

fetch_models() {
  local status=0
  # shellcheck disable=SC2086 # several names
  .venv/bin/python -m models fetch ${models//,/ } || status=$?
  [ $status != 130 ] || exit 130
  [ $status = 0 ] || warn "models are missing, all else is ready; again later: ./setup.sh --models $models"
}

# Whichever Python is named, classify.py goes on with the one in .venv.
suggest() {
  printf '\nReady. Try:\n'
  [ "$called_from" = "$PWD" ] || printf '  cd %q\n' "$PWD"
  cat <<'END'
  python3 classify.py --model movinet_a0_int8.tflite                      # what the camera sees
  python3 classify.py --model movinet_a0_int8.tflite --source video.mp4   # a video file instead
  python3 classify.py --source demo                                       # a drawn figure: needs no camera, no network
  python3 classify.py --help
END
}

enter_folder() {
  called_from=$PWD
  CDPATH='' cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")"
}

main() {
  read_flags "$@"
  if [ -n "$task" ]; then
    enter_folder
    # shellcheck source=/dev/null
    source service/install.sh
    "$task"
    return
  fi
  find_board
  find_python
  enter_folder
  say "1/4 System packages${board:+ ($board)}"
  install_system_packages
  say '2/4 Python environment .venv'
  make_venv
  say '3/4 Python packages (the first time over 100 MB)'
  install_python_packages
  say "4/4 Models: ${models//,/, }"
  fetch_models
  suggest
}

main "$@"
