//! Runs checks one after the other, and keeps what they came to.

use std::time::Duration;

use crate::check::Check;
use crate::client::Server;
use crate::expect::Difference;
use crate::known::{Found, Known};
use crate::offers::Need;
use crate::report;

/// How long a check may take before it differs by that alone.
const LIMIT: Duration = Duration::from_secs(60);

/// What a check came to.
pub(crate) enum Verdict {
    Agrees,
    Differs(String),
    NotOffered(Need),
}

/// Runs `checks` against `server`, and prints each as it ends.
pub(crate) async fn all<'a>(
    server: &Server,
    checks: impl IntoIterator<Item = &'a Check>,
    known: Option<&Known>,
) -> Vec<(&'a Check, Verdict)> {
    let mut results = Vec::new();
    for check in checks {
        let missing = check.needs.iter().find(|need| !server.offers.has(**need));
        let verdict = match missing {
            Some(need) => Verdict::NotOffered(*need),
            None => one(server, check).await,
        };
        report::line(check, &verdict, known);
        results.push((check, verdict));
    }
    results
}

/// In a task of its own: a check that panics or hangs is a check that differs.
pub(crate) async fn one(server: &Server, check: &Check) -> Verdict {
    let task = tokio::spawn(check.run(server.clone()));
    let abort = task.abort_handle();
    match tokio::time::timeout(LIMIT, task).await {
        Ok(Ok(Ok(()))) => Verdict::Agrees,
        Ok(Ok(Err(Difference(difference)))) => Verdict::Differs(difference),
        Ok(Err(panic)) => Verdict::Differs(format!("the check ended with {panic}")),
        Err(_) => {
            abort.abort();
            Verdict::Differs(format!("not done within {} s", LIMIT.as_secs()))
        }
    }
}

/// What `results` say, for a list of known differences. `all` has the names of the checks that were not run too.
pub(crate) fn found(results: &[(&Check, Verdict)], all: &[Check]) -> Found {
    let mut found = Found { is_whole: results.len() == all.len(), ..Found::default() };
    found.not_run = all.iter().map(Check::name).collect();
    for (check, verdict) in results {
        let name = check.name();
        match verdict {
            Verdict::NotOffered(need) => {
                found.not_offered.insert(need.to_string());
                continue;
            }
            Verdict::Agrees => found.agreeing.insert(name.clone()),
            Verdict::Differs(_) => found.differing.insert(name.clone()),
        };
        found.not_run.remove(&name);
    }
    found
}
