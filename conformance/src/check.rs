//! A check: one sentence of a specification, and what shows whether a server keeps it.

use std::pin::Pin;

use crate::client::Server;
use crate::expect::Outcome;
use crate::offers::Need;

/// The files that the sentences are from.
pub(crate) const EXECUTION: &str = "remote_execution.proto";
pub(crate) const BYTE_STREAM: &str = "bytestream.proto";
pub(crate) const ASSET: &str = "remote_asset.proto";

type Run = Box<dyn Fn(Server) -> Pin<Box<dyn Future<Output = Outcome> + Send>>>;

/// One of them.
pub(crate) struct Check {
    /// What a server that keeps it does.
    pub(crate) sentence: String,
    /// The method that is called.
    pub(crate) method: &'static str,
    /// The file, the place in it, and what that says, in short.
    pub(crate) source: String,
    /// What a server has to advertise for this to be asked of it.
    pub(crate) needs: Vec<Need>,
    run: Run,
}

impl Check {
    /// What a list of known differences calls it.
    pub(crate) fn name(&self) -> String {
        format!("{}: {}", self.method, self.sentence)
    }

    pub(crate) fn run(&self, server: Server) -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
        (self.run)(server)
    }
}

/// All checks, in the order in which they run.
#[derive(Default)]
pub(crate) struct Suite {
    pub(crate) checks: Vec<Check>,
}

impl Suite {
    /// The checks of `method` that have their source in `file`.
    pub(crate) fn group(&mut self, method: &'static str, file: &'static str) -> Group<'_> {
        Group { suite: self, method, file, needs: Vec::new() }
    }
}

/// Checks of one method.
pub(crate) struct Group<'suite> {
    suite: &'suite mut Suite,
    method: &'static str,
    file: &'static str,
    needs: Vec<Need>,
}

impl Group<'_> {
    /// What the checks that follow need.
    pub(crate) fn needing(&mut self, needs: &[Need]) -> &mut Self {
        self.needs = needs.to_vec();
        self
    }

    /// Adds a check.
    pub(crate) fn check<F>(
        &mut self,
        sentence: impl Into<String>,
        source: &str,
        run: impl Fn(Server) -> F + 'static,
    ) -> &mut Self
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        self.suite.checks.push(Check {
            sentence: sentence.into(),
            method: self.method,
            source: format!("{}, {source}", self.file),
            needs: self.needs.clone(),
            run: Box::new(move |server| Box::pin(run(server))),
        });
        self
    }
}
