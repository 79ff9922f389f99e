//! Nothing copyleft is linked in: every package of the lock file can be had under a licence of the list in `deny.toml`.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;
use std::process::Command;

use kura_e2e::run;

#[test]
fn every_dependency_can_be_had_under_a_permissive_licence() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let settings = std::fs::read_to_string(root.join("deny.toml")).unwrap();
    let list = settings.lines().find(|line| line.starts_with("allow = ")).unwrap();
    let allowed: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
    assert!(allowed.contains(&"MIT") && !allowed.contains(&"GPL-3.0"));

    let text =
        run(Command::new(env!("CARGO")).current_dir(&root).args(["metadata", "--format-version=1", "--locked", "-q"]));
    let metadata: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 50, "{} packages", packages.len());
    for package in packages {
        let licence = package["license"].as_str().unwrap_or_else(|| panic!("{} names no licence", package["name"]));
        assert!(is_permissive(licence, &allowed), "{}: {licence}", package["name"]);
    }
}

/// Of an SPDX expression without nested parentheses: some alternative has only allowed parts.
fn is_permissive(licence: &str, allowed: &[&str]) -> bool {
    let every = |group: &str| group.split(" OR ").any(|one| allowed.contains(&one.trim()));
    let licence = licence.replace('/', " OR ").replace("  ", " ");
    match licence.split_once(") AND ") {
        Some((group, rest)) => every(group.trim_start_matches('(')) && every(rest),
        None => licence.split(" OR ").any(|one| one.split(" AND ").all(|part| allowed.contains(&part.trim()))),
    }
}

#[test]
fn expressions_are_read_as_they_are_meant() {
    let allowed = ["MIT", "Apache-2.0", "Unicode-3.0"];
    for fine in ["MIT", "MIT/Apache-2.0", "GPL-2.0 OR MIT", "(MIT OR GPL-2.0) AND Unicode-3.0", "Apache-2.0 / MIT"] {
        assert!(is_permissive(fine, &allowed), "{fine}");
    }
    for bad in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Apache-2.0) AND GPL-3.0"] {
        assert!(!is_permissive(bad, &allowed), "{bad}");
    }
}
