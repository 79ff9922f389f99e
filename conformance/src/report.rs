//! What is printed: a line for each check, and a table of the methods.

use std::collections::BTreeMap;

use crate::check::Check;
use crate::client::Server;
use crate::known::{Found, Known};
use crate::offers::Offers;
use crate::run::Verdict;

/// Prints what the server says of itself.
pub(crate) fn head(server: &Server) {
    let Offers { cache, functions, versions: ((low, least), (high, most)), .. } = &*server.offers;
    let functions: Vec<String> = functions.iter().map(ToString::to_string).collect();
    println!("server: {}, instance {:?}, versions {low}.{least} to {high}.{most}", server.authority, server.instance);
    println!("digest functions: {}", functions.join(", "));
    let (batch, blob) = (cache.max_batch_total_size_bytes, cache.max_cas_blob_size_bytes);
    println!("most bytes of a batch: {batch}, of a blob: {blob} (0: none stated)\n");
}

/// Prints what `check` came to.
pub(crate) fn line(check: &Check, verdict: &Verdict, known: Option<&Known>) {
    let name = check.name();
    match verdict {
        Verdict::Agrees => println!("ok           {name}"),
        Verdict::NotOffered(need) => println!("not offered  {name} (needs {need})"),
        Verdict::Differs(difference) => {
            let why = known.and_then(|known| known.why(&name));
            println!("{}  {name}", if why.is_some() { "known      " } else { "DIFFERS    " });
            println!("             {difference}");
            println!("             {}", check.source);
            if let Some(why) = why {
                println!("             {why}");
            }
        }
    }
}

/// Prints the checks without running them.
pub(crate) fn list<'a>(checks: impl IntoIterator<Item = &'a Check>) {
    for check in checks {
        println!("{}", check.name());
        println!("    {}", check.source);
        for need in &check.needs {
            println!("    needs {need}");
        }
    }
}

/// Checks of one method, counted by what they came to.
#[derive(Default)]
struct Row {
    agree: usize,
    differ: usize,
    not_offered: usize,
}

/// Prints the table.
pub(crate) fn table(results: &[(&Check, Verdict)], found: &Found) {
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    let mut order: Vec<&str> = Vec::new();
    let mut total = Row::default();
    for (check, verdict) in results {
        if !order.contains(&check.method) {
            order.push(check.method);
        }
        for row in [rows.entry(check.method).or_default(), &mut total] {
            match verdict {
                Verdict::Agrees => row.agree += 1,
                Verdict::Differs(_) => row.differ += 1,
                Verdict::NotOffered(_) => row.not_offered += 1,
            }
        }
    }
    println!("\n{:<28} {:>6} {:>8} {:>12}", "method", "ok", "differ", "not offered");
    for method in order {
        if let Some(row) = rows.get(method) {
            println!("{method:<28} {:>6} {:>8} {:>12}", row.agree, row.differ, row.not_offered);
        }
    }
    println!("{:<28} {:>6} {:>8} {:>12}", "all", total.agree, total.differ, total.not_offered);
    if !found.not_offered.is_empty() {
        let names: Vec<&str> = found.not_offered.iter().map(String::as_str).collect();
        println!("\nnot offered: {}", names.join(", "));
    }
}
