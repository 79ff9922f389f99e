//! What a tenant may take of the server, as its clients are told of it: requests a second, uploads at a time.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use std::collections::HashMap;
use std::num::NonZeroU32;

use futures_util::future::join_all;
use kura_auth::Role;
use kura_cache::Tenant;
use kura_http::{Quota, Quotas, ServerSettings};
use support::people::People;
use support::{CAPACITY, Response, Site, s3};

fn quotas(name: &'static str, requests: u32, uploads: u32) -> Quotas {
    let quota = Quota { requests: NonZeroU32::new(requests), uploads: NonZeroU32::new(uploads) };
    Quotas { each: Quota::default(), named: HashMap::from([(Tenant::parse(name).unwrap(), quota)]) }
}

/// Asks so many times at once, each on a connection of its own; what was answered until all that were not slowed down had their answers.
async fn at_once(site: &Site, times: usize, path: &str, headers: &str) -> Vec<Response> {
    let ask = || site.request("GET", path, headers, b"");
    join_all((0..times).map(|_| ask())).await
}

#[tokio::test]
async fn a_tenant_beyond_its_rate_is_told_to_come_back_and_others_are_not_kept_waiting() {
    let mut people = People::default();
    let [flood, other] = ["flood", "other"].map(|tenant| people.token(tenant, &[], Role::Writer));
    let operator = people.token("default", &[], Role::Reader);
    let site = Site::asking(ServerSettings::default(), Some(people.authenticator())).await;
    site.open(CAPACITY).await;
    site.tenants.replace(quotas("flood", 1, 0));
    let as_flood = format!("Authorization: Bearer {flood}\r\n");
    let answers = at_once(&site, 20, "/cache/0123", &as_flood).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    // All but those at once, two that waited, and one more for each second that it took.
    assert!((1..=17).contains(&refused.len()), "{}", refused.len());
    assert!(answers.iter().all(|answer| [404, 429].contains(&answer.status)));
    for answer in &refused {
        answer.refused(429);
        assert!(answer.text().contains("requests a second"), "{}", answer.text());
        assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 2);
    }
    let refused = refused.len();
    let answers = at_once(&site, 50, "/cache/0123", &format!("Authorization: Bearer {other}\r\n")).await;
    assert!(answers.iter().all(|answer| answer.status == 404));
    assert!(at_once(&site, 50, "/up", &as_flood).await.iter().all(|answer| answer.status == 200));
    let metrics = site.request("GET", "/metrics", &format!("Authorization: Bearer {operator}\r\n"), b"").await.text();
    for line in [
        &format!("kura_tenant_refused_total{{tenant=\"flood\"}} {refused}"),
        "kura_tenant_refused_total{tenant=\"\"} 0",
        "kura_tenant_slowed_total{tenant=\"\"} 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
    }
}

#[tokio::test]
async fn uploads_beyond_what_a_tenant_may_have_under_way_wait_and_are_told_to_come_back() {
    let (site, _store) = Site::serving(ServerSettings::default()).await;
    // Nobody is asked who they are: all are of the default tenant.
    site.tenants.replace(quotas("default", 0, 1));
    let mut slow = site.connect().await;
    slow.send("PUT /cache/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n").await;
    assert_eq!(slow.response().await.status, 100, "it is under way");
    let refused = site.put("/cache/other", b"body").await;
    refused.refused(429);
    assert!(refused.text().contains("uploads") && refused.header("retry-after").is_some(), "{refused:?}");
    assert_eq!(site.get("/cache/other").await.status, 404, "who fetches does not wait");
    let (ended, waited) = tokio::join!(
        async {
            slow.send("body").await;
            slow.response().await.status
        },
        site.put("/cache/other", b"body")
    );
    assert_eq!((ended, waited.status), (200, 200));
    // One that is called off counts no more.
    let mut gone = site.connect().await;
    gone.send("PUT /cache/gone HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n").await;
    assert_eq!(gone.response().await.status, 100);
    drop(gone);
    assert_eq!(site.put("/cache/other", b"body").await.status, 200);
}

#[tokio::test]
async fn s3s_clients_are_counted_once_they_are_known() {
    let s3 = s3::serving().await;
    s3.site.tenants.replace(quotas("default", 1, 0));
    // Who cannot sign takes nothing from those who can.
    let unsigned = at_once(&s3.site, 20, "/s3/bucket/key", "").await;
    assert!(unsigned.iter().all(|answer| answer.status == 403));
    assert_eq!(s3.ask("GET", "/bucket/key", &[], b"").await.status, 404);
    let signed = join_all((0..20).map(|_| s3.ask("GET", "/bucket/key", &[], b""))).await;
    let refused: Vec<_> = signed.iter().filter(|answer| answer.status == 503).collect();
    assert!(!refused.is_empty() && refused[0].text().contains("<Code>SlowDown</Code>"), "{signed:?}");
    assert!(signed.iter().all(|answer| [404, 503].contains(&answer.status)));
}
