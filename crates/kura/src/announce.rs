//! What stands on standard output at the start: where Kura listens, and the lines to paste into each client.

use std::net::SocketAddr;
use std::path::Path;

/// The first line, once the port is taken.
pub(crate) fn listening(address: &str) -> String {
    format!("Kura {} listens on http://{address}", env!("CARGO_PKG_VERSION"))
}

/// The rest, once it serves.
pub(crate) fn serving(address: &str, data_dir: &Path, capacity: u64) -> String {
    let capacity = bytesize::ByteSize(capacity).display().iec();
    format!(
        "
  dashboard   http://{address}/
  health      http://{address}/up  http://{address}/ready  http://{address}/metrics
  data        {} (at most {capacity})

Paste into your client:

  Bazel, .bazelrc
    build --remote_cache=grpc://{address}
    or, over HTTP: build --remote_cache=http://{address}/bazel

  Buck2, Pants, moon, BuildStream, and whatever else speaks the Remote Execution API
    grpc://{address}

  Gradle, settings.gradle (and build with --build-cache)
    buildCache {{
        remote(HttpBuildCache) {{
            url = 'http://{address}/cache/'
            allowInsecureProtocol = true // Gradle 6 and newer; leave out before
            push = true
        }}
    }}

  ccache, ccache.conf (4.7 or newer)
    remote_storage = http://{address}/ccache

  sccache
    export SCCACHE_WEBDAV_ENDPOINT=http://{address}/webdav

  Turborepo
    export TURBO_API=http://{address} TURBO_TOKEN=any TURBO_TEAM=my-team

  Nx
    export NX_SELF_HOSTED_REMOTE_CACHE_SERVER=http://{address} NX_SELF_HOSTED_REMOTE_CACHE_ACCESS_TOKEN=any

  Metro, metro.config.js
    cacheStores: ({{ HttpStore }}) => [new HttpStore({{ endpoint: 'http://{address}/metro' }})]

  Tuist's API, for Xcode and modules
    http://{address}/api/cache

  anything that speaks HTTP
    curl --fail --upload-file FILE http://{address}/http/my-namespace/path/to/key
    curl --fail --output FILE http://{address}/http/my-namespace/path/to/key

Stop it with Ctrl-C; what is stored stays.
",
        data_dir.display()
    )
}

/// How clients reach it: a listener on all addresses is named by its host.
pub(crate) fn reachable(address: SocketAddr) -> String {
    if !address.ip().is_unspecified() {
        return address.to_string();
    }
    let name = rustix::system::uname();
    let host = name.nodename().to_str().ok().filter(|host| !host.is_empty()).unwrap_or("localhost").to_owned();
    format!("{host}:{}", address.port())
}
