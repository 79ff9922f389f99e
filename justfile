# What people run. The gate is `.ci/run`.

target := env("CARGO_TARGET_DIR", justfile_directory() / "target")

# All tests that need only Rust and a C compiler.
test:
    cargo test

# Format and lints.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# Many histories of the store on the simulated machine; `just sim 1000000`.
sim cases="10000":
    KURA_CASES={{cases}} cargo test -p kura-store --test simulation every_acknowledged
    KURA_CASES={{cases}} cargo test -p kura-store --test simulation whatever_fails

# Any bytes for what reads foreign ones: all targets for a moment, or one; `just fuzz footer -max_total_time=600`. Needs a C++ compiler.
fuzz *arguments:
    fuzz/run {{arguments}}

# Real clients, kills and filesystems: as root on Debian, where it installs them.
e2e:
    CARGO_TARGET_DIR={{target}} .ci/run e2e

# What the Remote Execution API says, asked of any server; `just conformance grpc://127.0.0.1:8380`.
conformance server *arguments:
    cargo run --release -p kura-conformance -- {{server}} {{arguments}}

# The load generator; `just bench get` for one part of it.
bench part="all":
    cargo build --release --workspace
    {{target}}/release/kura-bench {{part}} --kura {{target}}/release/kura

# Licences and duplicates: needs cargo-deny.
deny:
    cargo deny check

# Serve with the defaults.
serve:
    cargo run --release -- serve
