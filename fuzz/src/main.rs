//! libFuzzer under the targets that the crates define: `KURA_FUZZ` names one of them, the arguments are libFuzzer's.
//! Built by `fuzz/run`, which says how: without coverage there is nothing to fuzz with, and nothing here.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
mod target {
    use std::sync::LazyLock;

    use kura_store::fuzz::Target;

    pub(crate) static CHOSEN: LazyLock<fn(&[u8])> = LazyLock::new(|| {
        let crates = [
            kura_store::fuzz::TARGETS,
            kura_cache::fuzz::TARGETS,
            kura_auth::fuzz::TARGETS,
            kura_http::fuzz::TARGETS,
            kura_reapi::fuzz::TARGETS,
        ];
        let targets: Vec<Target> = crates.concat();
        let name = std::env::var("KURA_FUZZ").unwrap_or_default();
        let names: Vec<_> = targets.iter().map(|(name, _)| *name).collect();
        let chosen = targets.iter().find(|(known, _)| *known == name);
        chosen.unwrap_or_else(|| panic!("KURA_FUZZ names one of {names:?}")).1
    });
}

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (target::CHOSEN)(bytes));

#[cfg(not(fuzzing))]
fn main() {
    eprintln!("built without coverage: `fuzz/run` builds it with");
    std::process::exit(2);
}
