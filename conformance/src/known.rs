//! What is known to differ in a server, and why. The list has to be exact: what is fixed is taken out of it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

/// A list as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Known {
    /// Which server and version it is about.
    pub(crate) server: String,
    /// What the server is known not to offer, as the report words it.
    #[serde(default)]
    pub(crate) not_offered: BTreeSet<String>,
    #[serde(default)]
    pub(crate) difference: Vec<Entry>,
}

/// One known difference.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// The check's method and sentence.
    pub(crate) check: String,
    /// What the server does instead, and why.
    pub(crate) why: String,
}

impl Known {
    pub(crate) fn read(file: &Path) -> anyhow::Result<Known> {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not a list of differences", file.display()))
    }

    /// Why `check` differs, if that is known.
    pub(crate) fn why(&self, check: &str) -> Option<&str> {
        self.difference.iter().find(|entry| entry.check == check).map(|entry| entry.why.as_str())
    }

    /// In which ways `found` is not what is listed; nothing if it is.
    pub(crate) fn mismatch(&self, found: &Found) -> String {
        let listed: BTreeSet<String> = self.difference.iter().map(|entry| entry.check.clone()).collect();
        let mut text = String::new();
        let mut say = |what: &str, names: BTreeSet<&String>| {
            for name in names {
                let _ = writeln!(text, "{what}: {name}");
            }
        };
        say("differs and is not listed", found.differing.difference(&listed).collect());
        say("listed and does not differ", found.agreeing.intersection(&listed).collect());
        say("listed and no check of this suite", listed.iter().filter(|name| !found.has(name)).collect());
        if found.is_whole {
            say("not offered and not listed", found.not_offered.difference(&self.not_offered).collect());
            say("listed as not offered, and offered", self.not_offered.difference(&found.not_offered).collect());
        }
        text
    }
}

/// What a run has found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) differing: BTreeSet<String>,
    pub(crate) agreeing: BTreeSet<String>,
    /// Checks that were not run: of what is not offered, or filtered away.
    pub(crate) not_run: BTreeSet<String>,
    /// What is not offered.
    pub(crate) not_offered: BTreeSet<String>,
    /// Whether nothing was filtered away.
    pub(crate) is_whole: bool,
}

impl Found {
    fn has(&self, check: &str) -> bool {
        [&self.differing, &self.agreeing, &self.not_run].iter().any(|checks| checks.contains(check))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"
        server = "some server 1.0"
        not-offered = ["zstd"]
        [[difference]]
        check = "Read: it differs"
        why = "it always did"
    "#;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn found(differing: &[&str], agreeing: &[&str], not_offered: &[&str]) -> Found {
        Found {
            differing: names(differing),
            agreeing: names(agreeing),
            not_run: BTreeSet::new(),
            not_offered: names(not_offered),
            is_whole: true,
        }
    }

    #[test]
    fn a_list_matches_only_what_is_exactly_as_it_says() {
        let known: Known = toml::from_str(LIST).unwrap();
        let mismatch = |found: &Found| known.mismatch(found);
        assert_eq!(mismatch(&found(&["Read: it differs"], &["Read: other"], &["zstd"])), "");
        let mut other = found(&["Read: it differs", "Read: other"], &[], &["zstd"]);
        assert_eq!(mismatch(&other), "differs and is not listed: Read: other\n");
        other = found(&[], &["Read: it differs"], &["zstd"]);
        assert_eq!(mismatch(&other), "listed and does not differ: Read: it differs\n");
        other = found(&[], &[], &["zstd"]);
        assert_eq!(mismatch(&other), "listed and no check of this suite: Read: it differs\n");
        other = found(&["Read: it differs"], &[], &["push"]);
        assert_eq!(mismatch(&other), "not offered and not listed: push\nlisted as not offered, and offered: zstd\n");
    }

    #[test]
    fn every_list_in_this_crate_names_checks_of_this_suite() {
        let suite = crate::checks::all();
        let names: BTreeSet<String> = suite.checks.iter().map(crate::check::Check::name).collect();
        for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("known")).unwrap() {
            let known = Known::read(&file.unwrap().path()).unwrap();
            for entry in known.difference {
                assert!(names.contains(&entry.check), "{} lists {:?}", known.server, entry.check);
                assert!(!entry.why.is_empty(), "{:?} is not explained", entry.check);
            }
        }
    }
}
