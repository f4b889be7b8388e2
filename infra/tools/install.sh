#!/usr/bin/env bash
# Installs what the tests and checks use beside Node, where it is missing and where we may: a JDK and Maven (a real Kafka), kcat (a
# stranger that produces), OpenSSL (certificates), nginx (the load balancer of infra/compose), Prometheus with promtool. Debian
# packages, as root or with sudo without a password. What cannot be had is named, not fatal: the tests that need it say so.
set -euo pipefail

declare -A package=([java]=openjdk-17-jdk-headless [mvn]=maven [kcat]=kcat [openssl]=openssl [nginx]=nginx-light [promtool]=prometheus)

missing=()
# Where Debian has servers, which is in root's PATH only.
PATH="$PATH:/usr/sbin"
for command in java mvn kcat openssl nginx promtool; do
  command -v "$command" >/dev/null || missing+=("${package[$command]}")
done
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi

root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! sudo -n true 2>/dev/null; then
    echo "not installed, for want of root: ${missing[*]}" >&2
    exit 0
  fi
  root=(sudo -n)
fi
if ! command -v apt-get >/dev/null; then
  echo "not installed, for want of apt-get: ${missing[*]}" >&2
  exit 0
fi

echo "installing ${missing[*]}"
{ "${root[@]}" apt-get install -y --no-install-recommends "${missing[@]}" </dev/null >/dev/null 2>&1; } ||
  {
    "${root[@]}" apt-get update -q </dev/null >/dev/null
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" </dev/null >/dev/null
  } || echo "apt-get could not install ${missing[*]}" >&2
