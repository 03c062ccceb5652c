# What packaging/quickstart and tests/run share: packages of Debian and the SQL engine's library.
# Read with '.', from the top of the source tree.

DUCKDB_VERSION=1.5.6-r.1

missing_packages() {
    local package
    for package; do
        dpkg-query -W -f '${db:Status-Abbrev}\n' "$package" 2>/dev/null | grep -q '^ii' ||
            printf '%s\n' "$package"
    done
}

# Installs the packages that are missing, after saying which; root's rights come from sudo if needed.
install_packages() {
    local missing as_root=()
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -eq 0 ] && return 0
    echo "installing Debian packages: ${missing[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || {
            echo "sudo is missing: install them as root, then run this again" >&2
            return 1
        }
        as_root=(sudo)
    fi
    quietly "${as_root[@]}" apt-get update -qq &&
        quietly "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

# Runs a command and shows what it printed only if it failed.
quietly() {
    local log status=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 || status=$?
    [ $status -eq 0 ] || cat "$log" >&2
    rm -f "$log"
    return $status
}

require_packages() {
    local missing
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -eq 0 ] || {
        echo "missing Debian packages: ${missing[*]}" >&2
        return 1
    }
}

# Sets RUN_CORE_DUCKDB to libduckdb.so: the one given, or the cached one, fetched by npm if needed.
# npm itself is installed only for that, and only where there is none of any origin.
find_duckdb() {
    local machine cache
    case $(uname -m) in
    x86_64) machine=x64 ;;
    aarch64) machine=arm64 ;;
    *) echo "there is no libduckdb.so for $(uname -m)" >&2 && return 1 ;;
    esac
    if [ -n "${RUN_CORE_DUCKDB:-}" ]; then
        [ -f "$RUN_CORE_DUCKDB" ] && return 0
        echo "RUN_CORE_DUCKDB: there is no file '$RUN_CORE_DUCKDB'" >&2
        return 1
    fi
    cache=${XDG_CACHE_HOME:-$HOME/.cache}/run-core/duckdb-$DUCKDB_VERSION-$machine
    RUN_CORE_DUCKDB=$cache/libduckdb.so
    [ -f "$RUN_CORE_DUCKDB" ] && return 0

    command -v npm >/dev/null || install_packages npm
    echo "fetching @duckdb/node-bindings-linux-$machine@$DUCKDB_VERSION (libduckdb.so) by npm"
    mkdir -p "$cache"
    local folder
    folder=$(mktemp -d "$cache/fetch-XXXXXX")
    (cd "$folder" &&
        quietly npm pack --loglevel=error \
            "@duckdb/node-bindings-linux-$machine@$DUCKDB_VERSION" &&
        tar -xzf ./*.tgz --no-same-owner package/libduckdb.so package/LICENSE) || {
        rm -rf "$folder"
        echo "npm could not fetch it" >&2
        return 1
    }
    mv "$folder/package/LICENSE" "$cache/LICENSE"
    mv "$folder/package/libduckdb.so" "$RUN_CORE_DUCKDB"
    rm -rf "$folder"
}
